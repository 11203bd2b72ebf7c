"""`python -m bench [NAME ...]`: measure, and print each figure beside its peer.

All figures of a line come from the same run on the same machine; only their ratio
says something.  Nothing is asserted.  Set TMPDIR to choose the disk.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import trio

from bench.acceptance import measure_acceptance
from bench.control import measure_control
from bench.mailbox import measure_mailbox
from bench.memory import measure_agents, measure_sessions, measure_websockets
from bench.mock import Mock, open_mock
from bench.report import Figure, lines
from bench.stall import measure_stall
from bench.startup import measure_startup
from bench.turn import measure_crowd, measure_turn

Bench = Callable[[Mock, Path], Awaitable[list[Figure]]]

BENCHES: Mapping[str, Bench] = {
    "mailbox": measure_mailbox,
    "turn": measure_turn,
    "crowd": measure_crowd,
    "agents": measure_agents,
    "sessions": measure_sessions,
    "startup": measure_startup,
    "acceptance": measure_acceptance,
    "control": measure_control,
    "websockets": measure_websockets,
    "stall": measure_stall,
}


def main(names: Sequence[str]) -> int:
    """Run the benches of these names, or all; returns the exit code."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench: unknown: {' '.join(unknown)}; known: {' '.join(BENCHES)}", file=sys.stderr)
        return 2
    print("\n".join(lines(trio.run(_run, names or tuple(BENCHES)))))
    return 0


async def _run(names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="hermes-bench-") as folder:
        async with open_mock() as mock:
            for name in names:
                place = Path(folder) / name
                place.mkdir()
                began = time.perf_counter()
                figures += await BENCHES[name](mock, place)
                print(f"bench: {name}: {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
