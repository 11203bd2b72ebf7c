from __future__ import annotations

import apsw
import pytest

from hermes.adapters.store.schema import APPLICATION_ID, check_ours, migrate, version_of
from hermes.errors import StoreCorrupt

STEPS = ("CREATE TABLE a (x)", "CREATE TABLE b (x); INSERT INTO a VALUES (1)")


def test_steps_are_run_once_in_order() -> None:
    """A new file gets every step; an old one only those that it has not had."""
    connection = apsw.Connection(":memory:")
    migrate(connection, STEPS[:1])
    assert version_of(connection) == 1
    migrate(connection, STEPS)
    migrate(connection, STEPS)

    assert version_of(connection) == 2
    assert connection.pragma("application_id") == APPLICATION_ID
    assert connection.execute("SELECT x FROM a").fetchall() == [(1,)]


def test_a_failing_step_leaves_the_old_version() -> None:
    """A migration is all or nothing."""
    connection = apsw.Connection(":memory:")
    migrate(connection, STEPS[:1])
    with pytest.raises(apsw.SQLError):
        migrate(connection, (*STEPS, "CREATE TABLE a (x)"))

    assert version_of(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]


def test_a_new_file_needs_no_backup() -> None:
    """D7: the backup is asked for with the old version, and not for a file that is new."""
    connection = apsw.Connection(":memory:")
    backups: list[int] = []
    migrate(connection, STEPS[:1], backups.append)
    assert backups == []
    migrate(connection, STEPS, backups.append)
    assert backups == [1]


def test_a_newer_version_is_refused() -> None:
    """D7: a version that we do not know is refused."""
    connection = apsw.Connection(":memory:")
    migrate(connection, STEPS)
    with pytest.raises(StoreCorrupt, match="version 2"):
        check_ours(connection, "the file", STEPS[:1])


def test_another_programs_database_is_refused() -> None:
    """D7: a database that is not ours is refused, with an application id and without."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE theirs (x)")
    with pytest.raises(StoreCorrupt, match="not a store"):
        check_ours(connection, "the file")
    connection.pragma("application_id", 1)
    with pytest.raises(StoreCorrupt, match="not a store"):
        check_ours(connection, "the file")
