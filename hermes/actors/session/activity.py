"""The inactivity clock of a turn (rows A1 to A3), as plain data.

The clock measures silence, not length: a turn may run for a day as long as it
shows signs of life.
"""

from __future__ import annotations

from attrs import evolve, frozen


@frozen
class Activity:
    """What the running turn did last, and when.

    `began` and `last` are on the monotonic clock; `depth` counts the
    interruptions that led here; `inherited` is true until this turn's own first
    sign of life, while it carries the clock of the turn that it interrupted.
    """

    began: float
    last: float
    what: str
    depth: int = 0
    inherited: bool = False
    model_calls: int = 0

    def silent(self, now: float) -> float:
        """Seconds since the last sign of life."""
        return now - self.last

    def alive(self, now: float, what: str) -> Activity:
        """A sign of life: the clock starts anew and an inherited one is forgotten."""
        return evolve(self, last=now, what=what, inherited=False)

    def model_called(self) -> Activity:
        """One more model call in this turn."""
        return evolve(self, model_calls=self.model_calls + 1)


def begin(now: float, *, cached: bool, interrupted: Activity | None = None) -> Activity:
    """Start the clock of a turn.

    A fresh turn starts it anew, on a reused agent too, and says so (row A1).  One
    that interrupts another keeps that one's clock and description (row A2), so
    that interrupting again and again cannot keep a stuck session alive.  Model
    calls are counted from 0 whatever the depth (row A3).
    """
    if interrupted is not None:
        return Activity(
            began=now,
            last=interrupted.last,
            what=interrupted.what,
            depth=interrupted.depth + 1,
            inherited=True,
        )
    return Activity(now, now, "starting new turn (cached)" if cached else "starting new turn")
