from __future__ import annotations

import json

from hermes.agent.history import (
    History,
    ToolCall,
    assistant_message,
    close_calls,
    tool_message,
    user_message,
)


def test_messages_in_chat_form() -> None:
    """Messages are encoded in OpenAI chat form, a call without text having null content."""
    call = ToolCall("c1", "echo", "{}")
    message = json.loads(assistant_message("", [call]))
    assert message["content"] is None
    assert message["tool_calls"][0]["function"] == {"name": "echo", "arguments": "{}"}
    assert json.loads(assistant_message("hi")) == {"role": "assistant", "content": "hi"}
    assert json.loads(close_calls([call], "interrupted")[0])["tool_call_id"] == "c1"


def test_knows_its_call_ids() -> None:
    """A loaded history knows the ids of its calls, and a text that looks like one adds none."""
    call = ToolCall("c1", "echo", "{}")
    history = History([user_message('"tool_calls"'), assistant_message("", [call])])
    history.extend([tool_message("c1", "x"), assistant_message("", [ToolCall("c2", "e", "{}")])])
    assert history.call_ids == {"c1", "c2"}
    assert len(history.messages) == 4
