from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
import trio
from support.provider import RawProvider, Script, serve_provider

from hermes.adapters.models.pool import ModelPools

T = TypeVar("T")


async def inline(function: Callable[[], T], /) -> T:
    """Call at once: a test needs no thread to import what is imported."""
    return function()


@pytest.fixture
async def pools(nursery: trio.Nursery) -> ModelPools:
    """Pools that are served; their wall clock stands at Unix second 1000."""
    pools = ModelPools(call=inline, wall=lambda: 1000.0)
    await nursery.start(pools.serve)
    return pools


@pytest.fixture
def start_provider(nursery: trio.Nursery) -> Callable[[Script], Awaitable[RawProvider]]:
    """Start a raw provider that runs the script for each connection."""

    async def start(script: Script) -> RawProvider:
        provider: RawProvider = await nursery.start(serve_provider, script)
        return provider

    return start
