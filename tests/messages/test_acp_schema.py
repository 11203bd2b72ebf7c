"""The judge is judged: a validator that accepts everything would prove nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.acp_schema import FrameValidator, SchemaViolation

from hermes.messages.jsonrpc import RpcError, error_frame


def update(body: dict[str, Any], **more: Any) -> dict[str, Any]:
    params = {"sessionId": "s", "update": body, **more}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def result(value: object, **more: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "result": value, **more}


TEXT = {"type": "text", "text": "x"}
CHUNK: dict[str, Any] = {"sessionUpdate": "agent_message_chunk", "content": TEXT}
TOOL = {"sessionUpdate": "tool_call", "toolCallId": "c", "title": "t"}
OPTION = {"id": "m", "name": "M", "type": "select", "currentValue": "a", "options": []}
YES = {"optionId": "o", "name": "Yes", "kind": "allow_once"}
ASK = {"sessionId": "s", "toolCall": {"toolCallId": "c"}, "options": [YES]}

ALLOWED: list[tuple[str, dict[str, Any]]] = [
    ("", update(CHUNK)),
    ("", update(CHUNK, _meta={"hermes": {"anything": [1]}})),
    ("", update({**CHUNK, "messageId": None, "_meta": None})),
    ("", update({**TOOL, "rawInput": {"free": {"of": "rules"}}})),
    ("", {"jsonrpc": "2.0", "id": 1, "method": "session/request_permission", "params": ASK}),
    ("", {"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 1}}),
    ("session/close", result({})),
    ("session/set_config_option", result({"configOptions": [OPTION]})),
    ("session/new", result({"sessionId": "s", "configOptions": [OPTION], "modes": None})),
    ("", json.loads(error_frame(None, RpcError(-32700, "parse error")))),
    ("", json.loads(error_frame(1, RpcError(-31001, "busy", {"retryAfterSeconds": 1})))),
]

FORBIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("", update({**CHUNK, "seq": 1})),
    ("", update(CHUNK, seq=1)),
    ("", update({**CHUNK, "content": {**TEXT, "x": 1}})),
    ("", update({**CHUNK, "content": {"type": "text"}})),
    ("", update({**CHUNK, "content": {"type": "video", "text": "x"}})),
    ("", update({**CHUNK, "content": [TEXT]})),
    ("", update({**CHUNK, "messageId": 5})),
    ("", update({**CHUNK, "sessionUpdate": "agent_chunk"})),
    ("", update({"content": TEXT})),
    ("", update({**TOOL, "kind": "wonder"})),
    ("", update({**TOOL, "entries": []})),
    ("", update({**TOOL, "content": [{"type": "content", "content": TEXT, "x": 1}]})),
    ("", update({"sessionUpdate": "session_info_update", "turn": "ended"})),
    ("", update(CHUNK, _meta=[])),
    ("", {"jsonrpc": "2.0", "method": "session/update"}),
    ("", {"jsonrpc": "2.0", "method": "session/news", "params": {}}),
    ("", {"jsonrpc": "2.0", "id": 1, "method": "session/update", "params": update(CHUNK)}),
    ("", {"jsonrpc": "1.0", "method": "session/update", "params": update(CHUNK)["params"]}),
    ("", {**update(CHUNK), "extra": 1}),
    (
        "",
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "session/request_permission",
            "params": {**ASK, "options": [{**YES, "default": True}]},
        },
    ),
    ("session/prompt", result({})),
    ("session/prompt", result({"stopReason": "failed"})),
    ("session/prompt", result({"stopReason": "end_turn", "x": 1})),
    ("session/close", result(None)),
    ("session/close", result({"closed": True})),
    ("session/load", result({"sessionId": "s"})),
    ("session/new", result({})),
    ("session/set_config_option", result({"configOptions": [{**OPTION, "x": 1}]})),
    ("initialize", result({"protocolVersion": 1, "agentCapabilities": {"x": {}}})),
    (
        "initialize",
        result({"protocolVersion": 1, "agentCapabilities": {"sessionCapabilities": {"x": {}}}}),
    ),
    ("", result({})),
    ("session/close", result({}, error={"code": 1, "message": "m"})),
    ("session/close", {"jsonrpc": "2.0", "id": None, "result": {}}),
    ("session/close", {"jsonrpc": "2.0", "id": True, "result": {}}),
    ("", {"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": "m"}}),
    ("", {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "m", "x": 1}}),
    ("", {"jsonrpc": "2.0", "error": {"code": 1, "message": "m"}}),
]


def pending(method: str) -> dict[int | str, str]:
    return {1: method} if method else {}


@pytest.mark.parametrize(("method", "frame"), ALLOWED)
def test_good_frames_pass(method: str, frame: dict[str, Any], schema: FrameValidator) -> None:
    """A frame that the schema allows passes, the second time from memory."""
    schema.validate_outgoing(frame, pending(method))
    schema.validate_outgoing(frame, pending(method))


@pytest.mark.parametrize(("method", "frame"), FORBIDDEN)
def test_bad_frames_fail(method: str, frame: dict[str, Any], schema: FrameValidator) -> None:
    """A frame with an unknown property or a wrong shape fails, also after good ones passed."""
    for good_method, good in ALLOWED:
        schema.validate_outgoing(good, pending(good_method))
    with pytest.raises(SchemaViolation):
        schema.validate_outgoing(frame, pending(method))


def test_answers_of_clients(schema: FrameValidator) -> None:
    """What a client answers to a request of ours is judged as well."""
    chosen = {"outcome": {"outcome": "selected", "optionId": "o"}}
    schema.validate_incoming_result("session/request_permission", chosen)
    with pytest.raises(SchemaViolation):
        schema.validate_incoming_result("session/request_permission", {"outcome": "selected"})


def test_methods_of_clients(schema: FrameValidator) -> None:
    """A method that clients cannot call by the schema is a violation."""
    with pytest.raises(SchemaViolation):
        schema.validate_incoming_params("session/update", update(CHUNK)["params"])
