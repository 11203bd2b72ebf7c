from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hermes.cli.background import serve_command, start_daemon
from hermes.cli.exits import CommandFailed

READY = """
import os, signal, sys
from hermes.daemon.notify import notify_ready
print("started", file=sys.stderr, flush=True)
notify_ready(os.environ)
signal.pause()
"""


async def test_it_returns_once_the_daemon_listens(tmp_path: Path) -> None:
    """A daemon is awaited by its READY=1, apart from our terminal, its output in a private log."""
    process = await start_daemon([sys.executable, "-c", READY], tmp_path, os.environ)
    try:
        log = tmp_path / "daemon.log"
        assert log.read_text() == "started\n"
        assert log.stat().st_mode & 0o777 == 0o600
        assert os.getsid(process.pid) == process.pid
    finally:
        process.kill()
        await process.wait()


async def test_a_daemon_that_fails_says_why(tmp_path: Path) -> None:
    """A daemon that ends before it listens is told with the last line of its own log."""
    (tmp_path / "daemon.log").write_text("an older run\n")
    script = "import sys; sys.exit('hermes: port 8765 is in use')"
    with pytest.raises(CommandFailed, match=r"did not start: port 8765 is in use \(log: "):
        await start_daemon([sys.executable, "-c", script], tmp_path, os.environ)
    with pytest.raises(CommandFailed, match="it wrote nothing"):
        await start_daemon([sys.executable, "-c", ""], tmp_path, os.environ)


def test_the_command_names_the_state_directory() -> None:
    """A background daemon gets the state directory and the file that were named."""
    command = serve_command(Path("/s"), Path("/c"))
    assert command[1:] == ["-m", "hermes", "serve", "--state-dir", "/s", "--config", "/c"]
    assert "--config" not in serve_command(Path("/s"), None)
