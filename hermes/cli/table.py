"""Results as people read them: aligned tables, durations, sizes, dates.

A result of `/control` is plain JSON, so one renderer serves every method: which
unit a number has follows from its name, which protocol.md fixes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from hermes.messages.strict_json import encode

GAP = "  "
NOTHING = "-"

MINUTE, HOUR, DAY = 60, 3600, 86_400
KIB = 1024

DURATIONS = frozenset({
    "uptime", "idle", "age", "seconds", "lastActivity", "idleTtl", "inactivityLimit",
})  # fmt: skip
TIMES = frozenset({"at", "createdAt", "startedAt"})
SIZES = frozenset({"rss"})


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns aligned to the left, two blanks between them, no blanks at the ends."""
    lines = [[head.upper() for head in heads], *(list(row) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    return "\n".join(
        GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def render(result: Mapping[str, object]) -> str:
    """A whole result: first its single values, then each list of objects as a table."""
    pairs = list(_flat(result, ""))
    tables = [(path, rows) for path, value in pairs if (rows := _objects(value))]
    shown = {path for path, _ in tables}
    blocks = [_pairs([(path, value) for path, value in pairs if path not in shown])]
    blocks += [_objects_table(rows) for _, rows in tables]
    return "\n\n".join(block for block in blocks if block) or "done"


def cell(name: str, value: object) -> str:
    """One value, in the unit that its name stands for."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name in DURATIONS and isinstance(value, float):  # evictions.idle is a count
            return duration(value)
        if name in TIMES:
            return moment(value)
        return size(value) if name in SIZES else str(value)
    if isinstance(value, list):
        return ", ".join(cell("", element) for element in value) or NOTHING
    return printable(value if isinstance(value, str) else encode(value))


def duration(seconds: float) -> str:
    """Seconds in the two largest units that matter: `0.25s`, `4m05s`, `1h20m`, `3d04h`."""
    if seconds < MINUTE:
        return f"{round(seconds, 2):g}s"
    whole = int(seconds)
    if whole < HOUR:
        return f"{whole // MINUTE}m{whole % MINUTE:02}s"
    if whole < DAY:
        return f"{whole // HOUR}h{whole % HOUR // MINUTE:02}m"
    return f"{whole // DAY}d{whole % DAY // HOUR:02}h"


def moment(unix: float) -> str:
    """A Unix time as local date and time; a number that is no date stays a number."""
    try:
        return datetime.datetime.fromtimestamp(unix).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, OSError, ValueError):
        return str(unix)


def size(count: float) -> str:
    """Bytes in the largest binary unit."""
    for unit in ("B", "KiB", "MiB"):
        if count < KIB:
            return f"{count:.0f} {unit}"
        count /= KIB
    return f"{count:.1f} GiB"


def printable(text: str) -> str:
    """Text of others on one line of a terminal: what is not printable is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _pairs(pairs: Sequence[tuple[str, object]]) -> str:
    width = max((len(path) for path, _ in pairs), default=0)
    return "\n".join(
        f"{path.ljust(width)}{GAP}{cell(path.rpartition('.')[2], value)}" for path, value in pairs
    )


def _objects_table(rows: Sequence[Mapping[str, object]]) -> str:
    heads = list(dict.fromkeys(name for row in rows for name in row))
    return table(heads, ([cell(head, row.get(head)) for head in heads] for row in rows))


def _flat(value: Mapping[str, object], prefix: str) -> Iterable[tuple[str, object]]:
    """Objects within objects as dotted paths; empty ones say so."""
    for name, inner in value.items():
        path = printable(f"{prefix}{name}")
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{path}.")
        else:
            yield path, inner if inner != {} else None


def _objects(value: object) -> Sequence[Mapping[str, object]]:
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return value
    return []
