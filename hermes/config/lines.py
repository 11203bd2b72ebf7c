"""On which line of the file a key is, for error texts only.

tomllib gives no positions, and a second TOML parser for them would be one more
dependency that can disagree with it.  So this cuts a file that tomllib already
took into its statements: the fewest lines that tomllib takes by themselves are
one.  It costs a parse for each line, and is paid only when there is an error to
tell.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]

# A value of more lines than this is not looked into: each further line parses the
# whole statement again. The keys before it are found all the same.
MAX_STATEMENT_LINES = 200

# No setting is deeper than `platforms.telegram.allow[0]`; a key of a thousand dots
# must not cost a million steps.
MAX_DEPTH = 6


def line_of(text: str, path: Path) -> int | None:
    """The line, from 1, of the key at `path` or of the closest table around it.

    A path has keys and, within lists of tables, positions from 0.  None where
    not even a table around it is in the text.
    """
    lines = key_lines(text)
    for length in range(len(path), 0, -1):
        # A single [fallback] table is written without the position that its path has.
        unnumbered = tuple(step for step in path[:length] if isinstance(step, str))
        for wanted in (path[:length], unnumbered):
            if wanted in lines:
                return lines[wanted]
    return None


def key_lines(text: str) -> Mapping[Path, int]:
    """The first line of every table and key of a text that is valid TOML."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, statement, parsed in _statements(text):
        if statement.lstrip().startswith("["):
            table = _header_path(parsed, counts, is_list=statement.lstrip().startswith("[["))
            for length in range(1, len(table) + 1):
                lines.setdefault(table[:length], number)
        else:
            for path in _paths(parsed):
                lines.setdefault(table + path, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, Mapping[str, object]]]:
    """Each statement with the number of its first line and what it parses to."""
    start, pending = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        if not pending:
            start = number
        pending += line + "\n"
        try:
            parsed = tomllib.loads(pending)
        except (ValueError, RecursionError):
            if number - start < MAX_STATEMENT_LINES:
                continue
            return
        if parsed:
            yield start, pending, parsed
        pending = ""


def _header_path(parsed: Mapping[str, object], counts: dict[Path, int], *, is_list: bool) -> Path:
    """The full path of a header, with the position of each list of tables it goes through."""
    path: Path = ()
    value: object = parsed
    while isinstance(value, dict) and value and len(path) < MAX_DEPTH:
        ((key, value),) = value.items()
        path += (key,)
        if isinstance(value, list):
            value = value[0]
        is_last = not value
        if is_last and is_list:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path += (counts[path] - 1,)
    return path


def _paths(value: object) -> Iterator[Path]:
    """Every path within a value, tables and lists included, without recursion."""
    waiting: list[tuple[Path, object]] = [((), value)]
    while waiting:
        path, value = waiting.pop()
        if path:
            yield path
        if len(path) >= MAX_DEPTH:
            continue
        if isinstance(value, dict):
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, at), inner) for at, inner in enumerate(value)]
