"""The state of a session, as plain data; `step` makes the next one from it.

Prompts that wait are part of the state and not of the mailbox.  They are on disk
already, may be taken back one by one, joined by a repeat, or overtaken by an
interruption: decisions, which belong where the simulation can see them.  The
mailbox's bounded lane holds what is not accepted yet.
"""

from __future__ import annotations

import enum

from attrs import evolve, frozen

from hermes.actors import Reply, StepReport
from hermes.actors.session.messages import Offer
from hermes.ports.client import PromptSink, SessionClient


class Phase(enum.Enum):
    """What a session is doing; there is one state for every await that it ever does."""

    IDLE = "idle"
    BUILDING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    RELEASING = "releasing"
    CLOSING = "closing"
    GONE = "dormant"


@frozen(eq=False)
class Waiting:
    """An accepted prompt that has no terminal state yet.

    `sinks` are told its end: one, more where a repeated id joined, none after a
    restart.  `attempts` counts the turns that were begun for it before.
    """

    number: int
    text: str
    client_id: str | None = None
    sinks: tuple[PromptSink, ...] = ()
    attempts: int = 0
    reasoning: str | None = None

    def joined(self, sink: PromptSink) -> Waiting:
        """The same with one more place to tell."""
        if sink in self.sinks:
            return self
        return evolve(self, sinks=(*self.sinks, sink))


@frozen(eq=False)
class Releasing:
    """A release under way: why, and who waits for it."""

    cause: str
    replies: tuple[Reply[str], ...] = ()


@frozen(eq=False)
class Closing:
    """A close under way: why, who waits, its steps once taken."""

    reason: str
    replies: tuple[Reply[tuple[StepReport, ...]], ...] = ()
    reports: tuple[StepReport, ...] | None = None


@frozen(eq=False)
class State:
    """All that a session's decisions depend on.

    `resident` is the signature of the agent that holds a model handle, None
    without one.  `queue` are prompts waiting in order, `current` the one that is
    built for, run or ended, `accepting` the offers that the store has not
    answered, `doomed` those among them that were cancelled meanwhile.  `steering` are
    prompts given to the turn that runs, which may or may not have reached its model,
    `dropped` the numbers of those that were cancelled meanwhile.  `ending` are the
    numbers of prompts whose end is on its way to the disk.  `stopping`
    says why the current turn was asked to end.  `granted` is the
    highest prompt that may run while a restart is recovered from, None for no such
    bound; `grants` wait for the end of their prompt.
    """

    phase: Phase = Phase.IDLE
    resident: str | None = None
    queue: tuple[Waiting, ...] = ()
    current: Waiting | None = None
    accepting: tuple[Offer, ...] = ()
    doomed: frozenset[Offer] = frozenset()
    steering: tuple[Waiting, ...] = ()
    dropped: frozenset[int] = frozenset()
    ending: frozenset[int] = frozenset()
    stopping: str | None = None
    interrupting: bool = False
    release: Releasing | None = None
    close: Closing | None = None
    clients: frozenset[SessionClient] = frozenset()
    resources: frozenset[str] = frozenset()
    suspended: bool = False
    quarantined: bool = False
    granted: int | None = None
    grants: tuple[tuple[int, Reply[None]], ...] = ()
    built_before: bool = False
    released_for: str | None = None

    @property
    def busy(self) -> bool:
        """Whether a turn runs or is about to, or has to be written down."""
        return self.current is not None

    @property
    def paused(self) -> bool:
        """Whether it takes no prompts."""
        return self.suspended or self.quarantined

    @property
    def depth(self) -> int:
        """Prompts that wait: accepted ones, and those on their way to the disk."""
        return len(self.queue) + len(self.accepting)

    @property
    def name(self) -> str:
        """The state's name on the wire: the first that applies in protocol.md's list."""
        if self.phase is Phase.CLOSING:
            return "closing"
        if self.quarantined:
            return "quarantined"
        if self.suspended:
            return "suspended"
        if self.phase is Phase.ENDING:
            return "running"
        return str(self.phase.value)

    @property
    def unanswered(self) -> tuple[Waiting, ...]:
        """Every accepted prompt that this state knows and that has no end yet."""
        current = (self.current,) if self.current is not None else ()
        return (*current, *self.steering, *self.queue)

    @property
    def knows(self) -> frozenset[str]:
        """The client ids of all prompts that have no end yet."""
        ids = [
            *(prompt.client_id for prompt in self.unanswered),
            *(offer.client_id for offer in self.accepting),
        ]
        return frozenset(name for name in ids if name is not None)


@frozen
class Facts:
    """What a step may know beside the state and the message.

    `capacity` is how many prompts may wait, `signature` the one that today's
    configuration gives, `empty` whether nothing is left in the mailbox, `held`
    whether the daemon drains: then what waits stays on disk for the next start.
    """

    capacity: int
    signature: str
    empty: bool = True
    held: bool = False
