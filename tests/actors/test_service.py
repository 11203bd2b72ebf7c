"""Nurseries whose tasks outlive the body."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from support.virtual import run_virtual

from hermes.actors import Deadline, ServiceNursery, open_service_nursery


async def serve(name: str, goodbye: float, log: list[str]) -> None:
    """A service that needs `goodbye` seconds to end."""
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(goodbye)
        log.append(name)


@given(
    goodbyes=st.lists(st.floats(0, 3), min_size=4, max_size=4),
    cancel_at=st.none() | st.floats(0, 10),
    body=st.floats(0, 10),
)
def test_services_end_after_their_body(
    goodbyes: list[float], cancel_at: float | None, body: float
) -> None:
    """K5: nested services end from the inside out, whenever a cancel comes."""
    log: list[str] = []

    async def nest(depth: int, deadline: Deadline) -> None:
        if depth == len(goodbyes) - 1:
            try:
                await trio.sleep(body)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(goodbyes[depth])
                log.append("body")
            return
        async with open_service_nursery(deadline) as services:
            services.start_soon(lambda: serve(f"service {depth}", goodbyes[depth], log), "service")
            # A service that the cancel meets before its first step has nothing to end.
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
            await nest(depth + 1, deadline)

    async def main() -> None:
        with trio.move_on_at(cancel_at if cancel_at is not None else 1000):
            await nest(0, Deadline())

    run_virtual(main)
    assert log == ["body", "service 2", "service 1", "service 0"]


async def test_a_crashed_service_ends_the_body() -> None:
    """A service that crashes takes its body with it, and the others end after it."""
    log: list[str] = []

    async def crash() -> None:
        await trio.lowlevel.checkpoint()
        raise OSError("broken")

    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="broken")):
        async with open_service_nursery(Deadline()) as services:
            services.start_soon(lambda: serve("other", 0, log), "other")
            services.start_soon(crash, "crash")
            try:
                await trio.sleep_forever()
            finally:
                log.append("body")
    assert log == ["body", "other"]


async def test_start_waits_for_the_service() -> None:
    """`start` returns what the service reports once it is up."""

    async def up(*, task_status: trio.TaskStatus[str]) -> None:
        await trio.lowlevel.checkpoint()
        task_status.started("port 8765")
        await trio.sleep_forever()

    async with open_service_nursery(Deadline()) as services:
        assert await services.start(up, "up") == "port 8765"


async def test_the_deadline_ends_services(autojump_clock: object) -> None:
    """K5: no service outlives the process's deadline, though its body does not leave."""
    deadline = Deadline()
    deadline.shorten(5)
    ended = []

    async def watched() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with open_service_nursery(deadline) as services:
        services.start_soon(watched, "watched")
        await trio.sleep(10)
    assert ended == [5]


async def test_started_while_stopping() -> None:
    """K5: a service that is started after the body has left ends at once."""
    kept: list[ServiceNursery] = []
    log: list[str] = []

    async def last() -> None:
        try:
            await trio.sleep_forever()
        finally:
            kept[0].start_soon(lambda: serve("late", 0, log), "late")

    async with open_service_nursery(Deadline()) as services:
        kept.append(services)
        services.start_soon(last, "last")
        await trio.testing.wait_all_tasks_blocked()
    assert log == ["late"]
