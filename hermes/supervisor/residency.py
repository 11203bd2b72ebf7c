"""Whom to release: one pure function over plain data (rows B1 to B8).

Theory of operation.  The excess window is the (resident - cap) least recently
used of the resident agents that are not being released already.  Exactly those
are asked; one that is busy is passed over and no newer one is taken in its place,
so a burst of long turns never costs a warm agent that is in use.  The window is
looked at again whenever something changed (a build, the end of a turn, a new
cap), so residency settles at the cap without waiting for a message.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen


@frozen
class Resident:
    """One resident agent.

    `last_activity` is on the monotonic clock, None before the first (0.0 is an
    activity).  `releasing` is true once it was asked and has not answered.
    """

    session: str
    busy: bool = False
    releasing: bool = False
    last_activity: float | None = None


@frozen
class Limits:
    """How many agents stay resident, and for how many idle seconds; None is no bound."""

    cap: int | None = 128
    idle_ttl: float | None = 3600.0


@frozen
class Plan:
    """Whom to ask, with the cause; and how many in the window were passed over as busy.

    `excess` is the size of the window.
    """

    over_cap: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    mid_turn: int = 0
    excess: int = 0

    @property
    def warning(self) -> str | None:
        """What operators are told where residency stays over the cap (row B4)."""
        if not self.mid_turn:
            return None
        return f"{self.excess} agents over the cap, {self.mid_turn} of them mid-turn: not released"


def plan(residents: Sequence[Resident], limits: Limits, now: float) -> Plan:
    """Decide whom to ask to release.

    Args:
        residents: resident agents, the least recently used first.
        limits: the bounds in force.
        now: the monotonic clock.
    """
    staying = [resident for resident in residents if not resident.releasing]
    excess = 0 if limits.cap is None else max(len(staying) - limits.cap, 0)
    window = staying[:excess]
    over_cap = tuple(resident.session for resident in window if not resident.busy)
    expired = idle_for(staying[excess:], limits.idle_ttl, now)
    return Plan(over_cap, expired, excess - len(over_cap), excess)


def idle_for(residents: Sequence[Resident], seconds: float | None, now: float) -> tuple[str, ...]:
    """Those that are not busy and whose last activity is at least `seconds` ago."""
    if seconds is None:
        return ()
    return tuple(
        resident.session
        for resident in residents
        if not resident.busy
        and not resident.releasing
        and resident.last_activity is not None
        and now >= resident.last_activity + seconds
    )
