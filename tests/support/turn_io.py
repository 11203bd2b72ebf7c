"""A `TurnIO` that keeps what a turn did, in order."""

from __future__ import annotations

import json
from typing import Any

import trio

from hermes.messages.updates import TextChunk, Update
from hermes.ports.resource import TaskResource


class KeptTurnIO:
    """Keeps everything; `steps` has one line for each thing, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.updates: list[Update] = []
        self.recorded: list[bytes] = []
        self.journal: dict[str, str | None] = {}
        self.signs: list[str] = []
        self.model_calls = 0
        self.resources: dict[str, TaskResource] = {}
        self.journal_error: Exception | None = None
        self.steers: list[str] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The recorded messages, decoded."""
        return [json.loads(message) for message in self.recorded]

    @property
    def answer(self) -> str:
        """All text chunks."""
        return "".join(u.text for u in self.updates if isinstance(u, TextChunk))

    async def emit(self, *updates: Update) -> None:
        """Number first, then a checkpoint, as the port says."""
        self.updates.extend(updates)
        self.steps.extend(type(update).__name__ for update in updates)
        await trio.lowlevel.checkpoint()

    def alive(self, what: str) -> None:
        """Keep the sign."""
        self.signs.append(what)

    def model_called(self) -> int:
        """Count."""
        self.model_calls += 1
        return self.model_calls

    def record(self, message: bytes) -> None:
        """Keep the message."""
        self.recorded.append(message)

    def steered(self) -> list[str]:
        """Give what a test put into `steers`, once."""
        steers, self.steers = self.steers, []
        return steers

    async def tool_started(self, call_id: str, name: str, arguments: str) -> None:
        """Journal, with a checkpoint before."""
        await trio.lowlevel.checkpoint()
        if self.journal_error is not None:
            raise self.journal_error
        assert call_id not in self.journal, "a call id came twice"
        self.journal[call_id] = None
        self.steps.append(f"journaled {name}")

    async def tool_ended(self, call_id: str, result: str) -> None:
        """Journal the end."""
        await trio.lowlevel.checkpoint()
        self.journal[call_id] = result
        self.steps.append("journaled end")

    async def resource(self, kind: str) -> TaskResource:
        """One of `resources`."""
        await trio.lowlevel.checkpoint()
        return self.resources[kind]
