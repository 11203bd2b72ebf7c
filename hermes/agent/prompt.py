"""The system message and the tool schemas, as the very bytes that are sent (row L6).

A provider's prefix cache hits only where the request begins with the same bytes,
so they are rendered once in a conversation and kept.  Whether a new rendering
really differs is told by a hash over its content: a newer version of this file
that writes other white space does not cost anybody their cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from attrs import frozen

from hermes.messages import strict_json
from hermes.ports.store import Conversation
from hermes.ports.tools import Tool


@frozen
class Prompt:
    """A rendered prompt: `system` is a message in OpenAI chat form, `tools` an array."""

    system: bytes
    tools: bytes

    @property
    def content_hash(self) -> str:
        """A hash of what both say, in 64 hexadecimal digits; spelling does not count.

        Raises:
            ValueError: the bytes are not JSON.
        """
        parts = [canonical(json.loads(part)) for part in (self.system, self.tools)]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()


def render(system: str, tools: Sequence[Tool]) -> Prompt:
    """Render the system text and the schemas of the tools, in their order."""
    return Prompt(
        canonical({"role": "system", "content": system}),
        canonical([_schema(tool) for tool in tools]),
    )


def frozen_prompt(conversation: Conversation) -> Prompt | None:
    """The prompt that a conversation has; None before its first."""
    if conversation.system is None or conversation.tools is None:
        return None
    return Prompt(conversation.system, conversation.tools)


def same_content(one: Prompt, other: Prompt) -> bool:
    """Whether two prompts say the same; a damaged one is never the same as a good one."""
    try:
        return one.content_hash == other.content_hash
    except ValueError:
        return one == other


def with_ephemeral(system: bytes, ephemeral: str) -> bytes:
    """The system message as it is sent: the frozen one, and the text that is never stored."""
    if not ephemeral:
        return system
    message = json.loads(system)
    message["content"] = f"{message['content']}\n\n{ephemeral}"
    return canonical(message)


def canonical(value: object) -> bytes:
    """Compact JSON with sorted keys: the same bytes for the same data, wherever it ran.

    Raises:
        ValueError, TypeError: not plain JSON data.
    """
    text = json.dumps(
        value, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    return strict_json.replace_surrogates(text).encode()


def _schema(tool: Tool) -> dict[str, object]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}
