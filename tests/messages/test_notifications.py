from __future__ import annotations

from typing import Any

import pytest
from support.acp_schema import FrameValidator

from hermes.messages.joined import join, single
from hermes.messages.notifications import (
    SESSION_UPDATE,
    Command,
    accepted_params,
    available_commands_params,
    session_update_params,
)
from hermes.messages.updates import (
    Plan,
    PlanEntry,
    TextChunk,
    ThoughtChunk,
    Title,
    ToolCallChanged,
    ToolCallStarted,
    TurnEnded,
    TurnRestarted,
    Update,
    UserMessage,
)


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


INFO = {"sessionUpdate": "session_info_update"}

# update, whether to its sender, its `update` on the wire, what `_meta.hermes` has besides seq
CASES: list[tuple[Update, bool, dict[str, Any], dict[str, Any]]] = [
    (UserMessage("hi", "m", "c1"), True, INFO, {"turn": "started", "id": "c1"}),
    (UserMessage("hi", "m"), True, INFO, {"turn": "started"}),
    (UserMessage("hi", "m", "c1", first=False), True, INFO, {}),
    (
        UserMessage("hi", "m", "c1"),
        False,
        {"sessionUpdate": "user_message_chunk", "messageId": "m", "content": text("hi")},
        {},
    ),
    (
        TextChunk("m", "x"),
        True,
        {"sessionUpdate": "agent_message_chunk", "messageId": "m", "content": text("x")},
        {},
    ),
    (
        ThoughtChunk("m", "x"),
        False,
        {"sessionUpdate": "agent_thought_chunk", "messageId": "m", "content": text("x")},
        {},
    ),
    (
        ToolCallStarted("c", "List files", "ls", "search", {"path": "/"}),
        True,
        {
            "sessionUpdate": "tool_call",
            "toolCallId": "c",
            "title": "List files",
            "name": "ls",
            "kind": "search",
            "status": "in_progress",
            "rawInput": {"path": "/"},
        },
        {},
    ),
    (
        ToolCallStarted("c", "t"),
        True,
        {
            "sessionUpdate": "tool_call",
            "toolCallId": "c",
            "title": "t",
            "kind": "other",
            "status": "in_progress",
        },
        {},
    ),
    (
        ToolCallChanged("c", "completed", "done", [1]),
        True,
        {
            "sessionUpdate": "tool_call_update",
            "toolCallId": "c",
            "status": "completed",
            "content": [{"type": "content", "content": text("done")}],
            "rawOutput": [1],
        },
        {},
    ),
    (
        ToolCallChanged("c"),
        False,
        {"sessionUpdate": "tool_call_update", "toolCallId": "c"},
        {},
    ),
    (
        Plan((PlanEntry("think", "high", "in_progress"),)),
        False,
        {
            "sessionUpdate": "plan",
            "entries": [{"content": "think", "priority": "high", "status": "in_progress"}],
        },
        {},
    ),
    (
        TurnEnded("end_turn", "c1"),
        True,
        INFO,
        {"turn": "ended", "stopReason": "end_turn", "id": "c1"},
    ),
    (TurnEnded("cancelled"), False, INFO, {"turn": "ended", "stopReason": "cancelled"}),
    (TurnRestarted("c1"), True, INFO, {"turn": "restarted", "id": "c1"}),
    (TurnRestarted(), False, INFO, {"turn": "restarted"}),
    (Title("T"), True, {**INFO, "title": "T"}, {}),
]


def check(schema: FrameValidator, params: dict[str, Any]) -> None:
    schema.validate_outgoing({"jsonrpc": "2.0", "method": SESSION_UPDATE, "params": params}, {})


@pytest.mark.parametrize(("update", "sender", "body", "hermes"), CASES)
def test_numbered_updates(
    update: Update,
    sender: bool,
    body: dict[str, Any],
    hermes: dict[str, Any],
    schema: FrameValidator,
) -> None:
    """D4: each update has its form on the wire, its number, and the schema's consent."""
    params = session_update_params("s", single(7, update), sender=sender)
    check(schema, params)
    assert params == {
        "sessionId": "s",
        "update": body,
        "_meta": {"hermes": {"seq": 7, **hermes}},
    }


def test_joined_chunks_are_one_update(schema: FrameValidator) -> None:
    """D4: joined deltas carry the first and the last number, and all of the text."""
    (row,) = join([(3, TextChunk("m", "a")), (4, TextChunk("m", "b"))])
    params = session_update_params("s", row, sender=False)
    check(schema, params)
    assert params["update"]["content"] == text("ab")
    assert params["_meta"] == {"hermes": {"seq": 4, "firstSeq": 3}}


def test_the_acknowledgement_has_no_number(schema: FrameValidator) -> None:
    """D1: `accepted` names the idempotency id where there is one, and takes no number."""
    params = accepted_params("s", "c1", 2)
    check(schema, params)
    assert params["_meta"] == {"hermes": {"accepted": {"id": "c1", "position": 2}}}
    assert accepted_params("s", None, 0)["_meta"] == {"hermes": {"accepted": {"position": 0}}}


def test_commands_are_announced(schema: FrameValidator) -> None:
    """Slash commands are listed, with a hint where they take an argument."""
    params = available_commands_params(
        "s", [Command("new", "Start anew"), Command("bg", "Later", "PROMPT")]
    )
    check(schema, params)
    assert params["update"]["availableCommands"] == [
        {"name": "new", "description": "Start anew"},
        {"name": "bg", "description": "Later", "input": {"hint": "PROMPT"}},
    ]
