"""The daemon and its command line as real processes, with real sockets and real time.

Nothing here sleeps or polls: a line, a frame or the end of a process is waited for,
each under a deadline.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, field, frozen
from support.runtime import validator
from support.wire import WireClient, speaking
from trio_websocket import wrap_client_stream

ROOT = Path(__file__).parents[2]
HERMES = (sys.executable, "-m", "hermes")
LISTENING = "hermes: listening on "

#: Seconds for a daemon to listen or to end by itself; far more than either takes.
START_SECONDS = 30.0
STOP_SECONDS = 20.0

#: Seconds for a whole test with a daemon, so that a hang is a failure with a name.
TEST_SECONDS = 60.0


def environment(folder: Path, more: Mapping[str, str]) -> dict[str, str]:
    """An environment without anything of the machine's own Hermes."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HERMES_", "OPENAI_", "XDG_")) and name != "NOTIFY_SOCKET"
    }
    return {
        **kept,
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": str(ROOT),
        **more,
    }


@frozen
class Ended:
    """A command that has ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """Its one line on standard error, which must be all there is."""
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.rstrip("\n")


async def run_hermes(
    folder: Path, *words: str, stdin: str = "", env: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end; `folder` is where its files are looked for."""
    return await run_command([*HERMES, *words], folder, stdin=stdin, env=env)


async def run_command(
    command: Sequence[str],
    folder: Path,
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Ended:
    """Run any command to its end.

    Raises:
        trio.TooSlowError: it took too long.
    """
    with trio.fail_after(TEST_SECONDS):
        done = await trio.run_process(
            list(command),
            stdin=stdin.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=cwd or folder,
            env=environment(folder, env or {}),
        )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


@define(eq=False)
class LiveDaemon:
    """A daemon that listens; `lines` are what it wrote to standard error so far."""

    process: trio.Process
    folder: Path
    state_dir: Path
    port: int = 0
    lines: list[str] = field(factory=list)
    _listening: trio.Event = field(factory=trio.Event, init=False)

    def token(self, scope: str) -> str:
        """The token of this machine with that scope."""
        return str(json.loads((self.state_dir / "tokens.json").read_text())[scope])

    def url(self, path: str = "/acp") -> str:
        """The websocket address of a path."""
        return f"ws://127.0.0.1:{self.port}{path}"

    @asynccontextmanager
    async def connect(self, path: str = "/acp") -> AsyncIterator[WireClient]:
        """A client of the harness over a real socket; on `/acp` every frame is validated."""
        token = self.token("operator" if path == "/control" else "session")
        async with (
            await trio.open_tcp_stream("127.0.0.1", self.port) as stream,
            trio.open_nursery() as nursery,
        ):
            socket = await wrap_client_stream(
                nursery,
                stream,
                f"127.0.0.1:{self.port}",
                path,
                extra_headers=[(b"Authorization", f"Bearer {token}".encode())],
                message_queue_size=1000,
            )
            async with speaking(socket, validator() if path == "/acp" else None) as client:
                if path == "/acp":
                    await client.initialize()
                yield client
            nursery.cancel_scope.cancel()

    async def call(self, method: str, **params: Any) -> Any:
        """One call of an operator, on a connection of its own."""
        async with self.connect("/control") as operator:
            return await operator.call(method, params)

    async def ended(self) -> int:
        """Wait for its end; its exit code."""
        with trio.fail_after(STOP_SECONDS):
            return await self.process.wait()

    async def stop(self) -> int:
        """Stop it with SIGTERM; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.send_signal(signal.SIGKILL)
        await self.ended()

    async def read(self) -> None:
        """Keep what it writes to standard error, until its end."""
        assert self.process.stderr is not None
        text = ""
        async for data in self.process.stderr:
            text += data.decode()
            *lines, text = text.split("\n")
            for line in lines:
                self.lines.append(line)
                if line.startswith(LISTENING):
                    self.port = int(line.rpartition(":")[2].removesuffix("/acp"))
                    self._listening.set()
        self._listening.set()

    async def listening(self) -> None:
        """Wait until it listens.

        Raises:
            AssertionError: it ended instead; the text is what it wrote.
        """
        with trio.fail_after(START_SECONDS):
            await self._listening.wait()
        assert self.port, "\n".join(self.lines)


@asynccontextmanager
async def open_daemon(
    folder: Path, *words: str, env: Mapping[str, str] | None = None
) -> AsyncIterator[LiveDaemon]:
    """A daemon in `folder`/s, on a free port; its clean end is a part of every test.

    A test that ends it by itself says how; one that does not gets a SIGTERM and an
    exit code of 0.
    """
    state_dir = folder / "s"
    command = [*HERMES, "serve", "--port", "0", "--state-dir", str(state_dir), *words]
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(folder, env or {}),
    )
    daemon = LiveDaemon(process, folder, state_dir)
    try:
        with trio.fail_after(TEST_SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(daemon.read)
                await daemon.listening()
                yield daemon
                if process.poll() is None:
                    assert await daemon.stop() == 0, "\n".join(daemon.lines)
    finally:
        if process.poll() is None:
            process.kill()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_SECONDS):
                await process.wait()
