"""What runtime tests look at again and again."""

from __future__ import annotations

from typing import Any

from support.runtime import LiveRuntime
from support.wire import WireClient


async def inspect(operator: WireClient, session: str) -> dict[str, Any]:
    """`sessions/inspect`."""
    seen: dict[str, Any] = await operator.call("sessions/inspect", {"session": session})
    return seen


async def resident(operator: WireClient) -> set[str]:
    """The ids of the resident sessions."""
    listed = await operator.call("sessions/list", {"limit": 1000})
    return {row["id"] for row in listed["sessions"] if row["resident"]}


async def status(operator: WireClient) -> dict[str, Any]:
    """`supervisor/status`."""
    seen: dict[str, Any] = await operator.call("supervisor/status")
    return seen


def events(runtime: LiveRuntime, *kinds: str) -> list[tuple[str, str | None, dict[str, Any]]]:
    """The events of these kinds so far: kind, session, data."""
    return [(one.kind, one.session, dict(one.data)) for one in runtime.kinds_of(*kinds)]


def said(runtime: LiveRuntime, request: int = -1) -> list[tuple[str, str]]:
    """Role and content of the messages of one request to the model; the last by default."""
    messages = runtime.models.requests[request]["messages"]
    assert isinstance(messages, list)
    return [(message["role"], str(message.get("content"))) for message in messages]
