from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.ports.tools import Tool, ToolContext
from hermes.tools.builtin import builtin_registry
from hermes.tools.registry import Registry


async def run(arguments: Mapping[str, object], context: ToolContext) -> str:
    raise AssertionError("not run here")


def tool(name: str, toolset: str = "set") -> Tool:
    return Tool(name, "", {}, toolset, run)


def test_every_change_is_a_generation() -> None:
    """S7: the generation grows with every change of the tools, and with nothing else."""
    registry = Registry()
    generations = [registry.generation]
    changes: list[Callable[[], None]] = [
        lambda: registry.register(tool("a")),
        lambda: registry.replace("set", [tool("b"), tool("c")]),
        lambda: registry.unregister("b"),
        lambda: registry.replace("set", []),
    ]
    for change in changes:
        change()
        registry.select(["set"])
        generations.append(registry.generation)
    assert generations == [0, 1, 2, 3, 4]


def test_refusals_change_nothing() -> None:
    """S7: a change that is refused changes neither the tools nor the generation."""
    registry = Registry()
    registry.register(tool("a"))
    refusals: list[Callable[[], None]] = [
        lambda: registry.register(tool("a", "other")),
        lambda: registry.register(tool("not a name")),
        lambda: registry.replace("other", [tool("b", "other"), tool("a", "other")]),
        lambda: registry.replace("other", [tool("b", "other"), tool("b", "other")]),
        lambda: registry.replace("other", [tool("b", "set")]),
    ]
    for refused in refusals:
        with pytest.raises(ValueError, match="tool"):
            refused()
    with pytest.raises(LookupError):
        registry.unregister("b")
    assert registry.generation == 1
    assert [found.name for found in registry.select(["set", "other"])] == ["a"]


def test_replace_takes_names_over() -> None:
    """S7: a toolset may be replaced by tools of the same names."""
    registry = Registry()
    registry.register(tool("a"))
    new = tool("a")
    registry.replace("set", [new])
    assert registry.select(["set"]) == (new,)


@given(st.permutations(["a", "b", "c", "d"]), st.permutations(["one", "two"]))
def test_selection_is_in_one_order(names: list[str], toolsets: list[str]) -> None:
    """L6: the order of a selection depends on neither the registration nor the asking."""
    registry = Registry()
    for name in names:
        registry.register(tool(name, "one" if name in "bd" else "two"))
    assert [found.name for found in registry.select(toolsets)] == ["b", "d", "a", "c"]
    assert [found.name for found in registry.select(["one", "one", "unknown"])] == ["b", "d"]


def test_constant_toolsets() -> None:
    """The clock and the scratch folder are selected whatever toolsets are configured."""
    registry = builtin_registry(lambda: 0.0)
    names = [found.name for found in registry.select(["terminal"])]
    assert names == ["clock", "wait", "scratch_list", "scratch_read", "scratch_write"]
