"""A program of somebody else's language or event loop, driven over its stdin and stdout.

A line is a JSON object.  A command has an `id` and gets one answer with it; lines with
no id are what the program tells by itself.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field
from support.wire import RpcFailed

Message = dict[str, Any]

#: Seconds for a killed process to be reaped.
REAP_SECONDS = 5.0


@define(eq=False)
class LineProcess:
    """One running program.

    `told` are the lines with no id, `complaints` what it wrote to stderr.
    """

    _process: trio.Process
    told: list[Message] = field(factory=list)
    complaints: bytearray = field(factory=bytearray)
    ended: bool = False
    _answers: dict[int, Message] = field(factory=dict, init=False)
    _ids: int = field(default=0, init=False)
    _changed: trio.Event = field(factory=trio.Event, init=False)

    async def begin(self, do: str, **arguments: object) -> int:
        """Send a command; returns its id, for `answer`."""
        assert self._process.stdin is not None
        self._ids += 1
        line = json.dumps({"id": self._ids, "do": do, **arguments})
        await self._process.stdin.send_all(line.encode() + b"\n")
        return self._ids

    async def answer(self, identity: int) -> Any:
        """Wait for a command's result.

        Raises:
            RpcFailed: it was an error.
            ConnectionError: the program ended first.
        """
        await self.until(lambda: identity in self._answers)
        answer = self._answers[identity]
        if "error" in answer:
            raise RpcFailed(answer["error"])
        return answer["result"]

    async def call(self, do: str, **arguments: object) -> Any:
        """Send a command and wait for its result."""
        return await self.answer(await self.begin(do, **arguments))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what came holds.

        Raises:
            ConnectionError: the program ended first.
        """
        while not condition():
            if self.ended:
                raise ConnectionError(f"the program ended: {self.complaints.decode()}")
            await self._changed.wait()

    async def kill(self) -> None:
        """SIGKILL; returns when all that it said before is read."""
        self._process.kill()
        while not self.ended:
            await self._changed.wait()

    async def read(self) -> None:
        """Read what it says until it ends."""
        assert self._process.stdout is not None
        rest = b""
        async for data in self._process.stdout:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            self._wake()
        self.ended = True
        self._wake()

    async def read_complaints(self) -> None:
        """Read its stderr until it ends."""
        assert self._process.stderr is not None
        async for data in self._process.stderr:
            self.complaints += data

    def _take(self, message: Message) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
        else:
            self.told.append(message)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def talking(command: Sequence[str]) -> AsyncIterator[LineProcess]:
    """Run a program until the body is left; it must not have complained on stderr."""
    process = await trio.lowlevel.open_process(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    program = LineProcess(process)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(program.read)
            nursery.start_soon(program.read_complaints)
            yield program
            process.kill()
    finally:
        with trio.move_on_after(REAP_SECONDS, shield=True):
            process.kill()
            await process.wait()
    assert not program.complaints, program.complaints.decode()
