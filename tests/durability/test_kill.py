"""SIGKILL at every point of a turn with two tool calls; see `support.killable`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

# What is killed, by the executor of its store and how often.  In virtual time a run
# repeats to the event; with a thread the commits overlap with the frames.
RUNS = {"inline once": ("inline", "1"), "thread once": ("thread", "1"), "twice": ("inline", "2")}

Started = Mapping[str, "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """All enumerations, under way side by side."""
    paths = [str(Path(__file__).parents[1]), *filter(None, sys.path)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with ExitStack() as stack:
        processes = {}
        for name, arguments in RUNS.items():
            root = str(tmp_path_factory.mktemp("killed"))
            command = [sys.executable, "-m", "support.killable", root, *arguments]
            process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
            processes[name] = stack.enter_context(process)
            stack.callback(process.kill)
        yield processes


def results(started: Started, name: str) -> list[dict[str, Any]]:
    """What became of each point of a run."""
    process = started[name]
    output, _ = process.communicate()
    assert process.returncode == 0
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("name", ["inline once", "thread once"])
def test_a_kill_at_any_point(started: Started, name: str) -> None:
    """D1 to D5: a daemon that is killed before or after any commit and any frame of a turn
    loses no accepted prompt, runs no tool twice, and repeats and skips no number.
    """
    points = results(started, name)
    assert [point for point in points if point["faults"]] == []
    names = [point["point"] for point in points]
    # The session, two prompts, two turns, two calls: fewer commits cannot tell them.
    assert names.count("before commit") >= 10
    assert names.count("after commit") >= 10
    assert names.count("before sending") >= 20
    assert names.count("after sending") >= 20
    assert {tuple(point["answers"].values()) for point in points} == {("end_turn", "end_turn")}


def test_a_second_kill_at_any_point(started: Started) -> None:
    """D2, D3: a turn that is cut twice ends as interrupted, aloud, and no tool runs again."""
    points = results(started, "twice")
    assert [point for point in points if point["faults"]] == []
    answers = [point["answers"]["one"] for point in points]
    # Cut before its second turn began, or after it had ended, it is answered.
    assert set(answers) == {"end_turn", -31007}
    assert {point["answers"]["two"] for point in points} == {"end_turn"}
