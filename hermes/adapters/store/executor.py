"""Where the SQL runs: the one seam between the daemon's thread and virtual time.

MockClock's autojump jumps over a thread, so a simulation runs the very same SQL
inline, after a seeded delay.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

T = TypeVar("T")


class Executor(Protocol):
    """Runs one function at a time, to its end or not at all.

    **Cancellation**: either `run` was never called, or its result is returned.
    """

    def __call__(self, run: Callable[[], T], /) -> Awaitable[T]:
        """Run `run` and return what it returns; its exceptions come through."""
        ...


class ThreadExecutor:
    """Runs functions in a worker thread, one at a time; a cancel waits for the thread."""

    def __init__(self) -> None:
        self._limiter = trio.CapacityLimiter(1)

    async def __call__(self, run: Callable[[], T], /) -> T:
        """Run `run` off the loop."""
        return await trio.to_thread.run_sync(run, limiter=self._limiter)


class InlineExecutor:
    """Runs functions on the loop after a pause of `delay()` seconds, for simulation.

    The pause comes first: a cancel during it is a crash before the commit.
    """

    def __init__(self, delay: Callable[[], float]) -> None:
        self._delay = delay

    async def __call__(self, run: Callable[[], T], /) -> T:
        """Sleep, then run `run` with no checkpoint after it."""
        await trio.sleep(self._delay())
        return run()
