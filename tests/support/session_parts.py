"""What a session actor's plain decisions are tested with: sinks, clients, a store that waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import outcome
from attrs import define, field

from hermes.errors import StoreError
from hermes.messages.joined import Joined
from hermes.ports.client import SessionClient
from hermes.ports.store import Done, Operation

R = TypeVar("R")


@define(eq=False)
class RecordingClient:
    """A `SessionClient` that keeps what it is sent."""

    log: list[str] = field(factory=list)
    updates: list[Joined] = field(factory=list)
    as_sender: list[bool] = field(factory=list)

    def update(self, session: str, update: Joined, *, sender: bool) -> None:
        """Keep an update."""
        self.updates.append(update)
        self.as_sender.append(sender)
        self.log.append(f"sent {update.first_seq}-{update.seq}")

    def attached(self, session: str) -> None:
        """Note the beginning."""
        self.log.append("attached")

    def detached(self, session: str, reason: str) -> None:
        """Note the end."""
        self.log.append(f"detached: {reason}")

    @property
    def numbers(self) -> list[int]:
        """Every number that came, in order."""
        return [n for one in self.updates for n in range(one.first_seq, one.seq + 1)]


@define(eq=False)
class RecordingSink:
    """A `PromptSink` that keeps its prompt's fate."""

    client: SessionClient = field(factory=RecordingClient)
    fates: list[object] = field(factory=list)
    positions: list[int] = field(factory=list)

    def accepted(self, position: int) -> None:
        """It is on disk."""
        self.positions.append(position)

    def answer(self, stop_reason: str) -> None:
        """Its turn ended."""
        self.fates.append(stop_reason)

    def fail(self, error: Exception) -> None:
        """It was refused, or failed."""
        self.fates.append(error)


@define(eq=False)
class HeldStore:
    """A store that commits when the test says so, and logs both."""

    log: list[str] = field(factory=list)
    waiting: list[tuple[Operation[Any], Done[Any]]] = field(factory=list)
    results: Callable[[Operation[Any]], object] = lambda _: None

    def submit(self, operation: Operation[R], done: Done[R]) -> None:
        """Keep it until `commit`."""
        self.log.append(f"write {type(operation).__name__}")
        self.waiting.append((operation, done))

    async def run(self, operation: Operation[R]) -> R:
        """No test of plain decisions waits for a store."""
        raise AssertionError("nothing here waits for the store")

    def commit(self) -> list[Operation[Any]]:
        """Commit everything that was submitted so far, in order."""
        batch, self.waiting = self.waiting, []
        self.log.append("committed")
        for operation, done in batch:
            done(outcome.Value(self.results(operation)))
        return [operation for operation, _ in batch]

    def fail(self, error: StoreError) -> None:
        """Fail everything that was submitted so far."""
        batch, self.waiting = self.waiting, []
        for _, done in batch:
            done(outcome.Error(error))
