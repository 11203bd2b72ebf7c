"""Fixtures of the agent's tests: a real store in memory, a registry, a small tool."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio

from hermes.adapters.store import InlineExecutor, SqliteStore, open_memory
from hermes.ports.store import OpenSession, SessionRow
from hermes.ports.tools import Tool, ToolContext, ToolError


@pytest.fixture
async def store(nursery: trio.Nursery) -> SqliteStore:
    """The real store over `:memory:`."""
    store = SqliteStore(open_memory(), executor=InlineExecutor(lambda: 0.0), boot_id="test")
    await nursery.start(store.serve)
    return store


@pytest.fixture
async def session(store: SqliteStore) -> SessionRow:
    """A session on disk."""
    opened = await store.run(OpenSession("ses_1", "test:1", "alice", "/", "task_1", 0.0))
    return opened.row


@pytest.fixture
def echo() -> Tool:
    """A tool that answers with its argument `text`, and misbehaves when told to."""

    async def run(arguments: Mapping[str, object], context: ToolContext) -> str:
        text = str(arguments.get("text", ""))
        context.progress("busy")
        if text == "bad":
            raise ToolError("text must be good")
        if text == "broken":
            raise ZeroDivisionError("division by zero")
        if text == "slow":
            await trio.sleep(60)
        await trio.lowlevel.checkpoint()
        return text

    schema = {"type": "object", "properties": {"text": {"type": "string"}}}
    return Tool("echo", "Say it again.", schema, "test", run)
