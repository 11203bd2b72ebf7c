"""What a start must know of the last stop: was it clean, killed, or a power cut?

Updates are committed without a sync.  A killed process loses none of them, since
the system still holds its writes; a power cut may.  The two are told apart by
the system's boot id: another one, and no clean mark, means that the machine went
down under us.  Then numbers up to `reserved` may have been sent and lost, and
every session's `floor` is raised to it, so that none of them is given twice.
"""

from __future__ import annotations

import apsw

from hermes.adapters.store.faults import translate

_CLEAN = "clean"
_BOOT = "boot_id"


def prepare(connection: apsw.Connection, boot_id: str) -> None:
    """Judge the last stop, and mark the store as in use under `boot_id`.

    The mark is synced: else a power cut could bring the old clean mark back.  Then the
    log is folded into the file: where a sync has failed before the stop, parts of the log
    may be in the system's memory only, and no later sync of it would write them.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        connection.pragma("synchronous", "full")
        with connection:
            whole = connection.execute(
                "SELECT 1 FROM meta WHERE (name, value) IN (VALUES (?, '1'), (?, ?))",
                (_CLEAN, _BOOT, boot_id),
            ).fetchall()
            if not whole:
                _raise_floors(connection)
            _mark(connection, _BOOT, boot_id)
            _mark(connection, _CLEAN, "0")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error as error:
        raise translate(error) from error


def mark_clean(connection: apsw.Connection) -> None:
    """Note that all is on disk, then fold the log into the file.

    Raises:
        StoreError: it cannot be written; the next start will judge a stop that
            was not clean, which costs at most a jump of the numbers.
    """
    try:
        connection.pragma("synchronous", "full")
        with connection:
            _mark(connection, _CLEAN, "1")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    except apsw.Error as error:
        raise translate(error) from error


def _raise_floors(connection: apsw.Connection) -> None:
    # A session whose stored numbers reach its reservation has lost none.
    connection.execute(
        """UPDATE sessions SET floor = reserved
           WHERE reserved > floor AND reserved > coalesce(
               (SELECT u.seq FROM updates u WHERE u.session = sessions.id
                ORDER BY u.seq DESC LIMIT 1), 0)"""
    )


def _mark(connection: apsw.Connection, name: str, value: str) -> None:
    connection.execute(
        "INSERT INTO meta (name, value) VALUES (?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value",
        (name, value),
    )
