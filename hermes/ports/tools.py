"""The port between an agent and its tools, which do not know each other.

A tool is plain data with one function in it: a model knows it by its name and its
schema, a turn runs it with a `ToolContext`, which is all of the session that a
tool can touch.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from attrs import frozen

from hermes.errors import HermesError
from hermes.ports.resource import TaskResource


class ToolError(HermesError):
    """The call cannot be done as it was asked for; the model is told the text as it stands."""


class ToolContext(Protocol):
    """What a running tool can touch."""

    def progress(self, text: str) -> None:
        """A sign of life: a tool that is busy for long gives one every few seconds."""
        ...

    async def resource(self, kind: str) -> TaskResource:
        """The session's resource of that kind, opened if it is not there.

        Raises:
            LookupError: there is no such kind.
            ResourceUnavailable: it could not be opened.

        **Cancellation**: a resource that is starting goes on starting (row R8).
        """
        ...


RunTool = Callable[[Mapping[str, object], ToolContext], Awaitable[str]]


@frozen(eq=False)
class Tool:
    """One tool.

    `parameters` is the JSON schema of its arguments, an object.  `kind` is ACP's
    ToolKind (read, edit, delete, move, search, execute, think, fetch, other).
    `idempotent` says that running a call twice does no harm.  `run` gets the
    arguments as the model wrote them, not checked, and returns what the model is
    told; it raises `ToolError` for bad ones.

    **Cancellation**: a cancelled `run` may have done a part of its work.
    """

    name: str
    description: str
    parameters: Mapping[str, object]
    toolset: str
    run: RunTool
    kind: str = "other"
    idempotent: bool = False


class Toolbox(Protocol):
    """The tools there are now."""

    @property
    def generation(self) -> int:
        """Grows with every change of the tools (row S7)."""
        ...

    def select(self, toolsets: Sequence[str]) -> Sequence[Tool]:
        """The tools of these toolsets, in an order that depends on their names only.

        An unknown toolset selects nothing.
        """
        ...
