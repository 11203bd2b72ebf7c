"""One daemon for each state directory (row D7).

An flock and not a pid file: the kernel drops it with the process, however that
ends, so there is nothing stale to judge.  The pid inside is for people only.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Self

from hermes.errors import StartError

LOCK_NAME = "lock"

# A pid has at most 7 digits on Linux; more than this is not ours to print.
_PID_BYTES = 20


class StateLock:
    """The exclusive hold on a state directory.

    **Resources**: whoever acquired it closes it; the end of the process does too.
    The file itself stays: removing it would let two daemons hold two files.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, state_dir: Path) -> StateLock:
        """Take the lock of `state_dir`, without waiting.

        Raises:
            StartError: another process holds it (its pid is named), or the file
                cannot be made.
        """
        path = state_dir / LOCK_NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError as error:
            raise StartError(f"{path} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StartError(
                f"another Hermes ({holder}) uses {state_dir}: "
                "stop it, or name another directory with --state-dir"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise StartError(f"{path} cannot be locked: {error.strerror}") from error
        return cls(descriptor)

    def close(self) -> None:
        """Let go; idempotent."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _holder(descriptor: int) -> str:
    text = os.pread(descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
    return f"pid {text}" if text.isdecimal() else "its pid is not written yet"
