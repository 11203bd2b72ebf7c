from __future__ import annotations

import threading

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hermes.adapters.store import InlineExecutor, ThreadExecutor


async def test_inline_waits_first(autojump_clock: MockClock) -> None:
    """K7: the inline executor takes virtual time, then runs on the loop's own thread."""
    threads: list[int] = []
    executor = InlineExecutor(lambda: 3600.0)
    start = trio.current_time()
    await executor(lambda: threads.append(threading.get_ident()))
    assert trio.current_time() - start == pytest.approx(3600.0)
    assert threads == [threading.get_ident()]


async def test_a_cancel_before_the_end_of_the_wait_runs_nothing(
    autojump_clock: MockClock,
) -> None:
    """A cancel during the pause is a crash before the function."""
    ran: list[bool] = []
    with trio.move_on_after(1):
        await InlineExecutor(lambda: 2.0)(lambda: ran.append(True))
    assert ran == []


async def test_a_thread_is_waited_for() -> None:
    """A cancel does not abandon a function that runs: its result is returned."""
    entered, leave = trio.Event(), threading.Event()
    executor = ThreadExecutor()
    results: list[int] = []

    def work() -> int:
        trio.from_thread.run_sync(entered.set)
        leave.wait()
        return 7

    async def call(scope: trio.CancelScope) -> None:
        with scope:
            results.append(await executor(work))

    scope = trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call, scope)
        await entered.wait()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert results == []
        leave.set()
    assert results == [7]
