from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import outcome
import pytest

from hermes.adapters.store import STORE_NAME, open_file
from hermes.adapters.store.commit import AFTER_COMMIT, BEFORE_COMMIT, Committer
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.errors import KeyTaken, StoreCorrupt, StoreError, StoreFull, UnknownSession
from hermes.ports.store import (
    AcceptPrompt,
    AppendUpdates,
    CountSessions,
    EndPrompt,
    FreezePrompt,
    LoadConversation,
    LoadSession,
    OpenSession,
    PromptState,
    Unanswered,
    UpdateRow,
)


def accept(session: str = "ses_1", content: bytes = b"{}") -> AcceptPrompt:
    return AcceptPrompt(session, None, content, 1.0)


def errors(outcomes: object) -> list[type[BaseException] | None]:
    assert isinstance(outcomes, list)
    return [type(o.error) if isinstance(o, outcome.Error) else None for o in outcomes]


class FailingFile(apsw.VFSFile):
    def __init__(self, vfs: FailingDisk, name: object, flags: list[int]) -> None:
        self._disk = vfs
        super().__init__("", name, flags)  # type: ignore[arg-type]

    def xSync(self, flags: int) -> None:
        self._disk.syncs += 1
        if self._disk.failing:
            raise apsw.IOError("fsync failed")
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    """A file system that counts its syncs, and fails them when it is told to."""

    def __init__(self) -> None:
        self.failing = False
        self.syncs = 0
        super().__init__("failing-disk", "")

    def xOpen(self, name: object, flags: list[int]) -> FailingFile:
        return FailingFile(self, name, flags)


@pytest.fixture
def disk() -> Iterator[FailingDisk]:
    disk = FailingDisk()
    yield disk
    disk.unregister()


@pytest.fixture
def on_disk(disk: FailingDisk, tmp_path: Path) -> Iterator[Database]:
    connection = open_file(tmp_path / STORE_NAME, vfs="failing-disk")
    db = Database(connection)
    perform(db, OpenSession("ses_1", "key:1", "ann", "/", "task", 1.0))
    yield db
    connection.close()


def unobserved(event: str) -> None:
    pass


def test_a_batch_is_one_commit(db: Database) -> None:
    """D1: a batch is committed once, and its reads see what was written before them."""
    seen: list[str] = []
    committed = Committer(db, seen.append).commit([accept(), Unanswered(), accept(), Unanswered()])

    assert seen == [BEFORE_COMMIT, AFTER_COMMIT]
    assert (committed.written, committed.synced) == (True, True)
    assert [len(committed.outcomes[n].unwrap()) for n in (1, 3)] == [1, 2]


def test_reads_alone_commit_nothing(db: Database) -> None:
    """A batch of reads is no commit that writes."""
    seen: list[str] = []
    committed = Committer(db, seen.append).commit([CountSessions(), LoadSession("ses_1")])

    assert committed.outcomes[0].unwrap() == 1
    assert (committed.written, committed.synced, seen) == (False, False, [])


def test_one_that_fails_harms_no_neighbour(db: Database) -> None:
    """An operation that fails leaves nothing, and the others of its batch are committed."""
    prompt = perform(db, accept()).row.number
    half_way = EndPrompt(
        "ses_1",
        prompt,
        PromptState.ANSWERED,
        b"",
        messages=[b"m"],
        updates=[UpdateRow(7, 7, b"gap")],
    )
    committed = Committer(db, unobserved).commit(
        [
            accept(),
            OpenSession("ses_2", "key:2", "ben", "/", "task", 1.0),
            OpenSession("ses_3", "telegram:1", "ben", "/", "task", 1.0),
            half_way,
            accept("ses_9"),
            LoadSession("\ud800"),
            FreezePrompt("ses_1", 1, "not bytes", b""),  # type: ignore[arg-type]
            accept(),
        ]
    )

    assert errors(committed.outcomes) == [
        None,
        None,
        KeyTaken,
        ValueError,
        UnknownSession,
        UnicodeEncodeError,
        StoreError,
        None,
    ]
    assert (committed.written, committed.synced) == (True, True)
    assert len(perform(db, Unanswered())) == 3
    assert perform(db, LoadConversation("ses_1", 1)).messages == ()
    assert perform(db, CountSessions()) == 2


def test_only_what_must_be_is_synced(disk: FailingDisk, on_disk: Database) -> None:
    """D1: acceptance is synced to the disk, updates alone are not."""
    committer = Committer(on_disk, unobserved)
    committer.commit([accept()])
    before = disk.syncs

    committed = committer.commit([AppendUpdates("ses_1", [UpdateRow(1, 1, b"u")])])
    assert (committed.written, committed.synced, disk.syncs) == (True, False, before)

    committed = committer.commit([AppendUpdates("ses_1", [UpdateRow(2, 2, b"u")]), accept()])
    assert (committed.written, committed.synced) == (True, True)
    assert disk.syncs > before


def test_a_failing_fsync_fails_the_batch(disk: FailingDisk, on_disk: Database) -> None:
    """D6: where the fsync fails nothing of the batch is there, and the store says that
    nothing can be promised any more.
    """
    committer = Committer(on_disk, unobserved)
    disk.failing = True
    failed = committer.commit([accept(), OpenSession("ses_2", "key:2", "ben", "/", "t", 1.0)])
    disk.failing = False

    assert errors(failed.outcomes) == [StoreFull, StoreFull]
    assert not failed.written
    assert isinstance(failed.broken, StoreFull)
    assert perform(on_disk, CountSessions()) == 1


def test_a_full_disk_fails_the_batch(db: Database) -> None:
    """D6: where there is no space nothing of the batch is there, and the store works on."""
    committer = Committer(db, unobserved)
    pages = db.connection.pragma("page_count")
    db.connection.pragma("max_page_count", pages + 10)
    failed = committer.commit([accept(), accept(content=b"x" * 100_000), accept()])

    assert errors(failed.outcomes) == [StoreFull] * 3
    assert failed.broken is None
    assert perform(db, Unanswered()) == ()
    assert errors(committer.commit([accept()]).outcomes) == [None]


def test_damage_is_named(on_disk: Database, tmp_path: Path) -> None:
    """D7: damage that is met while running fails the operation that met it, by name, and
    not its neighbours.
    """
    committer = Committer(on_disk, unobserved)
    perform(on_disk, FreezePrompt("ses_1", 1, b"s" * 100_000, b"[]"))
    on_disk.connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    root = on_disk.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'frozen'")[0][0]
    with (tmp_path / STORE_NAME).open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xa5" * 4096)
    on_disk.connection.pragma("shrink_memory")

    committed = committer.commit([accept(), LoadConversation("ses_1", 1), accept()])
    assert errors(committed.outcomes) == [None, StoreCorrupt, None]
    assert len(perform(on_disk, Unanswered())) == 2


def test_a_crash_before_the_commit_leaves_nothing(db: Database) -> None:
    """K6: an exception of the observer is a crash there: before the commit nothing is kept."""

    class Crash(Exception):
        pass

    def crash_at(place: str) -> Committer:
        def observe(event: str) -> None:
            if event == place:
                raise Crash

        return Committer(db, observe)

    with pytest.raises(Crash):
        crash_at(BEFORE_COMMIT).commit([accept()])
    assert not db.connection.in_transaction
    assert len(perform(db, Unanswered())) == 0

    with pytest.raises(Crash):
        crash_at(AFTER_COMMIT).commit([accept()])
    assert len(perform(db, Unanswered())) == 1
