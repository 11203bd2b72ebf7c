"""The time, and a wait: the smallest tools that a person can try interrupting with.

A wait shows signs of life, so the watchdog does not take it for a stuck turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import trio

from hermes.ports.tools import Tool, ToolContext
from hermes.tools.arguments import seconds_of

CLOCK = "clock"

# An hour is twice the inactivity limit: long enough to see that waiting is not stuck.
LONGEST_WAIT = 3600.0

# Seconds from one sign of life to the next; far below any sensible inactivity limit.
SIGN_EVERY = 10.0


def clock_tools(wall: Callable[[], float]) -> Sequence[Tool]:
    """The tools `clock` and `wait`; `wall` gives Unix seconds."""

    async def tell(arguments: Mapping[str, object], context: ToolContext) -> str:
        await trio.lowlevel.checkpoint()
        return datetime.fromtimestamp(wall(), UTC).isoformat(timespec="seconds")

    return (
        Tool(
            name="clock",
            description="Tell the date and the time, in UTC.",
            parameters={"type": "object", "properties": {}},
            toolset=CLOCK,
            run=tell,
            kind="read",
            idempotent=True,
        ),
        Tool(
            name="wait",
            description="Wait for some seconds, then go on.",
            parameters={
                "type": "object",
                "properties": {
                    "seconds": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT}
                },
                "required": ["seconds"],
            },
            toolset=CLOCK,
            run=wait,
            kind="other",
            idempotent=True,
        ),
    )


async def wait(arguments: Mapping[str, object], context: ToolContext) -> str:
    """Wait for `seconds`, with a sign of life every 10 s.

    **Cancellation**: it stops at once and leaves nothing.
    """
    seconds = seconds_of(arguments, "seconds", LONGEST_WAIT)
    end = trio.current_time() + seconds
    while (left := end - trio.current_time()) > SIGN_EVERY:
        await trio.sleep(SIGN_EVERY)
        context.progress(f"{left - SIGN_EVERY:.0f} s left to wait")
    await trio.sleep(max(left, 0.0))
    return f"waited {seconds:g} s"
