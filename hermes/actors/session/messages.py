"""What a session actor understands.

An offered prompt is work: bounded, in order.  Everything else is control and
overtakes it.  Messages about things that the session itself started (a part that
ended, a commit that is through) come back through the same mailbox, so that one
pure function sees everything that happens to a session.
"""

from __future__ import annotations

import outcome
from attrs import define, frozen

from hermes.actors import Ask, PartReport, StepReport
from hermes.actors.session.inspection import Inspection
from hermes.ports.client import Attached, PromptSink, SessionClient
from hermes.ports.resource import TaskResource
from hermes.ports.store import Accepted

#: What a prompt does while a turn runs, by its name on the wire.
QUEUE, STEER, INTERRUPT, REJECT = "queue", "steer", "interrupt", "reject"


@frozen(eq=False)
class Offer:
    """A prompt, not yet accepted.

    `content` is what is kept on disk (and compared, for a repeated
    `client_id`); `text` is what the model is told.
    """

    text: str
    content: bytes
    sink: PromptSink
    client_id: str | None = None
    when_busy: str = QUEUE
    reasoning: str | None = None


@frozen(eq=False)
class Committed:
    """The store's answer about an offer."""

    offer: Offer
    outcome: outcome.Maybe[Accepted]


@define(eq=False)
class Attach(Ask[Attached]):
    """Let a connection see the session's updates from now on."""

    client: SessionClient


@frozen(eq=False)
class Detach:
    """A connection is gone; the session and its turn go on."""

    client: SessionClient


@frozen(eq=False)
class Cancel:
    """Stop the turn, and everything that waits.

    The offers that it overtakes in the mailbox are answered when it is put there, so
    that a prompt sent after it is not among them.
    """


@frozen(eq=False)
class CancelPrompt:
    """Stop one prompt only, wherever it is."""

    sink: PromptSink


@define(eq=False)
class Interrupt(Ask[bool]):
    """An operator stops the running turn; the answer says whether there was one."""


@define(eq=False)
class Release(Ask[str]):
    """Release the agent: the answer is "released", "busy" or "already released"."""

    cause: str


@define(eq=False)
class Close(Ask["tuple[StepReport, ...]"]):
    """Close hard; the answer is the steps of the ladder."""

    reason: str


@define(eq=False)
class Suspend(Ask[str]):
    """Stop (or go on) taking prompts; going on lifts a quarantine too.  Answers the state."""

    suspended: bool


@define(eq=False)
class Inspect(Ask[Inspection]):
    """Look into the session."""


@define(eq=False)
class Grant(Ask[None]):
    """After a restart: the prompt `number` may run now.

    Answered once it has its end, or while the session takes no prompts at all.
    """

    number: int


@frozen(eq=False)
class GoOn:
    """The daemon takes prompts again after a drain: take up what waits."""


@frozen(eq=False)
class CutTurn:
    """The time of a drain is over: the turn is cut, unanswered, and runs once more later."""


@define(eq=False)
class NeedResource(Ask[TaskResource]):
    """A turn needs the session's resource of a kind."""

    kind: str


@frozen(eq=False)
class BuildEnded:
    """The part that built an agent ended; a done one has the agent's signature as its value."""

    report: PartReport


@frozen(eq=False)
class TurnPartEnded:
    """The part that ran a turn ended; `taken` are the steering prompts that it took in."""

    report: PartReport
    taken: frozenset[int] = frozenset()


@frozen(eq=False)
class ReleaseEnded:
    """The agent has given its handle back, or was made to."""

    report: PartReport


@frozen(eq=False)
class ResourceEnded:
    """A task resource died, or was stopped."""

    kind: str
    report: PartReport


@frozen(eq=False)
class LadderEnded:
    """All steps of a close are taken."""

    reports: tuple[StepReport, ...]


@frozen(eq=False)
class PromptEnded:
    """A prompt's terminal state is on disk."""

    number: int


Message = (
    Offer
    | Committed
    | Attach
    | Detach
    | Cancel
    | CancelPrompt
    | Interrupt
    | Release
    | Close
    | Suspend
    | Inspect
    | Grant
    | GoOn
    | CutTurn
    | NeedResource
    | BuildEnded
    | TurnPartEnded
    | ReleaseEnded
    | ResourceEnded
    | LadderEnded
    | PromptEnded
)
