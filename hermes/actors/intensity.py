"""Restart intensity: how often an actor may crash before it is left down.

The sliding window of Erlang's supervisors (`intensity` and `period` in OTP's
`supervisor`), with the numbers of row K4: more than 5 crashes in 10 s.
"""

from __future__ import annotations

from attrs import evolve, frozen


@frozen
class Intensity:
    """The crashes that still count.

    Args:
        limit: crashes that are forgiven within `period`.
        period: seconds for which a crash counts.
        crashes: when they were, on the monotonic clock.
    """

    limit: int = 5
    period: float = 10.0
    crashes: tuple[float, ...] = ()

    def crashed(self, now: float) -> Intensity:
        """One more crash at `now`; those older than the period are forgotten."""
        recent = tuple(at for at in self.crashes if now - at < self.period)
        return evolve(self, crashes=(*recent, now)[-(self.limit + 1) :])

    def counts(self, now: float) -> bool:
        """Whether a crash still counts at `now`."""
        return any(now - at < self.period for at in self.crashes)

    @property
    def exceeded(self) -> bool:
        """Whether there were more crashes than are forgiven."""
        return len(self.crashes) > self.limit
