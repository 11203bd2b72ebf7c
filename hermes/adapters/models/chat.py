"""OpenAI chat completions as bytes: the request out, the chunks of the reply in.

No I/O here.  The SDK's chunk objects cost half of a turn and are not validated
anyway, so the few fields that count are read from plain JSON, each with its type
checked.  The request is put together from bytes that were frozen earlier, since a
provider's prefix cache hits only on the very same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from hermes.adapters.models.characters import CharacterJoiner, whole
from hermes.adapters.models.sse import SseParser
from hermes.adapters.models.translate import error_of_event
from hermes.errors import ModelError, StreamEmpty, StreamGarbled, StreamTruncated
from hermes.ports.model import (
    Finished,
    ModelEvent,
    ModelRequest,
    Runtime,
    Secret,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Usage,
)

# A long answer with its reasoning is below 1 MiB of text, and the JSON around each
# token makes some 60 of it; more than 64 MiB is no answer but a fault.
MAX_REPLY_BYTES = 64 * 1024 * 1024
# Providers allow 128 tools; more calls than this in one reply are a fault.
MAX_TOOL_CALLS = 1024

_DONE = b"[DONE]"


def request_body(request: ModelRequest, runtime: Runtime) -> bytes:
    """The body of a streaming request; messages and tools are in it byte for byte."""
    fields = [
        b'"model":' + _json(runtime.model),
        b'"messages":[' + b",".join(request.messages) + b"]",
        b'"stream":true,"stream_options":{"include_usage":true}',
    ]
    if request.tools != b"[]":
        fields.append(b'"tools":' + request.tools)
    if runtime.max_tokens is not None:
        # OpenAI's reasoning models refuse the old name; nobody else knows the new one.
        name = b"max_completion_tokens" if runtime.provider == "openai" else b"max_tokens"
        fields.append(b'"%s":%d' % (name, runtime.max_tokens))
    if request.reasoning is not None and request.reasoning != "none":
        fields.append(b'"reasoning_effort":' + _json(request.reasoning))
    return b"{" + b",".join(fields) + b"}"


def decode_chunk(payload: bytes, provider: str, secret: Secret | None = None) -> list[ModelEvent]:
    """The events of one `data:` payload; none for `[DONE]`.

    Texts and arguments are as they were sent: a character may be cut in two between
    this payload and the next, and `ReplyReader` joins it.

    Raises:
        StreamGarbled: it is not JSON, or a field has a wrong type.
        ModelError: it is an error object.
    """
    if payload == _DONE:
        return []
    try:
        chunk: object = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StreamGarbled(f"{provider} sent an event that is not JSON", provider) from error
    if isinstance(chunk, dict) and chunk.get("error"):
        raise error_of_event(provider, chunk["error"], secret)
    try:
        return _events_of(_mapping(chunk))
    except _WrongShapeError as error:
        raise StreamGarbled(
            f"{provider} sent a chunk of a wrong shape: {error}", provider
        ) from None


class ReplyReader:
    """A whole reply, from the bytes as they come to its events.

    The events do not depend on how the bytes were split.  Where a reply goes wrong
    the events before that are given all the same, and `failure` says what happened.
    After a `Finished` the answer is whole: what follows can only add a `Usage`.
    """

    __slots__ = (
        "_arguments",
        "_finished",
        "_parser",
        "_provider",
        "_secret",
        "_size",
        "_started",
        "_text",
        "_thought",
        "done",
        "failure",
    )

    def __init__(self, provider: str, secret: Secret | None = None) -> None:
        self._provider = provider
        self._secret = secret
        self._parser = SseParser(provider)
        self._text = CharacterJoiner()
        self._thought = CharacterJoiner()
        self._arguments: dict[int, CharacterJoiner] = {}
        self._size = 0
        self._started = False
        self._finished = False
        self.done = False
        self.failure: ModelError | None = None

    def feed(self, data: bytes) -> list[ModelEvent]:
        """Take what one read gave; return the events that it completed."""
        self._size += len(data)
        if self._size > MAX_REPLY_BYTES:
            self._fail(
                StreamGarbled(
                    f"{self._provider} sent more than {MAX_REPLY_BYTES} bytes", self._provider
                )
            )
        if self.done:
            return []
        try:
            payloads = self._parser.feed(data)
        except StreamGarbled as error:
            self._fail(error)
            return []
        return self._decode(payloads)

    def finish(self, broken: ModelError | None = None) -> list[ModelEvent]:
        """The stream has ended, cleanly or `broken`: give the rest, and judge the whole."""
        if self.done:
            return []
        events = self._decode(self._parser.finish())
        self._judge(broken)
        return events

    @property
    def started(self) -> bool:
        """Whether any event has come."""
        return self._started

    def _decode(self, payloads: list[bytes]) -> list[ModelEvent]:
        events: list[ModelEvent] = []
        for payload in payloads:
            if payload == _DONE:
                self._judge(None)
                break
            try:
                decoded = decode_chunk(payload, self._provider, self._secret)
            except ModelError as error:
                self._fail(error)
                break
            self._started = True
            for event in decoded:
                if not self._finished or isinstance(event, Usage):
                    events.extend(self._join(event))
                self._finished = self._finished or isinstance(event, Finished)
        return events

    def _join(self, event: ModelEvent) -> list[ModelEvent]:
        """The event with whole characters, and before a `Finished` the halves that are left."""
        match event:
            case TextDelta():
                text = self._text.add(event.text)
                return [TextDelta(text)] if text else []
            case ThoughtDelta():
                thought = self._thought.add(event.text)
                return [ThoughtDelta(thought)] if thought else []
            case ToolCallDelta():
                joiner = self._arguments.setdefault(event.index, CharacterJoiner())
                arguments = joiner.add(event.arguments)
                return [ToolCallDelta(event.index, event.call_id, event.name, arguments)]
            case Finished():
                return [*self._halves(), event]
            case _:
                return [event]

    def _halves(self) -> list[ModelEvent]:
        halves: list[ModelEvent] = []
        if thought := self._thought.rest():
            halves.append(ThoughtDelta(thought))
        if text := self._text.rest():
            halves.append(TextDelta(text))
        for index, joiner in self._arguments.items():
            if arguments := joiner.rest():
                halves.append(ToolCallDelta(index, arguments=arguments))
        return halves

    def _judge(self, broken: ModelError | None) -> None:
        if self.done:
            return
        if broken is None and self._started:
            broken = StreamTruncated(
                f"{self._provider} ended with no finish reason", self._provider
            )
        self._fail(broken or StreamEmpty(f"{self._provider} sent an empty answer", self._provider))

    def _fail(self, error: ModelError) -> None:
        self.done = True
        if not self._finished:
            self.failure = error


# -- the fields of a chunk -----------------------------------------------------


class _WrongShapeError(Exception):
    """A field has a type that the protocol does not allow."""


def _events_of(chunk: Mapping[str, object]) -> list[ModelEvent]:
    events: list[ModelEvent] = []
    reason = ""
    for item in _list(chunk, "choices"):
        choice = _mapping(item)
        if _int(choice, "index"):
            continue  # only one choice was asked for
        delta = _mapping(choice.get("delta") or {})
        thought = _piece(delta, "reasoning_content") or _piece(delta, "reasoning")
        if thought:
            events.append(ThoughtDelta(thought))
        text = _piece(delta, "content")
        if text:
            events.append(TextDelta(text))
        for position, call in enumerate(_list(delta, "tool_calls")):
            events.append(_tool_call(_mapping(call), position))
        reason = _text(choice, "finish_reason") or reason
    usage = chunk.get("usage")
    if usage is not None:
        events.append(_usage(_mapping(usage)))
    if reason:
        events.append(Finished(reason))
    return events


def _tool_call(call: Mapping[str, object], position: int) -> ToolCallDelta:
    index = _int(call, "index") if call.get("index") is not None else position
    if not 0 <= index < MAX_TOOL_CALLS:
        raise _WrongShapeError(f"tool call number {index}")
    function = _mapping(call.get("function") or {})
    return ToolCallDelta(
        index, _text(call, "id"), _text(function, "name"), _piece(function, "arguments")
    )


def _usage(usage: Mapping[str, object]) -> Usage:
    details = _mapping(usage.get("prompt_tokens_details") or {})
    return Usage(
        _int(usage, "prompt_tokens"),
        _int(usage, "completion_tokens"),
        _int(details, "cached_tokens"),
    )


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _WrongShapeError(f"an object was expected, not {type(value).__name__}")
    return value


def _list(parent: Mapping[str, object], name: str) -> list[object]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _WrongShapeError(f"{name} is not a list")
    return value


def _int(parent: Mapping[str, object], name: str) -> int:
    value = parent.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool):
        raise _WrongShapeError(f"{name} is not an integer")
    return value


def _piece(parent: Mapping[str, object], name: str) -> str:
    """A text that may begin or end in the middle of a character."""
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _WrongShapeError(f"{name} is not a string")
    return value


def _text(parent: Mapping[str, object], name: str) -> str:
    return whole(_piece(parent, name))


def _json(text: str) -> bytes:
    return json.dumps(text).encode("ascii")
