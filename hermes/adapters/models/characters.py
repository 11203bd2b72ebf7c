"""Characters that a provider cut in two.

A server that cuts its text by UTF-16 units, as any in JavaScript may, ends one delta
with the first half of an emoji and begins the next with the second.  JSON can spell a
half; no file, no socket and no other provider can take it.  Repairing each delta by
itself was tried, and cost the emoji.
"""

from __future__ import annotations


class CharacterJoiner:
    """Joins the pieces of one text; a half at the end of a piece waits for the next."""

    __slots__ = ("_half",)

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: str) -> str:
        """Take a piece; return what is whole of it, with what was waiting before it."""
        if self._half:
            piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return whole(piece)

    def rest(self) -> str:
        """The text has ended: a half that still waits is given as U+FFFD."""
        half, self._half = self._half, ""
        return whole(half)


def whole(text: str) -> str:
    """`text` with its pairs of halves joined, and U+FFFD for a half without the other."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
