"""The tables, as a list of steps from one version to the next.

The version is SQLite's `user_version`, which is also the number of steps that a
file has had: a step that was released is never edited, the next one is appended.
`application_id` keeps us from writing into somebody else's database.  A tool for
migrations was not taken: this is the whole of it.

Tables of many small rows that are read in order (updates, messages) are kept
without a rowid, so that a session's rows lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import apsw

from hermes.errors import StoreCorrupt

# "Hrms" in ASCII: what `file(1)` and a curious operator find in the header.
APPLICATION_ID = 0x48726D73

STEPS: tuple[str, ...] = (
    """
    CREATE TABLE meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        owner TEXT NOT NULL,
        cwd TEXT NOT NULL,
        task_id TEXT NOT NULL,
        created_at REAL NOT NULL,
        conversation INTEGER NOT NULL DEFAULT 1,
        suspended INTEGER NOT NULL DEFAULT 0,
        quarantined INTEGER NOT NULL DEFAULT 0,
        turns INTEGER NOT NULL DEFAULT 0,
        reserved INTEGER NOT NULL DEFAULT 0,
        floor INTEGER NOT NULL DEFAULT 0
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_by_age ON sessions (created_at, id);
    CREATE INDEX sessions_by_owner ON sessions (owner, created_at, id);

    CREATE TABLE tombstones (
        id TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE prompts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        client_id TEXT,
        content BLOB NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        result BLOB,
        accepted_at REAL NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX prompts_by_client ON prompts (session, client_id)
        WHERE client_id IS NOT NULL;
    CREATE INDEX prompts_by_session ON prompts (session, state, number);
    CREATE INDEX prompts_open ON prompts (number) WHERE state IN ('waiting', 'running');

    CREATE TABLE calls (
        number INTEGER PRIMARY KEY,
        prompt INTEGER NOT NULL REFERENCES prompts (number) ON DELETE CASCADE,
        call_id TEXT NOT NULL,
        name TEXT NOT NULL,
        arguments TEXT NOT NULL,
        round INTEGER NOT NULL,
        result TEXT,
        started_at REAL NOT NULL,
        ended_at REAL,
        UNIQUE (prompt, call_id)
    ) STRICT;

    CREATE TABLE updates (
        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        seq INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (session, seq)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE messages (
        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        conversation INTEGER NOT NULL,
        position INTEGER NOT NULL,
        body BLOB NOT NULL,
        PRIMARY KEY (session, conversation, position)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE frozen (
        session TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        conversation INTEGER NOT NULL,
        system BLOB NOT NULL,
        tools BLOB NOT NULL,
        PRIMARY KEY (session, conversation)
    ) STRICT, WITHOUT ROWID;
    """,
)


def version_of(connection: apsw.Connection) -> int:
    """The number of steps that this file has had; 0 for one that is new."""
    return int(connection.pragma("user_version"))


def check_ours(connection: apsw.Connection, name: str, steps: Sequence[str] = STEPS) -> None:
    """Read the header and the pages, and refuse what must not be written to.

    `name` is how the message calls the file.

    Raises:
        StoreCorrupt: another program's file, a newer version, or damaged pages.
        apsw.Error: not readable as a database at all.
    """
    application = int(connection.pragma("application_id"))
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]
    if application != APPLICATION_ID and not (application == 0 and empty):
        raise StoreCorrupt(f"{name} is not a store of Hermes: move it away or name another")
    version = version_of(connection)
    if version > len(steps):
        raise StoreCorrupt(
            f"{name} has version {version} and this Hermes knows up to {len(steps)}: "
            "start the newer Hermes that wrote it"
        )
    # The quick check reads each page once and skips the comparison of tables with indexes.
    problems = [row[0] for row in connection.execute("PRAGMA quick_check(1)").fetchall()]
    if problems != ["ok"]:
        raise StoreCorrupt(
            f"{name} is damaged ({problems[0]}): it was left as it is; restore a backup, "
            "or move it away to start with an empty store"
        )


def migrate(
    connection: apsw.Connection,
    steps: Sequence[str] = STEPS,
    backup: Callable[[int], None] | None = None,
) -> None:
    """Bring a checked connection to the version of the last step, all or nothing.

    `backup` is called with the old version first, unless the file is new.  Call
    it before foreign keys are switched on: a step may have to rebuild a table.
    """
    version = version_of(connection)
    if version == len(steps):
        return
    if version > 0 and backup is not None:
        backup(version)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            connection.execute(step).fetchall()
        connection.pragma("application_id", APPLICATION_ID)
        connection.pragma("user_version", len(steps))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
