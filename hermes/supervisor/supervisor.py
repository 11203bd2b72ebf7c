"""The supervisor: keeps resident agents within bounds, by asking.

It is told what happens to sessions, in order, and decides with one pure function
(`residency.plan`).  It never waits for a session: it asks by message, and the
answer is a message too, so an agent that is slow to close holds up nobody (row
B10).
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable

import outcome
import trio
from attrs import define, field, frozen

from hermes.actors import Actor, Ask
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.supervisor.directory import Directory
from hermes.supervisor.events import Events
from hermes.supervisor.registry import Registry
from hermes.supervisor.residency import Limits, idle_for, plan

log = logging.getLogger(__name__)


@define(eq=False)
class Configure(Ask[Limits]):
    """Change the bounds of residency; they are in force at once (row B11)."""

    change: Callable[[Limits], Limits]


@frozen
class Swept:
    """The answer to a sweep: who was released, who was busy."""

    released: tuple[str, ...]
    busy: tuple[str, ...]


@define(eq=False)
class Sweep(Ask[Swept]):
    """Ask every agent that is idle for `older_than` seconds (None: the time-to-live)."""

    older_than: float | None = None


@frozen
class Counters:
    """What happened since the daemon started."""

    started: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    evictions: tuple[tuple[str, int], ...] = ()


@frozen
class Status:
    """What `supervisor/status` says of sessions."""

    limits: Limits
    live: int
    resident: int
    busy: int
    counters: Counters


@define(eq=False)
class GetStatus(Ask[Status]):
    """Ask for the status."""


@define(eq=False)
class Quiet(Ask[None]):
    """Answered once no turn runs."""


@frozen
class Answered:
    """A session's answer to a release that the supervisor asked for."""

    session: str
    outcome: outcome.Maybe[str]


@frozen
class Ended:
    """A session has no actor any more."""

    session: str


@frozen
class Quarantined:
    """A session crashed too often."""

    session: str
    error: str


@frozen
class Tick:
    """The oldest idle agent may have expired."""


Message = (
    notices.Notice | Configure | Sweep | GetStatus | Quiet | Answered | Ended | Quarantined | Tick
)

#: Causes of a release that count as evictions: protocol.md's four.
CAUSES = ("cap", "idle", "operator", "memory")

_ENDINGS = {"answered": "completed", "cancelled": "cancelled"}


@define
class _Tally:
    started: int = 0
    endings: dict[str, int] = field(factory=dict)
    evictions: dict[str, int] = field(factory=lambda: dict.fromkeys(CAUSES, 0))

    def counters(self) -> Counters:
        """The same, frozen."""
        return Counters(
            self.started,
            self.endings.get("completed", 0),
            self.endings.get("failed", 0),
            self.endings.get("cancelled", 0),
            tuple(self.evictions.items()),
        )


class Supervisor(Actor[Message]):
    """Watches over residency.

    Args:
        limits: the bounds at the start.
        events: where what happens is published.
        now: the monotonic clock.
    """

    def __init__(self, limits: Limits, events: Events, now: Callable[[], float]) -> None:
        super().__init__()
        self._limits = limits
        self._events = events
        self._now = now
        self._registry = Registry()
        self._tally = _Tally()
        self._directory: Directory | None = None
        self._warned: str | None = None
        self._quiet: list[Quiet] = []
        self._timer = trio.CancelScope()
        self._ticked = trio.Event()

    def supervise(self, directory: Directory) -> None:
        """Say where the sessions are; once, before anything is told."""
        self._directory = directory

    def notify(self, notice: notices.Notice) -> None:
        """What sessions call: synchronous, in order; after the end it is no use and no harm."""
        if self.mailbox.closed is None:
            self.mailbox.control(notice)

    async def run(self) -> None:
        """Handle messages, and the one timer, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_time)
            await super().run()

    async def receive(self, message: Message) -> None:
        """Take note, answer, and look whether somebody has to be asked."""
        match message:
            case Configure():
                self._limits = message.change(self._limits)
                message.reply.set(self._limits)
            case GetStatus():
                message.reply.set(self._status())
                return
            case Sweep():
                self._sweep(message)
                return
            case Answered():
                self._answered(message)
            case Ended():
                self._registry.gone(message.session)
            case Quarantined():
                self._events.publish("quarantined", message.session, error=message.error)
            case Quiet():
                self._quiet.append(message)
            case Tick():
                self._ticked.set()
            case _:
                self._note(message)
        self._look()
        self._wake_timer()
        if self._quiet and not self._registry.population.busy:
            quiet, self._quiet = self._quiet, []
            for waiting in quiet:
                waiting.reply.set(None)

    # -- notes --------------------------------------------------------------

    def _note(self, notice: notices.Notice) -> None:
        session, publish = notice.session, self._events.publish
        match notice:
            case notices.Started():
                self._registry.started(session)
                publish("session_started", session)
            case notices.Touched():
                self._registry.touched(session)
                publish("prompt", session)
            case notices.Built():
                self._registry.built(session)
                if notice.reason is not None:
                    publish("rebuilt", session, reason=notice.reason)
            case notices.TurnBegan():
                self._registry.began(session)
                self._tally.started += 1
                if notice.restarted:
                    publish("restarted", session)
                publish("turn_started", session, cached=notice.cached)
            case notices.TurnEnded():
                self._registry.ended(session, self._now())
                ending = _ENDINGS.get(notice.state, "failed")
                self._tally.endings[ending] = self._tally.endings.get(ending, 0) + 1
                publish("turn_ended", session, state=notice.state, stopReason=notice.stop_reason)
            case notices.Idle():
                self._registry.idle(session)
            case notices.Released():
                self._registry.released(session)
                if notice.cause in self._tally.evictions:
                    self._tally.evictions[notice.cause] += 1
                publish("released", session, cause=notice.cause)
            case notices.ToolCalled():
                publish("tool", session, name=notice.name, id=notice.call_id, status=notice.status)
            case notices.Crashed():
                publish("warning", session, message=f"{notice.what} crashed: {notice.error}")
            case notices.Closed():
                self._registry.released(session)
                steps = [
                    {"step": step.step, "seconds": step.seconds, "outcome": step.outcome}
                    for step in notice.steps
                ]
                publish("closed", session, reason=notice.reason, steps=steps)

    def _answered(self, message: Answered) -> None:
        if isinstance(message.outcome, outcome.Value) and message.outcome.value == "busy":
            self._registry.refused(message.session)
            self._events.publish("busy", message.session)
        else:
            self._registry.released(message.session)

    def _status(self) -> Status:
        there = self._registry.population
        counters = self._tally.counters()
        return Status(self._limits, there.live, there.resident, there.busy, counters)

    # -- residency ------------------------------------------------------------

    def _look(self) -> None:
        """Ask whoever is in the excess window or has expired; nothing due costs nothing."""
        now = self._now()
        cap, ttl = self._limits.cap, self._limits.idle_ttl
        oldest = self._registry.oldest_idle
        over = cap is not None and self._registry.staying > cap
        # The very sum that the timer waits for: a difference may round to just below.
        expired = ttl is not None and oldest is not None and now >= oldest + ttl
        if not over:
            self._warned = None
        if not (over or expired):
            return
        due = plan(self._registry.residents(), self._limits, now)
        for session in due.over_cap:
            self._ask(session, "cap")
        for session in due.expired:
            self._ask(session, "idle")
        if due.warning is not None and due.warning != self._warned:
            log.warning("%s", due.warning)
            self._events.publish(
                "warning", message=due.warning, excess=due.excess, midTurn=due.mid_turn
            )
        self._warned = due.warning

    def _ask(self, session: str, cause: str) -> msg.Release | None:
        assert self._directory is not None
        release = msg.Release(cause)
        self._registry.asked(session)
        if not self._directory.tell_live(session, release):
            self._registry.gone(session)
            return None
        release.reply.on_done(lambda result: self._tell_self(Answered(session, result)))
        return release

    def _tell_self(self, message: Answered | Tick) -> None:
        if self.mailbox.closed is None:
            self.mailbox.control(message)

    def _sweep(self, sweep: Sweep) -> None:
        """Ask, and answer the sweep when the last one has answered."""
        seconds = self._limits.idle_ttl if sweep.older_than is None else sweep.older_than
        residents = self._registry.residents()
        busy = [one.session for one in residents if one.busy]
        if seconds == 0:
            chosen = tuple(one.session for one in residents if not one.busy and not one.releasing)
        else:
            chosen = idle_for(residents, seconds, self._now())
        released: list[str] = []
        asked = {name: self._ask(name, "operator") for name in chosen}
        missing = {name for name, release in asked.items() if release is not None}

        def answer() -> None:
            if not missing:
                sweep.reply.set(Swept(tuple(released), tuple(busy)))

        def answered(name: str, result: outcome.Maybe[str]) -> None:
            missing.discard(name)
            refused = isinstance(result, outcome.Value) and result.value == "busy"
            (busy if refused else released).append(name)
            answer()

        for name, release in asked.items():
            if release is not None:
                release.reply.on_done(functools.partial(answered, name))
        answer()

    # -- the one timer --------------------------------------------------------

    def _expiry(self) -> float:
        oldest, ttl = self._registry.oldest_idle, self._limits.idle_ttl
        return math.inf if oldest is None or ttl is None else oldest + ttl

    def _wake_timer(self) -> None:
        """Move the timer to the next expiry; earlier or later, it is the same scope."""
        self._timer.deadline = max(self._expiry(), self._now())

    async def _keep_time(self) -> None:
        """Tick when the oldest idle agent expires."""
        while True:
            with trio.CancelScope(deadline=self._expiry()) as self._timer:
                await trio.sleep_forever()
            self._tell_self(Tick())
            # Let the tick be handled before the next expiry is looked at.
            await self._ticked.wait()
            self._ticked = trio.Event()
