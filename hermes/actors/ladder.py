"""The one teardown: steps in order, each under its share of a deadline.

A step that fails or overruns is killed, synchronously, and does not stop the
next (row R3).  Nesting a nursery for each step would give the same order and
costs 16 KB for each session that is only waiting; a list costs nothing until it
is needed.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

import trio
from attrs import frozen

from hermes.actors.shield import Deadline

log = logging.getLogger(__name__)

#: Seconds for one step, and for all of them together: row R3.
STEP_SECONDS = 5.0
TOTAL_SECONDS = 20.0


@frozen
class Step:
    """One step: `stop` ends something gracefully, `kill` at once; None is nothing to do."""

    name: str
    stop: Callable[[], Awaitable[None]] | None = None
    kill: Callable[[], None] | None = None


@frozen
class StepReport:
    """What became of a step: how long it took in seconds, and how it went."""

    step: str
    seconds: float
    outcome: Literal["done", "none", "failed", "killed"]


async def descend(
    steps: Iterable[Step],
    deadline: Deadline,
    *,
    each: float = STEP_SECONDS,
    total: float = TOTAL_SECONDS,
) -> list[StepReport]:
    """Take the steps, one after another, whatever happens to them or around them.

    A generator of steps is asked for each one when its turn has come, so that it
    sees what is still there.

    Outcomes: "done"; "none" where there was nothing to stop; "failed" where it
    raised and was killed; "killed" where it overran and was killed.

    **Cancellation**: none reaches it; it ends by itself within `total` seconds
    and within the deadline.
    """
    until = trio.current_time() + total
    return [await _take(step, deadline, min(each, until - trio.current_time())) for step in steps]


async def _take(step: Step, deadline: Deadline, seconds: float) -> StepReport:
    began = trio.current_time()
    if step.stop is None:
        return StepReport(step.name, 0.0, "none")
    outcome: Literal["done", "none", "failed", "killed"] = "done"
    try:
        with deadline.shield(max(seconds, 0.0)) as scope:
            await step.stop()
        if scope.cancelled_caught:
            outcome = "killed"
            log.warning("teardown: %s overran its time and is killed", step.name)
    except Exception:
        outcome = "failed"
        log.exception("teardown: %s failed and is killed", step.name)
    if outcome != "done" and step.kill is not None:
        try:
            step.kill()
        except Exception:
            log.exception("teardown: %s could not even be killed", step.name)
    return StepReport(step.name, trio.current_time() - began, outcome)
