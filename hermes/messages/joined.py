"""Adjacent deltas of one message as one stored row and one frame.

A token is some four bytes and its frame some two hundred, so a burst is joined
before it is written and again before it is sent (8 to 32 deltas in a frame cost 7
to 26 times less).  The pieces are kept apart inside, since a client may resume in
the middle of a joined update and gets exactly the numbers that it lacks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from hermes.messages import strict_json
from hermes.messages.updates import (
    TEXT_LIMIT,
    TextChunk,
    ThoughtChunk,
    Update,
    plain_update,
    size_of,
    update_from_plain,
)

JOIN_LIMIT: Final = 1024
"""Deltas in one update: bounds the work of cutting one, and a row's overhead is long gone."""

Numbered = tuple[int, Update]
"""A number of the session, and the update that carries it."""


@frozen
class Joined:
    """The updates `first_seq` to `seq`, both included: one, or chunks of one message."""

    first_seq: int
    seq: int
    parts: tuple[Update, ...]


def single(seq: int, update: Update) -> Joined:
    """An update on its own."""
    return Joined(seq, seq, (update,))


def join(updates: Sequence[Numbered]) -> list[Joined]:
    """Join adjacent chunks of one kind and message, up to `TEXT_LIMIT` and `JOIN_LIMIT`."""
    return merge([single(seq, update) for seq, update in updates])


def merge(rows: Sequence[Joined]) -> list[Joined]:
    """Join rows further, as a writer does with what piled up in its outbox."""
    merged: list[Joined] = []
    group: list[Joined] = []
    size = count = 0
    for row in rows:
        row_size = size_of(_texts(row.parts))
        fits = size + row_size <= TEXT_LIMIT and count + len(row.parts) <= JOIN_LIMIT
        if group and not (fits and _adjacent(group[-1], row)):
            merged.append(_combine(group))
            group, size, count = [], 0, 0
        group.append(row)
        size += row_size
        count += len(row.parts)
    if group:
        merged.append(_combine(group))
    return merged


def cut(joined: Joined, after: int) -> Joined | None:
    """Only the numbers above `after`; None where there are none."""
    if after >= joined.seq:
        return None
    if after < joined.first_seq:
        return joined
    return Joined(after + 1, joined.seq, joined.parts[after + 1 - joined.first_seq :])


def joined_text(joined: Joined) -> str:
    """The text of joined chunks, whole; empty for updates that are not chunks."""
    return "".join(_texts(joined.parts))


def dump_joined(joined: Joined) -> bytes:
    """The body for the store: the update, or with several parts the list of their texts."""
    plain = plain_update(joined.parts[0])
    if len(joined.parts) > 1:
        plain["text"] = _texts(joined.parts)
    return strict_json.encode(plain).encode()


def load_joined(first_seq: int, seq: int, body: bytes) -> Joined:
    """What `dump_joined` wrote.

    Raises:
        ValueError: the bytes are something else, or do not hold that many updates.
    """
    plain: object = json.loads(body.decode())
    if isinstance(plain, dict) and isinstance(texts := plain.get("text"), list):
        parts = tuple(update_from_plain({**plain, "text": text}) for text in texts)
    else:
        parts = (update_from_plain(plain),)
    if len(parts) != seq - first_seq + 1:
        raise ValueError(f"updates {first_seq} to {seq} hold {len(parts)} parts")
    return Joined(first_seq, seq, parts)


def _texts(parts: Sequence[Update]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextChunk | ThoughtChunk)]


def _adjacent(before: Joined, after: Joined) -> bool:
    left, right = before.parts[-1], after.parts[0]
    return (
        isinstance(left, TextChunk | ThoughtChunk)
        and isinstance(right, TextChunk | ThoughtChunk)
        and type(left) is type(right)
        and left.message_id == right.message_id
        and before.seq + 1 == after.first_seq
    )


def _combine(group: Sequence[Joined]) -> Joined:
    if len(group) == 1:
        return group[0]
    parts = tuple(part for row in group for part in row.parts)
    return Joined(group[0].first_seq, group[-1].seq, parts)
