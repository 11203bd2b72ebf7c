from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.models import chat
from hermes.adapters.models.chat import ReplyReader, decode_chunk, request_body
from hermes.errors import (
    ModelError,
    ProviderFailed,
    ProviderUnavailable,
    StreamEmpty,
    StreamGarbled,
    StreamTruncated,
)
from hermes.ports.model import (
    Finished,
    ModelEvent,
    ModelRequest,
    Runtime,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Usage,
)

RUNTIME = Runtime("acme", "big", "http://127.0.0.1/v1")

REPLY = (
    ': hello\n\ndata: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}\r\n\r\n'
    'data: {"choices":[{"index":0,"delta":{"content":"café 🎉"}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":'
    '{"name":"ls","arguments":""}}]}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":'
    '{"arguments":"{}"}}]}}]}\n\n'
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,'
    '"prompt_tokens_details":{"cached_tokens":8}}}\n\ndata: [DONE]\n\n'
).encode()
EVENTS = [
    ThoughtDelta("hm"),
    TextDelta("café 🎉"),
    ToolCallDelta(0, "c1", "ls", ""),
    ToolCallDelta(0, "", "", "{}"),
    Finished("tool_calls"),
    Usage(9, 4, 8),
]


def read(pieces: Sequence[bytes]) -> tuple[list[ModelEvent], ModelError | None]:
    reader = ReplyReader("acme")
    events = [event for piece in pieces for event in reader.feed(piece)] + reader.finish()
    return events, reader.failure


def payload(text: str) -> bytes:
    return b"data: " + text.encode() + b"\n\n"


@given(st.lists(st.integers(min_value=0, max_value=len(REPLY))))
def test_split(cuts: list[int]) -> None:
    """However a reply is split, through a character too, its events are the same."""
    places = sorted(set(cuts))
    pieces = [
        REPLY[start:end] for start, end in zip([0, *places], [*places, len(REPLY)], strict=True)
    ]
    assert read(pieces) == (EVENTS, None)


def test_messages_are_sent_byte_for_byte() -> None:
    """L6: messages and tools are in the body as the very bytes that were frozen."""
    messages = [
        b'{"role" : "system","content":"\\u00e9"}',
        '{"role":"user","content":"é"}'.encode(),
    ]
    tools = b'[ {"type":"function"} ]'
    body = request_body(ModelRequest(messages, tools, "high"), RUNTIME)
    assert b'"messages":[' + b",".join(messages) + b"]" in body
    assert b'"tools":' + tools in body
    assert json.loads(body) == {
        "model": "big",
        "messages": [json.loads(message) for message in messages],
        "tools": [{"type": "function"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "reasoning_effort": "high",
    }


@pytest.mark.parametrize("reasoning", [None, "none"])
def test_what_is_not_set_is_not_sent(reasoning: str | None) -> None:
    """No tools, no reasoning and no bound of tokens are left out, not sent as null."""
    body = json.loads(request_body(ModelRequest([b"{}"], reasoning=reasoning), RUNTIME))
    assert set(body) == {"model", "messages", "stream", "stream_options"}


@pytest.mark.parametrize(
    ("provider", "name"), [("openai", "max_completion_tokens"), ("acme", "max_tokens")]
)
def test_bound_of_tokens(provider: str, name: str) -> None:
    """OpenAI gets the bound under its new name, everyone else under the one that all know."""
    runtime = Runtime(provider, "big", "http://127.0.0.1/v1", max_tokens=7)
    assert json.loads(request_body(ModelRequest([b"{}"]), runtime))[name] == 7


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "null",
        '"text"',
        "\x00",
        "[" * 100_000,
        "9" * 10_000,
        '{"choices":{}}',
        '{"choices":[1]}',
        '{"choices":[{"delta":1}]}',
        '{"choices":[{"delta":{"content":1}}]}',
        '{"choices":[{"index":"0"}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":-1}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":1000000}]}}]}',
        '{"choices":[{"delta":{"tool_calls":[{"index":0,"id":1}]}}]}',
        '{"choices":[{"finish_reason":1}]}',
        '{"choices":[],"usage":[1]}',
        '{"choices":[],"usage":{"prompt_tokens":"1"}}',
        '{"choices":[],"usage":{"prompt_tokens":true}}',
    ],
)
def test_garbage(text: str) -> None:
    """What is not JSON, or has a wrong type anywhere, is garbled and nothing else."""
    with pytest.raises(StreamGarbled):
        decode_chunk(text.encode(), "acme")


def test_invalid_utf8_is_garbage() -> None:
    """Bytes that are not UTF-8 are garbled."""
    with pytest.raises(StreamGarbled):
        decode_chunk(b'{"choices":[],"x":"\xff"}', "acme")


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('{"choices":[{"delta":{"reasoning":"hm"}}]}', ThoughtDelta("hm")),
        ('{"choices":[{"delta":{"content":"\\ud83c\\udf89"}}]}', TextDelta("🎉")),
        (
            '{"choices":[{"delta":{"tool_calls":[{"function":{"name":"ls"}}]}}]}',
            ToolCallDelta(0, "", "ls", ""),
        ),
        ('{"usage":{"prompt_tokens":1,"prompt_tokens_details":null}}', Usage(1, 0, 0)),
        ('{"choices":[{"delta":null,"finish_reason":"stop"}]}', Finished("stop")),
    ],
)
def test_variants(text: str, event: ModelEvent) -> None:
    """The harmless ways in which providers differ are all read."""
    assert decode_chunk(text.encode(), "acme") == [event]


def test_a_character_in_two_chunks() -> None:
    """A character that the provider cut in two is joined: in text, thought and arguments."""

    def cut(delta: str) -> bytes:
        return payload(f'{{"choices":[{{"delta":{delta}}}]}}')

    def arguments(text: str) -> bytes:
        return cut(f'{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}}')

    first, second = "\\ud83e", "\\udd8a"
    events, failure = read(
        [
            cut(f'{{"content":"red {first}"}}'),
            cut(f'{{"reasoning":"hm {first}"}}'),
            arguments(first),
            cut(f'{{"content":"{second}"}}'),
            cut(f'{{"reasoning":"{second}"}}'),
            arguments(second),
            cut(f'{{"content":"{first}"}}'),
            payload('{"choices":[{"delta":{},"finish_reason":"stop"}]}'),
        ]
    )
    assert failure is None
    assert events == [
        TextDelta("red "),
        ThoughtDelta("hm "),
        ToolCallDelta(0),
        TextDelta("🦊"),
        ThoughtDelta("🦊"),
        ToolCallDelta(0, arguments="🦊"),
        TextDelta("�"),
        Finished("stop"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[DONE]",
        "{}",
        '{"choices":null,"usage":null}',
        '{"choices":[{"delta":{"content":null}}]}',
        '{"choices":[{"index":1,"delta":{"content":"other"}}]}',
    ],
)
def test_nothing(text: str) -> None:
    """A payload with nothing in it, or with another choice, gives no event."""
    assert decode_chunk(text.encode(), "acme") == []


@pytest.mark.parametrize(
    ("stream", "texts", "error"),
    [
        (b"", 0, StreamEmpty),
        (b": ping\n\n", 0, StreamEmpty),
        (payload("[DONE]"), 0, StreamEmpty),
        (payload('{"choices":[{"delta":{"content":"a"}}]}'), 1, StreamTruncated),
        (
            payload('{"choices":[{"delta":{"content":"a"}}]}') + payload("[DONE]"),
            1,
            StreamTruncated,
        ),
        (payload('{"choices":[{"delta":{"content":"a"}}]}') + payload("{"), 1, StreamGarbled),
        (
            payload('{"choices":[{"delta":{"content":"a"}}]}')
            + payload('{"error":{"message":"overloaded","code":503}}'),
            1,
            ProviderFailed,
        ),
    ],
)
def test_faults(stream: bytes, texts: int, error: type[ModelError]) -> None:
    """Each way to go wrong has a name, and what came before it is given."""
    events, failure = read([stream])
    assert events == [TextDelta("a")] * texts
    assert type(failure) is error


def test_whole_after_finish() -> None:
    """After its finish reason an answer is whole: there is one Finished, and faults are late."""
    stop = '{"choices":[{"delta":{},"finish_reason":"stop"}]}'
    late = payload(stop) + payload('{"choices":[{"delta":{"content":"late"}}]}') + payload("{")
    assert read([payload(stop) + late]) == ([Finished("stop")], None)


def test_break_after_finish() -> None:
    """A connection that breaks after the finish reason took nothing away."""
    reader = ReplyReader("acme")
    reader.feed(payload('{"choices":[{"delta":{},"finish_reason":"stop"}]}'))
    reader.finish(ProviderUnavailable("reset"))
    assert reader.failure is None


def test_bound_of_a_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply over the bound is garbled, comments counted."""
    monkeypatch.setattr(chat, "MAX_REPLY_BYTES", 100)
    reader = ReplyReader("acme")
    failures = []
    for piece in [*[b": comment\n"] * 10, b":"]:
        reader.feed(piece)
        failures.append(type(reader.failure))
    assert failures == [*[type(None)] * 10, StreamGarbled]
    assert reader.done
