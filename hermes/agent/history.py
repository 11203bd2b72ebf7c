"""A conversation in memory: messages as the very bytes that are sent and stored.

Each message is encoded once, when it is said; a request is the list of them.
Keeping objects and encoding the whole conversation for every model call was the
other way: it grows with the square of a conversation, and the bytes may change.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from attrs import frozen

from hermes.messages import strict_json


@frozen
class ToolCall:
    """One call of a tool, as it is kept; `arguments` is a JSON object as text."""

    call_id: str
    name: str
    arguments: str


class History:
    """The messages of one conversation, oldest first, and the ids of its tool calls."""

    def __init__(self, messages: Sequence[bytes] = ()) -> None:
        self.messages: list[bytes] = []
        self.call_ids: set[str] = set()
        self.extend(messages)

    def extend(self, messages: Sequence[bytes]) -> None:
        """Add messages at the end."""
        self.messages.extend(messages)
        for message in messages:
            # Most messages call no tool and need no decoding.
            if b'"tool_calls"' in message:
                calls = json.loads(message).get("tool_calls") or ()
                self.call_ids.update(call["id"] for call in calls)


def user_message(text: str) -> bytes:
    """What the user said."""
    return _encode({"role": "user", "content": text})


def assistant_message(text: str, calls: Sequence[ToolCall] = ()) -> bytes:
    """What the model said, and the tools that it called."""
    if not calls:
        return _encode({"role": "assistant", "content": text})
    return _encode(
        {
            "role": "assistant",
            "content": text or None,
            "tool_calls": [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in calls
            ],
        }
    )


def tool_message(call_id: str, result: str) -> bytes:
    """What a tool call gave."""
    return _encode({"role": "tool", "tool_call_id": call_id, "content": result})


def close_calls(calls: Sequence[ToolCall], result: str) -> Sequence[bytes]:
    """A result for each of these calls, since a call and its result are never parted."""
    return [tool_message(call.call_id, result) for call in calls]


def _encode(message: dict[str, object]) -> bytes:
    return strict_json.encode(message).encode()
