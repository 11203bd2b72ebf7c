"""The task resources of one session: each a part, opened by the session itself.

Whoever asks for a resource only waits; the session opens it, so a cancelled asker
never touches one that is starting (row R8).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio
from attrs import define, field

from hermes.actors import Deadline, Part, PartReport, Reply
from hermes.errors import ResourceUnavailable
from hermes.ports.resource import ResourceKinds, Rung, TaskResource

log = logging.getLogger(__name__)


@define(eq=False)
class _Entry:
    resource: TaskResource
    rung: Rung
    part: Part
    open: bool = False
    stopping: bool = False
    waiting: list[Reply[TaskResource]] = field(factory=list)


class Resources:
    """The live resources of a session, by kind.

    Args:
        task_id: what the resources are made for; it survives a release.
        kinds: how to make each kind.
        deadline: the process's deadline.
        ended: told, synchronously, when a resource is gone.
    """

    def __init__(
        self,
        task_id: str,
        kinds: ResourceKinds,
        deadline: Deadline,
        ended: Callable[[str, PartReport], None],
    ) -> None:
        self._task_id = task_id
        self._kinds = kinds
        self._deadline = deadline
        self._ended = ended
        self._entries: dict[str, _Entry] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds that are open or opening."""
        return tuple(self._entries)

    def need(self, kind: str, reply: Reply[TaskResource], nursery: trio.Nursery) -> bool:
        """Answer with the resource, opening it first if it is not there.

        Returns whether the kind is (or will be) live.
        """
        entry = self._entries.get(kind)
        if entry is None:
            maker = self._kinds.get(kind)
            if maker is None:
                reply.fail(LookupError(f"this daemon has no resource of the kind {kind!r}"))
                return False
            resource = maker.make(self._task_id)
            part = Part(
                f"resource {kind}",
                self._deadline,
                lambda: resource.serve(lambda: self._ready(kind)),
                lambda report: self._gone(kind, report),
            )
            entry = self._entries[kind] = _Entry(resource, maker.rung, part)
            part.start(nursery)
        if entry.stopping:
            reply.fail(ResourceUnavailable(f"the {kind} of this session is being closed"))
        elif entry.open:
            reply.set(entry.resource)
        else:
            entry.waiting.append(reply)
        return True

    def on(self, rung: Rung) -> tuple[str, ...]:
        """The live kinds that end on this rung of the ladder."""
        return tuple(kind for kind, entry in self._entries.items() if entry.rung is rung)

    async def stop(self, kinds: tuple[str, ...]) -> None:
        """Stop resources gracefully, side by side, and wait until they are gone.

        Raises:
            BaseExceptionGroup: one could not be stopped; `kill` them then.

        **Cancellation**: those that are not gone are still open; `kill` them then.
        """
        async with trio.open_nursery() as nursery:
            for kind in kinds:
                nursery.start_soon(self._stop, kind)

    async def _stop(self, kind: str) -> None:
        entry = self._entries.get(kind)
        if entry is None:
            return
        entry.stopping = True
        await entry.resource.stop()
        await entry.part.stop()

    def kill(self, kinds: tuple[str, ...]) -> None:
        """End resources at once; one that cannot be killed does not save the others."""
        for kind in kinds:
            entry = self._entries.get(kind)
            if entry is not None:
                entry.stopping = True
                entry.part.cancel()
                try:
                    entry.resource.kill()
                except Exception:
                    log.exception("the %s of a session cannot be killed", kind)

    def _ready(self, kind: str) -> None:
        entry = self._entries[kind]
        entry.open = True
        waiting, entry.waiting = entry.waiting, []
        for reply in waiting:
            reply.set(entry.resource)

    def _gone(self, kind: str, report: PartReport) -> None:
        entry = self._entries.pop(kind)
        why = f": {report.error}" if report.error is not None else ""
        for reply in entry.waiting:
            reply.fail(ResourceUnavailable(f"the {kind} of this session could not be opened{why}"))
        self._ended(kind, report)
