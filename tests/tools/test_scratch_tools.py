from __future__ import annotations

from pathlib import Path

import pytest
from support.scripted import ScriptedResource
from support.tool_context import KeptContext

from hermes.ports.tools import ToolError
from hermes.tools.scratch import Scratch
from hermes.tools.scratch_tools import list_files, read, write


async def test_write_read_list(context: KeptContext, tmp_path: Path) -> None:
    """A model writes, reads and lists files in the session's own folder."""
    context.resources["scratch"] = Scratch(tmp_path)
    assert await list_files({}, context) == "no files yet"
    assert await write({"name": "b", "text": "hä"}, context) == "wrote b, 3 bytes"
    await write({"name": "a", "text": ""}, context)
    assert await read({"name": "b"}, context) == "hä"
    assert await list_files({}, context) == "a 0\nb 3"


async def test_told_what_is_wrong(context: KeptContext, tmp_path: Path) -> None:
    """Missing files and wrong arguments are told in a sentence."""
    context.resources["scratch"] = Scratch(tmp_path)
    with pytest.raises(ToolError, match="no such file"):
        await read({"name": "b"}, context)
    with pytest.raises(ToolError, match="text must be a string"):
        await write({"name": "b", "text": 5}, context)


async def test_another_resource_in_its_place(context: KeptContext) -> None:
    """A session whose scratch folder is something else says that there is none."""
    context.resources["scratch"] = ScriptedResource("scratch", [])
    with pytest.raises(ToolError, match="not available"):
        await list_files({}, context)
