"""Software that nobody here wrote, against a daemon that is a process of its own."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, frozen
from support.line_process import LineProcess, talking
from support.process import LiveDaemon, open_daemon
from support.provider import DONE, SSE_HEAD, STOP, RawClient, delta

TESTS = Path(__file__).parents[1]
NPM = TESTS / "npm"

Update = dict[str, Any]


def need_npm() -> None:
    """Skip the test where there is no node or no package, and say what to install.

    In CI nothing is skipped: there it fails.
    """
    if shutil.which("node") is None:
        missing = (
            "node is missing: install Node.js 20 or newer, and run `npm ci --prefix tests/npm`"
        )
    elif not (NPM / "node_modules" / "@copilotkit").is_dir():
        missing = "the npm packages are missing: run `npm ci --prefix tests/npm`"
    else:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def node(script: str) -> list[str]:
    """The command that runs a script of `tests/npm`."""
    # Node 20 has the websocket of a browser behind a flag, later ones have it anyway.
    return ["node", "--no-warnings", "--experimental-websocket", str(NPM / script)]


@asynccontextmanager
async def model_daemon(folder: Path, base_url: str) -> AsyncIterator[LiveDaemon]:
    """A daemon with a model at `base_url`, which is asked once; it must log no error."""
    config = folder / "hermes.toml"
    config.write_text(
        '[model]\nprovider = "foreign"\nname = "gpt-5-mini"\nmax_retries = 0\n'
        f'base_url = "{base_url}"\n'
    )
    async with open_daemon(folder, "--config", str(config)) as daemon:
        yield daemon
    assert not [line for line in daemon.lines if " ERROR " in line or "Traceback" in line]


# -- clients -------------------------------------------------------------------


@define(eq=False)
class ForeignClient:
    """A program around a released client."""

    program: LineProcess

    async def connect(self, daemon: LiveDaemon) -> Update:
        """Connect and initialize; returns what the agent says of itself."""
        token = daemon.token("session")
        result: Update = await self.program.call("connect", url=daemon.url(), token=token)
        return result

    async def new(self, key: str) -> str:
        """Make or join a session; returns its id."""
        result = await self.program.call("new", cwd="/", meta={"hermes": {"key": key}})
        return str(result["sessionId"])

    async def resume(self, session: str, after: int) -> Update:
        """Resume after a number; returns the facts of `_meta.hermes`."""
        meta = {"hermes": {"afterSeq": after}}
        result = await self.program.call("resume", session=session, cwd="/", meta=meta)
        facts: Update = result["_meta"]["hermes"]
        return facts

    async def begin_prompt(self, session: str, text: str) -> int:
        """Send a prompt; returns the command's id."""
        return await self.program.begin("prompt", session=session, text=text)

    async def stop_reason(self, prompt: int) -> str:
        """Wait for the answer of a prompt."""
        return str((await self.program.answer(prompt))["stopReason"])

    async def until_said(self, text: str) -> None:
        """Wait until the agent has said this on this connection, and nothing else."""
        await self.program.until(lambda: len(said(self.updates)) >= len(text))
        assert said(self.updates) == text

    @property
    def updates(self) -> list[Update]:
        """The params of every `session/update`, in order."""
        return [message["update"] for message in self.program.told if "update" in message]


@frozen
class ClientKind:
    """A released client; `command` runs the program around it."""

    command: list[str]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[ForeignClient]:
        """Start the program; it is not connected yet."""
        async with talking(self.command) as program:
            yield ForeignClient(program)


NPM_CLIENT = ClientKind(node("acp_client.mjs"))
PYPI_CLIENT = ClientKind([sys.executable, str(TESTS / "support" / "pypi_client.py")])


def said(updates: list[Update]) -> str:
    """What the agent said."""
    return "".join(
        update["update"]["content"]["text"]
        for update in updates
        if update["update"]["sessionUpdate"] == "agent_message_chunk"
    )


def numbers(updates: list[Update]) -> list[int]:
    """Every number that came, in order; a joined update stands for all of its own."""
    found: list[int] = []
    for update in updates:
        facts = (update.get("_meta") or {}).get("hermes", {})
        if "seq" in facts:
            found.extend(range(facts.get("firstSeq", facts["seq"]), facts["seq"] + 1))
    return found


def ends(updates: list[Update]) -> int:
    """How many turns ended."""
    return sum(
        (update.get("_meta") or {}).get("hermes", {}).get("turn") == "ended" for update in updates
    )


# -- a model that says what the test says ---------------------------------------


class PacedModel:
    """The script of a provider that streams each word when the test says it."""

    def __init__(self) -> None:
        # As many words as a test says before anyone listens; more would be a fault.
        self._words, self._waiting = trio.open_memory_channel[bytes](100)

    def say(self, *words: str) -> None:
        """Stream these words, each an event of its own."""
        for word in words:
            self._words.send_nowait(delta(word))

    def finish(self) -> None:
        """End the answer."""
        self._words.send_nowait(STOP)

    async def __call__(self, client: RawClient) -> None:
        """Serve one request, until it is finished or the client hangs up."""
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await client.wait_hung_up()
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await client.send(SSE_HEAD)
            word = b""
            while word != STOP:
                word = await self._waiting.receive()
                await client.send(word)
            await client.send(DONE)
            nursery.cancel_scope.cancel()
