"""The store port: operations as plain data, committed in order.

`submit` never blocks and never awaits: the session's loop and a model's stream
call it.  Operations are committed in the order in which they were submitted,
many to a commit; `done` is called with the outcome once the commit is over, in
that same order, in the store's own task, and must not raise.  An operation that
is not `durable` reaches the file system with its commit but is not synced: a
killed process loses none, a power cut may.

Sequence numbers are given by the sessions; the store keeps `reserved`, the
highest number that may have been given, synced before any number up to it is
sent (`AppendUpdates.reserve`).  After a power cut a session goes on above
`reserved`, so that no number is ever given twice.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

import outcome
from attrs import frozen

R = TypeVar("R")
Done = Callable[["outcome.Maybe[R]"], None]


class PromptState(enum.StrEnum):
    """Where an accepted prompt is; the last four are terminal and never left again."""

    WAITING = "waiting"
    RUNNING = "running"
    ANSWERED = "answered"
    CANCELLED = "cancelled"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


@frozen
class SessionRow:
    """A session as it is on disk.

    `created_at` is in Unix seconds.  `last_seq` is the highest update number in
    force (above `reserved` numbers of before a power cut), `first_seq` the lowest
    that can still be replayed (`last_seq + 1` where none can).  `conversation`
    counts from 1; `turns` counts finished turns.
    """

    id: str
    key: str
    owner: str
    cwd: str
    task_id: str
    created_at: float
    conversation: int = 1
    suspended: bool = False
    quarantined: bool = False
    turns: int = 0
    first_seq: int = 1
    last_seq: int = 0
    reserved: int = 0


@frozen
class PromptRow:
    """An accepted prompt.

    `number` grows over all sessions in order of acceptance.  `client_id` is the
    idempotency id, None where the client gave none.  `content` is the prompt as
    JSON, `attempts` how often a turn was begun for it, `result` the JSON of its
    answer or error once it is terminal.
    """

    number: int
    session: str
    client_id: str | None
    content: bytes
    state: PromptState
    attempts: int = 0
    result: bytes | None = None


@frozen
class UpdateRow:
    """One stored update; it stands for the numbers `first_seq` to `seq`, both included."""

    first_seq: int
    seq: int
    body: bytes


@frozen
class Operation(Generic[R]):
    """What all operations share; `R` is the type of the result."""

    durable: ClassVar[bool] = True

    @property
    def sync(self) -> bool:
        """Whether the commit that carries this operation is synced to disk."""
        return self.durable


# -- sessions ---------------------------------------------------------------


@frozen
class Opened:
    """The answer to `OpenSession`: the row, and whether it was there before."""

    row: SessionRow
    existing: bool


@frozen
class OpenSession(Operation[Opened]):
    """Make a session, or find the one with that key.

    Raises:
        KeyTaken: the key belongs to another owner.
    """

    id: str
    key: str
    owner: str
    cwd: str
    task_id: str
    created_at: float


@frozen
class LoadSession(Operation["SessionRow | None"]):
    """The row of a session by its id or its key; None where there is none."""

    durable = False
    name: str


@frozen
class Page:
    """Some rows, and the cursor for the next page (None on the last)."""

    rows: Sequence[SessionRow]
    next_cursor: str | None


@frozen
class ListSessions(Operation[Page]):
    """Sessions by (`created_at`, `id`), histories untouched; `owner` None lists all.

    `cursor` is opaque and comes from a former page.

    Raises:
        ValueError: the cursor is not one of ours.
    """

    durable = False
    owner: str | None = None
    limit: int = 100
    cursor: str | None = None


@frozen
class CountSessions(Operation[int]):
    """How many sessions there are on disk."""

    durable = False


@frozen
class SetSuspended(Operation[None]):
    """Keep over a restart that a session is suspended, or quarantined."""

    session: str
    suspended: bool
    quarantined: bool


@frozen
class DeleteSession(Operation[None]):
    """Forget a session and all that belongs to it; its id is never used again."""

    session: str


# -- prompts ----------------------------------------------------------------


@frozen
class Accepted:
    """The answer to `AcceptPrompt`.

    `existing` is whether the idempotency id was known: then `row` is that
    earlier prompt, and its `state` says whether it has ended.
    """

    row: PromptRow
    existing: bool


@frozen
class AcceptPrompt(Operation[Accepted]):
    """Put a prompt on disk; only after this may it be acknowledged (row D1).

    Raises:
        IdReused: `client_id` came before with another `content`.
    """

    session: str
    client_id: str | None
    content: bytes
    accepted_at: float


@frozen
class BeginTurn(Operation[None]):
    """Mark a prompt as running and count the attempt.

    Not synced by itself: a killed process loses none, and every tool call of the
    turn is journaled after it with a synced commit.
    """

    durable = False
    session: str
    prompt: int
    updates: Sequence[UpdateRow] = ()
    reserve: int | None = None

    @property
    def sync(self) -> bool:
        """Synced where numbers are reserved."""
        return self.reserve is not None


@frozen
class EndPrompt(Operation[bool]):
    """Give a prompt its one terminal state, with all that its turn leaves behind.

    One transaction: the messages (appended to the conversation), the updates,
    the state and the result, and the count of turns where `turn` is true.  A
    prompt that is terminal already is left as it is, nothing at all is written,
    and the result is False.
    """

    session: str
    prompt: int
    state: PromptState
    result: bytes
    turn: bool = False
    conversation: int = 1
    messages: Sequence[bytes] = ()
    updates: Sequence[UpdateRow] = ()
    reserve: int | None = None


@frozen
class Unanswered(Operation[Sequence[PromptRow]]):
    """Prompts that are not terminal, in order of acceptance; of one session where named."""

    durable = False
    session: str | None = None
    limit: int = 1000
    after: int = 0


# -- updates, history, journal ------------------------------------------------


@frozen
class AppendUpdates(Operation[None]):
    """Write updates before they are sent; synced only where it also reserves numbers.

    `reserve` raises the session's `reserved` to that number in the same commit.
    """

    durable = False
    session: str
    updates: Sequence[UpdateRow]
    reserve: int | None = None

    @property
    def sync(self) -> bool:
        """Synced where numbers are reserved."""
        return self.reserve is not None


@frozen
class ReadUpdates(Operation[Sequence[UpdateRow]]):
    """Stored updates that carry a number above `after`, in order, at most `limit` rows.

    The first row may begin at or below `after` (joined deltas): the reader cuts it.
    """

    durable = False
    session: str
    after: int
    limit: int = 256


@frozen
class Conversation:
    """What an agent needs to go on: the frozen prompt (None before the first), the messages."""

    system: bytes | None
    tools: bytes | None
    messages: Sequence[bytes]


@frozen
class LoadConversation(Operation[Conversation]):
    """Read a conversation, when a turn needs it."""

    durable = False
    session: str
    conversation: int


@frozen
class FreezePrompt(Operation[None]):
    """Keep the system message and the tool schemas as the very bytes that are sent."""

    session: str
    conversation: int
    system: bytes
    tools: bytes


@frozen
class StartTool(Operation[None]):
    """Journal that a tool call starts; committed before it runs (row D3).

    `round` numbers the model's answer that asked for it, from 1 in each turn.
    """

    session: str
    prompt: int
    call_id: str
    name: str
    arguments: str
    started_at: float
    round: int = 1


@frozen
class EndTool(Operation[None]):
    """Journal that a tool call ended, with what the model is told."""

    session: str
    prompt: int
    call_id: str
    result: str
    ended_at: float


@frozen
class ToolRow:
    """One journaled tool call; `result` is None where no end was recorded.

    Calls of one answer of the model have the same `round`.
    """

    call_id: str
    name: str
    arguments: str
    result: str | None
    round: int = 1


@frozen
class ToolsOf(Operation[Sequence[ToolRow]]):
    """The journaled tool calls of one prompt, in the order of their start."""

    durable = False
    session: str
    prompt: int


class Store(Protocol):
    """Where everything that must survive is kept."""

    def submit(self, operation: Operation[R], done: Done[R]) -> None:
        """Queue an operation; `done` gets its outcome after the commit.

        A full queue calls `done` at once with `StoreFull`; a closed store with
        `StoreClosed`.
        """
        ...

    async def run(self, operation: Operation[R]) -> R:
        """Submit an operation and wait for its result.

        Raises:
            StoreError: nothing of it is on disk.

        **Cancellation**: the operation stays queued and may still be committed.
        """
        ...
