"""The SQL of a session's own row.

`last_seq` and `first_seq` are not columns: they follow from the updates and from
`floor`, so that appending an update writes one row and not two.

`floor` is 0 until a power cut; then it is the highest number that may have been
sent before it (see `marks`).  Numbers go on above it:

    last_seq  = the greater of floor and the highest stored number
    first_seq = the beginning of the lowest stored row above floor, at most
                `keep_updates` numbers back, or last_seq + 1 where there is none

Rows at or below `floor` stay readable but are not counted in: between the last
of them and `floor` numbers may be lost, so nobody is told that a replay from
there is whole (row D4).  Both are one probe of the primary key each.
"""

from __future__ import annotations

import base64
import math

from hermes.adapters.store.database import Database, Row
from hermes.errors import IdReused, KeyTaken, UnknownSession
from hermes.ports.store import (
    CountSessions,
    DeleteSession,
    ListSessions,
    LoadSession,
    Opened,
    OpenSession,
    Page,
    SessionRow,
    SetSuspended,
)

LAST_SEQ = """max(s.floor, coalesce(
    (SELECT u.seq FROM updates u WHERE u.session = s.id ORDER BY u.seq DESC LIMIT 1), 0))"""

_SELECT = f"""SELECT s.id, s.key, s.owner, s.cwd, s.task_id, s.created_at, s.conversation,
    s.suspended, s.quarantined, s.turns, s.reserved, {LAST_SEQ},
    (SELECT u.first_seq FROM updates u
     WHERE u.session = s.id AND u.seq > s.floor ORDER BY u.seq LIMIT 1)
    FROM sessions s"""

# Below and above every possible place, so that a first page needs no SQL of its own.
_START = (-math.inf, "")


def open_session(db: Database, operation: OpenSession) -> Opened:
    """Find the session with the key, or make it under the given id."""
    found = db.row(f"{_SELECT} WHERE s.key = ?", operation.key)
    if found is not None:
        row = _session(db, found)
        if row.owner != operation.owner:
            raise KeyTaken(f"the session key {operation.key!r} belongs to someone else")
        return Opened(row, existing=True)
    if _id_used(db, operation.id):
        raise IdReused(f"the session id {operation.id!r} was given before")
    db.change(
        "INSERT INTO sessions (id, key, owner, cwd, task_id, created_at) VALUES (?,?,?,?,?,?)",
        operation.id,
        operation.key,
        operation.owner,
        operation.cwd,
        operation.task_id,
        operation.created_at,
    )
    return Opened(
        SessionRow(
            id=operation.id,
            key=operation.key,
            owner=operation.owner,
            cwd=operation.cwd,
            task_id=operation.task_id,
            created_at=operation.created_at,
        ),
        existing=False,
    )


def load_session(db: Database, operation: LoadSession) -> SessionRow | None:
    """The row of that id, else the row of that key."""
    found = db.row(f"{_SELECT} WHERE s.id = ?", operation.name)
    if found is None:
        found = db.row(f"{_SELECT} WHERE s.key = ?", operation.name)
    return None if found is None else _session(db, found)


def list_sessions(db: Database, operation: ListSessions) -> Page:
    """One page; a session made meanwhile appears on a later one or not at all."""
    if operation.limit < 1:
        raise ValueError("the limit of a page must be at least 1")
    created_at, after = _START if operation.cursor is None else _place(operation.cursor)
    owner = "" if operation.owner is None else "s.owner = ? AND "
    owners = () if operation.owner is None else (operation.owner,)
    found = db.rows(
        f"{_SELECT} WHERE {owner}(s.created_at, s.id) > (?, ?) ORDER BY s.created_at, s.id LIMIT ?",
        *owners,
        created_at,
        after,
        operation.limit + 1,
    )
    rows = tuple(_session(db, row) for row in found[: operation.limit])
    return Page(rows, _cursor(rows[-1]) if len(found) > operation.limit else None)


def count_sessions(db: Database, operation: CountSessions) -> int:
    """How many rows there are."""
    return int(db.rows("SELECT count(*) FROM sessions")[0][0])


def set_suspended(db: Database, operation: SetSuspended) -> None:
    """Write both marks."""
    changed = db.change(
        "UPDATE sessions SET suspended = ?, quarantined = ? WHERE id = ?",
        operation.suspended,
        operation.quarantined,
        operation.session,
    )
    if not changed:
        raise UnknownSession(operation.session)


def delete_session(db: Database, operation: DeleteSession) -> None:
    """Delete the row and, by its foreign keys, all that belongs to it; the id stays used."""
    if not db.change("DELETE FROM sessions WHERE id = ?", operation.session):
        raise UnknownSession(operation.session)
    db.change("INSERT INTO tombstones (id) VALUES (?)", operation.session)


def _id_used(db: Database, session: str) -> bool:
    used = db.row(
        "SELECT 1 FROM sessions WHERE id = ?1 UNION ALL SELECT 1 FROM tombstones WHERE id = ?1",
        session,
    )
    return used is not None


def _session(db: Database, row: Row) -> SessionRow:
    plain, (suspended, quarantined, turns, reserved, last, first) = row[:7], row[7:]
    # Trimming comes in strides; what it has not reached yet is not counted in.
    first = last + 1 if first is None else max(first, last - db.keep_updates + 1)
    marks = (bool(suspended), bool(quarantined))
    return SessionRow(*(*plain, *marks, turns, first, last, reserved))


def _cursor(row: SessionRow) -> str:
    place = f"{row.created_at.hex()} {row.id}"
    return base64.urlsafe_b64encode(place.encode()).decode()


def _place(cursor: str) -> tuple[float, str]:
    """The place that a cursor stands for; ValueError where we did not make it."""
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
        number, blank, session = text.partition(" ")
        created_at = float.fromhex(number)
    except (ValueError, OverflowError):
        raise ValueError("unknown cursor: list again from the first page") from None
    if not blank or not math.isfinite(created_at):
        raise ValueError("unknown cursor: list again from the first page")
    return created_at, session
