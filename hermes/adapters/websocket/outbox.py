"""What waits to be sent to one connection: bounded, and joined where it piles up.

A session puts and never waits.  The writer takes everything at once; adjacent
deltas of one message that piled up behind an unsent frame become one frame (7 to
26 times cheaper than one each).  Past the limit the connection is given up: its
session goes on and its updates can be replayed.
"""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import frozen

from hermes.messages.joined import Joined, dump_joined, joined_text, merge
from hermes.messages.jsonrpc import notification_frame
from hermes.messages.notifications import SESSION_UPDATE, session_update_params

#: What may wait for a client that does not read: updates and frames, and their
#: bytes.  A healthy client is never more than a few frames behind; a second of
#: a fast model's deltas is some hundred.
MAX_WAITING = 10_000
MAX_BYTES = 8 * 1024 * 1024

#: Bytes around a delta's text, about.
ENVELOPE = 256


@frozen
class _Pending:
    session: str
    update: Joined
    sender: bool


class Outbox:
    """The queue of one connection.

    Args:
        overflow: told, once, when the limit is passed.
    """

    def __init__(self, overflow: Callable[[], None]) -> None:
        self._overflow = overflow
        self._items: list[str | _Pending] = []
        self._bytes = 0
        self._ready = trio.Event()
        self._taken = trio.Event()
        self._closed = False

    def put_frame(self, frame: str) -> None:
        """Queue an encoded frame."""
        self._put(frame, _bytes_of(frame))

    def put_update(self, session: str, update: Joined, *, sender: bool) -> None:
        """Queue a numbered update."""
        # Deltas are many and their text is at hand; what else a user or a tool says may
        # be as long, and is rare enough to be encoded for it.
        text = joined_text(update)
        size = _bytes_of(text) if text else len(dump_joined(update))
        self._put(_Pending(session, update, sender), size + ENVELOPE)

    def close(self) -> None:
        """Take nothing more; what waits can still be taken."""
        self._closed = True
        self._ready.set()
        self._taken.set()

    async def take(self) -> list[str]:
        """Wait for something, and take all of it, encoded; nothing once closed and empty.

        **Cancellation**: nothing was taken.
        """
        await self._ready.wait()
        items, self._items = self._items, []
        self._bytes = 0
        if not self._closed:
            self._ready = trio.Event()
            self._taken.set()
            self._taken = trio.Event()
        return _encode(items)

    async def room(self, items: int) -> None:
        """Wait until at most that many items wait, or it is closed; a checkpoint.

        **Cancellation**: nothing has changed.
        """
        while len(self._items) > items and not self._closed:
            await self._taken.wait()
        await trio.lowlevel.checkpoint()

    @property
    def closed(self) -> bool:
        """Whether it takes nothing more."""
        return self._closed

    @property
    def waiting(self) -> int:
        """How many items wait."""
        return len(self._items)

    def _put(self, item: str | _Pending, size: int) -> None:
        if self._closed:
            return
        self._items.append(item)
        self._bytes += size
        self._ready.set()
        if len(self._items) > MAX_WAITING or self._bytes > MAX_BYTES:
            self.close()
            self._items = []
            self._overflow()


def _bytes_of(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _encode(items: list[str | _Pending]) -> list[str]:
    frames: list[str] = []
    run: list[_Pending] = []

    def flush() -> None:
        if run:
            first = run[0]
            for joined in merge([pending.update for pending in run]):
                params = session_update_params(first.session, joined, sender=first.sender)
                frames.append(notification_frame(SESSION_UPDATE, params))
            run.clear()

    for item in items:
        if isinstance(item, str):
            flush()
            frames.append(item)
            continue
        if run and (run[0].session, run[0].sender) != (item.session, item.sender):
            flush()
        run.append(item)
    flush()
    return frames
