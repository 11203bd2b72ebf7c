"""An actor: a mailbox and a loop that handles one message at a time.

This is the plain kind, for whatever needs no states of its own: the supervisor,
an adapter, a counter in an example.  A session has its own loop on the same
mailbox, because it decides what to take.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar, cast

import trio

from hermes.actors.mailbox import DEFAULT_CAPACITY, Mailbox
from hermes.actors.reply import Ask

log = logging.getLogger(__name__)

M = TypeVar("M")
T = TypeVar("T")

#: Messages that an actor may handle without a checkpoint: at a few microseconds
#: each this keeps one busy actor from holding the loop for a millisecond.
BATCH = 64


class Ref(Generic[M]):
    """The address of an actor: all that others hold of it."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox[M]) -> None:
        self._mailbox = mailbox

    def tell(self, message: M) -> None:
        """Send work, without waiting.

        Raises:
            MailboxFull: nothing was sent.
            ActorClosed: nothing was sent.
        """
        self._mailbox.put_nowait(message)

    def control(self, message: M) -> None:
        """Send a control message: it overtakes all work and is never refused.

        Raises:
            ActorClosed: nothing was sent.
        """
        self._mailbox.control(message)

    async def ask(self, message: Ask[T], *, control: bool = False) -> T:
        """Send a question (one of the actor's messages) and wait for its answer.

        The time-out is the asker's: `with trio.fail_after(1): ...`.

        Raises:
            MailboxFull: nothing was sent (never with `control`).
            ActorClosed: the actor was gone, or went before it answered.

        **Cancellation**: the question stays sent; its late answer goes nowhere.
        """
        put = self._mailbox.control if control else self._mailbox.put_nowait
        put(cast(M, message))
        return await message.reply.wait()


class Actor(Generic[M]):
    """The base of plain actors: write `receive`, and `stopped` if something is to be closed."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.mailbox: Mailbox[M] = Mailbox(capacity)

    @property
    def ref(self) -> Ref[M]:
        """The address for others."""
        return Ref(self.mailbox)

    async def receive(self, message: M) -> None:
        """Handle one message; an exception is this actor's crash."""
        raise NotImplementedError

    async def run(self) -> None:
        """Handle messages until cancelled or crashed; then fail every open question.

        Raises:
            Exception: whatever `receive` raised; the asks failed with it.
        """
        reason = "stopped"
        try:
            while True:
                await self.mailbox.wait_ready()
                for _ in range(BATCH):
                    if self.mailbox.empty:  # asking is cheaper than an exception
                        break
                    await self.receive(self.mailbox.get_nowait())
        except Exception as error:
            reason = f"crashed: {error!r}"
            raise
        finally:
            left = self.mailbox.close(reason)
            if left:
                log.info("an actor %s with %d messages unread", reason, len(left))


@asynccontextmanager
async def open_actor(actor: Actor[M]) -> AsyncIterator[Ref[M]]:
    """Run an actor for as long as the body runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(actor.run)
        yield actor.ref
        nursery.cancel_scope.cancel()
