"""Which function runs which operation.

A table and not methods on the operations: the port stays plain data, and a test
walks the port's operations to see that none was forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from hermes.adapters.store.conversations import (
    end_tool,
    freeze_prompt,
    load_conversation,
    start_tool,
    tools_of,
)
from hermes.adapters.store.database import Database
from hermes.adapters.store.prompts import accept_prompt, begin_turn, end_prompt, unanswered
from hermes.adapters.store.sessions import (
    count_sessions,
    delete_session,
    list_sessions,
    load_session,
    open_session,
    set_suspended,
)
from hermes.adapters.store.updates import append_updates, read_updates
from hermes.ports.store import (
    AcceptPrompt,
    AppendUpdates,
    BeginTurn,
    CountSessions,
    DeleteSession,
    EndPrompt,
    EndTool,
    FreezePrompt,
    ListSessions,
    LoadConversation,
    LoadSession,
    OpenSession,
    Operation,
    ReadUpdates,
    SetSuspended,
    StartTool,
    ToolsOf,
    Unanswered,
)

R = TypeVar("R")

_READS: Mapping[type[Operation[Any]], Callable[..., object]] = {
    CountSessions: count_sessions,
    ListSessions: list_sessions,
    LoadConversation: load_conversation,
    LoadSession: load_session,
    ReadUpdates: read_updates,
    ToolsOf: tools_of,
    Unanswered: unanswered,
}

_WRITES: Mapping[type[Operation[Any]], Callable[..., object]] = {
    AcceptPrompt: accept_prompt,
    AppendUpdates: append_updates,
    BeginTurn: begin_turn,
    DeleteSession: delete_session,
    EndPrompt: end_prompt,
    EndTool: end_tool,
    FreezePrompt: freeze_prompt,
    OpenSession: open_session,
    SetSuspended: set_suspended,
    StartTool: start_tool,
}


def is_read(operation: Operation[R]) -> bool:
    """Whether an operation writes nothing."""
    return type(operation) in _READS


def perform(db: Database, operation: Operation[R]) -> R:
    """Run the SQL of one operation in the transaction that is open.

    Raises:
        TypeError: not an operation of the port.
        HermesError, ValueError: what the operation's own docstring says.
        apsw.Error: SQLite failed.
    """
    kind = type(operation)
    function = _READS.get(kind) or _WRITES.get(kind)
    if function is None:
        raise TypeError(f"the store knows no operation {kind.__name__}")
    return cast("R", function(db, operation))
