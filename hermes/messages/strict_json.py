"""Strict JSON at the edge: what a stranger sends must not crash or stall the loop (row Z6).

Python's own decoder accepts NaN, infinities, duplicate keys and lone
surrogates, and answers deep nesting with a RecursionError whose threshold
depends on the caller's stack.  This wraps it instead of replacing it: the C
scanner stays, hooks refuse what it lets through, and the size is measured on
the text before anything is built.  A parser written in Python was not an option:
a 1 MiB frame would hold the loop for a second.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import NoReturn

MAX_DEPTH = 128
"""Arrays and objects in each other.  ACP needs about 12; tool input written by a model,
which travels as plain JSON, a few dozen.  Far below every recursion limit of the libraries."""

MAX_INT_DIGITS = 4300
"""The limit of CPython's own int parser, named here so that a changed interpreter setting
cannot lift it: the time that parsing takes grows with the square of the digits."""

MAX_VALUES = 100_000
"""Members and elements in one text.  A frame of 1 MiB can hold five times as many and would
take 80 ms to build; the largest message that a client has reason to send holds hundreds."""

_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_REPLACEMENT = "\ufffd"

_TO_ARRAYS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class InvalidJson(ValueError):
    """The text is not JSON as RFC 8259 means it, or passes a limit; the text says which."""


def decode(text: str) -> object:
    """Decode one JSON text into dicts, lists, str, int, float, bool and None.

    Raises:
        InvalidJson: malformed, NaN or infinite numbers, a duplicate key, a lone
            surrogate, nesting deeper than `MAX_DEPTH`, more than `MAX_VALUES` values,
            an integer of more than `MAX_INT_DIGITS` digits.
    """
    _check_size(text)
    try:
        value: object = _DECODER.decode(text)
        if _SURROGATE_ESCAPE.search(text) or not text.isascii():
            _check_surrogates(text, value)
    except InvalidJson:
        raise
    except json.JSONDecodeError as error:
        raise InvalidJson(f"{error.msg} at character {error.pos}") from None
    except RecursionError:
        raise InvalidJson("nested too deep") from None
    return value


def encode(value: object) -> str:
    """Encode to compact JSON, never with a lone surrogate (U+FFFD takes its place).

    Raises:
        ValueError: a NaN or an infinity, which JSON cannot say.
        TypeError: something that is not plain data.
    """
    return replace_surrogates(_ENCODER.encode(value))


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each surrogate, so that it has a UTF-8 form."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _SURROGATE.sub(_REPLACEMENT, text)
    return text


def _check_size(text: str) -> None:
    """Count values and nesting without recursion and without building anything.

    The pieces between closing brackets are runs of opening ones, so their lengths
    say how deep each closing bracket lies.
    """
    if text.count("[") + text.count("{") + text.count(",") <= MAX_DEPTH:
        return
    bare = text.replace("\\\\", "").replace('\\"', "")
    outside = "".join(bare.split('"')[::2]).encode(errors="replace")
    if outside.count(b"[") + outside.count(b"{") + outside.count(b",") > MAX_VALUES:
        raise InvalidJson(f"more than {MAX_VALUES} values")
    brackets = outside.translate(_TO_ARRAYS, _NOT_BRACKETS)
    depth = 0
    for opened in brackets.split(b"]"):
        depth += len(opened)
        if depth > MAX_DEPTH:
            raise InvalidJson(f"nested deeper than {MAX_DEPTH}")
        depth -= 1


def _check_surrogates(text: str, value: object) -> None:
    """Both ways in: a raw surrogate in the text, and an escape that has no partner."""
    try:
        text.encode()
        if _SURROGATE_ESCAPE.search(text):
            _ENCODER.encode(value).encode()
    except UnicodeEncodeError:
        raise InvalidJson("a lone surrogate in a string") from None


def _object(pairs: Sequence[tuple[str, object]]) -> Mapping[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("a duplicate key in an object")
    return members


def _int(literal: str) -> int:
    if len(literal) > MAX_INT_DIGITS:
        raise InvalidJson(f"an integer of more than {MAX_INT_DIGITS} digits")
    return int(literal)


def _float(literal: str) -> float:
    number = float(literal)
    if not math.isfinite(number):
        raise InvalidJson("a number that is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise InvalidJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_constant
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
