"""What a step wants done.  The session performs effects without ever awaiting."""

from __future__ import annotations

from typing import Generic, TypeVar

from attrs import frozen

from hermes.actors import Reply, StepReport
from hermes.actors.session.messages import (
    Attach,
    Cancel,
    CancelPrompt,
    Detach,
    Inspect,
    NeedResource,
    Offer,
)
from hermes.actors.session.notices import Notice
from hermes.actors.session.state import Waiting
from hermes.ports.client import PromptSink, SessionClient
from hermes.ports.store import PromptRow, PromptState

T = TypeVar("T")


@frozen(eq=False)
class Accept:
    """Put an offer on disk; its answer comes back as `Committed`."""

    offer: Offer


@frozen(eq=False)
class Refuse:
    """Tell a client that its prompt was not accepted, or cannot be."""

    sink: PromptSink
    error: Exception


@frozen(eq=False)
class Acknowledge:
    """Tell a client that its prompt is on disk."""

    sink: PromptSink
    position: int


@frozen(eq=False)
class AnswerKept:
    """Tell a client the kept result of a prompt that ended before."""

    sink: PromptSink
    row: PromptRow


@frozen(eq=False)
class AnswerCancelled:
    """Tell a client that its offer, never accepted, is cancelled."""

    sink: PromptSink


@frozen(eq=False)
class Admit:
    """Answer an attach and send the connection what is numbered from now on."""

    attach: Attach


@frozen(eq=False)
class Enroll:
    """Send a connection what is numbered from now on: it has sent a prompt."""

    client: SessionClient


@frozen(eq=False)
class Dismiss:
    """Send a connection nothing more."""

    client: SessionClient


@frozen(eq=False)
class Build:
    """Build the agent for a prompt; its end comes back as `BuildEnded`."""


@frozen(eq=False)
class Run:
    """Run a turn; its end comes back as `TurnPartEnded`."""

    prompt: Waiting
    cached: bool
    interrupting: bool


@frozen(eq=False)
class Steer:
    """Give a prompt to the turn that runs."""

    prompt: Waiting


@frozen(eq=False)
class Unsteer:
    """Take a prompt back from the turn, if its model has not got it yet."""

    number: int


@frozen(eq=False)
class Stop:
    """Ask the build or the turn to end."""


@frozen(eq=False)
class Drop:
    """Forget what the cut turn said: it is not history, and its prompt runs again."""


@frozen(eq=False)
class End:
    """Write a prompt's terminal state, then tell its client; comes back as `PromptEnded`.

    `turn` is whether a turn had run for it, `current` whether the session was busy
    with it, so that the supervisor waits for its end.
    """

    prompt: Waiting
    state: PromptState
    stop_reason: str | None = None
    error: Exception | None = None
    turn: bool = False
    current: bool = False


@frozen(eq=False)
class GiveBack:
    """Have the agent close its handle; its end comes back as `ReleaseEnded`."""


@frozen(eq=False)
class Forget:
    """Drop the agent object: it has closed its handle."""

    cause: str


@frozen(eq=False)
class Open:
    """Find or open a task resource, and answer."""

    need: NeedResource


@frozen(eq=False)
class Descend:
    """Go down the ladder; its end comes back as `LadderEnded`."""


@frozen(eq=False)
class Answer(Generic[T]):
    """Set a reply."""

    reply: Reply[T]
    value: T

    def give(self) -> None:
        """Do it; a reply that has its answer keeps it."""
        self.reply.set(self.value)


@frozen(eq=False)
class Look:
    """Answer an inspection with what is there now."""

    inspect: Inspect


@frozen(eq=False)
class KeepSuspended:
    """Write on disk whether the session is suspended or quarantined."""

    suspended: bool
    quarantined: bool


@frozen(eq=False)
class Tell:
    """Tell the supervisor."""

    notice: Notice


@frozen(eq=False)
class CarryOver:
    """Leave a message to the next actor of this session: this one is closing."""

    message: Offer | Attach | Detach | Cancel | CancelPrompt


@frozen(eq=False)
class Retire:
    """End the actor: nothing needs it."""

    reason: str


Effect = (
    Accept
    | Refuse
    | Acknowledge
    | AnswerKept
    | AnswerCancelled
    | Admit
    | Enroll
    | Dismiss
    | Build
    | Run
    | Steer
    | Unsteer
    | Stop
    | Drop
    | End
    | GiveBack
    | Forget
    | Open
    | Descend
    | Answer[str]
    | Answer[bool]
    | Answer[None]
    | Answer[tuple[StepReport, ...]]
    | Look
    | KeepSuspended
    | Tell
    | CarryOver
    | Retire
)
