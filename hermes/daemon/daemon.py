"""The daemon: every part in its place in the task tree, and the order of its end.

    store > models > connections > supervisor > sessions > recovery

What is outside ends last.  A stop drains first (prompts are refused, turns
finish), then takes every session down its ladder, then says 1001 to every
connection, then flushes the store; each under the one shutdown deadline.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import trio
from attrs import define, field, frozen

from hermes.actors import ActorClosed, Deadline, ServiceNursery, open_service_nursery
from hermes.actors.session.messages import CutTurn, GoOn
from hermes.actors.session.seams import Gauge, SessionSeams
from hermes.actors.session.watchdog import Watchdog
from hermes.adapters.websocket.desk import Desk, Drained, InactivityLimit, Lifecycle, Process
from hermes.adapters.websocket.front import Front
from hermes.adapters.websocket.gate import Doors, Grants
from hermes.daemon.recovery import recover
from hermes.errors import Draining, StoreError
from hermes.ports.agent import AgentFactory
from hermes.ports.model import PoolStatistics
from hermes.ports.resource import ResourceKinds
from hermes.ports.store import Store
from hermes.ports.world import World
from hermes.supervisor.directory import Directory
from hermes.supervisor.events import Events
from hermes.supervisor.residency import Limits
from hermes.supervisor.supervisor import Ended, GetStatus, Quarantined, Quiet, Supervisor

log = logging.getLogger(__name__)

#: Seconds after the drain for ladders, last frames and the store: with the drain
#: they make row D8's "within the drain time and 5 s".
AFTER_DRAIN = 4.0

#: Seconds after the drain until the process is ended, whatever hangs: row D8.
BACKSTOP = 5.0

Service = Callable[..., Awaitable[None]]


class ServedStore(Store, Protocol):
    """A store with the task that owns its connection."""

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until closed; report once it takes operations."""
        ...

    async def aclose(self) -> None:
        """Take no more operations, commit what waits, and let `serve` return."""
        ...


@frozen
class Bounds:
    """The daemon's limits, from the settings; seconds, None for none.

    `reasoning` is the effort that a prompt asks for which names none itself.
    """

    residency: Limits = field(factory=Limits)
    inactivity: float | None = 1800.0
    mailbox: int = 100
    concurrent_turns: int | None = None
    recovery_turns: int = 8
    drain: float = 30.0
    reasoning: str | None = None
    max_frame: int = 1_048_576


def _no_backstop(seconds: float) -> None:
    """Where nothing can hang, nothing has to be ended."""


@frozen
class Parts:
    """What a daemon is put together from; every one is a seam.

    `services` are started with the store open and stopped after all sessions are
    gone: model pools, the offline model.  `backstop` ends the process after some
    seconds whatever hangs in it.
    """

    store: ServedStore
    world: World
    agents: AgentFactory
    kinds: ResourceKinds
    pools: Callable[[], Mapping[str, PoolStatistics]]
    grants: Callable[[], Grants]
    process: Process
    is_directory: Callable[[str], Awaitable[bool]]
    backstop: Callable[[float], None] = _no_backstop
    bounds: Bounds = field(factory=Bounds)
    services: Sequence[Service] = ()


@define(eq=False)
class _Switches:
    draining: bool = False
    inactivity: float | None = None
    failure: Exception | None = None


class Daemon:
    """One running daemon.

    Args:
        parts: what it is put together from.
        deadline: the process's deadline; a signal may shorten it.
    """

    def __init__(self, parts: Parts, deadline: Deadline) -> None:
        self.events = Events(parts.world.wall)
        self.ended = trio.Event()
        self._parts = parts
        self._deadline = deadline
        self._switches = _Switches(inactivity=parts.bounds.inactivity)
        self._watchdog = Watchdog(parts.world.now, lambda: self._switches.inactivity)
        self._stop = trio.Event()
        self._draining = trio.CancelScope()
        self._hurried = False
        self._drain = parts.bounds.drain
        self._connections: ServiceNursery | None = None
        self._front: Front | None = None
        self._desk: Desk | None = None

    def stop(self, drain: float | None = None) -> None:
        """Ask it to end, after a drain of at most that many seconds; idempotent."""
        if not self._stop.is_set():
            self._drain = self._parts.bounds.drain if drain is None else drain
            self._switches.draining = True
            self._deadline.shorten(self._parts.world.now() + self._drain + AFTER_DRAIN)
            self._parts.backstop(self._drain + BACKSTOP)
            self._stop.set()

    def hurry(self, seconds: float) -> None:
        """End within `seconds`: no turn is waited for any more."""
        self._hurried = True
        self._draining.cancel()
        self._deadline.shorten(self._parts.world.now() + seconds)

    def open(self, doors: Doors) -> None:
        """Say what the listener is called; connections can be served from now on."""
        assert self._desk is not None
        self._front = Front(
            desk=self._desk,
            doors=doors,
            grants=self._parts.grants,
            deadline=self._deadline,
            max_frame=self._parts.bounds.max_frame,
            ready=lambda: not self._switches.draining,
        )

    def connect(self, stream: trio.abc.Stream) -> None:
        """Serve one connection over any stream, until it ends or the daemon does."""
        assert self._connections is not None
        front = self._serving
        self._connections.start_soon(lambda: front.serve_stream(stream), "connection")

    def listen(self, listeners: Sequence[trio.SocketListener | trio.SSLListener]) -> None:  # type: ignore[type-arg]
        """Serve everyone who connects to these listeners."""
        assert self._connections is not None
        front = self._serving
        serve = partial(trio.serve_listeners, front.serve_stream, list(listeners))
        self._connections.start_soon(serve, "listeners")

    @property
    def _serving(self) -> Front:
        assert self._front is not None, "open() comes first"
        return self._front

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run until `stop`; reports once `open` may be called.

        Raises:
            StoreError: the store failed underneath; nothing that it did not keep was
                acknowledged.

        **Cancellation**: like a stop that does not wait for turns.
        """
        try:
            await self._serve(task_status)
        finally:
            self.ended.set()
        if self._switches.failure is not None:
            raise self._switches.failure

    async def _serve(self, task_status: trio.TaskStatus[None]) -> None:
        store = self._parts.store
        async with open_service_nursery(self._deadline) as storage:
            await storage.start(self._keep, "store")
            try:
                async with open_service_nursery(self._deadline) as services:
                    for service in self._parts.services:
                        await services.start(service, "service")
                    async with open_service_nursery(self._deadline) as self._connections:
                        await self._serve_sessions(task_status)
            finally:
                with self._deadline.shield(AFTER_DRAIN):
                    await store.aclose()

    async def _keep(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run the store; once the daemon serves, its failure is an end in order."""
        try:
            await self._parts.store.serve(task_status=task_status)
        except StoreError as error:
            if self._desk is None:
                raise
            self._fail(error)

    async def _serve_sessions(self, task_status: trio.TaskStatus[None]) -> None:
        world = self._parts.world
        supervisor = Supervisor(self._parts.bounds.residency, self.events, world.now)
        gauge = Gauge()
        async with open_service_nursery(self._deadline) as services:
            services.start_soon(supervisor.run, "supervisor")
            services.start_soon(self._watchdog.run, "watchdog")
            async with trio.open_nursery() as sessions:
                directory = Directory(
                    lambda directory: self._seams(directory, supervisor, gauge),
                    sessions,
                    quarantined=lambda session, error: _tell(
                        supervisor, Quarantined(session, error)
                    ),
                    ended=lambda session: _tell(supervisor, Ended(session)),
                )
                supervisor.supervise(directory)
                self._desk = self._make_desk(directory, supervisor, gauge)
                sessions.start_soon(
                    recover, self._parts.store, directory, self._parts.bounds.recovery_turns
                )
                task_status.started()
                await self._stop.wait()
                try:
                    await self._wait_drained(supervisor, self._drain)
                except ActorClosed:
                    log.warning("the deadline came before the drain was over")
                directory.end()
                sessions.cancel_scope.cancel()

    async def _wait_drained(self, supervisor: Supervisor, seconds: float | None) -> Drained:
        """Refuse prompts, and wait for the turns that run."""
        self._switches.draining = True
        limit = self._parts.bounds.drain if seconds is None else seconds
        before = (await supervisor.ref.ask(GetStatus(), control=True)).busy
        with trio.move_on_after(limit) as self._draining:
            if self._hurried:
                self._draining.cancel()
            await supervisor.ref.ask(Quiet(), control=True)
            return Drained(before, 0)
        left = (await supervisor.ref.ask(GetStatus(), control=True)).busy
        return Drained(max(before - left, 0), left)

    async def _drain_and_cut(
        self, supervisor: Supervisor, directory: Directory, seconds: float | None
    ) -> Drained:
        """An operator's drain: the turns that outlast it are cut, to run once more later."""
        drained = await self._wait_drained(supervisor, seconds)
        if drained.interrupted and not self._stop.is_set():
            for session in directory.live:
                directory.tell_live(session, CutTurn())
            with trio.move_on_after(AFTER_DRAIN):
                await supervisor.ref.ask(Quiet(), control=True)
        return drained

    def _resume(self, directory: Directory) -> None:
        """Take prompts again, the ones that waited out the drain first.

        Raises:
            Draining: the daemon stops, and that is not taken back.
        """
        if self._stop.is_set():
            raise Draining("the daemon stops")
        self._switches.draining = False
        for session in directory.live:
            directory.tell_live(session, GoOn())

    def _seams(self, directory: Directory, supervisor: Supervisor, gauge: Gauge) -> SessionSeams:
        parts, bounds = self._parts, self._parts.bounds
        slots = None if bounds.concurrent_turns is None else trio.Semaphore(bounds.concurrent_turns)
        return SessionSeams(
            store=parts.store,
            world=parts.world,
            agents=parts.agents,
            kinds=parts.kinds,
            deadline=self._deadline,
            notify=supervisor.notify,
            fatal=self._fail,
            reroute=directory.reroute,
            capacity=bounds.mailbox,
            watchdog=self._watchdog,
            inactivity=lambda: self._switches.inactivity,
            held=lambda: self._switches.draining,
            reasoning=lambda: bounds.reasoning,
            slots=slots,
            gauge=gauge,
        )

    def _make_desk(self, directory: Directory, supervisor: Supervisor, gauge: Gauge) -> Desk:
        def set_inactivity(seconds: float | None) -> None:
            self._switches.inactivity = seconds
            self._watchdog.poke()

        return Desk(
            store=self._parts.store,
            world=self._parts.world,
            directory=directory,
            supervisor=supervisor.ref,
            events=self.events,
            pools=self._parts.pools,
            gauge=gauge,
            process=self._parts.process,
            inactivity=InactivityLimit(lambda: self._switches.inactivity, set_inactivity),
            lifecycle=Lifecycle(
                draining=lambda: self._switches.draining,
                drain=lambda seconds: self._drain_and_cut(supervisor, directory, seconds),
                resume=lambda: self._resume(directory),
                stop=self.stop,
            ),
            is_directory=self._parts.is_directory,
        )

    def _fail(self, error: Exception) -> None:
        """The store failed underneath: stop, without waiting for turns that cannot be kept."""
        if self._switches.failure is None and not self._stop.is_set():
            log.critical("the store failed, the daemon stops: %s", error)
            wrong = error if isinstance(error, StoreError) else StoreError(str(error))
            self._switches.failure = wrong
            self.stop(drain=0.0)


def _tell(supervisor: Supervisor, message: Ended | Quarantined) -> None:
    if supervisor.mailbox.closed is None:
        supervisor.mailbox.control(message)
