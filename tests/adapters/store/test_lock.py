from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from hermes.adapters.store import StateLock
from hermes.adapters.store.lock import LOCK_NAME
from hermes.errors import StartError

HOLD = """
import sys
from pathlib import Path
from hermes.adapters.store import StateLock
lock = StateLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_refused(tmp_path: Path) -> None:
    """D7: while a process holds the state directory a second one is refused with its pid."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StartError, match=rf"pid {holder.pid}\b"):
            StateLock.acquire(tmp_path)
        holder.kill()

    StateLock.acquire(tmp_path).close()


def test_a_closed_lock_is_free(tmp_path: Path) -> None:
    """The lock can be taken again after it was closed, and closing twice is harmless."""
    with StateLock.acquire(tmp_path) as lock:
        with pytest.raises(StartError, match=str(os.getpid())):
            StateLock.acquire(tmp_path)
        lock.close()
        with StateLock.acquire(tmp_path):
            pass


def test_the_file_is_private(tmp_path: Path) -> None:
    """Z7: the lock file is 0600."""
    with StateLock.acquire(tmp_path):
        assert stat.S_IMODE((tmp_path / LOCK_NAME).stat().st_mode) == 0o600


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    """A state directory that is not there is an error of one line that names it."""
    with pytest.raises(StartError, match="gone"):
        StateLock.acquire(tmp_path / "gone")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A lock file that is a link to somewhere else is refused."""
    (tmp_path / LOCK_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StartError):
        StateLock.acquire(tmp_path)
    assert not (tmp_path / "elsewhere").exists()
