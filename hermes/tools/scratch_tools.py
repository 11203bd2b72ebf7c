"""The toolset "scratch": what a model does with its scratch folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hermes.ports.tools import Tool, ToolContext, ToolError
from hermes.tools.arguments import text_of
from hermes.tools.scratch import SCRATCH, Scratch

_NAME_SCHEMA: Mapping[str, object] = {
    "type": "string",
    "description": "1 to 100 letters, digits, dots, _ and -; not beginning with a dot",
}


def scratch_tools() -> Sequence[Tool]:
    """The tools `scratch_write`, `scratch_read` and `scratch_list`."""
    return (
        Tool(
            name="scratch_write",
            description="Write a text file into the session's scratch folder.",
            parameters={
                "type": "object",
                "properties": {"name": _NAME_SCHEMA, "text": {"type": "string"}},
                "required": ["name", "text"],
            },
            toolset=SCRATCH,
            run=write,
            kind="edit",
            idempotent=True,
        ),
        Tool(
            name="scratch_read",
            description="Read a text file of the session's scratch folder.",
            parameters={
                "type": "object",
                "properties": {"name": _NAME_SCHEMA},
                "required": ["name"],
            },
            toolset=SCRATCH,
            run=read,
            kind="read",
            idempotent=True,
        ),
        Tool(
            name="scratch_list",
            description="List the files of the session's scratch folder with their sizes in bytes.",
            parameters={"type": "object", "properties": {}},
            toolset=SCRATCH,
            run=list_files,
            kind="read",
            idempotent=True,
        ),
    )


async def write(arguments: Mapping[str, object], context: ToolContext) -> str:
    """Write `text` to the file `name`."""
    name, text = text_of(arguments, "name"), text_of(arguments, "text")
    await (await _scratch(context)).write(name, text)
    return f"wrote {name}, {len(text.encode(errors='replace'))} bytes"


async def read(arguments: Mapping[str, object], context: ToolContext) -> str:
    """The text of the file `name`."""
    name = text_of(arguments, "name")
    return await (await _scratch(context)).read(name)


async def list_files(arguments: Mapping[str, object], context: ToolContext) -> str:
    """One line for each file."""
    entries = await (await _scratch(context)).entries()
    return "\n".join(f"{entry.name} {entry.size}" for entry in entries) or "no files yet"


async def _scratch(context: ToolContext) -> Scratch:
    resource = await context.resource(SCRATCH)
    if not isinstance(resource, Scratch):
        raise ToolError("the scratch folder is not available in this session")
    return resource
