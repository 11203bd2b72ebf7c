"""What the supervisor knows of the live sessions, kept up by their notices.

Two orders are kept, because two questions are asked: who was used least recently
(by messages, row B2), and who has been idle longest (by activity, row B7).  Both
are answered without looking at everyone, so one timer serves all (row B12).
"""

from __future__ import annotations

import itertools
from collections import OrderedDict

from attrs import define, frozen

from hermes.supervisor.residency import Resident


@define(eq=False)
class _Seen:
    touched: int
    resident: bool = False
    busy: bool = False
    releasing: bool = False
    last_activity: float | None = None


@frozen
class Population:
    """How many sessions live, hold an agent, run a turn."""

    live: int
    resident: int
    busy: int


class Registry:
    """The live sessions, as the supervisor sees them."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._idle: OrderedDict[str, float] = OrderedDict()
        self._count = itertools.count()
        self._resident = 0
        self._releasing = 0

    def started(self, session: str) -> None:
        """The session has an actor."""
        self._get(session)

    def touched(self, session: str) -> None:
        """A message came."""
        self._get(session).touched = next(self._count)

    def built(self, session: str) -> None:
        """An agent is resident."""
        seen = self._get(session)
        if not seen.resident:
            seen.resident = True
            self._resident += 1
        self._sort(session, seen)

    def began(self, session: str) -> None:
        """A turn runs."""
        seen = self._get(session)
        seen.busy = True
        self._sort(session, seen)

    def ended(self, session: str, now: float) -> None:
        """A turn is over; of a session that is gone nothing is kept."""
        seen = self._seen.get(session)
        if seen is None:
            return
        seen.busy = False
        seen.last_activity = now
        self._idle.pop(session, None)
        self._sort(session, seen)

    def idle(self, session: str) -> None:
        """It is not busy, whatever it has answered before."""
        seen = self._seen.get(session)
        if seen is not None:
            seen.busy = False
            self._sort(session, seen)

    def asked(self, session: str) -> None:
        """The session was asked to release."""
        seen = self._get(session)
        if not seen.releasing:
            seen.releasing = True
            self._releasing += 1
            self._sort(session, seen)

    def refused(self, session: str) -> None:
        """It answered that it is busy; when it is not any more, it tells."""
        seen = self._seen.get(session)
        if seen is not None:
            self._not_releasing(seen)
            seen.busy = True
            self._sort(session, seen)

    def released(self, session: str) -> None:
        """No agent is resident any more."""
        seen = self._seen.get(session)
        if seen is None:
            return
        self._not_releasing(seen)
        if seen.resident:
            seen.resident = False
            self._resident -= 1
        self._sort(session, seen)

    def gone(self, session: str) -> None:
        """The session has no actor."""
        self.released(session)
        self._idle.pop(session, None)
        self._seen.pop(session, None)

    @property
    def population(self) -> Population:
        """How many there are."""
        busy = sum(1 for seen in self._seen.values() if seen.busy)
        return Population(len(self._seen), self._resident, busy)

    @property
    def staying(self) -> int:
        """Resident agents that were not asked to release."""
        return self._resident - self._releasing

    @property
    def oldest_idle(self) -> float | None:
        """When the longest idle resident agent was last active."""
        return next(iter(self._idle.values()), None)

    def residents(self) -> list[Resident]:
        """The resident agents, the least recently used first."""
        seen = [(name, one) for name, one in self._seen.items() if one.resident]
        seen.sort(key=lambda pair: pair[1].touched)
        return [_resident(name, one) for name, one in seen]

    def _get(self, session: str) -> _Seen:
        seen = self._seen.get(session)
        if seen is None:
            seen = self._seen[session] = _Seen(next(self._count))
        return seen

    def _not_releasing(self, seen: _Seen) -> None:
        if seen.releasing:
            seen.releasing = False
            self._releasing -= 1

    def _sort(self, session: str, seen: _Seen) -> None:
        """Keep the session in the order of idleness where it belongs, if it does."""
        if not seen.resident or seen.busy or seen.releasing or seen.last_activity is None:
            self._idle.pop(session, None)
        elif session not in self._idle:
            self._idle[session] = seen.last_activity


def _resident(name: str, seen: _Seen) -> Resident:
    return Resident(name, seen.busy, seen.releasing, seen.last_activity)
