"""The offline model's rules behind the model port, in memory and in virtual time.

A prompt says what the model does: `hello`, `count to 50`, `slow 2 hello`, `call wait
{"seconds": 3}`, `fail 503`, `stall`, `truncate`, `think ...`.  See docs/offline-model.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

import trio

from hermes.adapters.offline.rules import (
    Call,
    Delay,
    Empty,
    Fail,
    Garble,
    Stall,
    Text,
    Thought,
    Truncate,
    steps_for,
)
from hermes.errors import (
    HandleClosed,
    ProviderFailed,
    ProviderRejected,
    RateLimited,
    StreamEmpty,
    StreamGarbled,
    StreamTruncated,
)
from hermes.ports.model import (
    Finished,
    ModelEvent,
    ModelHandle,
    ModelRequest,
    PoolStatistics,
    Runtime,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)


class RuleModels:
    """Lends handles that follow the rules; counts what is open.

    `open_seconds` and `close_seconds` are how long a handle takes to open and to
    close; `requests` are the parsed requests in order.  `cut` lists the handles that
    were closed with a request in flight.
    """

    def __init__(self) -> None:
        self.open_seconds = 0.0
        self.close_seconds = 0.0
        self.requests: list[Mapping[str, object]] = []
        self.open_handles = 0
        self.opened = 0
        self.in_flight = 0
        self.cut = 0
        self.open_error: Exception | None = None

    async def open(self, runtime: Runtime) -> ModelHandle:
        """Lend a handle."""
        await trio.sleep(self.open_seconds)
        if self.open_error is not None:
            raise self.open_error
        self.open_handles += 1
        self.opened += 1
        return RuleHandle(self)

    def statistics(self) -> Mapping[str, PoolStatistics]:
        """One pool named `rules`."""
        return {"rules": PoolStatistics(self.in_flight, self.in_flight)}


class RuleHandle:
    """One lent handle."""

    def __init__(self, models: RuleModels) -> None:
        self._models = models
        self._scopes: set[trio.CancelScope] = set()
        self._closed = False

    @property
    def in_flight(self) -> int:
        """Requests of this handle under way."""
        return len(self._scopes)

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest
    ) -> AsyncIterator[AsyncIterator[Sequence[ModelEvent]]]:
        """Answer by the rules."""
        if self._closed:
            raise HandleClosed("the handle was given back")
        parsed: dict[str, object] = {
            "messages": [json.loads(message) for message in request.messages],
            "tools": json.loads(request.tools),
        }
        self._models.requests.append(parsed)
        scope = trio.CancelScope()
        self._scopes.add(scope)
        self._models.in_flight += 1
        try:
            with scope:
                async with aclosing(_play(parsed)) as batches:
                    yield batches
            if scope.cancelled_caught:
                raise HandleClosed("the handle was given back in mid-stream")
        finally:
            self._scopes.discard(scope)
            self._models.in_flight -= 1

    async def aclose(self) -> None:
        """Close, after `close_seconds`."""
        if not self._closed:
            await trio.sleep(self._models.close_seconds)
        self.kill()

    def kill(self) -> None:
        """Close at once."""
        if not self._closed:
            self._closed = True
            self._models.open_handles -= 1
            self._models.cut += bool(self._scopes)
        for scope in self._scopes:
            scope.cancel()


async def _play(request: Mapping[str, object]) -> AsyncGenerator[Sequence[ModelEvent], None]:
    index = 0
    for step in steps_for(request):
        match step:
            case Text():
                await trio.lowlevel.checkpoint()
                yield [TextDelta(step.text)]
            case Thought():
                yield [ThoughtDelta(step.text)]
            case Call():
                yield [ToolCallDelta(index, step.call_id, step.name, step.arguments)]
                index += 1
            case Delay():
                await trio.sleep(step.seconds)
            case Stall():
                await trio.sleep_forever()
            case Truncate():
                raise StreamTruncated("the stream ended with no finish reason", "rules")
            case Empty():
                raise StreamEmpty("200 and no events", "rules")
            case Garble():
                raise StreamGarbled("not JSON", "rules")
            case Fail():
                raise _failure(step)
    yield [Finished("tool_calls" if index else "stop")]


def _failure(fail: Fail) -> Exception:
    if fail.status == 429:
        return RateLimited(fail.message, "rules", fail.status, fail.retry_after)
    kind = ProviderFailed if fail.status >= 500 else ProviderRejected
    return kind(fail.message, "rules", fail.status)
