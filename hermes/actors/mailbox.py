"""A mailbox with two lanes.

Control overtakes work and is never refused; work is bounded and says so.  There
is one reader, the actor's loop, and any number of senders.  A memory channel was
tried first: with an await on both ends it costs ten times as much for each
message, it knows no lanes, and it cannot fail the questions that a dead actor
leaves behind.

The deques exist only while there is something in them or the loop is awake: an
idle actor's mailbox is two words instead of 1.6 KB.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar, cast

import trio

from hermes.actors.exceptions import ActorClosed, MailboxFull
from hermes.actors.reply import Ask

M = TypeVar("M")
T = TypeVar("T")

#: Work that may wait in one mailbox: row K2's default.
DEFAULT_CAPACITY = 100


class Mailbox(Generic[M]):
    """What waits for one actor.

    Args:
        capacity: how many work messages may wait at once.
    """

    __slots__ = ("_asked", "_capacity", "_closed", "_control", "_putters", "_reader", "_work")

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least one message, not {capacity}")
        self._capacity = capacity
        self._control: deque[M] | None = None
        self._work: deque[M] | None = None
        self._putters: deque[tuple[M, trio.Event]] | None = None
        self._asked: set[Ask[object]] | None = None
        self._reader: tuple[trio.lowlevel.Task, bool] | None = None
        self._closed: str | None = None

    @property
    def capacity(self) -> int:
        """How many work messages may wait at once."""
        return self._capacity

    @property
    def depth(self) -> int:
        """How many work messages wait now."""
        return len(self._work) if self._work else 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits in either lane, and nobody waits to put."""
        return not (self._control or self._work or self._putters)

    @property
    def closed(self) -> str | None:
        """The reason of the close, None while open."""
        return self._closed

    # -- senders ------------------------------------------------------------

    def control(self, message: M) -> None:
        """Put a control message: before all work, after earlier control, never refused.

        Raises:
            ActorClosed: nothing was queued.
        """
        self._check_open()
        if self._control is None:
            self._control = deque()
        self._control.append(message)
        self._wake(work=False)

    def put_nowait(self, message: M) -> None:
        """Put a work message.

        Raises:
            MailboxFull: no room; nothing was queued.
            ActorClosed: nothing was queued.
        """
        self._check_open()
        if self.depth >= self._capacity or self._putters:
            raise MailboxFull(self._capacity)
        self._add_work(message)

    async def put(self, message: M) -> None:
        """Put a work message, waiting for room; waiting senders are served in order.

        Raises:
            ActorClosed: nothing was queued, or the actor went while this waited.

        **Cancellation**: the message was not queued and never will be.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.put_nowait(message)
        except MailboxFull:
            await self._wait_for_room(message)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    async def _wait_for_room(self, message: M) -> None:
        entry = (message, trio.Event())
        if self._putters is None:
            self._putters = deque()
        self._putters.append(entry)
        try:
            await entry[1].wait()
        except trio.Cancelled:
            # The message may have been admitted in the tick of the cancel.
            if self._putters and entry in self._putters:
                self._putters.remove(entry)
                raise
            if self._closed is None:
                return
            raise
        if self._closed is not None:
            raise ActorClosed(self._closed)

    # -- the one reader -----------------------------------------------------

    def get_nowait(self, *, work: bool = True) -> M:
        """Take the next message, control first; work only where `work` is true.

        Raises:
            trio.WouldBlock: nothing waits in the lanes that were asked for.
        """
        if self._control:
            message = self._control.popleft()
        elif work and self._work:
            message = self._work.popleft()
            self._admit()
        else:
            raise trio.WouldBlock
        if isinstance(message, Ask) and not message.reply.done:
            self._note(message)
        return message

    async def get(self, *, work: bool = True) -> M:
        """Take the next message, waiting for one.

        **Cancellation**: no message was taken.
        """
        await self.wait_ready(work=work)
        return self.get_nowait(work=work)

    async def wait_ready(self, *, work: bool = True) -> None:
        """Wait until `get_nowait` would give a message; always a checkpoint."""
        if self._control or (work and self._work):
            await trio.lowlevel.checkpoint()
            return
        if self._reader is not None:
            raise trio.BusyResourceError("a mailbox has one reader")
        if self._control is not None:
            self._control = None
        if self._work is not None and not self._work:
            self._work = None
        self._reader = (trio.lowlevel.current_task(), work)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._reader = None
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def withdraw(self, unwanted: Callable[[M], bool]) -> list[M]:
        """Take out of the work lane, in order, every message that `unwanted` picks."""
        if not self._work:
            return []
        taken = [message for message in self._work if unwanted(message)]
        if taken:
            self._work = deque(message for message in self._work if not unwanted(message))
            for _ in taken:
                self._admit()
        return taken

    def disown(self, message: Ask[T]) -> None:
        """Leave a question that was taken to somebody else: a close no longer fails it."""
        if self._asked is not None:
            self._asked.discard(cast("Ask[object]", message))

    def close(self, reason: str) -> list[M]:
        """Take no more messages; return what was left, control first.

        Every ask that is not answered, queued or taken, fails at once with
        `ActorClosed(reason)`; senders that wait for room get the same.  A second
        close keeps the first reason and returns nothing.
        """
        if self._closed is not None:
            return []
        self._closed = reason
        left = [*(self._control or ()), *(self._work or ())]
        asked, self._asked = self._asked, None
        putters, self._putters = self._putters, None
        self._control = self._work = None
        for message in (*(asked or ()), *left):
            if isinstance(message, Ask):
                message.reply.fail(ActorClosed(reason))
        for _, admitted in putters or ():
            admitted.set()
        return left

    # -- inside -------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed is not None:
            raise ActorClosed(self._closed)

    def _add_work(self, message: M) -> None:
        if self._work is None:
            self._work = deque()
        self._work.append(message)
        self._wake(work=True)

    def _admit(self) -> None:
        if self._putters and self.depth < self._capacity:
            message, admitted = self._putters.popleft()
            self._add_work(message)
            admitted.set()

    def _wake(self, *, work: bool) -> None:
        if self._reader is None:
            return
        task, wants_work = self._reader
        if work and not wants_work:
            return
        self._reader = None
        trio.lowlevel.reschedule(task)

    def _note(self, message: Ask[object]) -> None:
        asked = self._asked
        if asked is None:
            asked = self._asked = set()
        asked.add(message)
        message.reply.on_done(lambda _: asked.discard(message))
