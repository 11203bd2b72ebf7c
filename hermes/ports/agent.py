"""The agent port: what a session actor owns and knows only by this face.

An agent is the model handle, the frozen prompt and tool schemas, the history in
memory, and the loop that runs a turn.  The session gives it a `TurnIO`, which is
all of the world that a turn can touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from hermes.messages.updates import Update
from hermes.ports.resource import TaskResource
from hermes.ports.store import SessionRow, ToolRow


@frozen
class TurnInput:
    """What a message brings for its own turn, and only for that (row L8).

    `message_id` names the user's message, `answer_id` the answer's chunks.
    `interrupted_tools` are the journaled tool calls of an earlier attempt that a
    crash cut: they are told to the model and not run again (row D3).
    """

    text: str
    message_id: str
    answer_id: str
    reasoning: str | None = None
    interrupted_tools: Sequence[ToolRow] = ()


@frozen
class TurnEnd:
    """How a turn ended by itself: the stop reason, and the model that answered."""

    stop_reason: str
    model: str


class TurnIO(Protocol):
    """All that a running turn can touch."""

    async def emit(self, *updates: Update) -> None:
        """Number updates and send them on their way; waits while too many are unwritten.

        **Cancellation**: the updates are numbered and will be sent.
        """
        ...

    def alive(self, what: str) -> None:
        """A sign of life: the inactivity clock starts anew, and `what` describes it."""
        ...

    def model_called(self) -> int:
        """Count a model call; returns how many there were in this turn, this one included."""
        ...

    def record(self, message: bytes) -> None:
        """Add a message to the conversation; kept when the turn ends, however it ends."""
        ...

    def steered(self) -> Sequence[str]:
        """What users said meanwhile to steer the turn, each once, in order.

        To be asked for when tool calls are over, and put before the next model call.
        """
        ...

    async def tool_started(self, call_id: str, name: str, arguments: str) -> None:
        """Journal a tool call; when this returns, its start is on disk (row D3).

        Raises:
            StoreError: it is not, and the tool must not run.
        """
        ...

    async def tool_ended(self, call_id: str, result: str) -> None:
        """Journal a tool call's end."""
        ...

    async def resource(self, kind: str) -> TaskResource:
        """The session's resource of that kind, opened by the session if it is not there.

        Raises:
            LookupError: there is no such kind.
            ResourceUnavailable: it could not be opened.

        **Cancellation**: a resource that is starting goes on starting (row R8).
        """
        ...


class Agent(Protocol):
    """A resident agent.

    **Resources**: the session that had it built gives it back with `aclose`.
    """

    @property
    def signature(self) -> str:
        """The signature that it was built for."""
        ...

    @property
    def model(self) -> str:
        """The name of the model it talks to."""
        ...

    @property
    def requests(self) -> int:
        """How many model requests are under way."""
        ...

    @property
    def prompt_hash(self) -> str:
        """The hash of the frozen prompt."""
        ...

    @property
    def messages(self) -> int:
        """How many messages its history has."""
        ...

    async def turn(self, turn: TurnInput, io: TurnIO) -> TurnEnd:
        """Run one turn.

        Raises:
            ModelError: the provider gave no whole answer.

        **Cancellation**: what was said so far is recorded, and tool calls without
        an end are recorded as interrupted.
        """
        ...

    def keep(self, messages: Sequence[bytes]) -> None:
        """These messages of a turn are on disk now: they are history."""
        ...

    async def aclose(self) -> None:
        """Give the model handle back and drop the history; idempotent (row R1)."""
        ...

    def kill(self) -> None:
        """The same at once and synchronously, for a close that failed or overran."""
        ...


class AgentFactory(Protocol):
    """Builds agents for the configuration of today."""

    def signature(self, session: SessionRow) -> str:
        """The signature that the session's agent should have now; cheap and pure."""
        ...

    async def build(self, session: SessionRow) -> Agent:
        """Build an agent.

        Raises:
            ModelError: the model cannot be used.

        **Cancellation**: nothing is left open.
        """
        ...
