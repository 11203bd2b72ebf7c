"""A scripted `Models`, in memory and in virtual time."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

import trio
from attrs import frozen

from hermes.errors import HandleClosed, StreamTruncated
from hermes.ports.model import (
    Finished,
    ModelEvent,
    ModelHandle,
    ModelRequest,
    PoolStatistics,
    Runtime,
    TextDelta,
    ToolCallDelta,
)


@frozen
class Pause:
    """The stream is silent for some seconds."""

    seconds: float


Step = Sequence[ModelEvent] | Pause | Exception
Script = Sequence[Step]


def says(*texts: str, finish: str = "stop") -> Script:
    """A script: one batch for each text, then the finish reason."""
    return [*([TextDelta(text)] for text in texts), [Finished(finish)]]


def calls(name: str, arguments: str = "{}", call_id: str = "c1") -> Script:
    """A script: one call of a tool, its arguments in two pieces."""
    half = len(arguments) // 2
    return [
        [ToolCallDelta(0, call_id, name, arguments[:half])],
        [ToolCallDelta(0, arguments=arguments[half:]), Finished("tool_calls")],
    ]


class ScriptedModels:
    """Answers each request with the next script; keeps what it was asked."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = deque(scripts)
        self.requests: list[ModelRequest] = []
        self.opened: list[Runtime] = []
        self.open_handles = 0
        self.in_flight = 0
        self.open_error: Exception | None = None

    def then(self, *scripts: Script) -> None:
        """More scripts for later requests."""
        self.scripts.extend(scripts)

    async def open(self, runtime: Runtime) -> ModelHandle:
        """Lend a handle."""
        await trio.lowlevel.checkpoint()
        if self.open_error is not None:
            raise self.open_error
        self.opened.append(runtime)
        self.open_handles += 1
        return ScriptedHandle(self)

    def statistics(self) -> Mapping[str, PoolStatistics]:
        """One pool named `scripted`."""
        return {"scripted": PoolStatistics(self.in_flight, self.in_flight)}


class ScriptedHandle:
    """One lent handle."""

    def __init__(self, models: ScriptedModels) -> None:
        self._models = models
        self._scopes: set[trio.CancelScope] = set()
        self.closed = False

    @property
    def in_flight(self) -> int:
        """Requests of this handle under way."""
        return len(self._scopes)

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest
    ) -> AsyncIterator[AsyncIterator[Sequence[ModelEvent]]]:
        """Play the next script."""
        if self.closed:
            raise HandleClosed("the handle was given back")
        self._models.requests.append(request)
        script = self._models.scripts.popleft()
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._models.in_flight += 1
        try:
            with scope:
                async with aclosing(_play(script)) as batches:
                    yield batches
            if scope.cancelled_caught:
                raise HandleClosed("the handle was given back in mid-stream")
        finally:
            self._scopes.discard(scope)
            self._models.in_flight -= 1

    async def aclose(self) -> None:
        """Cut what is in flight, and be closed."""
        self.kill()
        await trio.lowlevel.checkpoint()

    def kill(self) -> None:
        """The same at once."""
        if not self.closed:
            self.closed = True
            self._models.open_handles -= 1
        for scope in self._scopes:
            scope.cancel()


async def _play(script: Script) -> AsyncGenerator[Sequence[ModelEvent], None]:
    finished = False
    for step in script:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Pause):
            await trio.sleep(step.seconds)
            continue
        await trio.lowlevel.checkpoint()
        finished = finished or any(isinstance(event, Finished) for event in step)
        yield step
    if not finished:
        raise StreamTruncated("the script ended with no finish reason")
