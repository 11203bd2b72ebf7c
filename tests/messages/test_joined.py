from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.messages.joined import (
    JOIN_LIMIT,
    Joined,
    cut,
    dump_joined,
    join,
    joined_text,
    load_joined,
    merge,
    single,
)
from hermes.messages.updates import TEXT_LIMIT, TextChunk, ThoughtChunk, Title, Update

UPDATE: st.SearchStrategy[Update] = st.one_of(
    st.builds(TextChunk, st.sampled_from("ab"), st.text("xyz", max_size=3)),
    st.builds(ThoughtChunk, st.sampled_from("ab"), st.text("xyz", max_size=3)),
    st.builds(Title, st.just("t")),
)
UPDATES = st.lists(UPDATE, max_size=20)


def numbered(updates: list[Update], first: int = 1) -> list[tuple[int, Update]]:
    return list(enumerate(updates, start=first))


def spread(rows: list[Joined]) -> list[tuple[int, Update]]:
    return [pair for row in rows for pair in enumerate(row.parts, start=row.first_seq)]


@given(UPDATES, st.integers(1, 1000))
def test_joining_loses_nothing(updates: list[Update], first: int) -> None:
    """D4: joined rows stand for the same numbers and updates, in the same order."""
    rows = join(numbered(updates, first))
    assert spread(rows) == numbered(updates, first)
    assert all(row.seq - row.first_seq + 1 == len(row.parts) for row in rows)


@given(UPDATES)
def test_only_chunks_of_one_message_are_joined(updates: list[Update]) -> None:
    """What is joined is of one kind and one message, and neighbours that could be are."""
    rows = join(numbered(updates))
    for row in rows:
        if len(row.parts) > 1:
            heads = {
                (type(part), part.message_id)
                for part in row.parts
                if isinstance(part, TextChunk | ThoughtChunk)
            }
            assert len(heads) == 1
            assert all(isinstance(part, TextChunk | ThoughtChunk) for part in row.parts)
    assert merge(rows) == rows


def test_a_gap_is_not_joined_over() -> None:
    """D4: chunks whose numbers are not neighbours stay apart."""
    chunk = TextChunk("m", "x")
    assert join([(1, chunk), (3, chunk)]) == [single(1, chunk), single(3, chunk)]


def test_joining_is_bounded() -> None:
    """A joined update never passes the size of a text or the count of parts."""
    big = TextChunk("m", "é" * (TEXT_LIMIT // 4))
    assert [len(row.parts) for row in join(numbered([big] * 5))] == [2, 2, 1]
    small = TextChunk("m", "")
    lengths = [len(row.parts) for row in join(numbered([small] * (JOIN_LIMIT + 1)))]
    assert lengths == [JOIN_LIMIT, 1]


@given(UPDATES, st.integers(0, 25))
def test_cutting_gives_exactly_what_is_above(updates: list[Update], after: int) -> None:
    """D4: after N come exactly the numbers above N."""
    rows = [cut(row, after) for row in join(numbered(updates))]
    kept = spread([row for row in rows if row is not None])
    assert kept == [pair for pair in numbered(updates) if pair[0] > after]


@given(UPDATES)
def test_round_trip(updates: list[Update]) -> None:
    """D1: a joined row comes back from disk with its parts apart."""
    for row in join(numbered(updates)):
        assert load_joined(row.first_seq, row.seq, dump_joined(row)) == row


def test_a_row_of_the_wrong_length_is_refused() -> None:
    """D7: a row that holds other than the numbers it claims raises."""
    (row,) = join(numbered([TextChunk("m", "a"), TextChunk("m", "b")]))
    with pytest.raises(ValueError, match="1 to 3 hold 2 parts"):
        load_joined(1, 3, dump_joined(row))


def test_joined_text() -> None:
    """The text of joined chunks is their texts in order; other updates have none."""
    (row,) = join(numbered([TextChunk("m", "a"), TextChunk("m", "b")]))
    assert joined_text(row) == "ab"
    assert joined_text(single(1, Title("t"))) == ""
