"""Results of the ACP methods, as they go to a client.

Only what is true is advertised: a client that reads a capability uses it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

PROTOCOL_VERSION = 1
"""What `initialize` answers, whatever a newer client asks."""

Result = dict[str, Any]


@frozen
class Capabilities:
    """What this daemon can do; each that is False is left out of the answer."""

    load_session: bool = False
    list: bool = False
    resume: bool = False
    close: bool = False
    delete: bool = False
    image: bool = False
    audio: bool = False
    embedded_context: bool = False


@frozen
class SessionFacts:
    """What answers to new, load and resume say of a session under `_meta.hermes`."""

    key: str
    existing: bool
    last_seq: int
    state: str


@frozen
class SessionInfo:
    """One session in `session/list`; `updated_at` is ISO 8601."""

    session_id: str
    cwd: str
    title: str | None = None
    updated_at: str | None = None


def initialize_result(capabilities: Capabilities, *, version: str) -> Result:
    """The answer to `initialize`; `version` is the daemon's own."""
    sessions: Result = {}
    for name in ("list", "resume", "close", "delete"):
        if getattr(capabilities, name):
            sessions[name] = {}
    prompts = {
        "image": capabilities.image,
        "audio": capabilities.audio,
        "embeddedContext": capabilities.embedded_context,
    }
    agent: Result = {
        "sessionCapabilities": sessions,
        "promptCapabilities": {name: True for name, able in prompts.items() if able},
    }
    if capabilities.load_session:
        agent["loadSession"] = True
    return {
        "protocolVersion": PROTOCOL_VERSION,
        "agentCapabilities": agent,
        "agentInfo": {"name": "hermes", "title": "Hermes", "version": version},
        "authMethods": [],
    }


def new_result(session_id: str, facts: SessionFacts) -> Result:
    """The answer to `session/new`."""
    return {"sessionId": session_id, **attach_result(facts)}


def attach_result(facts: SessionFacts) -> Result:
    """The answer to `session/load` and `session/resume`."""
    hermes = {
        "key": facts.key,
        "existing": facts.existing,
        "lastSeq": facts.last_seq,
        "state": facts.state,
    }
    return {"_meta": {"hermes": hermes}}


def prompt_result(stop_reason: str) -> Result:
    """The answer to `session/prompt`."""
    return {"stopReason": stop_reason}


def list_result(sessions: Sequence[SessionInfo], next_cursor: str | None) -> Result:
    """The answer to `session/list`; `nextCursor` is left out of the last page."""
    result: Result = {"sessions": [_session_info(session) for session in sessions]}
    if next_cursor is not None:
        result["nextCursor"] = next_cursor
    return result


def _session_info(session: SessionInfo) -> Result:
    info: Result = {"sessionId": session.session_id, "cwd": session.cwd}
    if session.title is not None:
        info["title"] = session.title
    if session.updated_at is not None:
        info["updatedAt"] = session.updated_at
    return info
