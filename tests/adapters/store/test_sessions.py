from __future__ import annotations

import base64
from typing import Any

import pytest
from attrs import evolve

from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.errors import IdReused, KeyTaken, UnknownSession
from hermes.ports.store import (
    AcceptPrompt,
    AppendUpdates,
    Conversation,
    CountSessions,
    DeleteSession,
    EndPrompt,
    FreezePrompt,
    ListSessions,
    LoadConversation,
    LoadSession,
    OpenSession,
    Operation,
    PromptState,
    ReadUpdates,
    SessionRow,
    SetSuspended,
    StartTool,
    ToolsOf,
    Unanswered,
    UpdateRow,
)

NEW = OpenSession("ses_2", "telegram:2", "ben", "/tmp", "task_2", 200.0)


def test_open_makes_a_session(db: Database) -> None:
    """A new key makes a session whose row is then found by id and by key."""
    opened = perform(db, NEW)

    assert not opened.existing
    assert opened.row == SessionRow("ses_2", "telegram:2", "ben", "/tmp", "task_2", 200.0)
    assert perform(db, LoadSession("ses_2")) == opened.row
    assert perform(db, LoadSession("telegram:2")) == opened.row
    assert perform(db, LoadSession("ses_3")) is None
    assert perform(db, CountSessions()) == 2


def test_open_finds_the_session_of_a_key(db: Database) -> None:
    """A known key of the same owner gives the session that is there, under its old id."""
    again = perform(db, OpenSession("ses_9", "telegram:1", "ann", "/else", "task_9", 900.0))

    assert again.existing
    assert (again.row.id, again.row.cwd) == ("ses_1", "/home")
    assert perform(db, CountSessions()) == 1


def test_open_refuses_the_key_of_another(db: Database) -> None:
    """A key that belongs to another owner is refused, and nothing is made."""
    with pytest.raises(KeyTaken):
        perform(db, evolve(NEW, key="telegram:1"))
    assert perform(db, CountSessions()) == 1


def test_open_refuses_a_used_id(db: Database) -> None:
    """An id in use is not given to a second session."""
    with pytest.raises(IdReused):
        perform(db, evolve(NEW, id="ses_1"))


def test_suspended_is_kept(db: Database) -> None:
    """Both marks are kept on the row and can be taken back."""
    perform(db, SetSuspended("ses_1", suspended=True, quarantined=True))
    row = perform(db, LoadSession("ses_1"))
    assert row is not None
    assert (row.suspended, row.quarantined) == (True, True)

    perform(db, SetSuspended("ses_1", suspended=False, quarantined=False))
    row = perform(db, LoadSession("ses_1"))
    assert row is not None
    assert (row.suspended, row.quarantined) == (False, False)
    with pytest.raises(UnknownSession):
        perform(db, SetSuspended("ses_9", suspended=True, quarantined=False))


def test_pages_are_in_order_and_whole(db: Database) -> None:
    """Pages follow creation time and then id, each session once, the last with no cursor."""
    for n in (5, 3, 4, 2):
        perform(db, OpenSession(f"ses_{n}", f"key:{n}", "ben", "/", f"task_{n}", 300.0))

    seen: list[str] = []
    operation = ListSessions(limit=2)
    while True:
        page = perform(db, operation)
        seen += [row.id for row in page.rows]
        if page.next_cursor is None:
            break
        operation = ListSessions(limit=2, cursor=page.next_cursor)

    assert seen == ["ses_1", "ses_2", "ses_3", "ses_4", "ses_5"]
    assert [row.id for row in perform(db, ListSessions(owner="ann")).rows] == ["ses_1"]
    assert perform(db, ListSessions(owner="ben", limit=4)).next_cursor is None


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "?",
        "\ud800",
        "abc",
        base64.urlsafe_b64encode(b"\xff\xff").decode(),
        base64.urlsafe_b64encode(b"nan ses_1").decode(),
        base64.urlsafe_b64encode(b"0x1p99999 ses_1").decode(),
        base64.urlsafe_b64encode(b"1.0").decode(),
    ],
)
def test_a_foreign_cursor_is_refused(db: Database, cursor: str) -> None:
    """A cursor that is not ours is a ValueError, whatever it holds."""
    with pytest.raises(ValueError, match="unknown cursor"):
        perform(db, ListSessions(cursor=cursor))


def test_a_page_has_room(db: Database) -> None:
    """A limit below one is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        perform(db, ListSessions(limit=0))


def test_delete_forgets_everything_but_the_id(db: Database) -> None:
    """R9: delete leaves no row of the session, frees its key and never its id."""
    prompt = perform(db, AcceptPrompt("ses_1", "c1", b"{}", 1.0)).row.number
    perform(db, StartTool("ses_1", prompt, "call_1", "ls", "{}", 1.0))
    perform(db, FreezePrompt("ses_1", 1, b"system", b"[]"))
    perform(
        db,
        EndPrompt(
            "ses_1",
            prompt,
            PromptState.ANSWERED,
            b"{}",
            messages=[b"m"],
            updates=[UpdateRow(1, 1, b"u")],
        ),
    )
    perform(db, AcceptPrompt("ses_1", "c2", b"{}", 1.0))

    perform(db, DeleteSession("ses_1"))

    assert perform(db, LoadSession("ses_1")) is None
    assert perform(db, Unanswered()) == ()
    assert perform(db, ToolsOf("ses_1", prompt)) == ()
    assert perform(db, ReadUpdates("ses_1", 0)) == ()
    assert perform(db, LoadConversation("ses_1", 1)) == Conversation(None, None, ())
    for table in ("prompts", "calls", "updates", "messages", "frozen"):
        assert db.rows(f"SELECT * FROM {table}") == []
    assert not perform(db, evolve(NEW, key="telegram:1")).existing
    with pytest.raises(IdReused):
        perform(db, evolve(NEW, id="ses_1", key="telegram:9"))


def test_a_deleted_session_takes_nothing(db: Database) -> None:
    """Writes to a deleted session are refused by name."""
    perform(db, DeleteSession("ses_1"))

    refused: list[Operation[Any]] = [
        AcceptPrompt("ses_1", None, b"{}", 1.0),
        AppendUpdates("ses_1", [UpdateRow(1, 1, b"u")]),
        FreezePrompt("ses_1", 1, b"", b""),
        DeleteSession("ses_1"),
        EndPrompt("ses_1", 1, PromptState.FAILED, b""),
    ]
    for operation in refused:
        with pytest.raises(UnknownSession):
            perform(db, operation)
