"""Where this machine's daemon is, and the tokens to talk to it.

Both are files in the state directory that the daemon writes, so a command needs
no flag but `--state-dir`.  After a kill `daemon.json` is stale: a process that
is gone is no daemon, and the token is not sent to whoever has the port by now.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from attrs import frozen

from hermes.cli.exits import CommandFailed, NoDaemon
from hermes.messages.strict_json import InvalidJson, decode

DAEMON_FILE = "daemon.json"
TOKENS_FILE = "tokens.json"

Scope = Literal["session", "operator"]


@frozen
class DaemonPlace:
    """What `daemon.json` says."""

    pid: int
    host: str
    port: int
    version: str

    def url(self, path: str) -> str:
        """The websocket address of a path such as `/acp`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}{path}"


def find_daemon(state_dir: Path) -> DaemonPlace:
    """Where the daemon of this state directory listens.

    Raises:
        NoDaemon: none runs.
        CommandFailed: its file cannot be read.
    """
    none = f"no daemon runs for this state directory ({state_dir}); start one with: hermes serve"
    path = state_dir / DAEMON_FILE
    values = _read(path)
    if values is None:
        raise NoDaemon(none)
    match values:
        case {"pid": int(pid), "host": str(host), "port": int(port), "version": str(version)}:
            place = DaemonPlace(pid, host, port, version)
        case _:
            raise CommandFailed(_damaged(path))
    if not _runs(place.pid):
        raise NoDaemon(none)
    return place


def read_token(state_dir: Path, scope: Scope) -> str:
    """This machine's own token of that scope.

    Raises:
        CommandFailed: it is not there, or cannot be read.
    """
    path = state_dir / TOKENS_FILE
    token = (_read(path) or {}).get(scope)
    if not isinstance(token, str) or not (token and token.isascii() and token.isprintable()):
        raise CommandFailed(
            f"{path} has no {scope} token; stop the daemon, remove the file, "
            "and start again with: hermes serve"
        )
    return token


def _read(path: Path) -> Mapping[str, object] | None:
    """The JSON object in a file, None where there is no file."""
    try:
        values = decode(path.read_bytes().decode())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandFailed(
            f"{path} cannot be read: {error.strerror}; run as the daemon's user, "
            "or name another directory with --state-dir"
        ) from error
    except (UnicodeDecodeError, InvalidJson) as error:
        raise CommandFailed(_damaged(path)) from error
    if not isinstance(values, dict):
        raise CommandFailed(_damaged(path))
    return values


def _damaged(path: Path) -> str:
    return f"{path} is damaged; stop the daemon, remove the file, and run: hermes serve"


def _runs(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
