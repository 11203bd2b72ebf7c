"""The registry of tools, with a generation that tells agents to look again (row S7).

One registry serves all sessions.  Agents hold the tools that they were built
with, so a change never reaches into a running turn: it raises the generation,
the generation is part of every signature, and each session rebuilds its agent
before its next turn.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hermes.ports.tools import Tool

# What providers take as a function's name.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Registry:
    """The tools there are, by name.  It implements the `Toolbox` port.

    The toolsets named in `always` are selected for everybody.
    """

    def __init__(self, always: Sequence[str] = ()) -> None:
        self._always = frozenset(always)
        self._tools: dict[str, Tool] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Grows with every change of the tools."""
        return self._generation

    def register(self, tool: Tool) -> None:
        """Add a tool.

        Raises:
            ValueError: the name is taken, or is not one that providers take.
        """
        self._change({**self._tools, **self._checked([tool], self._tools)})

    def unregister(self, name: str) -> None:
        """Take a tool away.

        Raises:
            LookupError: there is no such tool.
        """
        if name not in self._tools:
            raise LookupError(f"there is no tool {name!r} to take away")
        self._change({key: tool for key, tool in self._tools.items() if key != name})

    def replace(self, toolset: str, tools: Sequence[Tool]) -> None:
        """Put these tools in the place of all that a toolset had; one change.

        Raises:
            ValueError: a tool is of another toolset, or its name is taken or not one
                that providers take.  Nothing is changed then.
        """
        for tool in tools:
            if tool.toolset != toolset:
                raise ValueError(f"tool {tool.name!r} is of {tool.toolset!r}, not of {toolset!r}")
        others = {key: tool for key, tool in self._tools.items() if tool.toolset != toolset}
        self._change({**others, **self._checked(tools, others)})

    def select(self, toolsets: Sequence[str]) -> Sequence[Tool]:
        """The tools of these toolsets and of the constant ones, by toolset and name."""
        wanted = self._always.union(toolsets)
        chosen = [tool for tool in self._tools.values() if tool.toolset in wanted]
        return tuple(sorted(chosen, key=lambda tool: (tool.toolset, tool.name)))

    def _change(self, tools: dict[str, Tool]) -> None:
        self._tools = tools
        self._generation += 1

    @staticmethod
    def _checked(tools: Sequence[Tool], taken: dict[str, Tool]) -> dict[str, Tool]:
        """The tools by name, once each name is found to be good and free."""
        named: dict[str, Tool] = {}
        for tool in tools:
            if not _NAME.fullmatch(tool.name):
                raise ValueError(
                    f"{tool.name!r} cannot name a tool: use 1 to 64 letters, digits, _ and -"
                )
            if tool.name in taken or tool.name in named:
                raise ValueError(f"there is a tool {tool.name!r} already: give it another name")
            named[tool.name] = tool
        return named
