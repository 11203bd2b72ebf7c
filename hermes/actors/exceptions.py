"""The kernel's two errors: an actor that is gone, and a mailbox with no room."""

from __future__ import annotations


class ActorClosed(Exception):
    """The actor is gone, or is going, and takes no more messages.

    `reason` says why in a few words ("closed", "dormant", "crashed: ...").
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MailboxFull(Exception):
    """The work lane has no room; nothing was queued, the sender still owns its message."""

    def __init__(self, capacity: int) -> None:
        super().__init__(f"mailbox full: {capacity} messages are waiting")
        self.capacity = capacity
