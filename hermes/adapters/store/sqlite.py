"""The store over one SQLite connection, with group commit.

One task owns the connection.  What is submitted while a commit is under way
waits and goes into the next one together, so that an fsync is shared by
everybody who needs it at that moment: nobody waits on purpose, and nothing is
tuned.  A thread for each caller or a pool of connections would not help: SQLite
has one writer.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import apsw
import outcome
import trio
from attrs import frozen

from hermes.adapters.store.commit import Committed, Committer
from hermes.adapters.store.database import KEEP_UPDATES, Database
from hermes.adapters.store.executor import Executor
from hermes.adapters.store.marks import mark_clean, prepare
from hermes.errors import StoreClosed, StoreError, StoreFull
from hermes.ports.store import Done, Operation

R = TypeVar("R")

_log = logging.getLogger(__name__)

# About 15 ms of SQL: long enough to share an fsync widely, short enough that the
# first in the batch does not wait for the last.
BATCH = 1000

# Several seconds of commits at full speed.  Sessions hold back on their own long
# before; this bound is for the disk that hangs.
MAX_QUEUE = 100_000


@frozen
class StoreStatistics:
    """What the store has done since it was made.

    `commits` counts transactions that wrote, `synced` those of them that were
    synced to disk, `operations` the operations that got an outcome of a batch,
    `queued` those that wait for the next one.
    """

    commits: int
    synced: int
    operations: int
    queued: int


@frozen
class _Queued(Generic[R]):
    operation: Operation[R]
    done: Done[R]


def _unobserved(event: str) -> None:
    """Nobody watches the commits."""


class SqliteStore:
    """The store port over a connection from `open_file` or `open_memory`.

    `executor` says where the SQL runs.  `boot_id` changes when the machine
    restarts.  `max_queue` bounds the operations that wait.  `keep_updates` is how
    many update numbers each session keeps at least.  `observe` is called around
    each commit that writes, where the SQL runs, for tests that kill the process
    there.

    **Resources**: the connection is the store's from the start of `serve` to its
    orderly end, which closes it.  A cancelled `serve` leaves it open and with no
    transaction: a new store may be made over it, as after a crash.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        executor: Executor,
        boot_id: str,
        max_queue: int = MAX_QUEUE,
        keep_updates: int = KEEP_UPDATES,
        observe: Callable[[str], None] = _unobserved,
    ) -> None:
        self._connection = connection
        self._executor = executor
        self._boot_id = boot_id
        self._max_queue = max_queue
        self._committer = Committer(Database(connection, keep_updates), observe)
        self._queue: deque[_Queued[Any]] = deque()
        self._work = trio.Event()
        self._closing = False
        self._ended = trio.Event()
        self._commits = 0
        self._synced = 0
        self._operations = 0

    def submit(self, operation: Operation[R], done: Done[R]) -> None:
        """Queue an operation; `done` gets its outcome after the commit.

        It never blocks.  A full queue calls `done` at once with `StoreFull`, a
        closed store with `StoreClosed`.  `done` must not raise: that ends `serve`.
        """
        if self._closing:
            done(outcome.Error(StoreClosed("the store is closed")))
        elif len(self._queue) >= self._max_queue:
            waiting = len(self._queue)
            done(outcome.Error(StoreFull(f"{waiting} operations wait for the disk: try later")))
        else:
            self._queue.append(_Queued(operation, done))
            self._work.set()

    async def run(self, operation: Operation[R]) -> R:
        """Submit an operation and wait for its result.

        Raises:
            StoreError: nothing of it is on disk.
            HermesError, ValueError: what the operation's own docstring says.

        **Cancellation**: the operation stays queued and may still be committed.
        """
        settled = trio.Event()
        results: list[outcome.Maybe[R]] = []

        def done(result: outcome.Maybe[R]) -> None:
            results.append(result)
            settled.set()

        self.submit(operation, done)
        await settled.wait()
        return results[0].unwrap()

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the connection: commit what is submitted, until `close`.

        Started once the last stop has been judged (`marks.prepare`); what was
        submitted before waits until then.  After `close` it commits what is
        queued, leaves the clean mark, folds the log into the file and closes the
        connection.

        Raises:
            StoreError: the store cannot be written at the start, or a sync failed: then
                nothing later could be promised, and what was queued has failed.

        **Cancellation**: as a crash.  A commit under way in a thread is finished
        and its callbacks are called; what is queued, or has not begun, is dropped
        and its callbacks are never called.
        """
        try:
            await self._executor(partial(prepare, self._connection, self._boot_id))
            task_status.started()
            while await self._has_work():
                batch = self._take()
                operations = [queued.operation for queued in batch]
                committed = await self._executor(partial(self._committer.commit, operations))
                self._settle(batch, committed)
                if committed.broken is not None:
                    self._fail_queued(committed.broken)
                    raise committed.broken
            await self._executor(partial(_finish, self._connection))
        finally:
            self._closing = True
            self._ended.set()

    def close(self) -> None:
        """Take no more operations and let `serve` end in order; idempotent."""
        self._closing = True
        self._work.set()

    async def aclose(self) -> None:
        """Close, and wait until `serve`, which must have been started, has ended.

        **Cancellation**: the store is closing and `serve` goes on to its end.
        """
        self.close()
        await self._ended.wait()

    def statistics(self) -> StoreStatistics:
        """What the store has done so far."""
        return StoreStatistics(self._commits, self._synced, self._operations, len(self._queue))

    async def _has_work(self) -> bool:
        """Wait for operations; False once the store is closed and none is left."""
        while not self._queue:
            if self._closing:
                return False
            self._work = trio.Event()
            await self._work.wait()
        return True

    def _take(self) -> Sequence[_Queued[Any]]:
        return [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]

    def _settle(self, batch: Sequence[_Queued[Any]], committed: Committed) -> None:
        self._commits += committed.written
        self._synced += committed.synced
        self._operations += len(batch)
        for queued, result in zip(batch, committed.outcomes, strict=True):
            queued.done(result)

    def _fail_queued(self, error: StoreError) -> None:
        self._closing = True
        while self._queue:
            self._queue.popleft().done(outcome.Error(error))


def _finish(connection: apsw.Connection) -> None:
    """The end of an orderly stop; a mark that cannot be written does not keep us here."""
    try:
        mark_clean(connection)
    except StoreError as error:
        _log.warning("the store could not be marked as cleanly closed: %s", error)
    finally:
        _close(connection)


def _close(connection: apsw.Connection) -> None:
    try:
        connection.close()
    except apsw.Error as error:
        _log.warning("the store's log stays beside it until the next start: %s", error)
