"""Virtual time and one source of chance: a run is then repeatable to the event (row K7).

Trio shuffles the tasks of each tick with a random source of its own.  It can be made
deterministic, and `trio-testing` plugins do so through the same two private names of
Trio; this is the one function of ours that knows them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


def run_seeded(seed: int, main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` in virtual time, the order of its tasks decided by `seed`.

    Trio's own state is as before when it returns.
    """
    runner = vars(importlib.import_module("trio._core._run"))
    source, allowed = runner["_r"], runner["_ALLOW_DETERMINISTIC_SCHEDULING"]
    state = source.getstate()
    runner["_ALLOW_DETERMINISTIC_SCHEDULING"] = True
    source.seed(seed)
    try:
        return trio.run(main, clock=MockClock(autojump_threshold=0))
    finally:
        runner["_ALLOW_DETERMINISTIC_SCHEDULING"] = allowed
        source.setstate(state)
