"""The state directory: where it is, and that nobody else can read it (row Z7).

A looser directory is refused and not mended: it may be loose because it is
somebody else's, or because a backup was unpacked over it, and a person should
know.  The check is of the directory and the files in it; what is deeper cannot
be reached through a directory that is 0700.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from hermes.config.loader import xdg_directory
from hermes.errors import StartError

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600


def find_state_dir(flag: str | None, environ: Mapping[str, str], home: Path) -> Path:
    """`--state-dir`, else HERMES_STATE_DIR, else the XDG place."""
    named = flag or environ.get("HERMES_STATE_DIR")
    if named:
        return Path(named).absolute()
    return xdg_directory(environ, "XDG_STATE_HOME", home / ".local" / "state") / "hermes"


def prepare_state_dir(path: Path) -> None:
    """Make the directory with mode 0700, or check the one that is there.

    Raises:
        StartError: it cannot be made or read, is another user's, or it or a file in
            it is open to others; the text has the command that mends it.
    """
    try:
        made = _make(path)
        _check(path, os.stat(path), DIRECTORY_MODE)
        for entry in [] if made else sorted(os.scandir(path), key=lambda entry: entry.name):
            if entry.is_file():
                _check(Path(entry.path), entry.stat(), FILE_MODE)
    except OSError as error:
        raise StartError(
            f"state directory {shlex.quote(str(path))}: {error.strerror}; "
            "name another with --state-dir"
        ) from error


def _make(path: Path) -> bool:
    """Make it if it is not there; the mode is right from the first moment on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=DIRECTORY_MODE)
    except FileExistsError:
        return False
    return True


def _check(path: Path, status: os.stat_result, mode: int) -> None:
    shown = shlex.quote(str(path))
    if stat.S_ISDIR(status.st_mode) != (mode == DIRECTORY_MODE):
        raise StartError(f"state directory {shown}: not a directory; name another with --state-dir")
    if status.st_uid != os.geteuid():
        raise StartError(
            f"{shown} belongs to another user; run: chown {os.geteuid()} {shown}, "
            "or name another with --state-dir"
        )
    loose = stat.S_IMODE(status.st_mode) & ~mode
    if loose:
        raise StartError(f"{shown} is open to others; run: chmod {mode:o} {shown}")
