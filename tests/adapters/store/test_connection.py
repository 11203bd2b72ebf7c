from __future__ import annotations

import shutil
import stat
from pathlib import Path

import apsw
import pytest

from hermes.adapters.store import STORE_NAME, open_file
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.adapters.store.schema import STEPS
from hermes.errors import StartError, StoreCorrupt, StoreError
from hermes.ports.store import CountSessions, OpenSession

MORE = (*STEPS, "CREATE TABLE later (x)")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but the shared-memory index, which SQLite rebuilds at will."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".db-shm"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with some sessions, closed."""
    path = tmp_path / STORE_NAME
    connection = open_file(path)
    for n in range(200):
        perform(Database(connection), OpenSession(f"s{n}", f"k{n}", "ann", "/" * 100, "t", 1.0))
    connection.close()
    return path


def test_a_new_store_is_private_and_durable(tmp_path: Path) -> None:
    """Z7: the file and its log are 0600; commits go through a log that is synced."""
    connection = open_file(tmp_path / STORE_NAME)

    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("foreign_keys") == 1
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}
    connection.close()


def test_a_closed_store_opens_again(path: Path) -> None:
    """What was written is there when the file is opened again."""
    connection = open_file(path)
    assert perform(Database(connection), CountSessions()) == 200
    connection.close()


def test_a_killed_store_opens_again(path: Path, tmp_path: Path) -> None:
    """D2: what is only in the log of a killed process is there after the next open."""
    connection = open_file(path)
    perform(Database(connection), OpenSession("new", "new", "ann", "/", "t", 1.0))
    killed = tmp_path / "killed"
    killed.mkdir()
    for name in (path.name, path.name + "-wal"):
        shutil.copy(path.with_name(name), killed / name)
    connection.close()

    reopened = open_file(killed / path.name)
    assert perform(Database(reopened), CountSessions()) == 201
    reopened.close()


def garble_header(path: Path) -> None:
    path.write_bytes(b"this is not a database at all" * 100)


def garble_pages(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[4096 * 3 :] = b"\xa5" * (len(whole) - 4096 * 3)
    path.write_bytes(whole)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 4096 * 5])


def make_newer(path: Path) -> None:
    """A newer version whose last commits are still in its log."""
    connection = open_file(path, steps=MORE)
    perform(Database(connection), OpenSession("new", "new", "ann", "/", "t", 1.0))
    saved = contents(path.parent)
    connection.close()
    for name, content in saved.items():
        (path.parent / name).write_bytes(content)
        (path.parent / name).chmod(0o600)


def make_foreign(path: Path) -> None:
    path.unlink()
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    path.chmod(0o600)


def lose_pages(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"log")
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "damage", [garble_header, garble_pages, cut_short, make_newer, make_foreign, lose_pages]
)
def test_a_bad_file_is_reported_and_left(path: Path, damage: object) -> None:
    """D7: a damaged, foreign or newer store is reported and not a byte of it is changed."""
    assert callable(damage)
    damage(path)
    before = contents(path.parent)

    with pytest.raises(StoreCorrupt, match=STORE_NAME):
        open_file(path)

    # SQLite may leave an empty log beside them.
    assert before.items() <= contents(path.parent).items()


def test_a_store_open_to_others_is_refused(path: Path) -> None:
    """Z7: a file that others may read is refused with the command that mends it."""
    path.chmod(0o640)
    with pytest.raises(StartError, match=f"chmod 600 {path}"):
        open_file(path)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A place that cannot be written is an error that names it."""
    with pytest.raises(StoreError, match="gone"):
        open_file(tmp_path / "gone" / STORE_NAME)


def test_a_migration_makes_a_backup_first(path: Path) -> None:
    """D7: before a migration the old store is copied, private and whole."""
    migrated = open_file(path, steps=MORE)
    assert migrated.pragma("user_version") == len(MORE)
    migrated.close()

    backup = path.with_name(f"{STORE_NAME}.v{len(STEPS)}.bak")
    assert mode(backup) == 0o600
    old = open_file(backup)
    assert perform(Database(old), CountSessions()) == 200
    old.close()
    assert {file.name for file in path.parent.iterdir()} == {path.name, backup.name}


def test_a_failed_migration_changes_nothing(path: Path) -> None:
    """D7: a migration that fails leaves the old version, which opens as before."""
    with pytest.raises(StoreError, match=STORE_NAME):
        open_file(path, steps=(*MORE, "CREATE TABLE later (x)"))

    connection = open_file(path)
    assert perform(Database(connection), CountSessions()) == 200
    connection.close()
