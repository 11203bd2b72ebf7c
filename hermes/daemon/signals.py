"""The two signals: the first drains, the second is out within 2 s (row D8)."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence

import trio

#: Seconds after the second signal until the process is gone, whatever hangs.
OUT_WITHIN = 2.0

#: Of these, what the ladders and the store are given.
GRACE = 1.5

#: Exit status of a process that had to be ended: 128 + SIGKILL, as a shell tells it.
FORCED = 137


async def watch_signals(
    signals: Sequence[signal.Signals],
    stop: Callable[[], None],
    hurry: Callable[[float], None],
) -> None:
    """Stop on the first of these signals, hurry on the second.

    **Cancellation**: the signals have their old meaning again.
    """
    with trio.open_signal_receiver(*signals) as received:
        count = 0
        async for _ in received:
            count += 1
            if count == 1:
                stop()
            elif count == 2:
                end_within(OUT_WITHIN)
                hurry(GRACE)


def end_within(seconds: float) -> None:
    """End the process from a thread: a blocked fsync or a stalled loop cannot hold it."""

    def end() -> None:
        time.sleep(seconds)
        os._exit(FORCED)

    threading.Thread(target=end, name="end", daemon=True).start()
