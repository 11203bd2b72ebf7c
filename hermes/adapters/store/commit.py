"""One batch of operations, one commit.

The fast path runs a batch with no savepoints.  Where an operation fails, the
batch is rolled back and run again with a savepoint for each, so that the one
that failed leaves nothing and its neighbours lose nothing.  Savepoints at all
times were the alternative; they cost every batch for the sake of the rare one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw
import outcome
from attrs import frozen

from hermes.adapters.store.database import Database
from hermes.adapters.store.faults import ends_batch, sync_failed, translate
from hermes.adapters.store.operations import is_read, perform
from hermes.errors import StoreError
from hermes.ports.store import Operation

BEFORE_COMMIT = "before commit"
AFTER_COMMIT = "after commit"

Asked = Operation[Any]
Result = outcome.Maybe[Any]


@frozen
class Committed:
    """What became of a batch: the outcomes in its order, and the kind of the commit.

    `written` is whether there was a commit that wrote, `synced` whether it was
    synced to disk.  `broken` is why nothing can be promised any more, None where it can.
    """

    outcomes: Sequence[Result]
    written: bool
    synced: bool
    broken: StoreError | None = None


class _OneFailed(Exception):
    """An operation of the fast path failed and the transaction was rolled back."""


class Committer:
    """Commits batches on one connection; used by one thread at a time.

    `observe` is called with `BEFORE_COMMIT` and `AFTER_COMMIT` around each commit
    that writes, in the thread that commits.
    """

    def __init__(self, database: Database, observe: Callable[[str], None]) -> None:
        self._database = database
        self._connection = database.connection
        self._observe = observe
        self._synchronous = ""

    def commit(self, operations: Sequence[Asked]) -> Committed:
        """Run a batch; every operation gets an outcome, nothing is raised for them.

        An error of SQLite that hits the batch as a whole is the outcome of each,
        a damaged page of those alone that touch it.
        """
        writes = any(not is_read(operation) for operation in operations)
        sync = any(operation.sync for operation in operations)
        try:
            if writes:
                self._set_synchronous("full" if sync else "normal")
            try:
                outcomes = self._transaction(operations, writes, self._plainly)
            except _OneFailed:
                outcomes = self._transaction(operations, writes, self._guarded)
        except apsw.Error as error:
            if isinstance(error, apsw.CorruptError) and len(operations) > 1:
                return self._singly(operations)
            failed = [outcome.Error(translate(error)) for _ in operations]
            broken = translate(error) if sync_failed(error) else None
            return Committed(failed, written=False, synced=False, broken=broken)
        return Committed(outcomes, written=writes, synced=writes and sync)

    def _singly(self, operations: Sequence[Asked]) -> Committed:
        """A commit for each, so that one damaged session does not fail the others."""
        each = [self.commit([operation]) for operation in operations]
        return Committed(
            [committed.outcomes[0] for committed in each],
            written=any(committed.written for committed in each),
            synced=any(committed.synced for committed in each),
            broken=next((one.broken for one in each if one.broken is not None), None),
        )

    def _transaction(
        self, operations: Sequence[Asked], writes: bool, run: Callable[[Asked], Result]
    ) -> Sequence[Result]:
        self._connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            outcomes = [run(operation) for operation in operations]
            if writes:
                self._observe(BEFORE_COMMIT)
            self._connection.execute("COMMIT")
        except BaseException:
            # SQLite ends the transaction by itself on some faults of the disk.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        if writes:
            self._observe(AFTER_COMMIT)
        return outcomes

    def _plainly(self, operation: Asked) -> Result:
        try:
            return outcome.Value(perform(self._database, operation))
        except Exception as error:
            if ends_batch(error):
                raise
            raise _OneFailed from error

    def _guarded(self, operation: Asked) -> Result:
        self._connection.execute("SAVEPOINT operation")
        try:
            result = outcome.Value(perform(self._database, operation))
        except Exception as error:
            if ends_batch(error) or not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO operation")
            self._connection.execute("RELEASE operation")
            return outcome.Error(translate(error) if isinstance(error, apsw.Error) else error)
        self._connection.execute("RELEASE operation")
        return result

    def _set_synchronous(self, level: str) -> None:
        if level != self._synchronous:
            self._connection.pragma("synchronous", level)
            self._synchronous = level
