"""Planted faults prove the simulation: each patch below is found by the seeds of the suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATCHES = sorted((ROOT / "tests" / "mutants").glob("*.patch"))

#: Mutants that are run at once.
AT_ONCE = os.cpu_count() or 2

#: Real seconds for the seeds of one mutant: a fault that hangs them is found, too.
SECONDS = 120.0


def _plant(patch: Path, folder: Path) -> None:
    """A copy of the runtime with one fault in it."""
    shutil.copytree(
        ROOT / "hermes", folder / "hermes", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", str(patch)],
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)},
    )


def _find(folder: Path) -> str:
    """What the seeds of the suite say of a copy; empty where they find nothing."""
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "support.simulation", "--seeds", "0-199", "--first"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}:{folder}"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "a seed hangs"
    return "" if ran.returncode == 0 else ran.stdout or ran.stderr


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What was found of each mutant, all of them run side by side."""

    def look(patch: Path) -> str:
        folder = tmp_path_factory.mktemp(patch.stem)
        _plant(patch, folder)
        return _find(folder)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield dict(zip((patch.stem for patch in PATCHES), pool.map(look, PATCHES), strict=True))


def test_there_are_a_dozen() -> None:
    """K6: at least a dozen faults are planted, each with its name in the first line."""
    assert len(PATCHES) >= 12
    assert all(patch.read_text("utf-8").startswith("# ") for patch in PATCHES)


@pytest.mark.parametrize("mutant", [patch.stem for patch in PATCHES])
def test_a_mutant_is_found(mutant: str, found: dict[str, str]) -> None:
    """K6: the patch still applies, and a seed of the suite breaks an invariant on it."""
    assert found[mutant], f"{mutant} was not found in 200 seeds"
    assert "ImportError" not in found[mutant]
    assert "SyntaxError" not in found[mutant]
