"""Sessions and their directory over a real store, with no supervisor and no wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from attrs import define, field
from support.factories import SpiedFactory
from support.rule_models import RuleModels
from support.runtime import seeded_world

from hermes.actors import Deadline
from hermes.actors.session import notices
from hermes.actors.session.seams import SessionSeams
from hermes.actors.session.watchdog import Watchdog
from hermes.adapters.store import InlineExecutor, SqliteStore, open_memory
from hermes.agent.factory import Recipe
from hermes.ports.model import Runtime
from hermes.ports.store import OpenSession
from hermes.supervisor.directory import Directory
from hermes.tools.builtin import builtin_registry


@define(eq=False)
class Town:
    """A directory, and what it and its sessions told."""

    directory: Directory
    store: SqliteStore
    factory: SpiedFactory
    told: list[notices.Notice] = field(factory=list)
    ended: list[str] = field(factory=list)
    quarantined: list[str] = field(factory=list)

    async def make(self, session: str) -> str:
        """Put a session on disk; it is dormant."""
        await self.store.run(
            OpenSession(session, f"cli:{session}", "me", "/", f"task_{session}", 0)
        )
        return session


@asynccontextmanager
async def open_town(delay: float = 0.0) -> AsyncIterator[Town]:
    """A directory for as long as the body runs; then its actors go down their ladders."""
    world, factory = seeded_world(0), SpiedFactory()
    store = SqliteStore(open_memory(), executor=InlineExecutor(lambda: delay), boot_id="boot")
    recipe = Recipe(Runtime("rules", "rules-1", "http://rules.test/v1"), "You follow rules.")
    agents = factory(RuleModels(), builtin_registry(world.wall), store, recipe)
    told: list[notices.Notice] = []
    ended: list[str] = []
    quarantined: list[str] = []

    def seams(directory: Directory) -> SessionSeams:
        return SessionSeams(
            store=store,
            world=world,
            agents=agents,
            kinds={},
            deadline=Deadline(),
            notify=told.append,
            fatal=_unexpected,
            reroute=directory.tell,
            capacity=3,
            inactivity=lambda: None,
            watchdog=Watchdog(world.now, lambda: None),
        )

    async with trio.open_nursery() as nursery:
        await nursery.start(store.serve)
        async with trio.open_nursery() as sessions:
            directory = Directory(
                seams,
                sessions,
                quarantined=lambda session, error: quarantined.append(session),
                ended=ended.append,
            )
            yield Town(directory, store, factory, told, ended, quarantined)
            sessions.cancel_scope.cancel()
        store.close()


def _unexpected(error: Exception) -> None:
    raise AssertionError("the store did not fail") from error
