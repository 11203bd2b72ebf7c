"""`@copilotkit/aimock` as the model: an OpenAI-compatible server that nobody here wrote.

What it answers is in `tests/npm/aimock.json`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from support.foreign import ends, model_daemon, node, numbers, said
from support.line_process import LineProcess, talking
from support.process import LiveDaemon
from support.wire import RpcFailed, WireClient

from hermes.adapters.websocket.failures import RETRY_TURN
from hermes.messages.jsonrpc import TURN_FAILED

pytestmark = pytest.mark.usefixtures("npm")

GREETING = "Hello from a server that nobody here wrote: ä, 漢, 🦊."

#: Values of chaos headers: a probability, and milliseconds.
CERTAIN = "1"
HALF_A_MINUTE = "30000"


@frozen
class Scene:
    """A client in a session, an operator who sees the turns end, and aimock as the model."""

    client: WireClient
    session: str
    operator: WireClient
    daemon: LiveDaemon
    aimock: LineProcess

    async def prompt(self, text: str) -> str:
        """Prompt and wait; returns the stop reason."""
        return await self.client.prompt(self.session, text)

    async def failure(self, text: str) -> Mapping[str, Any]:
        """The data of the error that a prompt ends in."""
        with pytest.raises(RpcFailed) as failed:
            await self.prompt(text)
        assert failed.value.code == TURN_FAILED
        data: Mapping[str, Any] = failed.value.data
        assert data["provider"] == "foreign"
        return data

    async def chaos(self, **headers: str) -> None:
        """Put these chaos headers on every request from now on."""
        named = {f"x-aimock-chaos-{name}": value for name, value in headers.items()}
        await self.aimock.call("chaos", headers=named)

    async def requests(self) -> int:
        """How many requests aimock has had."""
        return int((await self.aimock.call("requests"))["count"])

    async def goes_on(self, turns: int) -> None:
        """One more turn works; then each of all turns has ended, once."""
        before = self.client.text(self.session)
        assert await self.prompt("greet me") == "end_turn"
        assert self.client.text(self.session) == before + GREETING
        assert ends(self.client.updates) == turns + 1
        seen = numbers(self.client.updates)
        assert seen == list(range(1, seen[-1] + 1))
        await self.operator.until(lambda: len(self.operator.events) > turns)
        status = await self.operator.call("supervisor/status")
        assert len(self.operator.events) == turns + 1
        assert status["turns"]["started"] == turns + 1
        assert sum(status["turns"].values()) == 2 * (turns + 1)
        assert status["sessions"]["busy"] == 0
        assert [pool["inFlight"] for pool in status["pools"].values()] == [0]


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    async with talking(node("aimock.mjs")) as aimock:
        await aimock.until(lambda: bool(aimock.told))
        base_url = aimock.told[0]["url"] + "/v1"
        async with (
            model_daemon(folder, base_url) as daemon,
            daemon.connect("/control") as operator,
            daemon.connect() as client,
        ):
            await operator.call("events/subscribe", {"kinds": ["turn_ended"]})
            session = await client.new("foreign:model")
            yield Scene(client, session, operator, daemon, aimock)


def kinds(client: WireClient) -> list[str]:
    """The kinds of the numbered updates of one turn, chunks of a kind in a row as one."""
    found: list[str] = []
    for update in client.updates:
        kind = update["update"]["sessionUpdate"]
        if "seq" in update.get("_meta", {}).get("hermes", {}) and found[-1:] != [kind]:
            found.append(kind)
    return found


def calls(client: WireClient) -> list[str]:
    """The tools that were called; each call must have completed, in the order of the calls."""
    updates = [update["update"] for update in client.updates]
    started = [update for update in updates if update["sessionUpdate"] == "tool_call"]
    assert [
        (update["toolCallId"], update["status"])
        for update in updates
        if update["sessionUpdate"] == "tool_call_update"
    ] == [(update["toolCallId"], "completed") for update in started]
    return [update["title"] for update in started]


async def test_a_stream(tmp_path: Path) -> None:
    """D1: a streamed answer arrives whole, a character that aimock cuts in two included."""
    async with scene(tmp_path) as play:
        assert await play.prompt("greet me") == "end_turn"
        assert said(play.client.updates) == GREETING
        await play.goes_on(1)
        assert await play.requests() == 2


async def test_reasoning_and_stop_reasons(tmp_path: Path) -> None:
    """D1: reasoning comes as thoughts, and the finish reasons as ACP's stop reasons."""
    async with scene(tmp_path) as play:
        assert await play.prompt("think first") == "end_turn"
        assert [kind for kind in kinds(play.client) if kind != "session_info_update"] == [
            "agent_thought_chunk",
            "agent_message_chunk",
        ]
        assert await play.prompt("talk too long") == "max_tokens"
        assert await play.prompt("say what is forbidden") == "refusal"
        assert said(play.client.updates) == "Seen.And so onNo"
        await play.goes_on(3)


async def test_a_tool_loop(tmp_path: Path) -> None:
    """D3: two calls beside a text, then a third, run once each; the model gets their results."""
    async with scene(tmp_path) as play:
        assert await play.prompt("keep this") == "end_turn"
        assert await play.requests() == 3
        assert said(play.client.updates) == "Writing. It is kept."
        assert calls(play.client) == ["scratch_write", "clock", "scratch_read"]
        (note,) = (play.daemon.state_dir / "scratch").glob("*/note.txt")
        assert note.read_text() == "the fox is red"
        await play.goes_on(1)


async def test_an_unknown_tool(tmp_path: Path) -> None:
    """D3: a call of a tool that is not there is told to the model, which answers."""
    async with scene(tmp_path) as play:
        assert await play.prompt("call nobody") == "end_turn"
        assert said(play.client.updates) == "Nobody is there."
        await play.goes_on(1)


#: What a prompt makes aimock answer: the status, whether to retry, and when.
ERRORS = {
    "too many": (429, True, 7.0),
    "fall over": (500, True, RETRY_TURN),
    "bad request": (400, False, None),
    "nobody knows this": (404, False, None),
}


async def test_errors_of_the_provider(tmp_path: Path) -> None:
    """D1: an error of the provider ends its turn with what it said, and the next one works."""
    async with scene(tmp_path) as play:
        for before, (text, expected) in enumerate(ERRORS.items()):
            data = await play.failure(text)
            found = data["status"], data["retryable"], data.get("retryAfterSeconds")
            assert (text, found) == (text, expected)
            assert await play.requests() == 2 * before + 1
            await play.goes_on(2 * before + 1)


async def test_a_stream_that_is_cut(tmp_path: Path) -> None:
    """D1: a stream that breaks off ends its turn as failed, after what was said of it."""
    async with scene(tmp_path) as play:
        data = await play.failure("stop half way")
        assert (data["status"], data["retryable"]) == (None, True)
        part = said(play.client.updates)
        assert part
        assert "This is cut before its end.".startswith(part)
        await play.goes_on(1)


#: What each chaos header leads to: the status, and when to retry.
FAULTS = {
    "drop": (500, RETRY_TURN),
    "malformed": (None, RETRY_TURN),
    "ratelimit": (429, 1.0),
    "disconnect": (None, RETRY_TURN),
}


async def test_chaos(tmp_path: Path) -> None:
    """D1: each of aimock's chaos headers ends its turn once, as a failure; the next one works."""
    async with scene(tmp_path) as play:
        for before, (fault, expected) in enumerate(FAULTS.items()):
            said_before = said(play.client.updates)
            await play.chaos(**{fault: CERTAIN})
            data = await play.failure("greet me")
            assert (fault, data["status"], data.get("retryAfterSeconds")) == (fault, *expected)
            assert data["retryable"] is True
            assert said(play.client.updates) == said_before
            assert await play.requests() == 2 * before + 1
            await play.chaos()
            await play.goes_on(2 * before + 1)


async def test_a_fault_in_a_tool_loop(tmp_path: Path) -> None:
    """D3: a provider that fails after a tool call fails the turn; the call ran once."""
    async with scene(tmp_path) as play:
        assert (await play.failure("write and fail"))["retryable"] is True
        assert calls(play.client) == ["scratch_write"]
        await play.goes_on(1)
        assert calls(play.client) == ["scratch_write"]


async def test_a_silent_provider(tmp_path: Path) -> None:
    """D1: a turn whose provider is silent is cancelled at once, and the next one works."""
    async with scene(tmp_path) as play:
        await play.chaos(latency=HALF_A_MINUTE)
        identity = await play.client.begin_prompt(play.session, "greet me")
        await play.client.until(lambda: bool(numbers(play.client.updates)))
        await play.client.notify("session/cancel", {"sessionId": play.session})
        assert (await play.client.answer(identity))["stopReason"] == "cancelled"
        await play.chaos()
        await play.goes_on(1)
