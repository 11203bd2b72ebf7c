"""What a session has to say: numbered updates as domain values, and their form on disk.

They are kept apart from the wire's form: the same update goes to its sender and to
others in different shapes, and the store must outlive a new version of ACP.  What we
wrote is read with the plain decoder: its limits were kept before, and a tool's input
lies one level deeper here than it was sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from attrs import frozen

from hermes.messages import strict_json
from hermes.messages.structure import make_converter

TEXT_LIMIT: Final = 64 * 1024
"""UTF-8 bytes of one text in an update.  JSON can make six bytes of one (a control
character), and an update has at most two such texts: 768 KiB, below the frame's 1 MiB."""


@frozen
class UserMessage:
    """What the user said.  A long one is several of one `message_id`, `first` on one only."""

    text: str
    message_id: str
    client_id: str | None = None
    first: bool = True


@frozen
class TextChunk:
    """A piece of the answer."""

    message_id: str
    text: str


@frozen
class ThoughtChunk:
    """A piece of the model's reasoning."""

    message_id: str
    text: str


@frozen
class ToolCallStarted:
    """A tool call; `kind` and `status` are ACP's words, `raw_input` any JSON value."""

    call_id: str
    title: str
    name: str | None = None
    kind: str = "other"
    raw_input: object = None
    status: str = "in_progress"


@frozen
class ToolCallChanged:
    """News of a tool call: its `status`, its output so far; None leaves as it was."""

    call_id: str
    status: str | None = None
    text: str | None = None
    raw_output: object = None


@frozen
class PlanEntry:
    """One step; `priority` is high, medium or low, `status` pending, in_progress, completed."""

    content: str
    priority: str = "medium"
    status: str = "pending"


@frozen
class Plan:
    """The whole plan; each one replaces the one before."""

    entries: tuple[PlanEntry, ...]


@frozen
class TurnEnded:
    """The last update of a turn; `client_id` is the idempotency id of its prompt."""

    stop_reason: str
    client_id: str | None = None


@frozen
class TurnRestarted:
    """A turn that was cut begins once more."""

    client_id: str | None = None


@frozen
class Title:
    """The session's title."""

    title: str


Update = (
    UserMessage
    | TextChunk
    | ThoughtChunk
    | ToolCallStarted
    | ToolCallChanged
    | Plan
    | TurnEnded
    | TurnRestarted
    | Title
)

_KINDS: Mapping[str, type[Any]] = {
    "user": UserMessage,
    "text": TextChunk,
    "thought": ThoughtChunk,
    "tool": ToolCallStarted,
    "tool_change": ToolCallChanged,
    "plan": Plan,
    "ended": TurnEnded,
    "restarted": TurnRestarted,
    "title": Title,
}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}
_CONVERTER = make_converter(rename=False)


def plain_update(update: Update) -> dict[str, object]:
    """An update as a tagged JSON object, `t` being the tag; defaults are left out."""
    return {"t": _TAGS[type(update)], **_CONVERTER.unstructure(update)}


def update_from_plain(plain: object) -> Update:
    """What `plain_update` gave.

    Raises:
        ValueError: it is something else.
    """
    members = dict(plain) if isinstance(plain, dict) else {}
    tag = members.pop("t", None)
    if not isinstance(tag, str) or tag not in _KINDS:
        raise ValueError("not a stored update")
    kind = _KINDS[tag]
    try:
        update: Update = _CONVERTER.structure(members, kind)
    except ExceptionGroup as error:
        raise ValueError(f"not a stored {kind.__name__}") from error
    return update


def dump_update(update: Update) -> bytes:
    """An update for the store."""
    return strict_json.encode(plain_update(update)).encode()


def load_update(body: bytes) -> Update:
    """What `dump_update` wrote.

    Raises:
        ValueError: the bytes are something else.
    """
    return update_from_plain(json.loads(body.decode()))


# -- size ----------------------------------------------------------------------------


def split_text(text: str, limit: int = TEXT_LIMIT) -> list[str]:
    """Pieces of at most `limit` UTF-8 bytes, cut between characters; `[""]` for no text.

    `limit` is at least 4, the size of the largest character.  To be used before
    updates are numbered: a chunk that would not fit into a frame cannot be cut later.
    """
    data = strict_json.replace_surrogates(text).encode()
    pieces: list[str] = []
    start = 0
    while len(data) - start > limit:
        end = start + limit
        while data[end] & 0xC0 == 0x80:  # a continuation byte: not a boundary
            end -= 1
        pieces.append(data[start:end].decode())
        start = end
    pieces.append(data[start:].decode())
    return pieces


def cut_text(text: str, limit: int = TEXT_LIMIT) -> str:
    """The first `limit` bytes of a tool's output, and how many bytes were left out."""
    kept = split_text(text, limit)[0] if len(text) * 4 > limit else text
    if kept == text:
        return text
    left_out = len(strict_json.replace_surrogates(text).encode()) - len(kept.encode())
    return f"{kept}… {left_out} bytes cut"


def cut_raw(value: object, limit: int = TEXT_LIMIT) -> object:
    """A tool's raw input or output; beyond `limit` bytes of JSON, its text cut with a count.

    Raises:
        ValueError: NaN or infinity somewhere inside.
    """
    encoded = strict_json.encode(value)
    return value if len(encoded.encode()) <= limit else cut_text(encoded, limit)


def size_of(texts: Sequence[str]) -> int:
    """UTF-8 bytes of all texts together."""
    return sum(len(text.encode(errors="replace")) for text in texts)
