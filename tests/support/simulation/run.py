"""Runs one seed: its eras one after another, on one store, and every check."""

from __future__ import annotations

import apsw
import trio
from attrs import frozen
from support.rule_models import RuleModels
from support.runtime import LiveRuntime, open_runtime
from support.simulation.actors import (
    PATIENCE,
    SimulatedClient,
    SimulatedOperator,
    SimulatedWorld,
    Stage,
)
from support.simulation.determinism import run_seeded
from support.simulation.disk import Disk
from support.simulation.faults import (
    Crashes,
    CrashingFactory,
    Power,
    Workshop,
    add_tools,
    calm_down,
    no_power,
)
from support.simulation.invariants import check_all, check_counters, check_idle
from support.simulation.quiet import QuietPhase, close_all
from support.simulation.record import Happened, Record
from support.simulation.story import Era, Story, make_story

from hermes.adapters.store import open_memory
from hermes.agent.factory import ChatAgentFactory
from hermes.daemon.daemon import Bounds
from hermes.supervisor.events import Event
from hermes.supervisor.residency import Limits

#: Seconds of virtual time that one era may last: all pauses of a story, and the
#: longest ladders.  Whatever is not over by then hangs.
ERA_SECONDS = 600.0


@frozen
class Report:
    """What became of a seed: its broken invariants, its trace and the digest of that."""

    seed: int
    problems: tuple[str, ...]
    digest: str
    trace: tuple[str, ...]


def run_seed(seed: int) -> Report:
    """Run a seed, in virtual time, the same way each time."""
    record = Record(seed)
    try:
        run_seeded(seed, Simulation(make_story(seed), record).run)
    except Exception as error:  # noqa: BLE001 - whatever escapes is what was looked for
        record.wrong(f"an exception escaped: {_flat(error)}")
    return Report(seed, tuple(record.problems), record.digest, tuple(record.trace))


def _flat(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_flat(inner) for inner in error.exceptions)
    return repr(error)


class Simulation:
    """One seed under way.

    Args:
        story: what happens.
        record: where everything is noted.
    """

    def __init__(self, story: Story, record: Record) -> None:
        self._story = story
        self._record = record
        self._connection: apsw.Connection = open_memory()
        self._crashes = Crashes()
        self._workshop = Workshop(story.seed + 1)
        self._power: Power | None = None

    async def run(self) -> None:
        """Every era, then every check."""
        for number, era in enumerate(self._story.eras):
            with trio.move_on_after(ERA_SECONDS) as patience:
                await self._run_era(number, era)
            if patience.cancelled_caught:
                self._record.wrong(f"era {number} was not over in {ERA_SECONDS:g} s")
                return
            if era.ending != "calm":
                self._restart(era)

    async def _run_era(self, number: int, era: Era) -> None:
        story, models = self._story, RuleModels()
        delay = no_power(story.delay, story.seed + number)
        if era.ending == "power cut" and story.loses:
            self._power = Power(self._connection, story.delay, story.seed + number)
            delay = self._power.delay
        async with open_runtime(
            seed=story.seed * 8 + number,
            bounds=self._bounds(),
            models=models,
            kinds=self._workshop.kinds,
            connection=self._connection,
            store_delay=delay,
            factory=lambda models, registry, store, recipe: CrashingFactory(
                ChatAgentFactory(models, registry, store, lambda _: recipe), self._crashes
            ),
            boot_id=f"boot {sum(one.ending == 'power cut' for one in story.eras[:number])}",
            toolsets=("test",),
        ) as runtime:
            add_tools(runtime.registry)
            if self._power is not None:
                self._power.store = runtime.store
            self._listen(number, runtime)
            async with trio.open_nursery() as nursery:
                stage = Stage(
                    number, runtime, self._record, Disk(self._connection), story.keys,
                    self._crashes, self._workshop, nursery,
                )  # fmt: skip
                await self._act(stage, era)
                nursery.cancel_scope.cancel()
        if era.ending == "calm":
            self._record.hold(runtime.models.open_handles == 0, "K5: a handle is open at the end")

    def _bounds(self) -> Bounds:
        story = self._story
        return Bounds(
            residency=Limits(story.cap, story.idle_ttl),
            inactivity=story.inactivity,
            mailbox=story.mailbox,
            concurrent_turns=story.turns,
        )

    def _listen(self, number: int, runtime: LiveRuntime) -> None:
        record = self._record

        def listen(event: Event) -> None:
            data = dict(event.data)
            record.events.append(
                Happened(number, trio.current_time(), event.kind, event.session, data)
            )
            record.note(trio.current_time(), "event", (event.seq, event.kind, event.session, data))

        runtime.daemon.events.listen(listen)

    async def _act(self, stage: Stage, era: Era) -> None:
        clients = [SimulatedClient(stage, f"client{place}") for place in range(len(era.clients))]
        if era.ending != "calm":
            stage.nursery.start_soon(self._crash, stage, era)
        async with stage.runtime.operator() as wire:
            operator = SimulatedOperator(stage, wire)
            async with trio.open_nursery() as acting:
                for client, acts in zip(clients, era.clients, strict=True):
                    acting.start_soon(client.play, acts)
                acting.start_soon(operator.play, era.operator)
                acting.start_soon(SimulatedWorld(stage).play, era.world)
            if era.ending != "calm":
                await trio.sleep_forever()
            await self._calm(stage, clients, operator)

    async def _crash(self, stage: Stage, era: Era) -> None:
        await trio.sleep(era.at)
        stage.runtime.crash()

    async def _calm(
        self, stage: Stage, clients: list[SimulatedClient], operator: SimulatedOperator
    ) -> None:
        """Stop everything that would never end; all must be answered, and agree."""
        record = self._record
        calm_down(stage.runtime.models, stage.crashes)
        for session in record.sessions.values():
            await operator.ask("sessions/resume", {"session": session})
        for client in clients:
            if client.gate is not None:
                await client.gate.wait()
        for session in record.sessions.values():
            await clients[0].cancel(session)
        for client in clients:
            with trio.move_on_after(PATIENCE) as patience:
                await client.settle()
            record.hold(
                not patience.cancelled_caught, f"K2: {client.name} waits for an answer for ever"
            )
        # Whatever still runs belongs to clients that left: stopped by now, or hung.
        await trio.sleep(PATIENCE)
        status = await operator.ask("supervisor/status")
        listed = await operator.ask("sessions/list")
        check_idle(record, status, listed["sessions"])
        for session in record.sessions.values():
            seen = await operator.ask("sessions/inspect", {"session": session})
            record.hold(seen["clients"] <= len(clients), f"{session} keeps clients that are gone")
        check_counters(record, stage.era, status)
        if not record.problems:
            await QuietPhase(stage, clients[-1], operator).run()
        status = await close_all(stage, operator)
        self._check_end(stage, status["sessions"], status["mailboxDepth"])
        check_all(record, stage.disk, stage.workshop.logs, stage.crashes)

    def _check_end(self, stage: Stage, sessions: dict[str, int], depth: int) -> None:
        """K5: nothing is left of sessions that are closed."""
        record, models = self._record, stage.runtime.models
        left = (models.open_handles, models.in_flight, sessions["live"], sessions["busy"], depth)
        record.hold(left == (0, 0, 0, 0, 0), f"K5: left are (handles, ...) {left}")
        record.hold(models.cut == 0, f"R5: {models.cut} handles were closed under a request")
        known = len(stage.disk.sessions())
        record.hold(sessions["known"] == known, f"{known} sessions on disk, {sessions}")

    def _restart(self, era: Era) -> None:
        """What the next daemon finds: all of the disk, or what a power cut left of it."""
        record = self._record
        record.crashed.update(record.sessions.values())
        for connection in record.connections:
            connection.gone = connection.gone or "the daemon died"
        if self._power is not None:
            record.lost_power = True
            self._connection = self._power.cut()
            self._power = None
