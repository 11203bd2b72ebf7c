import os
from pathlib import Path

import pytest

from hermes.config.layers import (
    MAX_FILE_BYTES,
    Layer,
    literal,
    merge,
    read_environment,
    read_file,
    read_flags,
)
from hermes.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("0.5", 0.5),
        ("true", True),
        ('["a", "b"]', ["a", "b"]),
        ('"64"', "64"),
        ("none", "none"),
        ("gpt-5-mini", "gpt-5-mini"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_literal(text: str, value: object) -> None:
    """A variable's text is a TOML value where it reads as exactly one, else a string."""
    assert literal(text) == value


def test_only_variables_with_levels_are_settings() -> None:
    """Plain variables such as HERMES_STATE_DIR are not settings, and neither are others'."""
    environ = {
        "HERMES_CONFIG": "x",
        "HERMES_STATE_DIR": "y",
        "OTHER_LIMITS__CAP": "1",
        "HERMES_LIMITS__CAP": "2",
        "HERMES_PLATFORMS__TELEGRAM__TOKEN_ENV": "T",
    }
    assert read_environment(environ).values == {
        "limits": {"cap": 2},
        "platforms": {"telegram": {"token_env": "T"}},
    }


@pytest.mark.parametrize(
    "environ",
    [
        {"HERMES_A__B": "1", "HERMES_A__B__C": "2"},
        {"HERMES_A__B__C": "1", "HERMES_a__b": "2"},
        {"HERMES_A__B": "1", "HERMES_a__b": "2"},
    ],
)
def test_variables_that_contradict_each_other(environ: dict[str, str]) -> None:
    """Two variables for one key, or for a key and one within it, are an error with the name."""
    with pytest.raises(ConfigError, match=r"^HERMES_[Aa]__[Bb]"):
        read_environment(environ)


def test_flags_that_are_not_given_are_absent() -> None:
    """A flag that is None says nothing, and 0 or an empty string does."""
    flags = {"server.port": 0, "server.host": None, "model.name": ""}
    assert read_flags(flags).values == {"server": {"port": 0}, "model": {"name": ""}}


def test_merge_replaces_lists_and_joins_tables() -> None:
    """Tables are laid over each other key by key; a list is replaced whole."""
    under = {"a": {"x": 1, "y": [1, 2]}, "b": 1}
    assert merge(under, {"a": {"y": [3]}, "b": {"z": 1}}) == {
        "a": {"x": 1, "y": [3]},
        "b": {"z": 1},
    }
    assert under == {"a": {"x": 1, "y": [1, 2]}, "b": 1}


def test_places() -> None:
    """A place is the file with its line, the variable, or the flag."""
    text = "\n[limits]\ncap = 1\n"
    assert Layer("file", {}, "f.toml", text).place(("limits", "cap")) == "f.toml:3"
    assert Layer("file", {}, "f.toml", text).place(("store",)) == "f.toml"
    assert Layer("environment", {}).place(("limits", "cap")) == "HERMES_LIMITS__CAP"
    assert Layer("flag", {}).place(("limits", "idle_ttl")) == "--idle-ttl"


def test_missing_file(tmp_path: Path) -> None:
    """A file that was named must be there; the default one need not."""
    assert read_file(tmp_path / "hermes.toml", required=False) is None
    with pytest.raises(ConfigError, match=r"hermes\.toml: no such file; make it"):
        read_file(tmp_path / "hermes.toml")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a = 1\nb = \n", r":2: expected TOML: Invalid value$"),
        (b"a = 1\nb = '", r": expected TOML: "),
        (b"a = 1\n\xff = 1\n", r":2: expected UTF-8$"),
        (b"a = " + b"[" * 100_000, r": expected "),
        (b"a = " + b"9" * 5000, r": expected TOML: "),
        (b"#" * (MAX_FILE_BYTES + 1), r": expected at most 1048576 bytes$"),
    ],
    ids=["syntax", "cut", "bytes", "deep", "digits", "large"],
)
def test_files_that_are_not_toml(tmp_path: Path, data: bytes, message: str) -> None:
    """Each kind of broken file is one clear line, with the number of the line where known."""
    file = tmp_path / "hermes.toml"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=message) as caught:
        read_file(file)
    assert str(caught.value).startswith(str(file))
    assert str(caught.value).isprintable()


def test_a_directory_and_an_odd_name(tmp_path: Path) -> None:
    """A path that cannot be read is one line, whatever its name holds."""
    odd = tmp_path / "a\nb"
    os.mkdir(odd)
    with pytest.raises(ConfigError, match=r"a\\nb: cannot be read: Is a directory$"):
        read_file(odd)


def test_windows_line_ends(tmp_path: Path) -> None:
    """Lines that end with CR LF count as lines."""
    file = tmp_path / "hermes.toml"
    file.write_bytes(b"[limits]\r\ncap = 1\r\n")
    layer = read_file(file)
    assert layer is not None
    assert layer.values == {"limits": {"cap": 1}}
    assert layer.place(("limits", "cap")).endswith("hermes.toml:2")
