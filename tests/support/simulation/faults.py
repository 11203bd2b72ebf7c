"""What goes wrong in a simulated world, and what is logged of it.

Faults come from outside the runtime, through its seams: the agent factory, the task
resources, the models, the store's delay, the power.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping

import apsw
import trio
from attrs import define, field
from support.rule_models import RuleModels
from support.scripted import ScriptedKind, ScriptedResource

from hermes.adapters.store import SqliteStore, open_memory
from hermes.agent.factory import ChatAgentFactory
from hermes.ports.agent import Agent
from hermes.ports.resource import Rung
from hermes.ports.store import SessionRow
from hermes.ports.tools import Tool, ToolContext
from hermes.tools.registry import Registry

RUNGS = {
    "child": Rung.CHILDREN,
    "memory": Rung.MEMORY,
    "browser": Rung.BROWSER,
    "terminal": Rung.TERMINAL,
    "processes": Rung.PROCESSES,
    "scratch": Rung.SCRATCH,
}


class PlannedCrash(Exception):
    """An actor's crash that the story wanted."""


class CrashingFactory:
    """An agent factory whose `signature` raises where the story says so: its actor crashes."""

    def __init__(self, inner: ChatAgentFactory, crashes: Crashes) -> None:
        self._inner = inner
        self._crashes = crashes

    def signature(self, session: SessionRow) -> str:
        """Called by the actor for each message."""
        self._crashes.look(session.id)
        return self._inner.signature(session)

    async def build(self, session: SessionRow) -> Agent:
        """Build an agent."""
        return await self._inner.build(session)


@define(eq=False)
class Crashes:
    """Which actors are to crash, after how many more messages; and how often they did."""

    armed: dict[str, int] = field(factory=dict)
    happened: Counter[str] = field(factory=Counter)

    def look(self, session: str) -> None:
        """One more message.

        Raises:
            PlannedCrash: this was the one.
        """
        left = self.armed.get(session)
        if left is None:
            return
        if left > 0:
            self.armed[session] = left - 1
            return
        del self.armed[session]
        self.happened[session] += 1
        raise PlannedCrash(session)


class Workshop:
    """Makes the scripted resources of all sessions, each with a name and a fate of its own.

    `logs` are what was done to them, in order, by task id.
    """

    def __init__(self, seed: int) -> None:
        self.logs: dict[str, list[str]] = {}
        self._chance = random.Random(seed)
        self._made = 0
        self._alive: list[ScriptedResource] = []
        self.kinds: Mapping[str, ScriptedKind] = {
            name: ScriptedKind(name, rung, [], self._script) for name, rung in RUNGS.items()
        }

    def crash_one(self, number: int) -> None:
        """Let one of the resources crash, if it still runs."""
        if self._alive:
            self._alive[number % len(self._alive)].crash.set()

    def _script(self, resource: ScriptedResource) -> None:
        chance = self._chance
        self._made += 1
        resource.kind = f"{resource.kind}#{self._made}"
        resource.log = self.logs.setdefault(resource.task_id, [])
        resource.open_seconds = chance.choice((0.0, 0.0, 0.4, 2.0))
        resource.stop_seconds = chance.choice((0.0, 0.0, 0.4, 2.0))
        fate = chance.random()
        resource.fail_open = fate < 0.06
        resource.hang_open = 0.06 < fate < 0.1
        resource.fail_stop = 0.1 < fate < 0.16
        resource.hang_stop = 0.16 < fate < 0.24
        resource.fail_kill = 0.13 < fate < 0.18
        self._alive.append(resource)


class Power:
    """What is on disk if the power goes: the state after the last commit that was synced.

    The store's delay comes before each commit, so looking there and at the cut sees
    the state after every single one.
    """

    def __init__(self, connection: apsw.Connection, longest: float, seed: int) -> None:
        self.store: SqliteStore | None = None
        self._connection = connection
        self._longest = longest
        self._chance = random.Random(seed)
        self._synced = -1
        self._kept: bytes = b""

    def delay(self) -> float:
        """The time of the next commit, in seconds: never none, as on a real disk."""
        self._look()
        return self._chance.uniform(self._longest / 100, self._longest)

    def cut(self) -> apsw.Connection:
        """The store as it is after a power cut."""
        self._look()
        connection = open_memory()
        connection.deserialize("main", self._kept)
        return connection

    def _look(self) -> None:
        synced = self.store.statistics().synced if self.store is not None else 0
        if synced != self._synced:
            self._synced = synced
            self._kept = self._connection.serialize("main")


def no_power(longest: float, seed: int) -> Callable[[], float]:
    """The delays alone, where nothing is to be lost."""
    chance = random.Random(seed)
    return lambda: chance.uniform(longest / 100, longest)


def add_tools(registry: Registry) -> None:
    """The tool that stories call, for a task resource; again, it is a change of the tools."""

    async def use(arguments: Mapping[str, object], context: ToolContext) -> str:
        await context.resource(str(arguments["kind"]))
        context.progress("has it")
        seconds = arguments["seconds"]
        assert isinstance(seconds, int | float)
        await trio.sleep(seconds)
        return "used"

    registry.replace("test", [Tool("use", "Use it.", {"type": "object"}, "test", use)])


def calm_down(models: RuleModels, crashes: Crashes) -> None:
    """No more faults from here on."""
    models.open_error = None
    models.close_seconds = 0.0
    crashes.armed.clear()
