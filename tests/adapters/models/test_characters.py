from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.models.characters import CharacterJoiner, whole

FOX = "\ud83e", "\udd8a"


def halves(text: str) -> list[str]:
    """The text in UTF-16 units, as a server in JavaScript may cut it."""
    data = text.encode("utf-16-le")
    return [data[at : at + 2].decode("utf-16-le", "surrogatepass") for at in range(0, len(data), 2)]


@given(st.text(st.characters(codec="utf-8")))
def test_joined(text: str) -> None:
    """A text that is cut into UTF-16 units is joined again, and no piece holds a half."""
    joiner = CharacterJoiner()
    pieces = [joiner.add(half) for half in halves(text)]
    assert "".join(pieces) == text
    assert joiner.rest() == ""
    for piece in pieces:
        piece.encode()


@pytest.mark.parametrize(
    ("pieces", "given"),
    [
        (["red ", FOX[0], FOX[1], "!"], "red 🦊!"),
        ([FOX[0], "", FOX[1]], "🦊"),
        ([FOX[0], "x"], "�x"),
        ([FOX[0], FOX[0], FOX[1]], "�🦊"),
        ([FOX[1]], "�"),
        (["x" + FOX[0]], "x�"),
    ],
)
def test_halves(pieces: list[str], given: str) -> None:
    """Two halves make a character, over an empty piece too; one alone is replaced."""
    joiner = CharacterJoiner()
    assert "".join(map(joiner.add, pieces)) + joiner.rest() == given


def test_whole() -> None:
    """A text by itself is whole: pairs are joined, lone halves replaced."""
    assert whole("a" + "".join(FOX) + FOX[0]) == "a🦊�"
