"""The SQL of the numbered updates: append, trim, read.

The numbers are given by the session; here they are held to be without a gap,
since a gap that is stored once could never be told from a loss (row D4).
"""

from __future__ import annotations

from collections.abc import Sequence

from hermes.adapters.store.database import Database
from hermes.adapters.store.sessions import LAST_SEQ
from hermes.errors import UnknownSession
from hermes.ports.store import AppendUpdates, ReadUpdates, UpdateRow

# Trimming at every append would delete one row at a time; at every 256th number it
# costs nothing that can be measured and keeps at most that many too many.
TRIM_EVERY = 256


def append_updates(db: Database, operation: AppendUpdates) -> None:
    """Write updates and raise the reservation."""
    append(db, operation.session, operation.updates, operation.reserve)


def append(db: Database, session: str, updates: Sequence[UpdateRow], reserve: int | None) -> None:
    """The same for the operations that carry updates along.

    Raises:
        UnknownSession: no such session.
        ValueError: the numbers do not go on where the stored ones end.
    """
    found = db.row(f"SELECT {LAST_SEQ} FROM sessions s WHERE s.id = ?", session)
    if found is None:
        raise UnknownSession(session)
    if reserve is not None:
        db.change("UPDATE sessions SET reserved = max(reserved, ?) WHERE id = ?", reserve, session)
    if not updates:
        return
    last = found[0]
    check_numbers(last, updates)
    db.change_many(
        "INSERT INTO updates (session, seq, first_seq, body) VALUES (?, ?, ?, ?)",
        ((session, update.seq, update.first_seq, update.body) for update in updates),
    )
    newest = updates[-1].seq
    if newest // TRIM_EVERY != last // TRIM_EVERY:
        db.change(
            "DELETE FROM updates WHERE session = ? AND seq <= ?", session, newest - db.keep_updates
        )


def check_numbers(last: int, updates: Sequence[UpdateRow]) -> None:
    """Hold the numbers of `updates` against the highest one in force.

    Raises:
        ValueError: a gap, a repetition, or a row that ends before it begins.
    """
    for update in updates:
        if update.first_seq != last + 1 or update.seq < update.first_seq:
            raise ValueError(
                f"updates must go on at number {last + 1}, "
                f"not with {update.first_seq} to {update.seq}"
            )
        last = update.seq


def read_updates(db: Database, operation: ReadUpdates) -> Sequence[UpdateRow]:
    """The rows above a number, in order."""
    found = db.rows(
        "SELECT first_seq, seq, body FROM updates WHERE session = ? AND seq > ?"
        " ORDER BY seq LIMIT ?",
        operation.session,
        operation.after,
        operation.limit,
    )
    return tuple(UpdateRow(*row) for row in found)
