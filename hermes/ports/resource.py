"""The task resource port: what belongs to a session and not to its agent.

A release leaves every task resource as it is; a close takes them down, each on
its rung of the ladder.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Protocol


class Rung(enum.IntEnum):
    """The steps of a close, in the one order of row R3."""

    TURN = 1
    CHILDREN = 2
    MEMORY = 3
    MODEL = 4
    BROWSER = 5
    TERMINAL = 6
    PROCESSES = 7
    SCRATCH = 8
    ACTOR = 9


class TaskResource(Protocol):
    """One live resource of one session.

    The session's loop runs `serve` in a part of its own, so that whoever asked
    for the resource can be cancelled at any moment without touching it.

    **Resources**: the session's teardown ladder calls `stop`, and `kill` where
    that failed or overran.  `serve` is cancelled afterwards in either case.
    """

    async def serve(self, ready: Callable[[], None]) -> None:
        """Open, call `ready` once, and run until cancelled.

        An exception is this resource's crash: its session is told, nobody else is
        harmed.
        """
        ...

    async def stop(self) -> None:
        """End gracefully; called at most once, under a deadline."""
        ...

    def kill(self) -> None:
        """End at once, synchronously; it may follow a `stop` that failed."""
        ...


class ResourceKind(Protocol):
    """How to make the resource of one kind for a session."""

    @property
    def rung(self) -> Rung:
        """The step of a close on which resources of this kind end."""
        ...

    def make(self, task_id: str) -> TaskResource:
        """Make (not yet open) the resource of the session with that task id."""
        ...


ResourceKinds = Mapping[str, ResourceKind]
