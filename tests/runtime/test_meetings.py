"""What meets what: a stop, a drop, a cancel, a trim, at the worst of moments."""

from __future__ import annotations

import pytest
import trio
from support.coalescing import CoalescingStream
from support.runtime import open_runtime

from hermes.daemon.daemon import Bounds


@pytest.mark.parametrize("ticks", [10, 20, 40, 60, 80])
async def test_a_stop_meets_an_accept(autojump_clock: object, ticks: int) -> None:
    """D8: a stop that meets a prompt on its way to the disk ends in order, and loses nothing."""
    async with open_runtime(store_delay=lambda: 0.01) as runtime, runtime.client() as client:
        session = await client.new()
        await client.begin_prompt(session, "hello")
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        runtime.daemon.stop(drain=0.0)
        await runtime.daemon.ended.wait()
        await client.until(lambda: client.closed)
        assert client.socket.closed is not None
        assert client.socket.closed.code == 1001


@pytest.mark.parametrize("method", ["session/load", "session/resume"])
@pytest.mark.parametrize("wait", [0.0, 0.06, 0.11, 0.16])
async def test_a_load_whose_client_goes(autojump_clock: object, method: str, wait: float) -> None:
    """K4: a client that goes before its load or resume is answered crashes nobody."""
    async with open_runtime(store_delay=lambda: 0.05) as runtime:
        async with runtime.client() as client:
            session = await client.new()
        await trio.sleep(1)
        for _ in range(8):
            async with runtime.client() as client:
                meta = {"hermes": {"afterSeq": 0}} if method == "session/resume" else {}
                params = {"sessionId": session, "cwd": "/", "mcpServers": [], "_meta": meta}
                await client.send(method, params)
                await trio.sleep(wait)
        await trio.sleep(2)
        async with runtime.operator() as operator:
            seen = await operator.call("sessions/inspect", {"session": session})
        assert seen["state"] == "dormant"
        assert not runtime.kinds_of("quarantined", "warning")


async def test_a_prompt_right_behind_a_cancel(autojump_clock: object) -> None:
    """K1: a cancel takes what waits, and never a prompt that was sent after it."""
    async with open_runtime(wire=CoalescingStream) as runtime, runtime.client() as client:
        session = await client.new()
        for _ in range(20):
            await client.notify("session/cancel", {"sessionId": session})
            assert await client.prompt(session, "hello") == "end_turn"


async def test_a_second_signal_in_a_drain(autojump_clock: object) -> None:
    """D8: who hurries a drain still gets the order of an end: ladders, then 1001."""
    async with open_runtime(bounds=Bounds(drain=300.0)) as runtime, runtime.client() as client:
        session = await client.new()
        await client.begin_prompt(session, "stall")
        await client.until(lambda: bool(client.text(session)))
        runtime.daemon.stop()
        await trio.sleep(100)
        assert not runtime.daemon.ended.is_set()
        before = trio.current_time()
        runtime.daemon.hurry(1.5)
        await runtime.daemon.ended.wait()
        assert trio.current_time() - before <= 1.5
        await client.until(lambda: client.closed)
        assert client.socket.closed is not None
        assert client.socket.closed.code == 1001
        assert runtime.models.open_handles == 0


async def test_prompts_asked_for_again_during_a_recovery(autojump_clock: object) -> None:
    """D9, D5: ids sent again while the recovery is busy elsewhere are answered at once."""
    bounds = Bounds(recovery_turns=1)
    async with open_runtime(bounds=bounds) as runtime:
        connection = runtime.connection
        async with runtime.client() as client:
            first, second = await client.new(), await client.new()
            await client.begin_prompt(first, "slow 60 hello")
            for name in ("a", "b", "c"):
                await client.begin_prompt(second, "slow 1 hello", id=name)
            await trio.sleep(0.5)
            runtime.crash()
    async with (
        open_runtime(connection=connection, seed=7, bounds=bounds) as runtime,
        runtime.client() as client,
    ):
        await client.call("session/resume", {"sessionId": second, "cwd": "/"})
        answers = [
            await client.answer(await client.begin_prompt(second, "slow 1 hello", id=name))
            for name in ("a", "b", "c")
        ]
        assert {answer["stopReason"] for answer in answers} == {"end_turn"}
