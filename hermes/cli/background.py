"""Start a daemon in the background and wait until it listens, without polling.

The child is told to send READY=1 to a socket of ours, as systemd does it, so one
datagram says that it listens and its exit says that it never will.  It runs in a
session of its own, so that neither Ctrl-C nor a closed terminal reaches it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

import hermes
from hermes.cli.exits import CommandFailed

LOG_FILE = "daemon.log"
LOG_MODE = 0o600

# Opening the store after a crash may check a large file; a fresh start takes a second.
START_SECONDS = 60.0

# The last line of the log is what is shown; a line longer than this is cut anyhow.
TAIL_BYTES = 2_000

READY_BYTES = 4_096


def serve_command(state_dir: Path, config: Path | None) -> Sequence[str]:
    """The command line of a background daemon."""
    command = [sys.executable, "-m", "hermes", "serve", "--state-dir", str(state_dir)]
    return [*command, "--config", str(config)] if config is not None else command


async def start_daemon(
    command: Sequence[str], state_dir: Path, environ: Mapping[str, str]
) -> trio.Process:
    """Run `command` detached and wait for its READY=1.

    It runs in the folder that holds this package, never in the current one, where
    a file of somebody else's could be imported in place of a library.

    Raises:
        CommandFailed: it ended, or did not get ready in `START_SECONDS`.

    **Cancellation**: the child is terminated.
    **Resources**: the process is meant to outlive the caller, who holds it without
    waiting for it.
    """
    log = state_dir / LOG_FILE
    with (
        tempfile.TemporaryDirectory(prefix="hermes-") as folder,
        trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_DGRAM) as ready,
    ):
        address = f"{folder}/ready"
        await ready.bind(address)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, LOG_MODE)
        try:
            start = os.fstat(output).st_size
            process = await trio.lowlevel.open_process(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=Path(hermes.__file__).parent.parent,
                env={**environ, "NOTIFY_SOCKET": address},
            )
        finally:
            os.close(output)
        listens = False
        try:
            with trio.move_on_after(START_SECONDS):
                listens = await _ready(ready, process)
        finally:
            if not listens and process.poll() is None:
                process.terminate()
    if not listens:
        raise CommandFailed(f"the daemon did not start: {_last_line(log, start)} (log: {log})")
    return process


async def _ready(ready: trio.socket.SocketType, process: trio.Process) -> bool:
    """Whether READY=1 came before the end of the process."""
    listens = False
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            await process.wait()
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        while not listens:
            listens = b"READY=1" in (await ready.recv(READY_BYTES)).split(b"\n")
        nursery.cancel_scope.cancel()
    return listens


def _last_line(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("hermes: ") if lines else "it wrote nothing"
