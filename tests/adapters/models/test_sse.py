from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.models.sse import MAX_EVENT_BYTES, SseParser
from hermes.errors import StreamGarbled

LINES = st.sampled_from(
    b"data: one|data:two|data: caf\xc3\xa9 \xf0\x9f\x8e\x89|: comment|event: x||data|data: ".split(
        b"|"
    )
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def parse(*pieces: bytes) -> list[bytes]:
    parser = SseParser()
    return [payload for piece in pieces for payload in parser.feed(piece)] + parser.finish()


@given(
    st.lists(st.tuples(LINES, ENDS)).map(lambda rows: b"".join(line + end for line, end in rows)),
    st.lists(st.integers(min_value=0, max_value=200)),
)
def test_split(stream: bytes, cuts: list[int]) -> None:
    """However the bytes are split, the payloads are the same."""
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [
        stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)
    ]
    assert parse(*pieces) == parse(stream)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_line_ends(end: bytes) -> None:
    """All three line ends mean the same, and lines of data are joined by LF."""
    stream = end.join([b"data: a", b"data: b", b"", b": ping", b"data: c", b"", b""])
    assert parse(stream) == [b"a\nb", b"c"]


def test_cr_lf_split_between_reads() -> None:
    """A CR LF that two reads split is one line end, so it ends no event too early."""
    parser = SseParser()
    assert parser.feed(b"data: a\r") == []
    assert parser.feed(b"\ndata: b\r\n\r") == [b"a\nb"]
    assert parser.feed(b"\n") == []


def test_byte_order_mark_and_one_space() -> None:
    """A byte order mark is no part of the first field, and one space only is cut."""
    assert parse(b"\xef\xbb\xbfdata:  x\n\n") == [b" x"]


def test_finish() -> None:
    """At the end an event that lacks its blank line counts, a line that is cut does not."""
    assert parse(b"data: a\n") == [b"a"]
    assert parse(b'data: a\n\ndata: {"cut') == [b"a"]


@pytest.mark.parametrize("start", [b"data: ", b": ", b"event: "])
def test_bound_of_a_line(start: bytes) -> None:
    """A line over the bound is refused before it ends, whatever its field."""
    parser = SseParser("acme")
    parser.feed(start + b"x" * (MAX_EVENT_BYTES - len(start)))
    with pytest.raises(StreamGarbled) as caught:
        parser.feed(b"x")
    assert caught.value.provider == "acme"


def test_bound_of_an_event() -> None:
    """Many short lines of one event are bounded together, and the next event starts at zero."""
    parser = SseParser()
    line = b"data: " + b"x" * 1023 + b"\n"
    for _ in range(2):
        for _ in range(MAX_EVENT_BYTES // 1029 - 1):
            parser.feed(line)
        assert len(parser.feed(b"\n")) == 1
    with pytest.raises(StreamGarbled):
        parser.feed(line * (MAX_EVENT_BYTES // 1029 + 1))
