"""The one way to open a shield.

Trio's shielded scopes are how a teardown keeps working while everything around
it is cancelled, and how a program hangs for ever.  So they are opened in one
place, each with a time, and none outlives the deadline of the whole process:
`shorten` (a shutdown, a second signal) moves every live one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Deadline:
    """The time by which everything shielded has ended; infinite until a shutdown sets it."""

    __slots__ = ("_at", "_scopes")

    def __init__(self) -> None:
        self._at = math.inf
        self._scopes: set[trio.CancelScope] = set()

    @property
    def at(self) -> float:
        """The deadline on Trio's clock, in seconds."""
        return self._at

    def shorten(self, at: float) -> None:
        """Bring the deadline forward to `at`, for every live shield too; never back."""
        if at >= self._at:
            return
        self._at = at
        for scope in self._scopes:
            scope.deadline = min(scope.deadline, at)

    @contextmanager
    def shield(self, seconds: float = math.inf) -> Iterator[trio.CancelScope]:
        """Shield the body for at most `seconds`, and never past the deadline.

        Past either the body is cancelled; the scope's `cancelled_caught` tells.
        The default lasts until the deadline: for parts, which their owner stops.
        """
        until = min(trio.current_time() + seconds, self._at)
        with trio.CancelScope(shield=True, deadline=until) as scope:
            self._scopes.add(scope)
            try:
                yield scope
            finally:
                self._scopes.discard(scope)
