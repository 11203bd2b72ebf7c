"""How keys and values are spelled for people: dotted paths, nearest keys, one line.

Every text that leaves the loader goes through here, since the file that it
speaks of may hold anything, control characters included.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from hermes.config.lines import Path

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# A longer key is a paste by mistake; its beginning is enough to find it.
MAX_KEY = 60

# difflib's own default lets "port" suggest "prompt"; below 0.5 typing errors of
# short keys ("cpa" for "cap") are not recognised any more.
LIKENESS = 0.6


def one_line(text: str) -> str:
    """The text with everything that cannot be printed escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def dotted(path: Path) -> str:
    """A path as it is written: `limits.cap`, `fallback[0].name`, `prices."gpt-5-mini".input`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{_key(step)}"
    return text.removeprefix(".")


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was most likely meant, if any is like it."""
    found = difflib.get_close_matches(word[:MAX_KEY].lower(), sorted(known), 1, LIKENESS)
    return found[0] if found else None


def _key(key: str) -> str:
    if len(key) > MAX_KEY:
        key = key[:MAX_KEY] + "..."
    return key if _BARE_KEY.fullmatch(key) else f'"{one_line(key)}"'
