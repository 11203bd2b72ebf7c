from __future__ import annotations

import json

import pytest

from hermes.adapters.models.chat import decode_chunk
from hermes.adapters.models.sse import SseParser
from hermes.adapters.offline import wire
from hermes.adapters.offline.rules import Call, Fail, Garble, Step, Text, Thought
from hermes.errors import StreamGarbled
from hermes.ports.model import (
    Finished,
    ModelEvent,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Usage,
)


def decode(data: bytes) -> list[ModelEvent]:
    return [event for item in SseParser().feed(data) for event in decode_chunk(item, "offline")]


@pytest.mark.parametrize(
    ("step", "events"),
    [
        (Text("café"), [TextDelta("café")]),
        (Thought("hm"), [ThoughtDelta("hm")]),
        (
            Call("c", "ls", '{"a":1}'),
            [ToolCallDelta(2, "c", "ls", '{"a'), ToolCallDelta(2, "", "", '":1}')],
        ),
    ],
)
def test_steps_as_chunks(step: Step, events: list[ModelEvent]) -> None:
    """What a step means is what the client's own decoder reads."""
    assert decode(b"".join(wire.events_of(step, 2))) == events


def test_garbled_chunk() -> None:
    """A garbled event is one that the client's decoder refuses."""
    with pytest.raises(StreamGarbled):
        decode(b"".join(wire.events_of(Garble(), 0)))


@pytest.mark.parametrize(
    ("steps", "reason"), [([Text("a")], "stop"), ([Text("a"), Call("c", "ls", "{}")], "tool_calls")]
)
def test_end(steps: list[Step], reason: str) -> None:
    """A whole reply ends with its finish reason, and the usage where it was asked for."""
    usage = wire.Usage(3, 4)
    assert decode(b"".join(wire.last_events(steps, usage))) == [Finished(reason), Usage(3, 4)]
    assert decode(b"".join(wire.last_events(steps, None))) == [Finished(reason)]


def test_usage() -> None:
    """Usage is a rough count: characters by four, rounded up."""
    request = {"messages": [{"role": "user", "content": "hello"}]}
    assert wire.usage_of(request, [Text("abcd"), Call("c", "l", "{}")]) == wire.Usage(2, 2)


def test_whole_reply() -> None:
    """A request that asks for no stream gets the same answer in one object."""
    reply = json.loads(wire.whole_reply([Text("a"), Call("c", "ls", "{}")], wire.Usage(1, 1)))
    [choice] = reply["choices"]
    assert choice["message"]["content"] == "a"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "ls", "arguments": "{}"}
    assert choice["finish_reason"] == "tool_calls"


def test_error_reply() -> None:
    """An error has OpenAI's form."""
    assert json.loads(wire.error_reply(Fail(503, "no")))["error"]["message"] == "no"
