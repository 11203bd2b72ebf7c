"""SQLite's errors in our words: the one place where an `apsw.Error` is translated.

Without it each caller would have to know which of SQLite's thirty codes mean a
full disk and which a damaged file.
"""

from __future__ import annotations

import apsw

from hermes.errors import StoreCorrupt, StoreError, StoreFull

# A failing read is a broken disk and not a full one; only writes and syncs are `StoreFull`.
_READ_FAULTS = frozenset({apsw.SQLITE_IOERR_READ, apsw.SQLITE_IOERR_SHORT_READ})

# A plain code is a file system that does not say more.
_SYNC_FAULTS = frozenset({apsw.SQLITE_IOERR, apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})


def translate(error: apsw.Error) -> StoreError:
    """Say in our words what SQLite reported; a fresh exception at each call."""
    extended = getattr(error, "extendedresult", 0)
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StoreCorrupt(f"the store is damaged: {error}")
    if extended == apsw.SQLITE_IOERR_CORRUPTFS:
        return StoreCorrupt(f"the file system says that the store is damaged: {error}")
    if isinstance(error, apsw.FullError):
        return StoreFull("the store is full: free some space on its disk")
    if isinstance(error, apsw.IOError) and extended not in _READ_FAULTS:
        return StoreFull(f"the store cannot be written: {error}")
    return StoreError(f"the store failed: {error}")


def sync_failed(error: apsw.Error) -> bool:
    """Whether a sync failed, after which no later one can be believed.

    The system forgets what it could not write: earlier commits that were not synced yet
    may be a hole in the log, and what comes behind it is lost by the next power cut,
    however well it was synced.
    """
    extended = getattr(error, "extendedresult", apsw.SQLITE_IOERR)
    return isinstance(error, apsw.IOError) and extended in _SYNC_FAULTS


def ends_batch(error: BaseException) -> bool:
    """Whether this error says that nothing of its transaction can be committed.

    SQLite refuses every write in a transaction that has met a damaged page.
    """
    return isinstance(error, apsw.FullError | apsw.IOError | apsw.NoMemError | apsw.CorruptError)
