from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import apsw
import pytest
import trio
from trio.testing import MockClock

from hermes.adapters.store import InlineExecutor, SqliteStore, open_memory
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.ports.store import OpenSession

FIRST = OpenSession("ses_1", "telegram:1", "ann", "/home", "task_1", 100.0)


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    connection = open_memory()
    yield connection
    connection.close()


@pytest.fixture
def db(connection: apsw.Connection) -> Database:
    """A database with one session, `ses_1` of ann."""
    database = Database(connection)
    perform(database, FIRST)
    return database


@pytest.fixture
async def store(
    connection: apsw.Connection, autojump_clock: MockClock
) -> AsyncIterator[SqliteStore]:
    """A store in virtual time, each batch of which takes a second."""
    store = SqliteStore(connection, executor=InlineExecutor(lambda: 1.0), boot_id="boot")
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: store.serve(task_status=task_status))
        yield store
        nursery.cancel_scope.cancel()
