"""The whole runtime in virtual time, through in-memory websockets, seed by seed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.simulation.run import run_seed

ROOT = Path(__file__).parents[2]

#: Seeds of the suite; `python -m support.simulation` runs as many more as one likes.
SEEDS = 200

#: Seeds of one test: enough tests to see progress and to share them among processes.
CHUNK = 20


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Planned crashes write their tracebacks to the log: not here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_invariant_breaks(first: int) -> None:
    """K5, K7: random stories of prompts, releases, closes, crashes and faults break nothing."""
    failed = [report for report in map(run_seed, range(first, first + CHUNK)) if report.problems]
    for report in failed:
        print(f"PYTHONPATH=tests:. python -m support.simulation --trace --seeds {report.seed}")
        print(*report.problems, sep="\n")
    assert not failed, f"seeds {[report.seed for report in failed]} fail"


def test_a_seed_runs_again() -> None:
    """K7: the same seed gives the same trace of frames and events, twice."""
    for seed in range(4):
        assert run_seed(seed).trace == run_seed(seed).trace


def test_a_seed_runs_again_elsewhere() -> None:
    """K7: the trace is the same in another process with other hashes."""
    here = [f"{seed} {run_seed(seed).digest}" for seed in range(4)]
    for hashes in ("1", "2"):
        environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "PYTHONHASHSEED": hashes}
        elsewhere = subprocess.run(
            [sys.executable, "-m", "support.simulation", "--seeds", "0-3", "--digest"],
            env=environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert elsewhere.stdout.splitlines() == here
