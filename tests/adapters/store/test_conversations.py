from __future__ import annotations

import pytest

from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.errors import IdReused, UnknownSession
from hermes.ports.store import (
    AcceptPrompt,
    Conversation,
    EndPrompt,
    EndTool,
    FreezePrompt,
    LoadConversation,
    OpenSession,
    PromptState,
    StartTool,
    ToolRow,
    ToolsOf,
)


def end(db: Database, conversation: int, messages: list[bytes]) -> None:
    number = perform(db, AcceptPrompt("ses_1", None, b"{}", 1.0)).row.number
    perform(
        db,
        EndPrompt(
            "ses_1",
            number,
            PromptState.ANSWERED,
            b"",
            conversation=conversation,
            messages=messages,
        ),
    )


def test_messages_keep_order_and_bytes(db: Database) -> None:
    """L6: messages come back in order and to the byte, each conversation for itself."""
    end(db, 1, [b"a", b"\x00\xff"])
    end(db, 2, [b"other"])
    end(db, 1, [b"c"])

    assert perform(db, LoadConversation("ses_1", 1)).messages == (b"a", b"\x00\xff", b"c")
    assert perform(db, LoadConversation("ses_1", 2)).messages == (b"other",)


def test_the_frozen_prompt_is_kept_to_the_byte(db: Database) -> None:
    """L6: the system message and the schemas are kept as bytes, and the last ones count."""
    assert perform(db, LoadConversation("ses_1", 1)) == Conversation(None, None, ())
    perform(db, FreezePrompt("ses_1", 1, b"first", b"[]"))
    perform(db, FreezePrompt("ses_1", 1, b"second \xc3\xa9", b"[1]"))

    assert perform(db, LoadConversation("ses_1", 1)) == Conversation(b"second \xc3\xa9", b"[1]", ())
    with pytest.raises(UnknownSession):
        perform(db, FreezePrompt("ses_9", 1, b"", b""))


def test_tools_are_journaled(db: Database) -> None:
    """D3: a started call has no result until its end is recorded, in order of start."""
    number = perform(db, AcceptPrompt("ses_1", None, b"{}", 1.0)).row.number
    perform(db, StartTool("ses_1", number, "z", "ls", '{"a":1}', 1.0))
    perform(db, StartTool("ses_1", number, "a", "cat", "{}", 2.0))
    perform(db, EndTool("ses_1", number, "a", "text", 3.0))

    assert perform(db, ToolsOf("ses_1", number)) == (
        ToolRow("z", "ls", '{"a":1}', None),
        ToolRow("a", "cat", "{}", "text"),
    )


def test_a_tool_call_starts_and_ends_once(db: Database) -> None:
    """D3: the same call of a prompt is not started twice, nor ended twice."""
    number = perform(db, AcceptPrompt("ses_1", None, b"{}", 1.0)).row.number
    perform(db, StartTool("ses_1", number, "a", "ls", "{}", 1.0))
    with pytest.raises(IdReused):
        perform(db, StartTool("ses_1", number, "a", "ls", "{}", 1.0))
    perform(db, EndTool("ses_1", number, "a", "first", 2.0))
    with pytest.raises(ValueError, match="not running"):
        perform(db, EndTool("ses_1", number, "a", "second", 2.0))

    assert [row.result for row in perform(db, ToolsOf("ses_1", number))] == ["first"]


def test_a_tool_call_belongs_to_a_prompt(db: Database) -> None:
    """A call of no prompt, of no session, or of another session's prompt is refused."""
    perform(db, OpenSession("ses_2", "key:2", "ann", "/", "task_2", 1.0))
    number = perform(db, AcceptPrompt("ses_1", None, b"{}", 1.0)).row.number
    with pytest.raises(ValueError, match="no prompt"):
        perform(db, StartTool("ses_1", number + 1, "a", "ls", "{}", 1.0))
    with pytest.raises(ValueError, match="no prompt"):
        perform(db, StartTool("ses_2", number, "a", "ls", "{}", 1.0))
    with pytest.raises(UnknownSession):
        perform(db, StartTool("ses_9", number, "a", "ls", "{}", 1.0))
    with pytest.raises(ValueError, match="not running"):
        perform(db, EndTool("ses_1", number, "a", "", 1.0))
