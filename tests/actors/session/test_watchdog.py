"""One timer for the silence of all turns."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from support.virtual import run_virtual

from hermes.actors.session.watchdog import Watchdog


@define(eq=False)
class Quiet:
    """A turn that shows a sign of life when it is told to."""

    last_alive: float = field(factory=trio.current_time)

    def alive(self) -> None:
        """Show one."""
        self.last_alive = trio.current_time()


@define
class Limit:
    """A limit that may change."""

    seconds: float | None = None


@asynccontextmanager
async def watching(limit: Limit) -> AsyncIterator[Watchdog]:
    """A running watchdog."""
    async with trio.open_nursery() as nursery:
        watchdog = Watchdog(trio.current_time, lambda: limit.seconds)
        nursery.start_soon(watchdog.run)
        yield watchdog
        nursery.cancel_scope.cancel()


async def test_silence_is_stopped(autojump_clock: object) -> None:
    """A4: a turn is stopped at the moment at which its silence reaches the limit."""
    async with watching(Limit(60)) as watchdog:
        turn = Quiet()
        with watchdog.watching(turn) as scope:
            await trio.sleep(30)
            turn.alive()
            await trio.sleep(math.inf)
        assert scope.cancelled_caught
        assert trio.current_time() == 90


async def test_no_limit(autojump_clock: object) -> None:
    """A4: without a limit nobody is stopped; a new one counts at once for turns that run."""
    limit = Limit(None)
    async with watching(limit) as watchdog:
        stopped = True
        with watchdog.watching(Quiet()) as scope:
            await trio.sleep(10_000)
            limit.seconds = 100
            watchdog.poke()
            await trio.sleep(1)
            stopped = False
        assert scope.cancelled_caught
        assert stopped


async def test_pending_input_comes_first(autojump_clock: object) -> None:
    """D10: a sign of life that is there when the timer fires saves its turn."""
    async with watching(Limit(60)) as watchdog:
        turn = Quiet()
        with watchdog.watching(turn) as scope:
            # A chunk that waited in a socket while the process was stopped: its reader
            # wakes in the same tick as the timer.
            await trio.sleep(60)
            turn.alive()
            await trio.sleep(30)
        assert not scope.cancelled_caught


@given(
    st.floats(1, 100),
    st.lists(st.tuples(st.floats(0, 100), st.lists(st.floats(0, 150), max_size=5)), max_size=5),
)
def test_exactly_the_silent_ones(limit: float, turns: list[tuple[float, list[float]]]) -> None:
    """A4, B12: of many turns at once exactly those are stopped that were silent for the limit."""

    async def main() -> None:
        async with watching(Limit(limit)) as watchdog, trio.open_nursery() as nursery:

            async def run(start: float, pauses: list[float]) -> None:
                await trio.sleep(start)
                with watchdog.watching(turn := Quiet()) as scope:
                    for pause in pauses:
                        await trio.sleep(pause)
                        turn.alive()
                silent = trio.current_time() - turn.last_alive
                assert scope.cancelled_caught == any(pause > limit for pause in pauses)
                assert silent <= limit + 1e-6

            for start, pauses in turns:
                # A sign of life at the very moment of the limit may count or not.
                nursery.start_soon(run, start, [p for p in pauses if abs(p - limit) > 1e-3])

    run_virtual(main)
