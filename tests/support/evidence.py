"""What a client was told, and what is on disk: the two sides that must never disagree.

The tests of durability stop a daemon at a point, then hold every frame that had left
it against the store that it left behind.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apsw
from attrs import frozen

from hermes.messages.joined import Joined, cut, load_joined, merge
from hermes.messages.notifications import session_update_params

Frame = dict[str, Any]


@frozen
class Disk:
    """The rows of a store that count, as plain data; of one session.

    `prompts` are by their client id (state, attempts, result), `calls` by their
    arguments (result), `updates` in order, `messages` the parsed conversation.
    """

    integrity: str
    sessions: Sequence[str]
    turns: int
    prompts: Mapping[str, tuple[str, int, str | None]]
    calls: Mapping[str, str | None]
    updates: Sequence[Joined]
    messages: Sequence[Frame]

    @property
    def states(self) -> Mapping[str, str]:
        """The state of each prompt."""
        return {name: row[0] for name, row in self.prompts.items()}


def read_disk(connection: apsw.Connection) -> Disk:
    """Read a store that nobody uses."""

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(sql).fetchall()

    return Disk(
        integrity=str(rows("PRAGMA integrity_check")[0][0]),
        sessions=[row[0] for row in rows("SELECT id FROM sessions ORDER BY created_at, id")],
        turns=sum(row[0] for row in rows("SELECT turns FROM sessions")),
        prompts={
            name: (state, attempts, None if result is None else bytes(result).decode())
            for name, state, attempts, result in rows(
                "SELECT client_id, state, attempts, result FROM prompts"
            )
        },
        calls=dict(rows("SELECT arguments, result FROM calls ORDER BY number")),
        updates=[
            load_joined(first, last, body)
            for first, last, body in rows("SELECT first_seq, seq, body FROM updates ORDER BY seq")
        ],
        messages=[
            json.loads(row[0]) for row in rows("SELECT body FROM messages ORDER BY position")
        ],
    )


def acknowledged(frames: Iterable[Frame]) -> list[str]:
    """The ids of the prompts that a client was told are on disk."""
    return [
        hermes["accepted"]["id"]
        for hermes in (
            frame.get("params", {}).get("_meta", {}).get("hermes", {}) for frame in frames
        )
        if "accepted" in hermes
    ]


def numbered(frames: Iterable[Frame]) -> list[Frame]:
    """The params of the numbered updates among the frames."""
    return [
        frame["params"]
        for frame in frames
        if frame.get("method") == "session/update"
        and "seq" in frame["params"].get("_meta", {}).get("hermes", {})
    ]


def span(params: Frame) -> tuple[int, int]:
    """The first and the last number that an update stands for."""
    hermes = params["_meta"]["hermes"]
    return hermes.get("firstSeq", hermes["seq"]), hermes["seq"]


def last_number(frames: Iterable[Frame]) -> int:
    """The highest number that came; 0 without one."""
    return max((span(params)[1] for params in numbered(frames)), default=0)


def on_disk(params: Frame, updates: Sequence[Joined]) -> bool:
    """Whether an update that was sent is on disk under its numbers, with its content."""
    first, last = span(params)
    rows = [
        piece
        for row in updates
        if row.seq >= first and row.first_seq <= last and (piece := cut(row, first - 1)) is not None
    ]
    found = merge([_until(row, last) for row in rows])
    if len(found) != 1:
        return False
    session = params["sessionId"]
    kept = [session_update_params(session, found[0], sender=sender) for sender in (True, False)]
    return params in kept


def _until(joined: Joined, last: int) -> Joined:
    over = max(joined.seq - last, 0)
    return joined if not over else Joined(joined.first_seq, last, joined.parts[:-over])
