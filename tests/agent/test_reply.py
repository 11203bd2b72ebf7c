from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.agent.reply import Reply, read_call
from hermes.ports.model import Finished, ModelEvent, TextDelta, ThoughtDelta, ToolCallDelta


def test_assembles_text_and_thoughts() -> None:
    """Adjacent pieces of a kind are shown as one, and the text is kept whole."""
    reply = Reply()
    shown = reply.add(
        [ThoughtDelta("h"), ThoughtDelta("m"), TextDelta("a"), TextDelta(""), TextDelta("b")]
    )
    assert shown == [ThoughtDelta("hm"), TextDelta("ab")]
    assert reply.add([TextDelta("c"), Finished("stop")]) == [TextDelta("c")]
    assert (reply.text, reply.finish, reply.called) == ("abc", "stop", False)


@given(st.lists(st.sampled_from(["", "a", "b", "a_2", "x" * 50]), max_size=8))
def test_ids_are_unique(ids: list[str]) -> None:
    """Call ids are unique in a reply and against those taken, and calls keep their order."""
    reply = Reply()
    reply.add([ToolCallDelta(n, call_id, f"t{n}", "{}") for n, call_id in enumerate(ids)])
    calls = reply.calls({"a"})
    given_ids = [call.kept.call_id for call in calls]
    assert len({*given_ids, "a"}) == len(ids) + 1
    assert [call.name for call in calls] == [f"t{n}" for n in range(len(ids))]


def test_pieces_by_index() -> None:
    """Pieces of calls that are streamed side by side are told apart by their index."""
    reply = Reply()
    pieces: list[ModelEvent] = [
        ToolCallDelta(0, "a", "one", '{"n"'),
        ToolCallDelta(1, "b", "two", '{"n"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, arguments=":2}"),
    ]
    reply.add(pieces)
    assert [call.arguments for call in reply.calls(())] == [{"n": 1}, {"n": 2}]


def test_one_index_for_all() -> None:
    """Calls that a provider gives the same index are told apart by their ids."""
    reply = Reply()
    reply.add([ToolCallDelta(0, "a", "one", "{}"), ToolCallDelta(0, "b", "two", "{}")])
    assert [call.name for call in reply.calls(())] == ["one", "two"]


@pytest.mark.parametrize("arguments", ["{", "[1]", "NaN", '{"a":1,"a":2}', '"x"'])
def test_bad_arguments(arguments: str) -> None:
    """Arguments that are no JSON object are not run, and are kept in a form providers take."""
    call = read_call("c", "echo", arguments)
    assert call.arguments is None
    assert call.problem
    assert json.loads(call.kept.arguments) == {}


def test_mended_names_and_no_arguments() -> None:
    """A name that no provider takes back is kept mended; no arguments are an empty object."""
    assert read_call("c", "a b" * 40, " ").kept.name == ("a_b" * 40)[:64]
    assert read_call("c", "", "").kept.name == "unnamed"
    assert read_call("c", "echo", "").arguments == {}
