"""What the SQL of every operation is given: a connection inside a transaction.

It exists so that rows are fetched whole (a cursor left half-way would hold its
snapshot over the commit) and that a missing session is found in one way.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import apsw
from attrs import field, frozen
from attrs.validators import ge

from hermes.errors import UnknownSession

# The tables are STRICT: the schema says what the values of a row are.
Row = tuple[Any, ...]
Value = str | int | float | bytes | None

# Enough for a client that was away through several long turns; the same as the
# default of `store.keep_updates` in the configuration.
KEEP_UPDATES = 10_000


@frozen
class Database:
    """A connection, and how many update numbers each session keeps (at least 1)."""

    connection: apsw.Connection
    keep_updates: int = field(default=KEEP_UPDATES, validator=ge(1))

    def change(self, sql: str, *values: Value) -> int:
        """Run a statement that writes; the number of rows that it changed."""
        self.connection.execute(sql, values)
        return self.connection.changes()

    def change_many(self, sql: str, rows: Iterable[tuple[Value, ...]]) -> None:
        """Run a statement that writes once for each of `rows`."""
        self.connection.executemany(sql, rows)

    def rows(self, sql: str, *values: Value) -> list[Row]:
        """All rows that a statement gives."""
        return self.connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> Row | None:
        """The first row that a statement gives, or None."""
        rows = self.rows(sql, *values)
        return rows[0] if rows else None

    def require(self, session: str) -> None:
        """Raise `UnknownSession` where there is no such session."""
        if self.row("SELECT 1 FROM sessions WHERE id = ?", session) is None:
            raise UnknownSession(session)
