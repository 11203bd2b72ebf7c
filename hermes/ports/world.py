"""Clock, ids and randomness as constructor arguments (row K7)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

import trio
from attrs import frozen


def _random_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


@frozen
class World:
    """What the runtime asks of its surroundings besides I/O.

    `now` is monotonic seconds (Trio's clock, so virtual under a MockClock): all
    ages and time-outs use it.  `wall` is Unix seconds, for people to read only.
    `new_id` gives an unguessable id with the prefix that it is passed.
    """

    now: Callable[[], float] = trio.current_time
    wall: Callable[[], float] = time.time
    new_id: Callable[[str], str] = _random_id
