"""Stops turns that show no sign of life (row A4): one timer for all of them.

A deadline on each turn's own cancel scope was the first way.  It has to be moved
at every chunk of every model, and after a stall (a stopped process, a laptop's
sleep) it expires in the very tick in which the chunks that came meanwhile are
read.  Here a sign of life costs nothing, and whoever seems silent is judged only
after pending input had its turn (row D10).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

#: Rounds of the loop between the timer and the verdict: what is in a socket is with
#: the turn that waits for it after two or three.
TICKS = 10


class Watched(Protocol):
    """A turn, as the watchdog sees it."""

    @property
    def last_alive(self) -> float:
        """Its last sign of life, on the monotonic clock."""
        ...


class Watchdog:
    """Watches every running turn of a daemon.

    Args:
        now: the monotonic clock.
        limit: today's limit of silence in seconds, None for none.
    """

    def __init__(self, now: Callable[[], float], limit: Callable[[], float | None]) -> None:
        self._now = now
        self._limit = limit
        self._turns: dict[Watched, trio.CancelScope] = {}
        self._timer = trio.CancelScope()

    @contextmanager
    def watching(self, turn: Watched) -> Iterator[trio.CancelScope]:
        """Cancel the body when the turn is silent for too long; the scope tells whether."""
        with trio.CancelScope() as scope:
            self._turns[turn] = scope
            self.poke()
            try:
                yield scope
            finally:
                del self._turns[turn]

    def poke(self) -> None:
        """Look again: there is a new turn, or a new limit."""
        due = self._due()
        if due < self._timer.deadline:
            self._timer.deadline = due

    async def run(self) -> None:
        """Judge those that are due, until cancelled."""
        while True:
            self._timer = trio.CancelScope(deadline=self._due())
            with self._timer:
                await trio.sleep_forever()
            for _ in range(TICKS):
                await trio.lowlevel.checkpoint()
            limit, now = self._limit(), self._now()
            if limit is None:
                continue
            for turn, scope in tuple(self._turns.items()):
                if now >= turn.last_alive + limit:
                    scope.cancel()
            await trio.lowlevel.checkpoint()

    def _due(self) -> float:
        limit = self._limit()
        if limit is None or not self._turns:
            return math.inf
        waiting = [
            turn.last_alive for turn, scope in self._turns.items() if not scope.cancel_called
        ]
        return min(waiting) + limit if waiting else math.inf
