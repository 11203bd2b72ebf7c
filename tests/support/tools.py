"""Tools for the tests of sessions: one opens a resource, one is busy without a word."""

from __future__ import annotations

import math
from collections.abc import Mapping

import trio

from hermes.ports.tools import RunTool, Tool, ToolContext
from hermes.tools.clock import CLOCK


def resource_tool() -> Tool:
    """The tool `use`: opens the session's resource of a `kind`."""

    async def use(arguments: Mapping[str, object], context: ToolContext) -> str:
        resource = await context.resource(str(arguments["kind"]))
        return f"got {arguments['kind']}: {type(resource).__name__}"

    return _tool("use", use)


def silent_tool() -> Tool:
    """The tool `silent`: shows no sign of life for some `seconds`."""

    async def silent(arguments: Mapping[str, object], context: ToolContext) -> str:
        await trio.sleep(float(str(arguments["seconds"])))
        return "awake"

    return _tool("silent", silent)


def stubborn_tool() -> Tool:
    """The tool `stubborn`: takes `seconds` to end once it was cancelled."""

    async def stubborn(arguments: Mapping[str, object], context: ToolContext) -> str:
        try:
            await trio.sleep(math.inf)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(float(str(arguments["seconds"])))
        return "never"

    return _tool("stubborn", stubborn)


def _tool(name: str, run: RunTool) -> Tool:
    # Of a toolset that every agent has.
    return Tool(name, f"The tool {name}.", {"type": "object"}, CLOCK, run)
