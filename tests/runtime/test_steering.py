"""whenBusy: steer, through the wire and in virtual time."""

from __future__ import annotations

import json

from support.runtime import open_runtime


async def test_a_steer_reaches_the_model_after_the_tool_call(autojump_clock: object) -> None:
    """A steer is told to the model after the tool call, and answers with the turn's stop reason."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        first = await client.begin_prompt(session, 'call wait {"seconds": 30}')
        await client.until(lambda: "tool_call" in json.dumps(client.updates))
        steer = await client.begin_prompt(session, "hello", whenBusy="steer", id="steer")
        assert (await client.answer(steer))["stopReason"] == "end_turn"
        assert client.answered(first)
        said = [message["content"] for message in runtime.models.requests[-1]["messages"]]  # type: ignore[attr-defined]
        assert said[-1] == "hello"
        ends = [u for u in client.updates if u["_meta"]["hermes"].get("turn") == "ended"]
        assert len(ends) == 1
        assert await client.prompt(session, "how many messages") == "end_turn"


async def test_a_steer_without_a_tool_call_runs_next(autojump_clock: object) -> None:
    """A steer that no tool call makes room for runs next, before what was queued."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        await client.begin_prompt(session, "slow 1 count to 5")
        queued = await client.begin_prompt(session, "count to 2")
        await client.until(lambda: bool(client.text(session)))
        steer = await client.begin_prompt(session, "hello", whenBusy="steer")
        await client.answer(steer)
        assert not client.answered(queued)
        await client.answer(queued)


async def test_a_cancelled_steer(autojump_clock: object) -> None:
    """A steer can be cancelled by itself; the turn goes on without it."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        first = await client.begin_prompt(session, 'call wait {"seconds": 30}')
        await client.until(lambda: "tool_call" in json.dumps(client.updates))
        steer = await client.begin_prompt(session, "hello", whenBusy="steer")
        await client.until(lambda: "accepted" in json.dumps(client.updates[-1]))
        await client.notify("$/cancel_request", {"requestId": steer})
        assert (await client.answer(steer))["stopReason"] == "cancelled"
        assert (await client.answer(first))["stopReason"] == "end_turn"
        assert "hello" not in json.dumps(runtime.models.requests[-1]["messages"])


async def test_cancel_takes_a_steer_along(autojump_clock: object) -> None:
    """session/cancel answers the turn and what steers it."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        first = await client.begin_prompt(session, 'call wait {"seconds": 30}')
        await client.until(lambda: "tool_call" in json.dumps(client.updates))
        steer = await client.begin_prompt(session, "hello", whenBusy="steer")
        await client.until(lambda: "accepted" in json.dumps(client.updates[-1]))
        await client.notify("session/cancel", {"sessionId": session})
        assert (await client.answer(steer))["stopReason"] == "cancelled"
        assert (await client.answer(first))["stopReason"] == "cancelled"
        assert await client.prompt(session, "hello") == "end_turn"
