"""The client port: how a session speaks to a connection that is attached to it.

All of it is synchronous and never waits: a session does not wait for a client.
A connection that cannot keep up deals with that by itself.
"""

from __future__ import annotations

from typing import Protocol

from attrs import frozen

from hermes.messages.joined import Joined


@frozen
class Attached:
    """The answer to an attach: the last number already sent, the state, the title."""

    last_seq: int
    state: str


class SessionClient(Protocol):
    """One connection, as the sessions that it is attached to see it."""

    def update(self, session: str, update: Joined, *, sender: bool) -> None:
        """Send a numbered update that is on disk; `sender` where this client's prompt runs."""
        ...

    def attached(self, session: str) -> None:
        """From now on this client gets the session's updates; idempotent.

        Whoever is gone by then tells the session so.
        """
        ...

    def detached(self, session: str, reason: str) -> None:
        """The session was closed: this client is no longer attached to it."""
        ...


class PromptSink(Protocol):
    """Where the fate of one prompt is told; each prompt gets exactly one answer or error.

    A prompt that a shutdown cuts gets neither: its connection closes, and the
    turn runs again at the next start.
    """

    @property
    def client(self) -> SessionClient:
        """The connection that it came over."""
        ...

    def accepted(self, position: int) -> None:
        """It is on disk; `position` prompts are before it."""
        ...

    def answer(self, stop_reason: str) -> None:
        """Its turn ended."""
        ...

    def fail(self, error: Exception) -> None:
        """It was refused, or its turn failed."""
        ...
