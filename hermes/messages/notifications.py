"""`session/update` params as they go to a client.

Plain dicts on purpose: they are built once for each frame of a stream and go
straight into the encoder, where a class for each would double the cost.  Each
builder's output is held against the published schema by the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from hermes.messages.joined import Joined, joined_text
from hermes.messages.updates import (
    Plan,
    TextChunk,
    ThoughtChunk,
    Title,
    ToolCallChanged,
    ToolCallStarted,
    TurnEnded,
    TurnRestarted,
    Update,
    UserMessage,
)

SESSION_UPDATE = "session/update"

Params = dict[str, Any]


@frozen
class Command:
    """A slash command as it is announced; `hint` says what may follow it."""

    name: str
    description: str
    hint: str | None = None


def session_update_params(session_id: str, joined: Joined, *, sender: bool) -> Params:
    """Params of a numbered update.

    `sender` is whether this connection sent the prompt whose turn this is, and is
    live: it shows what it sent itself, so it gets a mark in the message's stead.
    """
    hermes: Params = {"seq": joined.seq}
    if joined.first_seq != joined.seq:
        hermes["firstSeq"] = joined.first_seq
    update = joined.parts[0]
    if isinstance(update, TextChunk | ThoughtChunk):
        body = _chunk(update, joined_text(joined))
    else:
        body = _body(update, sender, hermes)
    return {"sessionId": session_id, "update": body, "_meta": {"hermes": hermes}}


def accepted_params(session_id: str, client_id: str | None, position: int) -> Params:
    """The acknowledgement that a prompt is on disk; `position` counts those before it.

    It has no number and is never replayed; `id` is left out where the prompt had none.
    """
    accepted: Params = {"position": position}
    if client_id is not None:
        accepted["id"] = client_id
    return {
        "sessionId": session_id,
        "update": {"sessionUpdate": "session_info_update"},
        "_meta": {"hermes": {"accepted": accepted}},
    }


def available_commands_params(session_id: str, commands: Sequence[Command]) -> Params:
    """The slash commands that may be sent as prompts; without a number."""
    listed = [
        {"name": command.name, "description": command.description}
        | ({} if command.hint is None else {"input": {"hint": command.hint}})
        for command in commands
    ]
    update = {"sessionUpdate": "available_commands_update", "availableCommands": listed}
    return {"sessionId": session_id, "update": update}


def _chunk(update: TextChunk | ThoughtChunk, text: str) -> Params:
    kind = "agent_message_chunk" if isinstance(update, TextChunk) else "agent_thought_chunk"
    return {
        "sessionUpdate": kind,
        "messageId": update.message_id,
        "content": {"type": "text", "text": text},
    }


def _body(update: Update, sender: bool, hermes: Params) -> Params:
    """The update's own part; what is ours goes to `hermes`."""
    match update:
        case UserMessage():
            return _user_message(update, sender, hermes)
        case TextChunk() | ThoughtChunk():
            return _chunk(update, update.text)
        case ToolCallStarted():
            return _tool_call(update)
        case ToolCallChanged():
            return _tool_call_update(update)
        case Plan():
            entries = [
                {"content": entry.content, "priority": entry.priority, "status": entry.status}
                for entry in update.entries
            ]
            return {"sessionUpdate": "plan", "entries": entries}
        case TurnEnded():
            return _mark(hermes, "ended", update.client_id, stopReason=update.stop_reason)
        case TurnRestarted():
            return _mark(hermes, "restarted", update.client_id)
        case Title():
            return {"sessionUpdate": "session_info_update", "title": update.title}


def _mark(hermes: Params, turn: str, client_id: str | None, **more: str) -> Params:
    hermes["turn"] = turn
    hermes.update(more)
    if client_id is not None:
        hermes["id"] = client_id
    return {"sessionUpdate": "session_info_update"}


def _user_message(update: UserMessage, sender: bool, hermes: Params) -> Params:
    if sender and update.first:
        return _mark(hermes, "started", update.client_id)
    if sender:
        return {"sessionUpdate": "session_info_update"}
    return {
        "sessionUpdate": "user_message_chunk",
        "messageId": update.message_id,
        "content": {"type": "text", "text": update.text},
    }


def _tool_call(update: ToolCallStarted) -> Params:
    body: Params = {
        "sessionUpdate": "tool_call",
        "toolCallId": update.call_id,
        "title": update.title,
        "kind": update.kind,
        "status": update.status,
    }
    if update.name is not None:
        body["name"] = update.name
    if update.raw_input is not None:
        body["rawInput"] = update.raw_input
    return body


def _tool_call_update(update: ToolCallChanged) -> Params:
    body: Params = {"sessionUpdate": "tool_call_update", "toolCallId": update.call_id}
    if update.status is not None:
        body["status"] = update.status
    if update.text is not None:
        content = {"type": "text", "text": update.text}
        body["content"] = [{"type": "content", "content": content}]
    if update.raw_output is not None:
        body["rawOutput"] = update.raw_output
    return body
