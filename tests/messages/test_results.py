from __future__ import annotations

from typing import Any

import pytest
from support.acp_schema import FrameValidator

from hermes.messages.results import (
    Capabilities,
    SessionFacts,
    SessionInfo,
    attach_result,
    initialize_result,
    list_result,
    new_result,
    prompt_result,
)

FACTS = SessionFacts("cli:a", existing=False, last_seq=0, state="idle")
ALL = Capabilities(
    load_session=True,
    list=True,
    resume=True,
    close=True,
    delete=True,
    image=True,
    audio=True,
    embedded_context=True,
)

RESULTS: list[tuple[str, dict[str, Any]]] = [
    ("initialize", initialize_result(ALL, version="1")),
    ("initialize", initialize_result(Capabilities(), version="1")),
    ("session/new", new_result("s", FACTS)),
    ("session/load", attach_result(FACTS)),
    ("session/resume", attach_result(FACTS)),
    *(
        ("session/prompt", prompt_result(reason))
        for reason in ("end_turn", "max_tokens", "max_turn_requests", "refusal", "cancelled")
    ),
    ("session/list", list_result([], None)),
    ("session/list", list_result([SessionInfo("s", "/", "T", "2026-01-01T00:00:00Z")], "next")),
    ("session/close", {}),
    ("session/delete", {}),
    ("session/set_mode", {}),
]


@pytest.mark.parametrize(("method", "result"), RESULTS)
def test_results_are_the_schemas(
    method: str, result: dict[str, Any], schema: FrameValidator
) -> None:
    """Each result validates against its entry with unknown properties forbidden."""
    schema.validate_outgoing({"jsonrpc": "2.0", "id": 0, "result": result}, {0: method})


def test_only_true_capabilities_are_advertised() -> None:
    """What the daemon cannot do is left out; what it can is an empty object or true."""
    some = initialize_result(Capabilities(close=True, load_session=True), version="1")
    assert some["agentCapabilities"] == {
        "loadSession": True,
        "sessionCapabilities": {"close": {}},
        "promptCapabilities": {},
    }
    none = initialize_result(Capabilities(), version="1")
    assert none["agentCapabilities"] == {"sessionCapabilities": {}, "promptCapabilities": {}}
    assert none["protocolVersion"] == 1
    assert none["authMethods"] == []
    everything = initialize_result(ALL, version="1")["agentCapabilities"]
    assert set(everything["sessionCapabilities"]) == {"list", "resume", "close", "delete"}
    assert everything["promptCapabilities"] == {
        "image": True,
        "audio": True,
        "embeddedContext": True,
    }


def test_session_facts() -> None:
    """R9: answers to new, load and resume say which session this is, and its last number."""
    hermes = {"key": "cli:a", "existing": False, "lastSeq": 0, "state": "idle"}
    assert new_result("s", FACTS) == {"sessionId": "s", "_meta": {"hermes": hermes}}
    assert attach_result(FACTS) == {"_meta": {"hermes": hermes}}


def test_the_last_page_has_no_cursor() -> None:
    """A list leaves out what is not there."""
    assert list_result([SessionInfo("s", "/")], None) == {
        "sessions": [{"sessionId": "s", "cwd": "/"}]
    }
