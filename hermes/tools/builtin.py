"""The registry as it is when a daemon starts: the toolsets that everybody has."""

from __future__ import annotations

from collections.abc import Callable

from hermes.tools.clock import CLOCK, clock_tools
from hermes.tools.registry import Registry
from hermes.tools.scratch import SCRATCH
from hermes.tools.scratch_tools import scratch_tools

ALWAYS = (CLOCK, SCRATCH)


def builtin_registry(wall: Callable[[], float]) -> Registry:
    """A registry with the constant toolsets in it; `wall` gives Unix seconds."""
    registry = Registry(always=ALWAYS)
    registry.replace(CLOCK, clock_tools(wall))
    registry.replace(SCRATCH, scratch_tools())
    return registry
