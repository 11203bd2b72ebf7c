"""Runs an async function in virtual time: for property tests, which run it many times."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


def run_virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` on a clock of its own that jumps over every wait."""
    return trio.run(main, clock=MockClock(autojump_threshold=0))
