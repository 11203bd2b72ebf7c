"""A `ToolContext` that keeps signs of life."""

from __future__ import annotations

import trio
from attrs import define, field

from hermes.ports.resource import TaskResource


@define
class KeptContext:
    """A `ToolContext` over given resources."""

    resources: dict[str, TaskResource] = field(factory=dict)
    signs: list[tuple[float, str]] = field(factory=list)

    def progress(self, text: str) -> None:
        """Keep the sign and its time."""
        self.signs.append((trio.current_time(), text))

    async def resource(self, kind: str) -> TaskResource:
        """One of the given."""
        await trio.lowlevel.checkpoint()
        return self.resources[kind]
