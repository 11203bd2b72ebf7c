"""The store's tables, read behind the daemon's back: the connection is in memory and shared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw
from attrs import define

from hermes.messages.joined import Joined, load_joined

TERMINAL = frozenset({"answered", "cancelled", "failed", "interrupted"})


@define(eq=False)
class Disk:
    """The rows as they are now."""

    connection: apsw.Connection

    def prompt(self, session: str, identity: str) -> tuple[int, str, int, bytes | None] | None:
        """Number, state, attempts and result of the prompt with an idempotency id."""
        found: tuple[int, str, int, bytes | None] | None = self._one(
            "SELECT number, state, attempts, result FROM prompts"
            " WHERE session = ? AND client_id = ?",
            session,
            identity,
        )
        return found

    def last_number(self, session: str) -> int:
        """The highest stored update number; 0 where there is none."""
        found = self._one("SELECT max(seq) FROM updates WHERE session = ?", session)
        return (found[0] if found else 0) or 0

    def floor(self, session: str) -> int:
        """The number below which a power cut may have lost updates."""
        found = self._one("SELECT floor FROM sessions WHERE id = ?", session)
        return found[0] if found else 0

    def prompts(self) -> list[tuple[int, str, str | None, str, int]]:
        """Number, session, id, state and attempts of all prompts."""
        return list(
            self.connection.execute(
                "SELECT number, session, client_id, state, attempts FROM prompts ORDER BY number"
            )
        )

    def sessions(self) -> list[str]:
        """The ids of all sessions."""
        return [row[0] for row in self.connection.execute("SELECT id FROM sessions")]

    def messages(self, session: str) -> int:
        """How many messages the history of a session has."""
        found = self._one("SELECT count(*) FROM messages WHERE session = ?", session)
        return int(found[0]) if found else 0

    def updates(self, session: str) -> Iterator[Joined]:
        """All stored updates, in order."""
        rows = self.connection.execute(
            "SELECT first_seq, seq, body FROM updates WHERE session = ? ORDER BY seq", (session,)
        )
        for first, last, body in rows:
            yield load_joined(first, last, body)

    def _one(self, sql: str, *values: object) -> Any:
        return next(self.connection.execute(sql, values), None)
