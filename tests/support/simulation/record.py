"""What was seen of a run: every frame, every prompt's fate, every event; and what was wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from attrs import define, field

Frame = dict[str, Any]


@define(eq=False)
class Asked:
    """One prompt that was sent: the request's id on its connection, what it was."""

    request: int
    session: str
    identity: str | None
    text: str
    when_busy: str


@define(eq=False)
class Connection:
    """All of one client's connection: frames with their times, prompts, when it was gone.

    `gone` says why the client may lack answers: it left, or the daemon died.
    """

    name: str
    era: int
    frames: list[tuple[float, Frame]] = field(factory=list)
    asked: list[Asked] = field(factory=list)
    gone: str | None = None

    def answers(self, request: int) -> list[Frame]:
        """Everything that came as an answer to a request."""
        return [
            frame for _, frame in self.frames if "method" not in frame and frame["id"] == request
        ]


@define(eq=False)
class Happened:
    """One event of the daemon: the era, the time, the kind, the session and the data."""

    era: int
    at: float
    kind: str
    session: str | None
    data: Mapping[str, object]


@define(eq=False)
class Record:
    """The whole of one seed.  `problems` are broken invariants, in words."""

    seed: int
    connections: list[Connection] = field(factory=list)
    events: list[Happened] = field(factory=list)
    problems: list[str] = field(factory=list)
    sessions: dict[str, str] = field(factory=dict)
    crashed: set[str] = field(factory=set)
    lost_power: bool = False
    trace: list[str] = field(factory=list)

    def wrong(self, what: str) -> None:
        """Note a broken invariant."""
        if len(self.problems) < 20:
            self.problems.append(what)

    def hold(self, condition: bool, what: str) -> None:
        """An invariant: it holds, or it is noted."""
        if not condition:
            self.wrong(what)

    def note(self, at: float, who: str, what: object) -> None:
        """A line of the trace, by which two runs are compared."""
        self.trace.append(f"{at:.6f} {who} {json.dumps(what, sort_keys=True, default=str)}")

    @property
    def digest(self) -> str:
        """The trace in a few characters; ids of internal errors are not seeded and left out."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:24]
