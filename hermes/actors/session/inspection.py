"""What an operator sees of one session, as plain data."""

from __future__ import annotations

from attrs import frozen


@frozen
class TurnInspection:
    """The running turn: `age` in seconds, `depth` of interruptions, what it does, model calls.

    `silent` is the seconds since its last sign of life.
    """

    age: float
    depth: int
    activity: str
    silent: float
    model_calls: int


@frozen
class Marked:
    """Something that happened: what (a cause, a reason), and when in Unix seconds."""

    what: str
    at: float


@frozen
class Inspection:
    """One session, live or not.

    `idle` is seconds since the last activity, None while busy or before any.
    `model`, `prompt_hash` and `messages` are None while no agent is resident.
    """

    id: str
    key: str
    owner: str
    state: str
    resident: bool
    busy: bool
    mailbox_depth: int
    idle: float | None
    turns: int
    last_seq: int
    created_at: float
    model: str | None = None
    signature: str | None = None
    resources: tuple[str, ...] = ()
    clients: int = 0
    turn: TurnInspection | None = None
    model_requests: int = 0
    prompt_hash: str | None = None
    messages: int | None = None
    last_release: Marked | None = None
    last_rebuild: Marked | None = None
