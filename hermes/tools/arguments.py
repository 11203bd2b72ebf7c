"""Reading a tool call's arguments: a model writes them, so every one is checked.

A validator for the whole JSON schema was tried in other places and tells a model
less than a sentence does: each of these says in one line what was expected.
"""

from __future__ import annotations

from collections.abc import Mapping

from hermes.ports.tools import ToolError


def text_of(arguments: Mapping[str, object], name: str) -> str:
    """The string with that name.

    Raises:
        ToolError: it is missing or not a string.
    """
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ToolError(f"{name} must be a string")
    return value


def seconds_of(arguments: Mapping[str, object], name: str, longest: float) -> float:
    """The number of seconds with that name, from 0 to `longest`.

    Raises:
        ToolError: it is missing, not a number, or out of range.
    """
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= longest:
        raise ToolError(f"{name} must be a number of seconds from 0 to {longest:g}")
    return float(value)
