from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hermes.cli.discovery import DaemonPlace, find_daemon, read_token
from hermes.cli.exits import CommandFailed, NoDaemon

# Above the largest pid of any Linux.
NO_PID = 2**22 + 1


def place(state_dir: Path, **changes: object) -> None:
    values = {"pid": os.getpid(), "host": "127.0.0.1", "port": 1, "version": "0"} | changes
    (state_dir / "daemon.json").write_text(json.dumps(values))


def test_a_daemon_is_found(tmp_path: Path) -> None:
    """The file of a running daemon says where it listens, IPv6 in brackets."""
    place(tmp_path, host="::1", port=8765)
    assert find_daemon(tmp_path).url("/acp") == "ws://[::1]:8765/acp"
    assert DaemonPlace(1, "127.0.0.1", 2, "").url("/control") == "ws://127.0.0.1:2/control"


def test_no_daemon(tmp_path: Path) -> None:
    """No file, and the file of a process that is gone, say how to start a daemon."""
    with pytest.raises(NoDaemon, match="start one with: hermes serve"):
        find_daemon(tmp_path)
    place(tmp_path, pid=NO_PID)
    with pytest.raises(NoDaemon, match="start one with: hermes serve"):
        find_daemon(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid":"x"}', "\ud83d"])
def test_damaged_files(tmp_path: Path, text: str) -> None:
    """Files that are damaged are named, with what to do."""
    for name in ("daemon.json", "tokens.json"):
        (tmp_path / name).write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(CommandFailed, match=r"daemon\.json is damaged.*hermes serve"):
        find_daemon(tmp_path)
    with pytest.raises(CommandFailed, match=r"tokens\.json.*hermes serve"):
        read_token(tmp_path, "session")


@pytest.mark.parametrize("token", [None, "", 3, "a\nb", "ä"])
def test_a_token_that_cannot_be_sent(tmp_path: Path, token: object) -> None:
    """A token that is missing, or would break the header, is refused before it is used."""
    (tmp_path / "tokens.json").write_text(json.dumps({"session": token, "operator": "op"}))
    with pytest.raises(CommandFailed, match="no session token"):
        read_token(tmp_path, "session")
    assert read_token(tmp_path, "operator") == "op"
