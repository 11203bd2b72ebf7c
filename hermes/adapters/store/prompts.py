"""The SQL of accepted prompts, from acceptance to their one terminal state (row D1)."""

from __future__ import annotations

from collections.abc import Sequence

from hermes.adapters.store.conversations import append_messages
from hermes.adapters.store.database import Database, Row
from hermes.adapters.store.updates import append
from hermes.errors import IdReused, UnknownSession
from hermes.ports.store import (
    Accepted,
    AcceptPrompt,
    BeginTurn,
    EndPrompt,
    PromptRow,
    PromptState,
    Unanswered,
)

_COLUMNS = "number, session, client_id, content, state, attempts, result"

# Written as in the partial index of the schema, or SQLite does not use that index.
_OPEN = "state IN ('waiting', 'running')"
_OPEN_STATES = frozenset({PromptState.WAITING, PromptState.RUNNING})


def accept_prompt(db: Database, operation: AcceptPrompt) -> Accepted:
    """Insert a prompt, or find the earlier one with its idempotency id."""
    inserted = db.row(
        f"""INSERT INTO prompts (session, client_id, content, state, accepted_at)
            SELECT id, ?, ?, '{PromptState.WAITING}', ? FROM sessions WHERE id = ?
            ON CONFLICT (session, client_id) WHERE client_id IS NOT NULL DO NOTHING
            RETURNING {_COLUMNS}""",
        operation.client_id,
        operation.content,
        operation.accepted_at,
        operation.session,
    )
    if inserted is not None:
        return Accepted(_prompt(inserted), existing=False)
    earlier = db.row(
        f"SELECT {_COLUMNS} FROM prompts WHERE session = ? AND client_id = ?",
        operation.session,
        operation.client_id,
    )
    if earlier is None:
        raise UnknownSession(operation.session)
    row = _prompt(earlier)
    if row.content != operation.content:
        raise IdReused(f"the id {operation.client_id!r} came before with another content")
    return Accepted(row, existing=True)


def begin_turn(db: Database, operation: BeginTurn) -> None:
    """Mark the prompt as running.

    Raises:
        ValueError: it has ended.
    """
    begun = db.change(
        f"""UPDATE prompts SET state = '{PromptState.RUNNING}', attempts = attempts + 1
            WHERE number = ? AND session = ? AND {_OPEN}""",
        operation.prompt,
        operation.session,
    )
    if not begun:
        _require(db, operation.session, operation.prompt)
        raise ValueError(f"prompt {operation.prompt} has ended")
    if operation.updates or operation.reserve is not None:
        append(db, operation.session, operation.updates, operation.reserve)


def end_prompt(db: Database, operation: EndPrompt) -> bool:
    """Give the prompt its terminal state, once.

    Raises:
        ValueError: the state is not terminal, or there is no such prompt.
    """
    if operation.state in _OPEN_STATES:
        raise ValueError(f"{operation.state} is not a state in which a prompt ends")
    ended = db.change(
        f"UPDATE prompts SET state = ?, result = ? WHERE number = ? AND session = ? AND {_OPEN}",
        operation.state.value,
        operation.result,
        operation.prompt,
        operation.session,
    )
    if not ended:
        _require(db, operation.session, operation.prompt)
        return False
    if operation.turn:
        db.change("UPDATE sessions SET turns = turns + 1 WHERE id = ?", operation.session)
    append_messages(db, operation.session, operation.conversation, operation.messages)
    if operation.updates or operation.reserve is not None:
        append(db, operation.session, operation.updates, operation.reserve)
    return True


def unanswered(db: Database, operation: Unanswered) -> Sequence[PromptRow]:
    """Prompts that have not ended, in order of acceptance."""
    session = "" if operation.session is None else "session = ? AND "
    sessions = () if operation.session is None else (operation.session,)
    found = db.rows(
        f"SELECT {_COLUMNS} FROM prompts WHERE {session}{_OPEN} AND number > ?"
        " ORDER BY number LIMIT ?",
        *sessions,
        operation.after,
        operation.limit,
    )
    return tuple(_prompt(row) for row in found)


def _require(db: Database, session: str, prompt: int) -> None:
    """Raise where there is no such prompt: `UnknownSession` where that is why."""
    if db.row("SELECT 1 FROM prompts WHERE number = ? AND session = ?", prompt, session) is None:
        db.require(session)
        raise ValueError(f"session {session} has no prompt {prompt}")


def _prompt(row: Row) -> PromptRow:
    number, session, client_id, content, state, attempts, result = row
    return PromptRow(number, session, client_id, content, PromptState(state), attempts, result)
