"""Numbers a session's updates, has them written, then sends them: in that order.

One batch is with the store at a time; what is emitted meanwhile forms the next
one, so a fast stream shares commits without waiting for a timer (row D1).  A
number is given when an update is emitted and never again (row D4); numbers are
reserved on disk in blocks before any of them is sent, so that not even a power
cut that loses updates repeats one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import outcome
import trio

from hermes.messages.joined import Joined, Numbered, dump_joined, join
from hermes.messages.updates import Update
from hermes.ports.client import SessionClient
from hermes.ports.store import AppendUpdates, Operation, Store, UpdateRow

R = TypeVar("R")

#: Numbers reserved at once: a synced commit for each thousand updates costs nothing
#: to notice, and after a power cut at most this many numbers are skipped.
RESERVE = 1000

#: Updates that may wait for the disk before a turn is made to wait: a few hundred
#: chunks, more than a model sends during the slowest fsync of a healthy disk.
UNWRITTEN = 512


class Publisher:
    """The way of one session's updates to the disk and to its clients.

    Args:
        session: the session's id.
        store: where updates are written.
        last_seq: the highest number given so far, `reserved` the highest that may be.
        fatal: told when updates cannot be written; the daemon cannot go on.
    """

    def __init__(
        self,
        session: str,
        store: Store,
        last_seq: int,
        reserved: int,
        fatal: Callable[[Exception], None],
    ) -> None:
        self._session = session
        self._store = store
        self._given = last_seq
        self._sent = last_seq
        self._reserved = reserved
        self._fatal = fatal
        self._pending: list[Numbered] = []
        self._writing = False
        self._room: trio.Event | None = None
        self._clients: list[SessionClient] = []
        self._senders: dict[int, SessionClient] = {}

    @property
    def last_sent(self) -> int:
        """The highest number that is on disk and sent."""
        return self._sent

    def attach(self, client: SessionClient) -> None:
        """Send a client everything above `last_sent` from now on; idempotent."""
        if client not in self._clients:
            self._clients.append(client)

    def detach(self, client: SessionClient) -> None:
        """Send a client nothing more; idempotent."""
        if client in self._clients:
            self._clients.remove(client)

    @property
    def clients(self) -> Sequence[SessionClient]:
        """Those who are attached, in the order in which they came."""
        return self._clients

    def emit(self, *updates: Update, sender: SessionClient | None = None) -> None:
        """Number updates; they are written and sent as soon as the disk allows.

        `sender` is the client that said what is in them: it gets a mark instead.
        """
        self._number(updates, sender)
        self._write()

    def flush(self) -> None:
        """Have what waits written, behind what is being written: nothing more will come."""
        self._writing = False
        self._write()

    async def room(self) -> None:
        """Wait until fewer than `UNWRITTEN` updates wait for the disk.

        No checkpoint where there is room: the pieces of a reply that one network read
        gave are then one commit and one frame, instead of ten (half of a turn's cost).
        """
        while len(self._pending) >= UNWRITTEN:
            if self._room is None:
                self._room = trio.Event()
            await self._room.wait()

    def commit(
        self,
        make: Callable[[Sequence[UpdateRow], int | None], Operation[R]],
        done: Callable[[R], None],
        *updates: Update,
        sender: SessionClient | None = None,
    ) -> None:
        """Write all that waits, and `updates`, in one commit with something else.

        `make` gets the rows and the reservation; `done` is called with the result
        after the updates were sent.
        """
        self._number(updates, sender)
        joined, rows, reserve = self._take()

        def committed(result: outcome.Maybe[R]) -> None:
            if isinstance(result, outcome.Error):
                self._failed(result.error)
                return
            self._send(joined)
            done(result.value)

        self._store.submit(make(rows, reserve), committed)

    def _number(self, updates: Sequence[Update], sender: SessionClient | None) -> None:
        for update in updates:
            self._given += 1
            self._pending.append((self._given, update))
            if sender is not None:
                self._senders[self._given] = sender

    def _write(self) -> None:
        if self._writing or not self._pending:
            return
        self._writing = True
        joined, rows, reserve = self._take()

        def written(result: outcome.Maybe[None]) -> None:
            self._writing = False
            if isinstance(result, outcome.Error):
                self._failed(result.error)
                return
            self._send(joined)
            self._write()

        self._store.submit(AppendUpdates(self._session, rows, reserve), written)

    def _take(self) -> tuple[list[Joined], list[UpdateRow], int | None]:
        joined = join(self._pending)
        self._pending = []
        if self._room is not None:
            self._room.set()
            self._room = None
        reserve = None
        if self._given > self._reserved:
            reserve = self._reserved = self._given + RESERVE
        rows = [UpdateRow(one.first_seq, one.seq, dump_joined(one)) for one in joined]
        return joined, rows, reserve

    def _send(self, joined: Sequence[Joined]) -> None:
        for one in joined:
            self._sent = one.seq
            sender = self._senders.pop(one.first_seq, None)
            for client in tuple(self._clients):
                client.update(self._session, one, sender=client is sender)

    def _failed(self, error: BaseException) -> None:
        assert isinstance(error, Exception)
        self._fatal(error)
