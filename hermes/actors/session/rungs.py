"""The rungs of a session's ladder, in the one order of row R3.

Each rung is looked at when its turn has come: a resource that was opened late is
still stopped, on its own rung.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio

from hermes.actors import Step
from hermes.actors.session.residence import Residence
from hermes.actors.session.resources import Resources
from hermes.ports.resource import Rung


def rungs(residence: Residence, resources: Resources) -> Iterator[Step]:
    """The steps of a close, one for each rung; empty ones too, so that reports compare."""
    for rung in Rung:
        name = rung.name.lower()
        if rung is Rung.TURN:
            busy = residence.working
            yield Step(name, residence.stop_work if busy else None, residence.stop)
        elif rung is Rung.MODEL:
            holds = residence.holds
            yield Step(name, residence.close_agent if holds else None, residence.kill_agent)
        elif rung is Rung.ACTOR:
            # The actor itself goes when the report is given; nothing may fail here.
            yield Step(name, trio.lowlevel.checkpoint)
        else:
            yield _resources(name, resources, resources.on(rung))


def _resources(name: str, resources: Resources, kinds: tuple[str, ...]) -> Step:
    if not kinds:
        return Step(name)
    return Step(name, lambda: resources.stop(kinds), lambda: resources.kill(kinds))
