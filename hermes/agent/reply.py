"""Assembling one streamed reply: text, thoughts, and tool calls in pieces.

Pure: events in, plain data out.  What a model got wrong (an id twice, arguments
that are no JSON object, a name that no provider would take back) is mended here,
so that one bad reply does not make every later request of the conversation
invalid.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from attrs import define, field, frozen

from hermes.agent.history import ToolCall
from hermes.messages import strict_json
from hermes.ports.model import (
    Finished,
    ModelEvent,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
)

# What providers take as a function's name, and the longest.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64

# Providers refuse an id of more than 40 characters; a mended one stays below with its number.
_ID_STEM = 32

# Enough of bad arguments for the model to see its mistake.
_EXCERPT = 200


@frozen
class Call:
    """A tool call of a finished reply.

    `kept` is what the history says; `name` is what the model said.  `arguments`
    is None where they are no JSON object, and `problem` then says why.
    """

    kept: ToolCall
    name: str
    arguments: Mapping[str, object] | None
    problem: str = ""


@define
class _Pieces:
    """A call that is being streamed."""

    call_id: str
    name: str = ""
    arguments: list[str] = field(factory=list)


class Reply:
    """A reply while it is streamed."""

    def __init__(self) -> None:
        self.finish: str | None = None
        self._text: list[str] = []
        self._calls: list[_Pieces] = []
        self._at: dict[int, _Pieces] = {}

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    @property
    def called(self) -> bool:
        """Whether the model has begun to call a tool."""
        return bool(self._calls)

    def add(self, events: Sequence[ModelEvent]) -> Sequence[TextDelta | ThoughtDelta]:
        """Take a batch; returns what there is to show, adjacent pieces of a kind joined."""
        shown: list[TextDelta | ThoughtDelta] = []
        for event in events:
            if isinstance(event, TextDelta | ThoughtDelta):
                if isinstance(event, TextDelta):
                    self._text.append(event.text)
                if event.text:
                    _join(shown, event)
            elif isinstance(event, ToolCallDelta):
                self._add_call(event)
            elif isinstance(event, Finished):
                self.finish = event.reason
        return shown

    def calls(self, taken: Collection[str]) -> Sequence[Call]:
        """The tool calls, once the reply is whole; ids in `taken` are not given again."""
        ids = set(taken)
        calls: list[Call] = []
        for pieces in self._calls:
            call_id = _unique(pieces.call_id, ids)
            ids.add(call_id)
            calls.append(read_call(call_id, pieces.name, "".join(pieces.arguments)))
        return calls

    def _add_call(self, delta: ToolCallDelta) -> None:
        pieces = self._at.get(delta.index)
        # Some providers give every call the index 0 and tell them apart by id only.
        if pieces is None or (pieces.call_id and delta.call_id not in ("", pieces.call_id)):
            pieces = self._at[delta.index] = _Pieces(delta.call_id)
            self._calls.append(pieces)
        pieces.call_id = pieces.call_id or delta.call_id
        pieces.name = pieces.name or delta.name
        pieces.arguments.append(delta.arguments)


def read_call(call_id: str, name: str, arguments: str) -> Call:
    """A call as it is to be kept and run."""
    kept_name = _NOT_IN_A_NAME.sub("_", name)[:_LONGEST_NAME] or "unnamed"
    # No arguments at all is how some providers say an empty object.
    arguments = arguments.strip() or "{}"
    try:
        decoded = strict_json.decode(arguments)
    except strict_json.InvalidJson as error:
        problem = f"the arguments are not JSON ({error}): {arguments[:_EXCERPT]}"
        return Call(ToolCall(call_id, kept_name, "{}"), name, None, problem)
    if not isinstance(decoded, dict):
        problem = f"the arguments are not a JSON object: {arguments[:_EXCERPT]}"
        return Call(ToolCall(call_id, kept_name, "{}"), name, None, problem)
    return Call(
        ToolCall(call_id, kept_name, arguments if arguments.strip() else "{}"), name, decoded
    )


def _join(shown: list[TextDelta | ThoughtDelta], event: TextDelta | ThoughtDelta) -> None:
    if shown and type(shown[-1]) is type(event):
        shown[-1] = type(event)(shown[-1].text + event.text)
    else:
        shown.append(event)


def _unique(call_id: str, taken: Collection[str]) -> str:
    if call_id and call_id not in taken:
        return call_id
    stem = call_id[:_ID_STEM] or "call"
    number = 1 + (call_id != "")
    while f"{stem}_{number}" in taken:
        number += 1
    return f"{stem}_{number}"
