"""What happened, in order, for whoever listens: operators, the log, a test.

Publishing is synchronous and never waits.  A listener that cannot keep up drops
what it likes on its own side and sees the gap in the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from attrs import frozen


@frozen
class Event:
    """One thing that happened.

    `seq` counts from 1 in one run of the daemon, `at` is in Unix seconds, `kind`
    is one of protocol.md's, `session` None where it concerns none.
    """

    seq: int
    at: float
    kind: str
    session: str | None
    data: Mapping[str, object]


class Listener(Protocol):
    """Called with each event, synchronously; must not raise."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...


class Events:
    """Numbers events and gives them to every listener.

    Args:
        wall: Unix seconds.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._seq = 0
        self._listeners: list[Listener] = []

    def publish(self, kind: str, session: str | None = None, **data: object) -> None:
        """Number an event and give it to everyone who listens."""
        self._seq += 1
        event = Event(self._seq, self._wall(), kind, session, data)
        for listener in tuple(self._listeners):
            listener(event)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Give a listener every event from now on; returns how to stop that."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop
