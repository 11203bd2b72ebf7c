"""The story of a seed, as plain data: who does what, when, and what goes wrong.

It is made before anything runs, so a failing seed can be read.  Most of what a story
has is small (a few sessions, short answers), since it is the order of events that
finds faults and not their number.
"""

from __future__ import annotations

import random
from typing import Literal

from attrs import field, frozen

#: Sessions share one small set of keys, so that clients meet in them.
MAX_SESSIONS = 4

Ending = Literal["calm", "kill", "power cut"]

#: Kinds of scripted resources, in the order in which a close must end them (row R3).
KINDS = ("child", "memory", "browser", "terminal", "processes", "scratch")


@frozen
class Act:
    """One thing that somebody does `pause` seconds after the one before.

    `session` is a place in the story's keys; the other fields belong to some kinds only.
    """

    kind: str
    pause: float
    session: int = 0
    text: str = ""
    option: str = ""
    identity: str | None = None
    seconds: float = 0.0
    number: int | None = None


@frozen
class Era:
    """One run of the daemon: what everyone does in it, and how it ends.

    `at` is when the crash comes, in seconds from its start.
    """

    clients: tuple[tuple[Act, ...], ...]
    operator: tuple[Act, ...]
    world: tuple[Act, ...]
    ending: Ending
    at: float


@frozen
class Story:
    """All of a seed.

    `delay` is the longest store delay in seconds, `loses` whether a power cut loses
    what was not synced, `quiet` the seed of the quiet phase.
    """

    seed: int
    sessions: int
    cap: int
    idle_ttl: float | None
    inactivity: float | None
    mailbox: int
    turns: int | None
    delay: float
    loses: bool
    eras: tuple[Era, ...] = field(factory=tuple)

    @property
    def keys(self) -> tuple[str, ...]:
        """The session keys."""
        return tuple(f"sim:{place}" for place in range(self.sessions))


def make_story(seed: int) -> Story:
    """The story of a seed; the same for ever."""
    chance = random.Random(seed)
    sessions = chance.randint(1, MAX_SESSIONS)
    crashes = chance.choice((0, 0, 0, 1, 1, 2))
    endings: list[Ending] = [chance.choice(("kill", "kill", "power cut")) for _ in range(crashes)]
    names = _Names(chance)
    return Story(
        seed=seed,
        sessions=sessions,
        cap=chance.randint(0, 6) if chance.random() < 0.3 else chance.randint(0, sessions),
        idle_ttl=chance.choice((None, 2.0, 10.0, 3600.0)),
        inactivity=chance.choice((None, 6.0, 1800.0)),
        mailbox=chance.choice((2, 5, 100)),
        turns=chance.choice((None, None, 1, 2)),
        delay=chance.choice((0.001, 0.01, 0.2)),
        loses=chance.random() < 0.7,
        eras=tuple(_era(chance, sessions, names, ending) for ending in (*endings, "calm")),
    )


class _Names:
    """Idempotency ids: mostly new ones, now and then one that was used before."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._used: list[tuple[int, str, str]] = []

    def of(self, session: int, text: str) -> tuple[str, str | None]:
        """The text and the id of the next prompt."""
        before = [(kept, name) for place, kept, name in self._used if place == session]
        if before and self._chance.random() < 0.12:
            kept, name = self._chance.choice(before)
            return (kept if self._chance.random() < 0.8 else text), name
        if self._chance.random() < 0.1:
            return text, None
        name = f"p{len(self._used)}"
        self._used.append((session, text, name))
        return text, name


def _era(chance: random.Random, sessions: int, names: _Names, ending: Ending) -> Era:
    clients = tuple(
        tuple(_client_act(chance, sessions, names) for _ in range(chance.randint(3, 9)))
        for _ in range(chance.randint(1, 3))
    )
    return Era(
        clients=clients,
        operator=tuple(_operator_act(chance, sessions) for _ in range(chance.randint(0, 7))),
        world=tuple(_world_act(chance, sessions) for _ in range(chance.randint(0, 5))),
        ending=ending,
        at=chance.uniform(0.05, 8.0),
    )


def _pause(chance: random.Random) -> float:
    """Often none at all, so that things happen in one tick; seldom long."""
    return chance.choice((0.0, 0.0, chance.uniform(0, 0.05), chance.uniform(0, 3)))


def _client_act(chance: random.Random, sessions: int, names: _Names) -> Act:
    session, pause = chance.randrange(sessions), _pause(chance)
    kind = chance.choices(
        ("prompt", "cancel", "cancel request", "close", "disconnect", "stop reading"),
        (60, 7, 7, 6, 5, 4),
    )[0]
    if kind != "prompt":
        return Act(kind, pause, session, seconds=chance.uniform(0.1, 4))
    text, identity = names.of(session, _prompt(chance))
    option = chance.choices(("queue", "reject", "interrupt"), (6, 1, 3))[0]
    return Act(kind, pause, session, text, option, identity)


def _prompt(chance: random.Random) -> str:
    return chance.choice(
        (
            "hello",
            "hello",
            f"count to {chance.randint(1, 12)}",
            f"count to {chance.randint(20, 60)}",
            f"slow {chance.choice((0.01, 0.3, 1.5))} count to {chance.randint(2, 8)}",
            f"slow {chance.uniform(0.1, 2):.2f} hello",
            "think hard about it",
            "how many messages",
            f'call wait {{"seconds": {chance.choice((0, 0.5, 3, 8))}}}',
            *[_use(chance) for _ in range(4)],
            "fail 503",
            "fail 429 after 3",
            "truncate",
            "garble",
            "stall",
        )
    )


def _use(chance: random.Random) -> str:
    kinds = chance.sample(KINDS, chance.randint(1, 3))
    seconds = chance.choice((0, 0, 0.5, 3))
    return "\n".join(f'call use {{"kind": "{kind}", "seconds": {seconds}}}' for kind in kinds)


def _operator_act(chance: random.Random, sessions: int) -> Act:
    session, pause = chance.randrange(sessions), _pause(chance)
    kind = chance.choice(
        ("release", "release", "release", "close", "sweep", "configure", "interrupt",
         "suspend", "resume", "resume", "status", "list")
    )  # fmt: skip
    return Act(
        kind,
        pause,
        session,
        seconds=chance.choice((0.0, 0.0, 1.0, 5.0)),
        number=chance.choice((None, 0, 1, 2, 3)),
    )


def _world_act(chance: random.Random, sessions: int) -> Act:
    session = chance.randrange(sessions)
    kind = chance.choice(
        ("crash actor", "crash actor", "crash resource", "slow close", "slow close",
         "no model", "model again", "new tool")
    )  # fmt: skip
    return Act(
        kind,
        chance.uniform(0, 2.5),
        session,
        seconds=chance.choice((0.0, 0.3, 3.0, 60.0)),
        number=chance.randint(0, 6),
    )
