"""Plain actors, and how one is spoken to."""

from __future__ import annotations

import pytest
import trio
from attrs import define, frozen
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Actor, ActorClosed, Ask, MailboxFull, open_actor


@frozen
class Add:
    """Work for a counter."""

    amount: int


@define(eq=False)
class Total(Ask[int]):
    """A question to a counter."""


class Counter(Actor[Add | Total]):
    """The example of ARCHITECTURE.md: an actor in ten lines."""

    total = 0

    async def receive(self, message: Add | Total) -> None:
        """Count, or tell the count."""
        match message:
            case Add(amount):
                self.total += amount
            case Total():
                message.reply.set(self.total)


async def test_the_example() -> None:
    """K1: an actor that has nothing to do with models handles tell and ask in order."""
    async with open_actor(Counter()) as counter:
        counter.tell(Add(2))
        counter.tell(Add(3))
        assert await counter.ask(Total()) == 5


class Slow(Actor[Add | Total]):
    """Takes as long for a message as it says, then says `count` to whoever asked."""

    def __init__(self, capacity: int = 100) -> None:
        super().__init__(capacity)
        self.handled: list[int] = []

    async def receive(self, message: Add | Total) -> None:
        """Wait, or crash where the amount is negative."""
        match message:
            case Add(amount):
                if amount < 0:
                    raise RuntimeError("negative")
                await trio.sleep(amount)
                self.handled.append(amount)
            case Total():
                await trio.sleep(10)
                message.reply.set(len(self.handled))


async def test_control_overtakes(autojump_clock: object) -> None:
    """K1: a control message is handled before all work that waits."""
    actor = Slow()
    async with open_actor(actor) as ref:
        for amount in (1, 2, 3):
            ref.tell(Add(amount))
        await trio.sleep(0.5)
        ref.control(Add(9))
        await trio.sleep(60)
    assert actor.handled == [1, 9, 2, 3]


async def test_a_full_actor_says_so(autojump_clock: object) -> None:
    """K2: `tell` and `ask` raise where the lane is full; a control question still gets in."""
    async with open_actor(Slow(capacity=1)) as ref:
        ref.tell(Add(5))
        await wait_all_tasks_blocked()
        ref.tell(Add(5))
        with pytest.raises(MailboxFull):
            ref.tell(Add(5))
        with pytest.raises(MailboxFull):
            await ref.ask(Total())
        assert await ref.ask(Total(), control=True) == 1


async def test_asks_fail_when_the_actor_stops() -> None:
    """K3: the question in work and those that wait fail with the reason as it goes."""
    reasons: list[str] = []

    async def ask() -> None:
        with pytest.raises(ActorClosed) as caught:
            await ref.ask(Total())
        reasons.append(caught.value.reason)

    async with trio.open_nursery() as nursery:
        async with open_actor(Slow()) as ref:
            for _ in range(3):
                nursery.start_soon(ask)
            await wait_all_tasks_blocked()
    assert reasons == ["stopped"] * 3
    with pytest.raises(ActorClosed):
        await ref.ask(Total())


async def test_a_crash_fails_the_asks_with_its_reason(autojump_clock: object) -> None:
    """K3, K4: an actor's crash is raised to its owner, and its askers are told why it went."""
    reasons: list[str] = []

    async def ask() -> None:
        with pytest.raises(ActorClosed) as caught:
            await actor.ref.ask(Total())
        reasons.append(caught.value.reason)

    actor = Slow()
    actor.ref.tell(Add(-1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="negative"):
            await actor.run()
    assert reasons == ["crashed: RuntimeError('negative')"]


async def test_an_impatient_asker_harms_nobody(autojump_clock: object) -> None:
    """K3: the asker owns the time-out; the actor answers late, to nobody, and goes on."""
    actor = Slow()
    async with open_actor(actor) as ref:
        with trio.move_on_after(1) as scope:
            await ref.ask(Total())
        assert scope.cancelled_caught
        ref.tell(Add(1))
        assert await ref.ask(Total()) == 1


async def test_a_flood_does_not_hold_the_loop() -> None:
    """K1: an actor with much to do lets others run between batches."""
    actor = Counter(capacity=10_000)
    for _ in range(10_000):
        actor.ref.tell(Add(1))
    async with open_actor(actor):
        ticks = 0
        while actor.total < 10_000:
            await trio.lowlevel.checkpoint()
            ticks += 1
    assert ticks > 100
