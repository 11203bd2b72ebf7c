from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.messages.strict_json import MAX_DEPTH, decode
from hermes.messages.updates import (
    TEXT_LIMIT,
    Plan,
    PlanEntry,
    TextChunk,
    ThoughtChunk,
    Title,
    ToolCallChanged,
    ToolCallStarted,
    TurnEnded,
    TurnRestarted,
    Update,
    UserMessage,
    cut_raw,
    cut_text,
    dump_update,
    load_update,
    split_text,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)
MAYBE = st.none() | TEXT
UPDATE: st.SearchStrategy[Update] = st.one_of(
    st.builds(UserMessage, TEXT, TEXT, MAYBE, st.booleans()),
    st.builds(TextChunk, TEXT, TEXT),
    st.builds(ThoughtChunk, TEXT, TEXT),
    st.builds(ToolCallStarted, TEXT, TEXT, MAYBE, TEXT, JSON, TEXT),
    st.builds(ToolCallChanged, TEXT, MAYBE, MAYBE, JSON),
    st.builds(Plan, st.lists(st.builds(PlanEntry, TEXT, TEXT, TEXT)).map(tuple)),
    st.builds(TurnEnded, TEXT, MAYBE),
    st.builds(TurnRestarted, MAYBE),
    st.builds(Title, TEXT),
)


@given(UPDATE)
def test_round_trip(update: Update) -> None:
    """D1: every update comes back from disk as it was."""
    assert load_update(dump_update(update)) == update


def test_the_stored_form_is_small() -> None:
    """A chunk costs little more than its text, and defaults cost nothing."""
    assert dump_update(TextChunk("m", "é")) == '{"t":"text","message_id":"m","text":"é"}'.encode()
    assert dump_update(TurnRestarted()) == b'{"t":"restarted"}'


@pytest.mark.parametrize(
    "body",
    [b"5", b"{}", b'{"t":"new"}', b'{"t":"text"}', b'{"t":"title","title":5}', b'{"t":[]}'],
)
def test_a_damaged_row_is_refused(body: bytes) -> None:
    """D7: bytes that are no update raise instead of becoming one."""
    with pytest.raises(ValueError, match="not a stored"):
        load_update(body)


def test_the_deepest_input_comes_back() -> None:
    """D1: tool input as deep as the edge accepts survives the disk, one level deeper."""
    deepest = decode("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    update = ToolCallStarted("c", "t", raw_input=deepest)
    assert load_update(dump_update(update)) == update


def test_a_row_that_is_not_json() -> None:
    """D7: bytes that are not even JSON raise a ValueError too."""
    with pytest.raises(json.JSONDecodeError):
        load_update(b"{")


@given(TEXT, st.integers(4, 20))
def test_split_text(text: str, limit: int) -> None:
    """Pieces fit, lose nothing and never cut a character; none but the only one is empty."""
    pieces = split_text(text, limit)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= limit for piece in pieces)
    assert pieces == [""] or all(pieces)


def test_the_worst_text_fits_into_a_frame() -> None:
    """Two texts of the limit, six bytes of JSON for each of theirs, stay below 1 MiB."""
    worst = ToolCallChanged("c", None, "\0" * TEXT_LIMIT, "\0" * TEXT_LIMIT)
    assert len(dump_update(worst)) < 2**20


def test_cut_text_counts() -> None:
    """A tool's output that is too long is cut, and says by how many bytes."""
    assert cut_text("short") == "short"
    assert cut_text("é" * 10, 7) == "ééé… 14 bytes cut"
    assert cut_text("x" * (TEXT_LIMIT + 5)) == "x" * TEXT_LIMIT + "… 5 bytes cut"


@given(TEXT, st.integers(4, 20))
def test_cut_text_adds_up(text: str, limit: int) -> None:
    """What is kept and what is counted as cut make up the whole."""
    shown = cut_text(text, limit)
    if shown != text:
        kept, _, rest = shown.rpartition("… ")
        assert len(kept.encode()) + int(rest.split()[0]) == len(text.encode())
        assert text.startswith(kept)
    else:
        assert len(text.encode()) <= limit


def test_cut_raw() -> None:
    """A raw value stays as it is while it is small, else becomes its text, cut."""
    assert cut_raw({"a": [1]}) == {"a": [1]}
    assert cut_raw({"a": "x" * 20}, 10) == '{"a":"xxxx… 18 bytes cut'
    assert json.loads(dump_update(ToolCallChanged("c", raw_output=cut_raw([1] * 99, 9))))
