"""The offline model's steps as OpenAI's wire form, without I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from attrs import frozen

from hermes.adapters.offline.rules import Call, Fail, Garble, Step, Text, Thought, text_of

MODEL = "offline"
DONE = b"data: [DONE]\n\n"

# The usual rule of thumb for English text.
CHARS_PER_TOKEN = 4


@frozen
class Usage:
    """A rough count of tokens: characters by four."""

    prompt: int
    completion: int

    def as_json(self) -> dict[str, int]:
        """The `usage` object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


def usage_of(request: Mapping[str, object], steps: Iterable[Step]) -> Usage:
    """What the request and its reply cost."""
    messages = request.get("messages")
    prompt = sum(len(text_of(message)) for message in messages) if isinstance(messages, list) else 0
    completion = 0
    for step in steps:
        if isinstance(step, Text | Thought):
            completion += len(step.text)
        elif isinstance(step, Call):
            completion += len(step.name) + len(step.arguments)
    return Usage(-(-prompt // CHARS_PER_TOKEN), -(-completion // CHARS_PER_TOKEN))


def events_of(step: Step, index: int) -> Iterator[bytes]:
    """The events of one step; `index` is the number of the tool call in its reply.

    A call's arguments come in two pieces, as providers send them.
    """
    if isinstance(step, Text):
        yield chunk({"content": step.text})
    elif isinstance(step, Thought):
        yield chunk({"reasoning_content": step.text})
    elif isinstance(step, Garble):
        yield b"data: {not json\n\n"
    elif isinstance(step, Call):
        middle = len(step.arguments) // 2
        yield _call_chunk(
            {
                "index": index,
                "id": step.call_id,
                "type": "function",
                "function": {"name": step.name, "arguments": step.arguments[:middle]},
            }
        )
        yield _call_chunk({"index": index, "function": {"arguments": step.arguments[middle:]}})


def last_events(steps: Iterable[Step], usage: Usage | None) -> Iterator[bytes]:
    """What ends a whole reply: the finish reason, the usage where asked, `[DONE]`."""
    yield chunk({}, finish_reason_of(steps))
    if usage is not None:
        yield _event({"choices": [], "usage": usage.as_json()})
    yield DONE


def finish_reason_of(steps: Iterable[Step]) -> str:
    """`tool_calls` where there is one, else `stop`."""
    return "tool_calls" if any(isinstance(step, Call) for step in steps) else "stop"


def chunk(delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
    """One chunk of the reply as an event."""
    return _event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]})


def whole_reply(steps: Iterable[Step], usage: Usage) -> bytes:
    """The reply to a request that did not ask for a stream."""
    steps = list(steps)
    message: dict[str, object] = {
        "role": "assistant",
        "content": "".join(step.text for step in steps if isinstance(step, Text)) or None,
    }
    calls = [
        {
            "id": step.call_id,
            "type": "function",
            "function": {"name": step.name, "arguments": step.arguments},
        }
        for step in steps
        if isinstance(step, Call)
    ]
    if calls:
        message["tool_calls"] = calls
    choice = {"index": 0, "message": message, "finish_reason": finish_reason_of(steps)}
    return _json(_object("chat.completion", {"choices": [choice], "usage": usage.as_json()}))


def models_reply() -> bytes:
    """The list of models."""
    entry = {"id": MODEL, "object": "model", "created": 0, "owned_by": "hermes"}
    return _json({"object": "list", "data": [entry]})


def error_reply(fail: Fail) -> bytes:
    """An error body in OpenAI's form."""
    error = {"message": fail.message, "type": "offline_model", "param": None, "code": None}
    return _json({"error": error})


def _call_chunk(call: Mapping[str, object]) -> bytes:
    return chunk({"tool_calls": [call]})


def _event(fields: Mapping[str, object]) -> bytes:
    return b"data: " + _json(_object("chat.completion.chunk", fields)) + b"\n\n"


def _object(kind: str, fields: Mapping[str, object]) -> dict[str, object]:
    return {"id": "chatcmpl-offline", "object": kind, "created": 0, "model": MODEL, **fields}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
