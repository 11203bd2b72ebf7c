"""The one-shot answer alone."""

from __future__ import annotations

import outcome
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Reply


async def test_the_first_answer_stands() -> None:
    """K3: an answer is given once; a second answer or error changes nothing and does no harm."""
    reply: Reply[str] = Reply()
    assert reply.set("first")
    assert not reply.set("second")
    assert not reply.fail(ValueError("third"))
    assert await reply.wait() == "first"
    assert await reply.wait() == "first"


async def test_an_error_is_raised_to_everyone() -> None:
    """K3: whoever waits, and however often, gets the error."""
    reply: Reply[str] = Reply()
    assert reply.fail(ValueError("no"))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await reply.wait()


async def test_a_late_answer_is_harmless(autojump_clock: object) -> None:
    """K3: an answer to an asker that gave up goes nowhere, and is there for the next."""
    reply: Reply[str] = Reply()
    with trio.move_on_after(1) as scope:
        await reply.wait()
    assert scope.cancelled_caught
    assert reply.set("late")
    assert await reply.wait() == "late"


async def test_two_may_wait() -> None:
    """K3: one answer serves everyone who waits for it."""
    reply: Reply[str] = Reply()
    got = []

    async def wait() -> None:
        got.append(await reply.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        reply.set("both")
    assert got == ["both", "both"]


def test_callbacks_run_in_the_setter_in_order() -> None:
    """Callbacks run synchronously, in order, once; one that comes late runs at once."""
    reply: Reply[str] = Reply()
    seen: list[tuple[str, outcome.Maybe[str]]] = []
    reply.on_done(lambda result: seen.append(("a", result)))
    reply.on_done(lambda result: seen.append(("b", result)))
    assert seen == []
    reply.set("x")
    reply.set("y")
    reply.on_done(lambda result: seen.append(("c", result)))
    assert seen == [(name, outcome.Value("x")) for name in "abc"]
