from __future__ import annotations

from typing import Any

import acp.schema as released
import pytest
from support.acp_schema import FrameValidator, SchemaViolation

from hermes.messages.acp import (
    METHODS,
    CancelRequestParams,
    HermesPrompt,
    InitializeParams,
    ListParams,
    NewParams,
    PromptParams,
    ResumeParams,
    SetConfigOptionParams,
    WhenBusy,
    structure_params,
)
from hermes.messages.acp_content import (
    McpServerHttp,
    McpServerStdio,
    TextBlock,
)
from hermes.messages.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError

SESSION: dict[str, Any] = {"sessionId": "sess_1"}
STDIO: dict[str, Any] = {"name": "m", "command": "/bin/m", "args": ["-v"], "env": []}
HTTP = {"type": "http", "name": "h", "url": "http://x", "headers": [{"name": "a", "value": "b"}]}
SSE = {"type": "sse", "name": "s", "url": "http://x", "headers": []}
NEW: dict[str, Any] = {"cwd": "/tmp", "mcpServers": []}
BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "hi", "annotations": {"audience": ["user"], "priority": 1}},
    {"type": "image", "data": "AA==", "mimeType": "image/png", "uri": None},
    {"type": "audio", "data": "AA==", "mimeType": "audio/wav", "_meta": {"any": 1}},
    {"type": "resource_link", "name": "n", "uri": "file:///n", "size": 4},
    {"type": "resource", "resource": {"uri": "file:///n", "text": "t"}},
    {"type": "resource", "resource": {"uri": "file:///n", "blob": "AA==", "mimeType": None}},
]

VALID: list[tuple[str, dict[str, Any]]] = [
    ("initialize", {"protocolVersion": 1}),
    ("initialize", {"protocolVersion": 7, "clientInfo": {"name": "c", "version": "1"}}),
    (
        "initialize",
        {
            "protocolVersion": 1,
            "clientCapabilities": {
                "fs": {"readTextFile": True},
                "terminal": True,
                "session": {
                    "compaction": {"free": 1},
                    "configOptions": {"boolean": {}},
                    "notices": {},
                },
                "auth": {"terminal": False},
                "elicitation": {"form": {}, "url": None},
            },
            "clientInfo": None,
            "_meta": None,
        },
    ),
    ("session/new", NEW),
    ("session/new", {"cwd": "/", "mcpServers": [STDIO, HTTP, SSE], "additionalDirectories": []}),
    ("session/new", {**NEW, "_meta": {"hermes": {"key": "telegram:12345", "later": 1}, "o": []}}),
    ("session/load", {**NEW, **SESSION, "_meta": {"x": 1}}),
    ("session/resume", {**SESSION, "cwd": "/tmp"}),
    ("session/resume", {**NEW, **SESSION, "_meta": {"hermes": {"afterSeq": 0}}}),
    ("session/list", {}),
    ("session/list", {"cwd": "/x", "cursor": None}),
    ("session/delete", SESSION),
    ("session/close", SESSION),
    ("session/prompt", {**SESSION, "prompt": BLOCKS}),
    (
        "session/prompt",
        {**SESSION, "prompt": [], "_meta": {"hermes": {"id": "a", "whenBusy": "steer"}}},
    ),
    ("session/cancel", SESSION),
    ("$/cancel_request", {"requestId": 0}),
    ("$/cancel_request", {"requestId": "x", "_meta": {}}),
    ("$/cancel_request", {"requestId": None}),
    ("session/set_mode", {**SESSION, "modeId": "ask"}),
    ("session/set_config_option", {**SESSION, "configId": "model", "value": "m"}),
    ("session/set_config_option", {**SESSION, "configId": "c", "type": "boolean", "value": True}),
]


@pytest.mark.parametrize(("method", "params"), VALID)
def test_what_the_schema_allows_is_accepted(
    method: str, params: dict[str, Any], schema: FrameValidator
) -> None:
    """Params that the published schema allows become the method's class."""
    schema.validate_incoming_params(method, params)
    assert isinstance(structure_params(method, params), METHODS[method])


PROMPT = "session/prompt"
OPTION = {**SESSION, "configId": "c"}
INVALID: list[tuple[str, dict[str, Any] | None, str]] = [
    ("initialize", None, "protocolVersion"),
    ("initialize", {"protocolVersion": "1"}, "protocolVersion"),
    ("initialize", {"protocolVersion": True}, "protocolVersion"),
    ("initialize", {"protocolVersion": -1}, "protocolVersion"),
    ("initialize", {"protocolVersion": 65536}, "protocolVersion"),
    ("initialize", {"protocolVersion": 1, "extra": 1}, "extra"),
    (
        "initialize",
        {"protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": 1}}},
        "clientCapabilities.fs.readTextFile",
    ),
    ("initialize", {"protocolVersion": 1, "clientInfo": {"name": "c"}}, "clientInfo.version"),
    ("session/new", {"mcpServers": []}, "cwd"),
    ("session/new", {"cwd": "/tmp"}, "mcpServers"),
    ("session/new", {**NEW, "cwd": 5}, "cwd"),
    ("session/new", {**NEW, "_meta": []}, "_meta"),
    ("session/new", {**NEW, "mcpServers": {}}, "mcpServers"),
    ("session/new", {**NEW, "mcpServers": "abc"}, "mcpServers"),
    ("session/new", {**NEW, "mcpServers": [STDIO, 5]}, "mcpServers[1]"),
    ("session/new", {**NEW, "mcpServers": [{"type": "stdio", **STDIO}]}, "mcpServers[0].type"),
    ("session/new", {**NEW, "mcpServers": [{**STDIO, "args": [1]}]}, "mcpServers[0].args[0]"),
    ("session/new", {**NEW, "mcpServers": [{**HTTP, "x": 1}]}, "mcpServers[0].x"),
    ("session/load", {**SESSION, "cwd": "/tmp"}, "mcpServers"),
    ("session/load", NEW, "sessionId"),
    ("session/resume", SESSION, "cwd"),
    ("session/list", {"cursor": 5}, "cursor"),
    ("session/list", {"limit": 5}, "limit"),
    ("session/delete", {}, "sessionId"),
    ("session/close", {"sessionId": None}, "sessionId"),
    (PROMPT, SESSION, "prompt"),
    (PROMPT, {**SESSION, "prompt": "hi"}, "prompt"),
    (PROMPT, {**SESSION, "prompt": ["hi"]}, "prompt[0]"),
    (PROMPT, {**SESSION, "prompt": [BLOCKS[0], {"type": "text", "text": 5}]}, "prompt[1].text"),
    (PROMPT, {**SESSION, "prompt": [{"text": "hi"}]}, "prompt[0].type"),
    (PROMPT, {**SESSION, "prompt": [{"type": "video"}]}, "prompt[0].type"),
    (PROMPT, {**SESSION, "prompt": [{"type": []}]}, "prompt[0].type"),
    (PROMPT, {**SESSION, "prompt": [{**BLOCKS[0], "x": 1}]}, "prompt[0].x"),
    (
        PROMPT,
        {**SESSION, "prompt": [{**BLOCKS[0], "annotations": {"audience": ["me"]}}]},
        "prompt[0].annotations.audience[0]",
    ),
    (PROMPT, {**SESSION, "prompt": [{"type": "resource", "resource": 5}]}, "prompt[0].resource"),
    (PROMPT, {**SESSION, "prompt": [{**BLOCKS[3], "size": True}]}, "prompt[0].size"),
    ("session/cancel", {}, "sessionId"),
    ("$/cancel_request", {}, "requestId"),
    ("$/cancel_request", {"requestId": True}, "requestId"),
    ("$/cancel_request", {"requestId": 1.5}, "requestId"),
    ("session/set_mode", SESSION, "modeId"),
    ("session/set_config_option", OPTION, "value"),
    ("session/set_config_option", {**OPTION, "value": 5}, "value"),
    ("session/set_config_option", {**OPTION, "value": True}, "value"),
    ("session/set_config_option", {**OPTION, "type": "boolean", "value": "x"}, "value"),
    ("session/set_config_option", {**OPTION, "type": "select", "value": "x"}, "type"),
]


@pytest.mark.parametrize(("method", "params", "path"), INVALID)
def test_what_the_schema_forbids_is_refused_with_its_path(
    method: str, params: dict[str, Any] | None, path: str, schema: FrameValidator
) -> None:
    """Params that the schema forbids get -32602 with the path of the first problem."""
    with pytest.raises(SchemaViolation):
        schema.validate_incoming_params(method, params)
    with pytest.raises(RpcError) as caught:
        structure_params(method, params)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data is not None
    assert caught.value.data["path"] == path
    assert caught.value.data["expected"]


def meta(hermes: object) -> dict[str, Any]:
    return {"_meta": {"hermes": hermes}}


@pytest.mark.parametrize(
    ("method", "params", "path"),
    [
        ("initialize", {"protocolVersion": 1.0}, "protocolVersion"),
        ("session/new", {**NEW, "cwd": "tmp"}, "cwd"),
        ("session/new", {**NEW, "cwd": "/a\0b"}, "cwd"),
        ("session/load", {**NEW, **SESSION, "cwd": ""}, "cwd"),
        ("session/resume", {**NEW, **SESSION, "cwd": "~/x"}, "cwd"),
        ("session/new", {**NEW, **meta([])}, "_meta.hermes"),
        ("session/new", {**NEW, **meta(None)}, "_meta.hermes"),
        ("session/new", {**NEW, **meta({"key": 5})}, "_meta.hermes.key"),
        *(
            ("session/new", {**NEW, **meta({"key": key})}, "_meta.hermes.key")
            for key in ("", "a", "a:", ":a", "A:b", "a:b\n", "a:b/c", "a:" + "x" * 201, "a: b")
        ),
        (PROMPT, {**SESSION, "prompt": [], **meta({"id": 5})}, "_meta.hermes.id"),
        (PROMPT, {**SESSION, "prompt": [], **meta({"whenBusy": "wait"})}, "_meta.hermes.whenBusy"),
        (PROMPT, {**SESSION, "prompt": [], **meta({"whenBusy": 1})}, "_meta.hermes.whenBusy"),
        ("session/resume", {**NEW, **SESSION, **meta({"afterSeq": -1})}, "_meta.hermes.afterSeq"),
        ("session/resume", {**NEW, **SESSION, **meta({"afterSeq": "1"})}, "_meta.hermes.afterSeq"),
        ("session/resume", {**NEW, **SESSION, **meta({"afterSeq": True})}, "_meta.hermes.afterSeq"),
    ],
)
def test_our_own_rules(method: str, params: dict[str, Any], path: str) -> None:
    """Z7: a relative cwd, a bad key or a wrong value under `_meta.hermes` gets -32602."""
    with pytest.raises(RpcError) as caught:
        structure_params(method, params)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data is not None
    assert caught.value.data["path"] == path


def test_what_is_ours_is_read() -> None:
    """The values under `_meta.hermes` arrive, and have their defaults where there are none."""
    new = structure_params("session/new", {**NEW, **meta({"key": "cli:a.b@c+d"})})
    assert isinstance(new, NewParams)
    assert new.meta.hermes.key == "cli:a.b@c+d"
    prompt = structure_params(PROMPT, {**SESSION, "prompt": [], **meta({"whenBusy": "reject"})})
    assert isinstance(prompt, PromptParams)
    assert prompt.meta.hermes == HermesPrompt(None, WhenBusy.REJECT)
    resume = structure_params("session/resume", {**NEW, **SESSION, **meta({"afterSeq": 7})})
    assert isinstance(resume, ResumeParams)
    assert resume.meta.hermes.after_seq == 7
    plain = structure_params(PROMPT, {**SESSION, "prompt": [], "_meta": None})
    assert isinstance(plain, PromptParams)
    assert plain.meta.hermes == HermesPrompt(None, WhenBusy.QUEUE)


def test_null_is_the_default_where_the_schema_says_so() -> None:
    """Arrays marked `x-deserialize-default-on-null` may be null."""
    servers = [{**STDIO, "args": None, "env": None}, {**HTTP, "headers": None}]
    new = structure_params(
        "session/new", {"cwd": "/", "mcpServers": servers, "additionalDirectories": None}
    )
    assert new == NewParams(
        "/", (McpServerStdio("m", "/bin/m", (), ()), McpServerHttp("h", "http://x", ()))
    )


@pytest.mark.parametrize(
    "method", ["nope", "", "session/update", "authenticate", "fs/read_text_file"]
)
def test_an_unknown_method(method: str) -> None:
    """A method that is not served gets -32601 with its name."""
    with pytest.raises(RpcError) as caught:
        structure_params(method, {})
    assert caught.value.code == METHOD_NOT_FOUND
    assert caught.value.data == {"method": method}


def dumped(model: Any) -> dict[str, Any]:
    value: dict[str, Any] = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    return value


def test_a_released_client_is_understood(schema: FrameValidator) -> None:
    """What the client of `agent-client-protocol` sends is accepted, in its own bytes."""
    text = released.TextContentBlock(type="text", text="hello")
    messages: list[tuple[str, Any, type[Any]]] = [
        (
            "initialize",
            released.InitializeRequest(
                protocol_version=1,
                client_capabilities=released.ClientCapabilities(terminal=True),
                client_info=released.Implementation(name="x", version="1"),
            ),
            InitializeParams,
        ),
        (
            "session/new",
            released.NewSessionRequest(
                cwd="/tmp",
                mcp_servers=[released.McpServerStdio(name="m", command="/m", args=[], env=[])],
            ),
            NewParams,
        ),
        ("session/list", released.ListSessionsRequest(), ListParams),
        ("session/prompt", released.PromptRequest(session_id="s", prompt=[text]), PromptParams),
        ("$/cancel_request", released.CancelRequestNotification(request_id=0), CancelRequestParams),
    ]
    for method, model, kind in messages:
        params = dumped(model)
        schema.validate_incoming_params(method, params)
        assert isinstance(structure_params(method, params), kind)
    prompt = structure_params("session/prompt", dumped(messages[3][1]))
    assert isinstance(prompt, PromptParams)
    assert prompt.prompt == (TextBlock("hello"),)


def test_a_boolean_option_is_no_string() -> None:
    """A boolean option keeps its type."""
    params = {**OPTION, "type": "boolean", "value": False}
    option = structure_params("session/set_config_option", params)
    assert isinstance(option, SetConfigOptionParams)
    assert option.value is False
