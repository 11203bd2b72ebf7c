from __future__ import annotations

import shutil
from pathlib import Path

import apsw
import outcome
import pytest
import trio
from trio.testing import MockClock

from hermes.adapters.store import (
    STORE_NAME,
    InlineExecutor,
    SqliteStore,
    StoreStatistics,
    ThreadExecutor,
    open_file,
)
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.errors import KeyTaken, StoreClosed, StoreError, StoreFull
from hermes.ports.store import (
    Accepted,
    AcceptPrompt,
    AppendUpdates,
    CountSessions,
    LoadSession,
    OpenSession,
    Store,
    Unanswered,
    UpdateRow,
)

ANN = OpenSession("ses_1", "telegram:1", "ann", "/home", "task_1", 100.0)


def accept(client_id: str | None = None) -> AcceptPrompt:
    return AcceptPrompt("ses_1", client_id, b"{}", 1.0)


def files_of(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def serving(nursery: trio.Nursery, store: SqliteStore) -> SqliteStore:
    await nursery.start(lambda task_status: store.serve(task_status=task_status))
    return store


async def test_it_is_the_port(store: SqliteStore, autojump_clock: MockClock) -> None:
    """The adapter can be used where the port is asked for, and gives what was committed."""
    port: Store = store
    assert (await port.run(ANN)).existing is False
    row = await port.run(LoadSession("telegram:1"))
    assert row is not None
    assert row.id == "ses_1"


async def test_many_share_a_commit(store: SqliteStore, autojump_clock: MockClock) -> None:
    """D1: what is submitted while a commit is under way shares the next one."""
    await store.run(ANN)
    before = store.statistics()
    async with trio.open_nursery() as nursery:
        for _ in range(500):
            nursery.start_soon(store.run, accept())

    after = store.statistics()
    assert after.operations - before.operations == 500
    assert after.commits - before.commits <= 2
    assert after.synced - before.synced == after.commits - before.commits
    assert after.queued == 0
    found = await store.run(Unanswered())
    assert len(found) == 500


async def test_a_batch_is_bounded(store: SqliteStore, autojump_clock: MockClock) -> None:
    """A batch takes at most a thousand operations, so that the first does not wait for all."""
    await store.run(ANN)
    async with trio.open_nursery() as nursery:
        for _ in range(2500):
            nursery.start_soon(store.run, accept())
    assert store.statistics().commits == 1 + 3


async def test_outcomes_come_in_order(store: SqliteStore, autojump_clock: MockClock) -> None:
    """Callbacks run in the order of submission, failures in their place, after the commit."""
    seen: list[int] = []
    failed: list[int] = []

    def submit(number: int, operation: OpenSession) -> None:
        def done(result: outcome.Maybe[object]) -> None:
            seen.append(number)
            if isinstance(result, outcome.Error):
                assert isinstance(result.error, KeyTaken)
                failed.append(number)

        store.submit(operation, done)

    for number in range(20):
        owner = "ben" if number % 5 == 4 else "ann"
        submit(number, OpenSession(f"ses_{number}", "key:1", owner, "/", "task", 1.0))
    assert seen == []
    assert store.statistics().queued == 20
    assert await store.run(CountSessions()) == 1
    assert seen == list(range(20))
    assert failed == [4, 9, 14, 19]


async def test_a_full_queue_refuses_at_once(
    connection: apsw.Connection, autojump_clock: MockClock
) -> None:
    """D6: past the bound of the queue an operation is refused at once, and nothing is lost."""
    store = SqliteStore(
        connection, executor=InlineExecutor(lambda: 1.0), boot_id="boot", max_queue=2
    )
    seen: list[outcome.Maybe[object]] = []
    for number in range(3):
        store.submit(OpenSession(f"s{number}", f"k{number}", "ann", "/", "t", 1.0), seen.append)
    assert [type(result) for result in seen] == [outcome.Error]
    with pytest.raises(StoreFull):
        seen[0].unwrap()

    async with trio.open_nursery() as nursery:
        await serving(nursery, store)
        assert await store.run(CountSessions()) == 2
        nursery.cancel_scope.cancel()


async def test_a_cancelled_caller_stops_nothing(
    store: SqliteStore, autojump_clock: MockClock
) -> None:
    """An operation whose caller was cancelled stays queued and is committed."""
    await store.run(ANN)
    with trio.move_on_after(0.5) as scope:
        await store.run(accept())
    assert scope.cancelled_caught
    found = await store.run(Unanswered())
    assert len(found) == 1


async def test_a_crash_drops_what_is_not_committed(
    connection: apsw.Connection, autojump_clock: MockClock
) -> None:
    """K7: a cancelled store drops its open batch, calls nobody back, and a new store over
    the same connection goes on with all that was committed.
    """
    seen: list[outcome.Maybe[Accepted]] = []
    store = SqliteStore(connection, executor=InlineExecutor(lambda: 1.0), boot_id="boot")
    async with trio.open_nursery() as nursery:
        await serving(nursery, store)
        await store.run(ANN)
        await store.run(accept("kept"))
        store.submit(accept("open"), seen.append)
        await trio.sleep(0.5)
        store.submit(accept("queued"), seen.append)
        nursery.cancel_scope.cancel()
    assert seen == []
    with pytest.raises(StoreClosed):
        await store.run(accept())

    again = SqliteStore(connection, executor=InlineExecutor(lambda: 1.0), boot_id="boot")
    async with trio.open_nursery() as nursery:
        await serving(nursery, again)
        assert [row.client_id for row in await again.run(Unanswered())] == ["kept"]
        assert not (await again.run(accept("open"))).existing
        nursery.cancel_scope.cancel()


async def test_another_boot_is_a_power_cut(
    connection: apsw.Connection, autojump_clock: MockClock
) -> None:
    """D4: a store that was not closed goes on above its reservation under another boot only."""
    last: list[int] = []
    for boot_id in ("one", "one", "two"):
        store = SqliteStore(connection, executor=InlineExecutor(lambda: 0.0), boot_id=boot_id)
        async with trio.open_nursery() as nursery:
            await serving(nursery, store)
            if not (await store.run(ANN)).existing:
                await store.run(AppendUpdates("ses_1", [UpdateRow(1, 2, b"u")], reserve=64))
            row = await store.run(LoadSession("ses_1"))
            assert row is not None
            last.append(row.last_seq)
            nursery.cancel_scope.cancel()
    assert last == [2, 2, 64]


async def test_acknowledged_is_on_disk(tmp_path: Path) -> None:
    """D1: once an acceptance is answered, the files as they are at that moment hold it."""
    (tmp_path / "copy").mkdir()
    store = SqliteStore(open_file(tmp_path / STORE_NAME), executor=ThreadExecutor(), boot_id="boot")
    async with trio.open_nursery() as nursery:
        await serving(nursery, store)
        await store.run(ANN)
        accepted = await store.run(accept("c1"))
        for name in (STORE_NAME, STORE_NAME + "-wal"):
            shutil.copy(tmp_path / name, tmp_path / "copy" / name)
        await store.aclose()

    copy = open_file(tmp_path / "copy" / STORE_NAME)
    assert perform(Database(copy), Unanswered()) == (accepted.row,)
    copy.close()


async def test_a_close_commits_what_is_queued(tmp_path: Path) -> None:
    """D8: an orderly stop commits the queue, marks the store clean and closes the file."""
    connection = open_file(tmp_path / STORE_NAME)
    store = SqliteStore(connection, executor=ThreadExecutor(), boot_id="one")
    seen: list[outcome.Maybe[object]] = []
    store.submit(ANN, seen.append)
    store.submit(AppendUpdates("ses_1", [UpdateRow(1, 2, b"u")], reserve=64), seen.append)
    store.close()
    with pytest.raises(StoreClosed):
        await store.run(CountSessions())
    await store.serve()

    assert [type(result) for result in seen] == [outcome.Value, outcome.Value]
    assert files_of(tmp_path) == [STORE_NAME]
    with pytest.raises(apsw.ConnectionClosedError):
        connection.pragma("user_version")

    again = SqliteStore(open_file(tmp_path / STORE_NAME), executor=ThreadExecutor(), boot_id="two")
    async with trio.open_nursery() as nursery:
        await serving(nursery, again)
        row = await again.run(LoadSession("ses_1"))
        assert row is not None
        assert row.last_seq == 2
        await again.aclose()


async def test_a_store_that_cannot_be_marked_is_closed_all_the_same(
    connection: apsw.Connection,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A stop that cannot write its mark says so and still ends."""
    store = SqliteStore(connection, executor=InlineExecutor(lambda: 0.0), boot_id="boot")
    async with trio.open_nursery() as nursery:
        await serving(nursery, store)
        connection.execute("DROP TABLE meta")
        await store.aclose()
    assert "cleanly closed" in caplog.text


async def test_a_store_that_cannot_start_says_so(
    connection: apsw.Connection, autojump_clock: MockClock
) -> None:
    """D6: a store that cannot be written at the start raises before it is started."""
    connection.pragma("query_only", True)
    store = SqliteStore(connection, executor=InlineExecutor(lambda: 0.0), boot_id="boot")
    with pytest.raises(StoreError):
        await store.serve()


async def test_statistics_count(store: SqliteStore, autojump_clock: MockClock) -> None:
    """Statistics tell commits, synced ones, operations and what waits."""
    await store.run(ANN)
    await store.run(AppendUpdates("ses_1", [UpdateRow(1, 1, b"u")]))
    await store.run(CountSessions())
    store.submit(CountSessions(), lambda result: None)
    assert store.statistics() == StoreStatistics(commits=2, synced=1, operations=3, queued=1)
