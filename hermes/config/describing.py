"""What `hermes config` prints: every key with its value, its source and its help.

A setting is never a credential, only the name of the variable or file that has
one.  Two kinds of value could still carry one by habit, an address
(`https://user:password@host`) and a command line, so they are shown in part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs
from attrs import frozen

from hermes.config.layers import Source
from hermes.config.lines import Path
from hermes.config.loader import Loaded, leaves
from hermes.config.rules import HELP, takes_none
from hermes.config.settings import Settings
from hermes.config.spelling import dotted, one_line

# The value column of a terminal; a system prompt of a page has its file to be read in.
MAX_SHOWN = 72

_PLAIN = re.compile(r"[ -~]*")


@frozen
class Entry:
    """One key in force; `value` is as it would be written in the file, or `(absent)`."""

    key: str
    value: str
    source: Source
    help: str


def describe(loaded: Loaded) -> Sequence[Entry]:
    """Every key in the order of the documentation, absent ones included."""
    return [
        Entry(
            dotted(path),
            shown(attribute, value_at(loaded.settings, path)),
            loaded.sources[dotted(path)],
            attribute.metadata.get(HELP, ""),
        )
        for path, attribute in leaves(loaded.settings)
    ]


def value_at(settings: Settings, path: Path) -> object:
    """The value of a key that `leaves` gave; None within an absent table."""
    value: object = settings
    for step in path:
        if isinstance(value, tuple) and isinstance(step, int):
            value = value[step]
        elif isinstance(value, Mapping):
            value = value[step]
        elif value is not None:
            value = getattr(value, str(step))
    return value


def shown(attribute: attrs.Attribute[Any], value: object) -> str:
    """A value as TOML, without what could be a secret, cut to a column."""
    name = attribute.name
    if value is None:
        return '"none"' if takes_none(attribute.type) else "(absent)"
    if name == "command" and isinstance(value, tuple):
        more = f" and {len(value) - 1} arguments" if len(value) > 1 else ""
        return _toml(value[0]) + more
    if name in ("base_url", "url") and isinstance(value, str):
        return _toml(public_address(value))
    text = _toml(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def public_address(address: str) -> str:
    """An address without user, password, query and fragment."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return "***"
    host = parts.netloc.rpartition("@")[2]
    masked = "***@" if "@" in parts.netloc else ""
    query = "?***" if parts.query or parts.fragment else ""
    return f"{parts.scheme}://{masked}{host}{parts.path}{query}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + one_line(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(element) for element in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)
