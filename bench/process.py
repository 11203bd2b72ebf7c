"""The daemon as a user runs it: a process of its own, started by its command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import frozen

#: What it prints once it listens.
LISTENING = b"listening on"

#: Seconds within which it must listen, or there is nothing to measure.
START_SECONDS = 60.0


@frozen
class DaemonProcess:
    """One running daemon; `started` is how many seconds it took until it listened."""

    process: trio.Process
    state_dir: Path
    started: float

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(json.loads((self.state_dir / "daemon.json").read_text())["port"])

    def token(self, scope: str) -> str:
        """The token of that scope."""
        return str(json.loads((self.state_dir / "tokens.json").read_text())[scope])

    def cpu(self) -> float:
        """Seconds of processor time that it has used, all threads, user and system."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")

    def resident(self) -> int:
        """Its resident set in bytes."""
        statm = Path(f"/proc/{self.process.pid}/statm").read_text().split()
        return int(statm[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def open_daemon(
    state_dir: Path, base_url: str, limits: str = "", module: str = "hermes"
) -> AsyncIterator[DaemonProcess]:
    """Run a daemon with that model for as long as the body runs, then kill it.

    `limits` are lines of its `[limits]`; `module` is what `python -m` runs.

    Raises:
        trio.TooSlowError: it does not listen.
        RuntimeError: it ended at once.
    """
    config = state_dir.with_suffix(".toml")
    config.write_text(
        f'[model]\nprovider = "mock"\nname = "mock"\nbase_url = "{base_url}"\n[limits]\n{limits}\n'
    )
    command = [sys.executable, "-m", module, "serve", "--port", "0"]
    command += ["--config", str(config), "--state-dir", str(state_dir)]
    began = time.perf_counter()
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        with trio.fail_after(START_SECONDS):
            await _wait_listening(process.stderr)
        started = time.perf_counter() - began
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drop, process.stderr)
            yield DaemonProcess(process, state_dir, started)
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):  # a killed process ends at once
            await process.wait()


async def _wait_listening(stderr: trio.abc.ReceiveStream) -> None:
    text = b""
    while LISTENING not in text:
        more = await stderr.receive_some()
        if not more:
            raise RuntimeError(f"the daemon ended: {text.decode()}")
        text += more


async def _drop(stream: trio.abc.ReceiveStream) -> None:
    """Keep the pipe from filling."""
    async for _ in stream:
        pass
