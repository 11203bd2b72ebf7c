"""How long until the daemon listens: empty, and with a thousand turns that a kill cut."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import trio

from bench.client import TURN_STARTED, open_client, prompt_params
from bench.memory import raise_descriptors
from bench.mock import Mock
from bench.process import open_daemon
from bench.report import Figure

#: Starts of each kind, taking turns; their medians count.
STARTS = 5

#: Turns that are cut: issue 5's table.
CUT = 1000

IMPORTS = [sys.executable, "-c", "import trio, trio_websocket"]


async def measure_startup(mock: Mock, folder: Path) -> list[Figure]:
    """A start against its imports, a restart with cut turns against an empty one."""
    raise_descriptors()
    base_url = mock.base_url("never")
    await _cut_turns(base_url, folder / "cut")
    imports, empty, restarts = [], [], []
    for number in range(STARTS):
        began = time.perf_counter()
        await trio.run_process(IMPORTS, stdin=subprocess.DEVNULL)
        imports.append(time.perf_counter() - began)
        async with open_daemon(folder / f"empty{number}", base_url) as daemon:
            empty.append(daemon.started)
        # Each restart is the first one after the kill.
        state_dir = folder / f"again{number}"
        shutil.copytree(folder / "cut", state_dir)
        async with open_daemon(state_dir, base_url) as daemon:
            restarts.append(daemon.started)
    start = median(empty) * 1e3
    return [
        Figure("start until it listens", start, "ms", 3, median(imports) * 1e3, "imports"),
        Figure(
            "restart with 1,000 cut turns", median(restarts) * 1e3, "ms", 1.5, start, "empty start"
        ),
    ]


async def _cut_turns(base_url: str, state_dir: Path) -> None:
    """Leave a state directory behind in which a thousand turns run."""
    async with (
        open_daemon(state_dir, base_url, 'cap = "none"') as daemon,
        open_client(daemon) as client,
    ):
        sessions = [await client.new() for _ in range(CUT)]
        for session in sessions:
            await client.begin("session/prompt", prompt_params(session))
        await client.wait_for(TURN_STARTED, CUT)
