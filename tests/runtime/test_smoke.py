"""The whole runtime, in memory: the shortest way through every floor."""

from __future__ import annotations

from itertools import pairwise

import trio
from support.runtime import open_runtime


async def test_a_turn_goes_all_the_way(autojump_clock: object) -> None:
    """A prompt is accepted, streamed with numbers, and answered with its stop reason."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        assert await client.prompt(session, "count to 5") == "end_turn"
        assert client.text(session) == "1 2 3 4 5"
        numbers = client.numbers(session)
        assert numbers[0][0] == 1
        assert all(a[1] + 1 == b[0] for a, b in pairwise(numbers))


async def test_release_and_status(autojump_clock: object) -> None:
    """An operator sees a session, releases it and closes it."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        status = await operator.call("supervisor/status")
        assert status["sessions"] == {
            "known": 1, "live": 1, "resident": 1, "busy": 0, "waiting": 0,
        }  # fmt: skip
        released = await operator.call("sessions/release", {"session": "cli:one"})
        assert released == {"result": "released"}
        assert runtime.models.open_handles == 0
        closed = await operator.call("sessions/close", {"session": session})
        assert [step["step"] for step in closed["steps"]][:2] == ["turn", "children"]
        assert await client.prompt(session, "how many messages") == "end_turn"


async def test_cancel(autojump_clock: object) -> None:
    """A cancelled turn answers cancelled, and so does what waits behind it."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        first = await client.begin_prompt(session, "stall")
        second = await client.begin_prompt(session, "hello")
        await client.until(lambda: bool(client.text(session)))
        await client.notify("session/cancel", {"sessionId": session})
        assert (await client.answer(first))["stopReason"] == "cancelled"
        assert (await client.answer(second))["stopReason"] == "cancelled"
        assert await client.prompt(session, "hello") == "end_turn"
        assert trio.current_time() < 5


async def test_crash_and_restart(autojump_clock: object) -> None:
    """A turn that a crash cut runs once more at the next start."""
    async with open_runtime() as runtime:
        connection = runtime.connection
        async with runtime.client() as client:
            session = await client.new("cli:one")
            await client.begin_prompt(session, "slow 10 hello")
            await client.until(lambda: bool(client.text(session)))
            runtime.crash()
            await trio.sleep(1)
    async with open_runtime(connection=connection, seed=5) as runtime, runtime.client() as client:
        session2 = await client.new("cli:one")
        assert session2 == session
        assert await client.prompt(session, "how many messages") == "end_turn"
        assert "restarted" in [event.kind for event in runtime.events]
