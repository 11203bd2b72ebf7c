"""The three places that settings come from, each read into a plain table.

A layer knows how to name the place of a key, so that an error points at the line
of the file, the variable or the flag that is wrong, and not at the sum of them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Literal

from attrs import frozen

from hermes.config.lines import Path, line_of
from hermes.config.spelling import dotted, one_line
from hermes.errors import ConfigError

Source = Literal["flag", "environment", "file", "default"]

# A configuration is kilobytes; anything larger is another file given by mistake,
# and is not read into memory to find that out.
MAX_FILE_BYTES = 1_048_576

PREFIX = "HERMES_"
LEVEL = "__"

_SYNTAX_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@frozen
class Layer:
    """One source of settings: `values` is its table, `text` and `file` are the file's own."""

    source: Source
    values: Mapping[str, object]
    file: str = ""
    text: str = ""

    def place(self, path: Path) -> str:
        """Where a person finds that key: `FILE:LINE`, the variable, or the flag."""
        keys = [step for step in path if isinstance(step, str)]
        if self.source == "file":
            line = line_of(self.text, path)
            return one_line(f"{self.file}:{line}" if line else self.file)
        if self.source == "environment":
            return one_line(PREFIX + LEVEL.join(keys).upper())
        return one_line("--" + keys[-1].replace("_", "-"))

    def has(self, path: Path) -> bool:
        """Whether this layer gives that key."""
        value: object = self.values
        for step in path:
            if isinstance(value, Mapping) and step in value:
                value = value[step]
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            else:
                return False
        return True


def read_file(path: FilePath, *, required: bool = True) -> Layer | None:
    """Read and parse hermes.toml; None where it is not there and need not be.

    Raises:
        ConfigError: it cannot be read, or is not TOML; the text has the line.
    """
    name = str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if not required:
            return None
        raise ConfigError(
            one_line(f"{name}: no such file; make it, or leave out --config and HERMES_CONFIG")
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(one_line(f"{name}: cannot be read: {reason}")) from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(one_line(f"{name}: expected at most {MAX_FILE_BYTES} bytes"))
    try:
        # As tomllib.load does it: TOML knows two ends of a line, and they are alike.
        text = data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(one_line(f"{name}:{line}: expected UTF-8")) from error
    return Layer("file", parse_toml(text, name), file=name, text=text)


def parse_toml(text: str, name: str) -> Mapping[str, object]:
    """Parse a file's text.

    Raises:
        ConfigError: it is not TOML; the text has the line where tomllib knows it.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(one_line(f"{name}: expected fewer brackets within each other")) from error
    except ValueError as error:
        # A TOMLDecodeError, or Python's own limit on the digits of an integer.
        message = str(error)
        at = _SYNTAX_LINE.search(message)
        place = f"{name}:{at[1]}" if at else name
        what = _SYNTAX_LINE.sub("", message)
        raise ConfigError(one_line(f"{place}: expected TOML: {what}")) from error


def read_environment(environ: Mapping[str, str]) -> Layer:
    """Take the variables that have the form HERMES_SECTION__KEY; others are not settings.

    A value is a TOML value where it reads as one, else a string.

    Raises:
        ConfigError: one variable gives a key, another a key within it.
    """
    values: dict[str, object] = {}
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and LEVEL in name[len(PREFIX) :]:
            keys = tuple(name[len(PREFIX) :].lower().split(LEVEL))
            _put(values, keys, literal(text), f"{one_line(name)}")
    return Layer("environment", values)


def read_flags(flags: Mapping[str, object]) -> Layer:
    """Take the flags of the command line by their dotted keys; None is a flag not given.

    Raises:
        ConfigError: one flag gives a key, another a key within it.
    """
    values: dict[str, object] = {}
    for key, value in sorted(flags.items()):
        if value is not None:
            _put(values, tuple(key.split(".")), value, f"--{one_line(key)}")
    return Layer("flag", values)


def literal(text: str) -> object:
    """The TOML value that a text is, or the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return parsed["value"] if list(parsed) == ["value"] else text


def merge(under: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    """Lay one table over another: tables are merged, everything else is replaced."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def _put(values: dict[str, object], keys: tuple[str, ...], value: object, place: str) -> None:
    table = values
    for key in keys[:-1]:
        inner = table.setdefault(key, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{place}: {dotted(keys)}: expected no other value for {key}")
        table = inner
    if keys[-1] in table:
        raise ConfigError(f"{place}: {dotted(keys)}: expected one value, and there are two")
    table[keys[-1]] = value
