"""The SQL of what a turn builds on: messages, the frozen prompt, the journal of tools.

Bodies are kept as the very bytes that were given, so that a request after a
restart is the same to the byte.
"""

from __future__ import annotations

from collections.abc import Sequence

from hermes.adapters.store.database import Database
from hermes.errors import IdReused
from hermes.ports.store import (
    Conversation,
    EndTool,
    FreezePrompt,
    LoadConversation,
    StartTool,
    ToolRow,
    ToolsOf,
)


def append_messages(
    db: Database, session: str, conversation: int, messages: Sequence[bytes]
) -> None:
    """Add messages at the end of a conversation."""
    if not messages:
        return
    found = db.row(
        "SELECT position FROM messages WHERE session = ? AND conversation = ?"
        " ORDER BY position DESC LIMIT 1",
        session,
        conversation,
    )
    start = 0 if found is None else found[0]
    db.change_many(
        "INSERT INTO messages (session, conversation, position, body) VALUES (?, ?, ?, ?)",
        ((session, conversation, start + n, body) for n, body in enumerate(messages, 1)),
    )


def load_conversation(db: Database, operation: LoadConversation) -> Conversation:
    """All of one conversation; an empty one where nothing was written."""
    place = (operation.session, operation.conversation)
    frozen = db.row(
        "SELECT system, tools FROM frozen WHERE session = ? AND conversation = ?", *place
    )
    messages = db.rows(
        "SELECT body FROM messages WHERE session = ? AND conversation = ? ORDER BY position", *place
    )
    system, tools = (None, None) if frozen is None else frozen
    return Conversation(system, tools, tuple(row[0] for row in messages))


def freeze_prompt(db: Database, operation: FreezePrompt) -> None:
    """Keep the bytes, in the place of those of before."""
    db.require(operation.session)
    db.change(
        "INSERT INTO frozen (session, conversation, system, tools) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET system = excluded.system, tools = excluded.tools",
        operation.session,
        operation.conversation,
        operation.system,
        operation.tools,
    )


def start_tool(db: Database, operation: StartTool) -> None:
    """Journal a start.

    Raises:
        IdReused: this call of this prompt was started before: it must not run again.
        ValueError: there is no such prompt.
    """
    started = db.change(
        """INSERT INTO calls (prompt, call_id, name, arguments, started_at, round)
           SELECT number, ?, ?, ?, ?, ? FROM prompts WHERE number = ? AND session = ?
           ON CONFLICT (prompt, call_id) DO NOTHING""",
        operation.call_id,
        operation.name,
        operation.arguments,
        operation.started_at,
        operation.round,
        operation.prompt,
        operation.session,
    )
    if started:
        return
    db.require(operation.session)
    if not tools_of(db, ToolsOf(operation.session, operation.prompt)):
        raise ValueError(f"session {operation.session} has no prompt {operation.prompt}")
    raise IdReused(f"the tool call {operation.call_id!r} was started before")


def end_tool(db: Database, operation: EndTool) -> None:
    """Journal an end.

    Raises:
        ValueError: no such call was started, or its end is recorded already.
    """
    ended = db.change(
        """UPDATE calls SET result = ?, ended_at = ?
           WHERE prompt = (SELECT number FROM prompts WHERE number = ? AND session = ?)
           AND call_id = ? AND result IS NULL""",
        operation.result,
        operation.ended_at,
        operation.prompt,
        operation.session,
        operation.call_id,
    )
    if not ended:
        db.require(operation.session)
        raise ValueError(f"the tool call {operation.call_id!r} is not running")


def tools_of(db: Database, operation: ToolsOf) -> Sequence[ToolRow]:
    """The calls of one prompt."""
    found = db.rows(
        """SELECT c.call_id, c.name, c.arguments, c.result, c.round FROM calls c
           JOIN prompts p ON p.number = c.prompt
           WHERE c.prompt = ? AND p.session = ? ORDER BY c.number""",
        operation.prompt,
        operation.session,
    )
    return tuple(ToolRow(*row) for row in found)
