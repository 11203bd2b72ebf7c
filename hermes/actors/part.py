"""A part: a child task that only its owner can end.

A turn, a build, a release, a terminal.  A part runs shielded in its owner's
nursery, so a cancellation from outside reaches the owner first, whose teardown
then stops the parts one after another, in the order that it wants.  A part's end
or crash is a report to its owner and nobody else's problem (row R8).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal

import trio
from attrs import frozen

from hermes.actors.shield import Deadline


@frozen
class PartReport:
    """How a part ended.

    `value` is what its work returned (only where `how` is "done"), `error` what it
    raised (only where "crashed").
    """

    how: Literal["done", "cancelled", "crashed"]
    value: object = None
    error: Exception | None = None


class Part:
    """One running child task.

    **Resources**: whoever made it stops it; the nursery waits for it in any case.

    Args:
        name: what it is, for the log.
        deadline: the process's deadline, which its shield never outlives.
        work: what it runs.
        ended: called once, synchronously, with the report, in the part's task.
    """

    def __init__(
        self,
        name: str,
        deadline: Deadline,
        work: Callable[[], Awaitable[object]],
        ended: Callable[[PartReport], None],
    ) -> None:
        self.name = name
        self._deadline = deadline
        self._work = work
        self._ended = ended
        self._scope: trio.CancelScope | None = None
        self._cancelled = False
        self._done = trio.Event()

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self._done.is_set()

    def start(self, nursery: trio.Nursery) -> None:
        """Start it in the owner's nursery; once."""
        nursery.start_soon(self._run, name=self.name)

    def cancel(self) -> None:
        """Ask it to end, without waiting; idempotent."""
        self._cancelled = True
        if self._scope is not None:
            self._scope.cancel()

    async def wait(self) -> None:
        """Wait for its end."""
        await self._done.wait()

    async def stop(self) -> None:
        """End it and wait for its end; any number of callers may.

        **Cancellation**: it was asked to end, and ends by itself.
        """
        self.cancel()
        await self.wait()

    async def _run(self) -> None:
        report = PartReport("cancelled")
        try:
            with self._deadline.shield() as self._scope:
                if self._cancelled:
                    self._scope.cancel()
                report = PartReport("done", value=await self._work())
        except Exception as error:  # noqa: BLE001 - the boundary: a crash is a report
            report = PartReport("crashed", error=error)
        finally:
            self._done.set()
            self._ended(report)
