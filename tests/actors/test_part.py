"""A part: a child task that only its owner ends."""

from __future__ import annotations

from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Deadline, Part, PartReport


async def answer() -> str:
    """Work that ends by itself."""
    await trio.sleep(1)
    return "answer"


async def crash() -> str:
    """Work that crashes."""
    await trio.sleep(1)
    raise OSError("broken")


async def test_the_end_is_a_report(autojump_clock: object) -> None:
    """R8: a part that ends reports what its work returned."""
    reports: list[PartReport] = []
    async with trio.open_nursery() as nursery:
        part = Part("p", Deadline(), answer, reports.append)
        part.start(nursery)
        await part.wait()
    assert reports == [PartReport("done", value="answer")]


async def test_a_crash_is_a_report(autojump_clock: object) -> None:
    """R8: a part's crash is a report to its owner; its siblings and its nursery go on."""
    bad: list[PartReport] = []
    good: list[PartReport] = []
    async with trio.open_nursery() as nursery:
        Part("bad", Deadline(), crash, bad.append).start(nursery)
        Part("good", Deadline(), answer, good.append).start(nursery)
    assert [report.how for report in (*bad, *good)] == ["crashed", "done"]
    assert str(bad[0].error) == "broken"


async def test_stop_waits_for_the_end(autojump_clock: object) -> None:
    """R3: `stop` returns once the part's own clean-up is over, for every caller."""
    reports: list[PartReport] = []
    log = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            log.append("cleaned up")

    async def stop() -> None:
        await part.stop()
        log.append("stopped")

    async with trio.open_nursery() as nursery:
        part = Part("p", Deadline(), work, reports.append)
        part.start(nursery)
        await wait_all_tasks_blocked()
        nursery.start_soon(stop)
        nursery.start_soon(stop)
    assert log == ["cleaned up", "stopped", "stopped"]
    assert reports == [PartReport("cancelled")]
    assert part.done


async def test_a_cancel_from_outside_does_not_reach_it(autojump_clock: object) -> None:
    """R3: a part goes on while its nursery is cancelled, until its owner stops it."""
    reports: list[PartReport] = []
    async with trio.open_nursery() as nursery:
        part = Part("p", Deadline(), answer, reports.append)
        part.start(nursery)
        nursery.cancel_scope.cancel()
    assert reports == [PartReport("done", value="answer")]


async def test_cancelled_before_it_ran() -> None:
    """R3: a part that is cancelled before its first step does nothing, and reports that."""
    reports: list[PartReport] = []
    ran = []

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        ran.append(True)

    async with trio.open_nursery() as nursery:
        part = Part("p", Deadline(), work, reports.append)
        part.start(nursery)
        part.cancel()
        part.cancel()
    assert reports == [PartReport("cancelled")]
    assert not ran


async def test_the_deadline_ends_it(autojump_clock: object) -> None:
    """K5: a part that nobody stops ends with the process's deadline."""
    deadline = Deadline()
    reports: list[PartReport] = []
    async with trio.open_nursery() as nursery:
        Part("p", deadline, partial(trio.sleep, 1000), reports.append).start(nursery)
        await wait_all_tasks_blocked()
        deadline.shorten(7)
    assert trio.current_time() == 7
    assert reports == [PartReport("cancelled")]
