from __future__ import annotations

from pathlib import Path

import apsw

from hermes.adapters.store import STORE_NAME, open_file
from hermes.adapters.store.database import Database
from hermes.adapters.store.marks import mark_clean, prepare
from hermes.adapters.store.operations import perform
from hermes.ports.store import AppendUpdates, LoadSession, OpenSession, SessionRow, UpdateRow


def load(connection: apsw.Connection) -> SessionRow:
    row = perform(Database(connection), LoadSession("ses_1"))
    assert row is not None
    return row


def used_store(path: Path) -> apsw.Connection:
    """A store in use under boot `one`: numbers to 3 are written, to 100 are reserved."""
    connection = open_file(path)
    prepare(connection, "one")
    db = Database(connection)
    perform(db, OpenSession("ses_1", "key:1", "ann", "/", "task", 1.0))
    perform(db, AppendUpdates("ses_1", [UpdateRow(1, 3, b"old")], reserve=100))
    return connection


def test_a_kill_keeps_the_numbers(tmp_path: Path) -> None:
    """D4: after a kill the numbers go on where they ended."""
    used_store(tmp_path / STORE_NAME).close()

    connection = open_file(tmp_path / STORE_NAME)
    prepare(connection, "one")
    row = load(connection)
    assert (row.first_seq, row.last_seq, row.reserved) == (1, 3, 100)
    connection.close()


def test_a_clean_stop_keeps_the_numbers(tmp_path: Path) -> None:
    """D4: after a clean stop the numbers go on where they ended, whatever boot it is."""
    connection = used_store(tmp_path / STORE_NAME)
    mark_clean(connection)
    connection.close()

    connection = open_file(tmp_path / STORE_NAME)
    prepare(connection, "two")
    row = load(connection)
    assert (row.first_seq, row.last_seq) == (1, 3)
    connection.close()


def test_a_power_cut_jumps_ahead(tmp_path: Path) -> None:
    """D4: after a power cut numbers go on above all that may have been sent, and no
    replay reaches back over the jump.
    """
    used_store(tmp_path / STORE_NAME).close()

    connection = open_file(tmp_path / STORE_NAME)
    prepare(connection, "two")
    row = load(connection)
    assert (row.first_seq, row.last_seq) == (101, 100)

    perform(Database(connection), AppendUpdates("ses_1", [UpdateRow(101, 102, b"new")]))
    row = load(connection)
    assert (row.first_seq, row.last_seq) == (101, 102)
    connection.close()


def test_a_power_cut_that_lost_nothing_jumps_nowhere(tmp_path: Path) -> None:
    """D4: where all reserved numbers are on disk, none was lost and all can be replayed."""
    connection = used_store(tmp_path / STORE_NAME)
    perform(Database(connection), AppendUpdates("ses_1", [UpdateRow(4, 100, b"")]))
    prepare(connection, "two")
    row = load(connection)
    assert (row.first_seq, row.last_seq) == (1, 100)
    connection.close()


def test_a_clean_mark_counts_once(tmp_path: Path) -> None:
    """D4: a clean stop of long ago does not hide the power cut after the next start."""
    connection = used_store(tmp_path / STORE_NAME)
    mark_clean(connection)
    prepare(connection, "two")
    prepare(connection, "three")
    assert load(connection).last_seq == 100
    connection.close()


def test_a_clean_stop_leaves_one_file(tmp_path: Path) -> None:
    """After a clean stop all is in the file and the log is gone."""
    connection = used_store(tmp_path / STORE_NAME)
    mark_clean(connection)
    assert (tmp_path / (STORE_NAME + "-wal")).stat().st_size == 0
    connection.close()
    assert [path.name for path in tmp_path.iterdir()] == [STORE_NAME]
