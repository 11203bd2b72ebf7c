"""A one-shot answer: what `ask` waits for.

Setting it twice is a no-op and a late answer is harmless, so neither side has to
know whether the other is still there (row K3).  Callbacks run synchronously in
the setter, which lets a connection put an answer into its outbox in exactly the
order in which it was given; an event is made only for an asker that waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import outcome
import trio
from attrs import define, field

T = TypeVar("T")


class Reply(Generic[T]):
    """The place where one answer of type `T` will be, or the error instead of it."""

    __slots__ = ("_callbacks", "_event", "_outcome")

    def __init__(self) -> None:
        self._outcome: outcome.Maybe[T] | None = None
        self._event: trio.Event | None = None
        self._callbacks: list[Callable[[outcome.Maybe[T]], None]] | None = None

    @property
    def done(self) -> bool:
        """Whether an answer or an error is there."""
        return self._outcome is not None

    def set(self, value: T) -> bool:
        """Give the answer; False, and no effect, where there was one already."""
        return self._settle(outcome.Value(value))

    def fail(self, error: Exception) -> bool:
        """Give an error instead; False, and no effect, where there was an answer already."""
        return self._settle(outcome.Error(error))

    def on_done(self, callback: Callable[[outcome.Maybe[T]], None]) -> None:
        """Call back once with the outcome, at once if it is there; must not raise."""
        if self._outcome is not None:
            callback(self._outcome)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    async def wait(self) -> T:
        """Wait for the answer.

        Raises:
            ActorClosed: the actor went before it answered.
            Exception: whatever the actor failed the reply with.

        **Cancellation**: nothing is left behind; the answer, if it still comes, is
        kept and given to whoever waits next.
        """
        if self._outcome is None:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        else:
            await trio.lowlevel.checkpoint()
        assert self._outcome is not None
        # An asker may wait twice: raise a stored error without unwrapping the
        # outcome, which is allowed once only.
        if isinstance(self._outcome, outcome.Error):
            raise self._outcome.error
        return self._outcome.value

    def _settle(self, settled: outcome.Maybe[T]) -> bool:
        if self._outcome is not None:
            return False
        self._outcome = settled
        if self._event is not None:
            self._event.set()
        callbacks, self._callbacks = self._callbacks, None
        for callback in callbacks or ():
            callback(settled)
        return True


@define(eq=False)
class Ask(Generic[T]):
    """The base of every message that wants an answer: the mailbox fails it for a dead actor."""

    reply: Reply[T] = field(factory=Reply, kw_only=True, repr=False)
