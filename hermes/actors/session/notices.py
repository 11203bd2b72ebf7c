"""What a session tells its supervisor; synchronous, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from hermes.actors import StepReport


@frozen
class Started:
    """The session has an actor: it was made, or woken."""

    session: str


@frozen
class Touched:
    """A message came: the session is the most recently used (row B2)."""

    session: str


@frozen
class Built:
    """An agent is resident; `reason` is why it was built again, None for the first."""

    session: str
    reason: str | None = None


@frozen
class TurnBegan:
    """A prompt's turn begins; `cached` on a resident agent, `restarted` after a cut attempt."""

    session: str
    cached: bool
    restarted: bool


@frozen
class TurnEnded:
    """A turn is over and written down: `state` is the prompt's terminal state."""

    session: str
    state: str
    stop_reason: str


@frozen
class Idle:
    """The session takes the next prompt, or a release: after every "busy" that it answered."""

    session: str


@frozen
class Released:
    """No agent is resident any more; the cause is one of protocol.md's."""

    session: str
    cause: str


@frozen
class ToolCalled:
    """A tool call started or ended."""

    session: str
    call_id: str
    name: str
    status: str


@frozen
class Crashed:
    """A part or a resource of the session died; the session goes on."""

    session: str
    what: str
    error: str


@frozen
class Closed:
    """The session was closed; its steps."""

    session: str
    reason: str
    steps: tuple[StepReport, ...]


Notice = (
    Started
    | Touched
    | Built
    | TurnBegan
    | TurnEnded
    | Idle
    | Released
    | ToolCalled
    | Crashed
    | Closed
)
Notify = Callable[[Notice], None]
