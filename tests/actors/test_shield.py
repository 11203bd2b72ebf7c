"""The one way to shield."""

from __future__ import annotations

import math

import trio
from hypothesis import given
from hypothesis import strategies as st
from support.virtual import run_virtual
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Deadline


async def test_a_shield_holds_off_a_cancel(autojump_clock: object) -> None:
    """K5: what is shielded goes on while everything around it is cancelled."""
    with trio.CancelScope() as outer:
        with Deadline().shield(5) as scope:
            outer.cancel()
            await trio.sleep(3)
        assert trio.current_time() == 3
        assert not scope.cancelled_caught
        await trio.sleep(1)
    assert outer.cancelled_caught


async def test_a_shield_has_an_end(autojump_clock: object) -> None:
    """K5: past its seconds the body is cancelled."""
    with Deadline().shield(5) as scope:
        await trio.sleep(math.inf)
    assert scope.cancelled_caught
    assert trio.current_time() == 5


async def test_no_shield_outlives_the_deadline(autojump_clock: object) -> None:
    """K5: a shield that is opened after the deadline was set ends with it."""
    deadline = Deadline()
    deadline.shorten(2)
    with deadline.shield(60):
        await trio.sleep(math.inf)
    assert trio.current_time() == 2


async def test_shorten_moves_live_shields(autojump_clock: object) -> None:
    """K5: a deadline that is brought forward ends shields that are open already."""
    deadline = Deadline()
    ended = []

    async def hold(seconds: float) -> None:
        with deadline.shield(seconds):
            await trio.sleep(math.inf)
        ended.append((seconds, trio.current_time()))

    async with trio.open_nursery() as nursery:
        for seconds in (1.0, 30.0, 60.0):
            nursery.start_soon(hold, seconds)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        deadline.shorten(trio.current_time() + 2)
    assert sorted(ended) == [(1.0, 1.0), (30.0, 2.0), (60.0, 2.0)]


def test_a_deadline_is_never_put_off() -> None:
    """K5: a later time than the one in force changes nothing."""
    deadline = Deadline()
    deadline.shorten(10)
    deadline.shorten(20)
    assert deadline.at == 10


@given(
    shields=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=5),
    cuts=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=3),
)
def test_every_shield_ends_in_time(
    shields: list[tuple[float, float]], cuts: list[tuple[float, float]]
) -> None:
    """K5: whenever it was opened and whatever was shortened when, no shield is late."""

    async def main() -> None:
        deadline = Deadline()

        async def hold(start: float, seconds: float) -> None:
            await trio.sleep(start)
            opened = trio.current_time()
            with deadline.shield(seconds):
                await trio.sleep(math.inf)
            bound = max(min(opened + seconds, deadline.at), opened)
            assert trio.current_time() <= bound + 1e-6

        async def cut(start: float, later: float) -> None:
            await trio.sleep(start)
            deadline.shorten(trio.current_time() + later)

        async with trio.open_nursery() as nursery:
            for start, seconds in shields:
                nursery.start_soon(hold, start, seconds)
            for start, later in cuts:
                nursery.start_soon(cut, start, later)

    run_virtual(main)
