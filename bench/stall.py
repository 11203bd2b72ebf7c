"""The longest time for which the daemon's loop did not look at the network.

`python -m bench.stall serve ...` is the daemon with a Trio instrument, which costs
something at each pass of the loop; so its other figures are measured elsewhere.
On a machine with other work a pass is long, too, because the kernel ran something
else meanwhile: so the longest pass is told by the clock and by the processor time
of the loop's own thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from bench.client import Socket, open_socket
from bench.control import STATUS
from bench.memory import AGENTS, lanes, open_clients
from bench.mock import Mock
from bench.process import DaemonProcess, open_daemon
from bench.report import Figure
from bench.turn import CROWD_TURNS, crowd_of_sessions
from hermes.config import load_settings, prepare_state_dir
from hermes.daemon.main import DaemonOptions, run_daemon

#: Milliseconds: issue 5's table.
TARGET = 50


class Passes(trio.abc.Instrument):
    """The longest pass of a loop, in seconds by the clock and of processor time."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.processor = 0.0
        self._began: tuple[float, float] | None = None

    def after_io_wait(self, timeout: float) -> None:
        """A pass begins."""
        self._began = time.perf_counter(), time.thread_time()

    def before_io_wait(self, timeout: float) -> None:
        """It ends: the loop looks at the network again."""
        if self._began is not None:
            clock, processor = self._began
            self.clock = max(self.clock, time.perf_counter() - clock)
            self.processor = max(self.processor, time.thread_time() - processor)


async def measure_stall(mock: Mock, folder: Path) -> list[Figure]:
    """64 sessions at once, an operator who asks all the time, then 500 agents."""
    state_dir = folder / "state"
    base_url = mock.base_url("instant")
    async with open_daemon(state_dir, base_url, 'cap = "none"', "bench.stall") as daemon:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_ask_all_the_time, daemon)
            await crowd_of_sessions(daemon, CROWD_TURNS)
            async with open_clients(daemon) as clients:

                async def one(lane: int) -> None:
                    await clients[lane].prompt(await clients[lane].new())

                await lanes(AGENTS, one)
            nursery.cancel_scope.cancel()
        daemon.process.terminate()
        await daemon.process.wait()
    found = json.loads(_report(state_dir).read_text())
    return [
        Figure("longest stall of the loop, by the clock", found["clock"] * 1e3, "ms", TARGET),
        Figure("the same, processor time", found["processor"] * 1e3, "ms", TARGET),
    ]


async def _ask_all_the_time(daemon: DaemonProcess) -> None:
    operator: Socket = await open_socket(daemon.port, "/control", daemon.token("operator"))
    try:
        while True:
            await operator.send(STATUS % 1)
            await operator.receive()
    finally:
        with trio.CancelScope(shield=True):  # it does not wait for the peer
            await operator.aclose()


def _report(state_dir: Path) -> Path:
    return state_dir.with_suffix(".stall")


def main(arguments: Sequence[str]) -> None:
    """Run a daemon to its end and leave the longest pass beside its state directory."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--port", type=int)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--state-dir", type=Path)
    flags = parser.parse_args(arguments)
    given = {"server.port": flags.port}
    loaded = load_settings(flags=given, environ=os.environ, path=flags.config, required=True)
    prepare_state_dir(flags.state_dir)
    options = DaemonOptions(
        state_dir=flags.state_dir,
        loaded=loaded,
        environ=os.environ,
    )
    passes = Passes()
    trio.run(_serve, options, passes)
    report = {"clock": passes.clock, "processor": passes.processor}
    _report(flags.state_dir).write_text(json.dumps(report))


async def _serve(options: DaemonOptions, passes: Passes) -> None:
    """What comes before it listens is its start, and no stall."""
    async with trio.open_nursery() as nursery:
        await nursery.start(run_daemon, options)
        trio.lowlevel.add_instrument(passes)


if __name__ == "__main__":
    main(sys.argv[1:])
