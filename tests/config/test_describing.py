from pathlib import Path

from hermes.config import Entry, describe, load_settings
from hermes.config.settings import Settings
from hermes.config.spelling import dotted
from hermes.config.structuring import known_keys


def entries(tmp_path: Path, text: str = "") -> dict[str, Entry]:
    """What `hermes config` would print for that file, by key."""
    file = tmp_path / "hermes.toml"
    file.write_text(text)
    return {e.key: e for e in describe(load_settings(flags={}, environ={}, path=file))}


def test_every_known_key_is_listed(tmp_path: Path) -> None:
    """Every key is listed with a line of help, those of absent tables too."""
    found = entries(tmp_path)
    assert set(found) == {dotted(path) for path in known_keys(Settings)}
    assert all(entry.help and entry.value for entry in found.values())


def test_values_read_as_in_the_file(tmp_path: Path) -> None:
    """A value is shown as it would be written, a lifted limit as "none", an absent key as that."""
    found = entries(tmp_path, '[limits]\ncap = "none"\n[prices."m 1"]\ninput = 2\n')
    assert found["limits.cap"].value == '"none"'
    assert found["server.tls_cert"].value == "(absent)"
    assert found["compression.enabled"].value == "true"
    assert found["prompt.context_files"].value == '["AGENTS.md"]'
    assert found['prices."m 1".input'] == Entry(
        'prices."m 1".input', "2.0", "file", "per million tokens read"
    )


def test_no_secret_is_shown(tmp_path: Path) -> None:
    """Z8: a credential in an address or on a command line is not printed."""
    found = entries(
        tmp_path,
        """
[model]
provider = "own"
name = "m"
base_url = "https://ann:s3cret@example.org/v1?key=s3cret#s3cret"
[[mcp]]
name = "a"
command = ["tool", "--token", "s3cret"]
[[mcp]]
name = "b"
url = "https://s3cret@[bad"
""",
    )
    assert found["model.base_url"].value == '"https://***@example.org/v1?***"'
    assert found["mcp[0].command"].value == '"tool" and 2 arguments'
    assert not any("s3cret" in entry.value for entry in found.values())


def test_long_and_odd_values_stay_on_one_line(tmp_path: Path) -> None:
    """A value never breaks the line or the column."""
    found = entries(tmp_path, '[prompt]\nsystem = "a\\n\\u001b[2J' + "x" * 200 + '"\n')
    assert found["prompt.system"].value.startswith('"a\\n\\x1b[2Jx')
    assert len(found["prompt.system"].value) == 72
