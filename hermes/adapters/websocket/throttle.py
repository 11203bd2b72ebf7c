"""Counts failed log-ins for each address: ten in a minute, then 429 (protocol.md)."""

from __future__ import annotations

from collections import OrderedDict, deque

#: Failures from one address within the window before it is told to wait.
FAILURES = 10
WINDOW = 60.0

#: Addresses remembered; the least recently failed is forgotten first.
ADDRESSES = 1024


class Throttle:
    """The recent failures of each address."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def failed(self, address: str, now: float) -> None:
        """Note a failure."""
        times = self._failures.setdefault(address, deque(maxlen=FAILURES))
        times.append(now)
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)

    def closed(self, address: str, now: float) -> bool:
        """Whether the address failed too often lately."""
        times = self._failures.get(address)
        return times is not None and len(times) == FAILURES and now - times[0] < WINDOW
