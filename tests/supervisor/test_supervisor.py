"""The supervisor alone: it is told, it asks, it never waits for a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import trio
from attrs import define, evolve, field
from trio.testing import wait_all_tasks_blocked

from hermes.actors import Ref
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.supervisor.directory import Directory
from hermes.supervisor.events import Event, Events
from hermes.supervisor.residency import Limits
from hermes.supervisor.supervisor import (
    Configure,
    Ended,
    GetStatus,
    Message,
    Quiet,
    Supervisor,
    Sweep,
    Swept,
)


@define(eq=False)
class Asked:
    """A directory that keeps what is asked; a session of `dormant` is not there."""

    releases: list[tuple[str, msg.Release]] = field(factory=list)
    dormant: set[str] = field(factory=set)

    @property
    def live(self) -> tuple[str, ...]:
        """Nobody asks."""
        return ()

    def tell_live(self, session: str, message: msg.Message) -> bool:
        """Keep a release."""
        assert isinstance(message, msg.Release)
        if session in self.dormant:
            return False
        self.releases.append((session, message))
        return True

    def names(self) -> list[str]:
        """Who was asked, in order."""
        return [name for name, _ in self.releases]

    def answer(self, session: str, answer: str) -> None:
        """Answer for a session."""
        for name, release in self.releases:
            if name == session:
                release.reply.set(answer)


@define(eq=False)
class World:
    """A running supervisor."""

    supervisor: Supervisor
    asked: Asked
    events: list[Event]

    @property
    def ref(self) -> Ref[Message]:
        """Its address."""
        return self.supervisor.ref

    async def tell(self, *told: notices.Notice) -> None:
        """Let a session tell something, and the supervisor act on it."""
        for notice in told:
            self.supervisor.notify(notice)
        await wait_all_tasks_blocked()

    async def served(self, *names: str) -> None:
        """Sessions whose first turn is over."""
        for name in names:
            await self.tell(
                notices.Touched(name),
                notices.TurnBegan(name, cached=False, restarted=False),
                notices.Built(name),
                notices.TurnEnded(name, "answered", "end_turn"),
            )


@asynccontextmanager
async def supervising(limits: Limits) -> AsyncIterator[World]:
    """A supervisor over sessions that only take note."""
    events: list[Event] = []
    bus = Events(trio.current_time)
    bus.listen(events.append)
    supervisor = Supervisor(limits, bus, trio.current_time)
    asked = Asked()
    supervisor.supervise(cast(Directory, asked))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        yield World(supervisor, asked, events)
        nursery.cancel_scope.cancel()


async def test_it_asks_once_and_goes_on(autojump_clock: object) -> None:
    """B1, B10: the least recently used is asked, once; while it does not answer, the supervisor
    does everything else.
    """
    async with supervising(Limits(cap=2)) as world:
        await world.served("a", "b", "c", "d")
        assert world.asked.names() == ["a", "b"]
        status = await world.ref.ask(GetStatus())
        assert status.resident == 4
        await world.tell(notices.Released("a", "cap"))
        world.asked.answer("a", "released")
        await wait_all_tasks_blocked()
        assert (await world.ref.ask(GetStatus())).resident == 3
        assert world.asked.names() == ["a", "b"]


async def test_a_busy_answer(autojump_clock: object) -> None:
    """B5, B10: one that answers busy is asked again when its turn has ended, not before."""
    async with supervising(Limits(cap=1)) as world:
        await world.served("a", "b")
        world.asked.answer("a", "busy")
        await wait_all_tasks_blocked()
        assert [event.kind for event in world.events if event.session == "a"][-1] == "busy"
        assert world.asked.names() == ["a"]
        await world.tell(notices.TurnEnded("a", "answered", "end_turn"))
        assert world.asked.names() == ["a", "a"]


async def test_a_session_that_is_gone(autojump_clock: object) -> None:
    """B12: one that has no actor any more is forgotten, and counts no longer."""
    async with supervising(Limits(cap=1)) as world:
        world.asked.dormant.add("a")
        await world.served("a", "b")
        assert (await world.ref.ask(GetStatus())).resident == 1
        world.ref.control(Ended("b"))
        assert (await world.ref.ask(GetStatus())).resident == 0


async def test_the_timer(autojump_clock: object) -> None:
    """B7, B12: idle ones are asked at the moment when they expire, whoever was used between."""
    async with supervising(Limits(None, 100.0)) as world:
        await world.served("a", "b")
        await trio.sleep(50)
        await world.served("a")
        await trio.sleep(49)
        assert world.asked.names() == []
        await trio.sleep(2)
        assert world.asked.names() == ["b"]
        await trio.sleep(50)
        assert world.asked.names() == ["b", "a"]


async def test_a_new_limit_moves_the_timer(autojump_clock: object) -> None:
    """B11: a shorter time-to-live is in force at once, a longer one too."""
    async with supervising(Limits(None, 1000.0)) as world:
        await world.served("a", "b")
        await trio.sleep(50)
        await world.ref.ask(Configure(lambda limits: evolve(limits, idle_ttl=60.0)))
        await trio.sleep(9)
        assert world.asked.names() == []
        await world.ref.ask(Configure(lambda limits: evolve(limits, idle_ttl=200.0)))
        await trio.sleep(140)
        assert world.asked.names() == []
        await trio.sleep(2)
        assert world.asked.names() == ["a", "b"]


async def test_one_warning_for_one_situation(autojump_clock: object) -> None:
    """B4: operators are warned when residency stays over the cap, again only if counts change."""
    async with supervising(Limits(cap=1)) as world:
        for name in "abc":
            await world.tell(
                notices.Touched(name),
                notices.TurnBegan(name, cached=False, restarted=False),
                notices.Built(name),
            )
            await world.tell(notices.Touched(name))
        warned = [event.data for event in world.events if event.kind == "warning"]
        assert [(data["excess"], data["midTurn"]) for data in warned] == [(1, 1), (2, 2)]
        assert all("mid-turn" in str(data["message"]) for data in warned)


async def test_a_sweep_waits_for_its_answers(autojump_clock: object) -> None:
    """B10: a sweep is answered when the last one has; the supervisor works meanwhile."""
    async with supervising(Limits()) as world:
        await world.served("a", "b")
        await world.tell(notices.TurnBegan("c", cached=False, restarted=False), notices.Built("c"))
        sweep = Sweep(0)
        world.ref.control(sweep)
        await wait_all_tasks_blocked()
        assert world.asked.names() == ["a", "b"]
        world.asked.answer("a", "released")
        await world.ref.ask(GetStatus())
        assert not sweep.reply.done
        world.asked.answer("b", "busy")
        assert await sweep.reply.wait() == Swept(("a",), ("c", "b"))


async def test_quiet(autojump_clock: object) -> None:
    """D8: who waits for quiet is answered when the last turn has ended."""
    async with supervising(Limits()) as world:
        await world.ref.ask(Quiet())
        await world.tell(notices.TurnBegan("a", cached=False, restarted=False))
        quiet = Quiet()
        world.ref.control(quiet)
        await trio.sleep(100)
        assert not quiet.reply.done
        await world.tell(notices.TurnEnded("a", "failed", "failed"))
        assert quiet.reply.done
