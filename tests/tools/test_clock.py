from __future__ import annotations

import pytest
import trio
from support.tool_context import KeptContext

from hermes.ports.tools import ToolError
from hermes.tools.clock import clock_tools, wait


async def test_tells_the_time(context: KeptContext) -> None:
    """The clock tells the wall clock's time in UTC."""
    tell = clock_tools(lambda: 86400.0)[0]
    assert await tell.run({}, context) == "1970-01-02T00:00:00+00:00"


async def test_waits_with_signs_of_life(
    context: KeptContext, autojump_clock: trio.testing.MockClock
) -> None:
    """A wait takes the seconds that it was given and shows a sign of life every 10 s."""
    start = trio.current_time()
    assert await wait({"seconds": 35}, context) == "waited 35 s"
    assert trio.current_time() - start == pytest.approx(35)
    assert [at - start for at, _ in context.signs] == pytest.approx([10, 20, 30])


@pytest.mark.parametrize("seconds", [None, "5", -1, 3601, True, float("nan")])
async def test_refuses_bad_waits(seconds: object, context: KeptContext) -> None:
    """A wait that is no number from 0 to an hour is refused with what was expected."""
    with pytest.raises(ToolError, match="from 0 to 3600"):
        await wait({"seconds": seconds}, context)
