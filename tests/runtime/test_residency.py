"""Bounded residency in the whole runtime: who is released when, and what operators see."""

from __future__ import annotations

import pytest
import trio
from support.looking import events, inspect, resident, status
from support.rule_models import RuleModels
from support.runtime import LiveRuntime, open_runtime
from support.wire import WireClient

from hermes.daemon.daemon import Bounds
from hermes.supervisor.residency import Limits


def bounds(cap: int | None = 128, idle_ttl: float | None = 3600.0) -> Bounds:
    """A daemon's limits with these bounds of residency."""
    return Bounds(residency=Limits(cap, idle_ttl))


async def served(client: WireClient, count: int) -> list[str]:
    """So many sessions, each with a resident agent, the oldest first."""
    sessions = [await client.new(f"cli:{number}") for number in range(count)]
    for session in sessions:
        assert await client.prompt(session, "hello") == "end_turn"
    return sessions


def released(runtime: LiveRuntime, cause: str) -> list[str | None]:
    """Who was released for this cause, in order."""
    return [name for _, name, data in events(runtime, "released") if data["cause"] == cause]


def warnings(runtime: LiveRuntime) -> list[dict[str, object]]:
    """What operators were warned of."""
    return [data for _, _, data in events(runtime, "warning")]


async def test_the_least_recently_used_goes(autojump_clock: object) -> None:
    """B1, B2: past the cap the least recently used is released; a message makes its session the
    most recently used.
    """
    async with (
        open_runtime(bounds=bounds(cap=3)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        a, b, c = await served(client, 3)
        await client.prompt(a, "hello")
        d = await client.new("cli:d")
        await client.prompt(d, "hello")
        await trio.sleep(1)
        assert released(runtime, "cap") == [b]
        assert await resident(operator) == {a, c, d}
        assert (await status(operator))["evictions"] == {
            "cap": 1, "idle": 0, "operator": 0, "memory": 0,
        }  # fmt: skip


async def test_a_busy_one_is_passed_over(autojump_clock: object) -> None:
    """B3, B4, B5: a busy session in the window is passed over, nobody newer goes in its place,
    operators are warned, and it releases when its turn ends, with no other message.
    """
    async with (
        open_runtime(bounds=bounds(cap=2)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        old, *others = [await client.new(f"cli:{number}") for number in range(3)]
        turn = await client.begin_prompt(old, "slow 100 repeat 1 word")
        for session in others:
            await client.prompt(session, "hello")
        await trio.sleep(1)
        assert len(await resident(operator)) == 3
        assert runtime.models.cut == 0
        assert released(runtime, "cap") == []
        (warning,) = warnings(runtime)
        assert "mid-turn" in str(warning["message"])
        assert (warning["excess"], warning["midTurn"]) == (1, 1)
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        await trio.sleep(1)
        assert released(runtime, "cap") == [old]
        assert await resident(operator) == set(others)


async def test_only_the_window_is_asked(autojump_clock: object) -> None:
    """B3, B4: of several over the cap the idle ones go, the busy ones stay, all in the window."""
    async with (
        open_runtime(bounds=bounds(cap=6)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        sessions = await served(client, 6)
        turns = [await client.begin_prompt(sessions[place], "slow 100 hello") for place in (0, 2)]
        for place in (1, 3, 4, 5):
            await client.prompt(sessions[place], "hello")
        # Least recently used first: 0 (busy), 2 (busy), 1, 3, 4, 5.
        await operator.call("supervisor/configure", {"cap": 3})
        await trio.sleep(1)
        assert released(runtime, "cap") == [sessions[1]]
        assert len(await resident(operator)) == 5
        counts = [(warning["excess"], warning["midTurn"]) for warning in warnings(runtime)]
        assert counts == [(3, 2), (2, 2)]
        for turn in turns:
            await client.answer(turn)
        await trio.sleep(1)
        assert await resident(operator) == set(sessions[3:])


async def test_no_longer_in_the_window(autojump_clock: object) -> None:
    """B5: a busy session that is used again meanwhile is not in the window when its turn ends."""
    async with (
        open_runtime(bounds=bounds(cap=2)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        old, second, third = [await client.new(f"cli:{number}") for number in range(3)]
        turn = await client.begin_prompt(old, "slow 100 repeat 1 word")
        await client.prompt(second, "hello")
        await client.prompt(third, "hello")
        again = await client.begin_prompt(old, "repeat 1 again")
        for request in (turn, again):
            await client.answer(request)
        await trio.sleep(1)
        assert released(runtime, "cap") == [second]
        assert await resident(operator) == {old, third}


async def test_one_that_is_built(autojump_clock: object) -> None:
    """B6: an agent under construction counts once it is built, and displaces nobody before."""
    models = RuleModels()
    async with (
        open_runtime(bounds=bounds(cap=1), models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        (first,) = await served(client, 1)
        models.open_seconds = 10
        second = await client.new("cli:second")
        turn = await client.begin_prompt(second, "hello")
        await trio.sleep(5)
        assert (await inspect(operator, second))["state"] == "starting"
        assert await resident(operator) == {first}
        assert released(runtime, "cap") == []
        await client.answer(turn)
        await trio.sleep(1)
        assert await resident(operator) == {second}
        assert warnings(runtime) == []


async def test_idle_ones_expire(autojump_clock: object) -> None:
    """B7: an agent idle past the time-to-live is released at that moment, a fresh one is not,
    nor one in mid-turn, however old its last activity.
    """
    async with (
        open_runtime(bounds=bounds(idle_ttl=600.0)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        old, busy, fresh = await served(client, 3)
        turn = await client.begin_prompt(busy, "slow 1000 repeat 1 word")
        await trio.sleep(300)
        await client.prompt(fresh, "hello")
        await trio.sleep(299)
        assert released(runtime, "idle") == []
        await trio.sleep(2)
        assert released(runtime, "idle") == [old]
        await trio.sleep(300)
        assert released(runtime, "idle") == [old, fresh]
        assert await resident(operator) == {busy}
        await client.answer(turn)
        assert await resident(operator) == {busy}
        await trio.sleep(601)
        assert released(runtime, "idle") == [old, fresh, busy]
        assert (await status(operator))["evictions"]["idle"] == 3


async def test_no_cap(autojump_clock: object) -> None:
    """B8: with no cap 200 sessions stay resident and nothing is released."""
    async with (
        open_runtime(bounds=bounds(cap=None)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        await served(client, 200)
        assert len(await resident(operator)) == 200
        assert events(runtime, "released") == []
        assert (await status(operator))["cap"] is None


async def test_no_agent_is_kept_warm(autojump_clock: object) -> None:
    """B5: with a cap of 0 each agent goes when its turn ends, and every prompt is served."""
    async with (
        open_runtime(bounds=bounds(cap=0)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        sessions = await served(client, 5)
        await trio.sleep(1)
        assert await resident(operator) == set()
        assert runtime.models.open_handles == 0
        assert released(runtime, "cap") == sessions


async def test_a_slow_release_holds_up_nobody(autojump_clock: object) -> None:
    """B10: while an agent is slow to close, others are served, released and looked at."""
    models = RuleModels()
    async with (
        open_runtime(bounds=bounds(cap=1), models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        (slow,) = await served(client, 1)
        models.close_seconds = 4
        began = trio.current_time()
        second, third = await client.new("cli:second"), await client.new("cli:third")
        await client.prompt(second, "hello")
        await client.prompt(third, "hello")
        assert (await inspect(operator, slow))["state"] == "releasing"
        assert (await status(operator))["sessions"]["live"] == 3
        assert trio.current_time() - began < 1
        await trio.sleep(10)
        assert await resident(operator) == {third}
        assert set(released(runtime, "cap")) == {slow, second}


async def test_limits_change_at_once(autojump_clock: object) -> None:
    """B11: a new cap and a new time-to-live are in force at once, and null lifts one."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        sessions = await served(client, 4)
        await operator.call("supervisor/configure", {"cap": 3})
        await trio.sleep(0.1)
        assert await resident(operator) == set(sessions[1:])
        await trio.sleep(100)
        await client.prompt(sessions[3], "hello")
        limits = await operator.call("supervisor/configure", {"cap": None, "idleTtl": 50})
        assert (limits["cap"], limits["idleTtl"]) == (None, 50)
        await trio.sleep(0.1)
        assert await resident(operator) == {sessions[3]}
        await operator.call("supervisor/configure", {"idleTtl": None})
        await trio.sleep(10_000)
        assert await resident(operator) == {sessions[3]}


async def test_sweep(autojump_clock: object) -> None:
    """B10: a sweep asks those that are idle long enough, or all, and says who was busy."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        old, fresh, busy = await served(client, 3)
        turn = await client.begin_prompt(busy, "slow 500 repeat 1 word")
        await trio.sleep(100)
        await client.prompt(fresh, "hello")
        assert await operator.call("supervisor/sweep") == {"released": [], "busy": [busy]}
        swept = await operator.call("supervisor/sweep", {"olderThan": 60})
        assert swept == {"released": [old], "busy": [busy]}
        swept = await operator.call("supervisor/sweep", {"olderThan": 0})
        assert swept == {"released": [fresh], "busy": [busy]}
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        assert (await status(operator))["evictions"]["operator"] == 2


async def test_dormant_at_once(autojump_clock: object) -> None:
    """B12: without agent, resource, client or message a session has no task, only its row; and
    nothing that looks at it wakes it.
    """
    async with open_runtime(bounds=bounds(cap=0)) as runtime, runtime.operator() as operator:
        await trio.testing.wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with runtime.client() as client:
            sessions = await served(client, 50)
            assert (await status(operator))["sessions"]["live"] == 50
        await trio.sleep(1)
        assert trio.lowlevel.current_statistics().tasks_living == tasks
        seen = (await status(operator))["sessions"]
        assert (seen["known"], seen["live"]) == (50, 0)
        listed = await operator.call("sessions/list", {"state": "dormant", "limit": 1000})
        assert {row["id"] for row in listed["sessions"]} == set(sessions)
        for method in ("inspect", "release", "interrupt", "close", "suspend", "resume"):
            await operator.call(f"sessions/{method}", {"session": sessions[0]})
        assert (await status(operator))["sessions"]["live"] == 0


async def test_one_timer_for_all(autojump_clock: object) -> None:
    """B12: idle sessions have no timer of their own: a thousand seconds pass without a step of
    the supervisor, and many idle agents need no more tasks than their actors.
    """
    async with (
        open_runtime(bounds=bounds(idle_ttl=5000.0)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        await served(client, 1)
        await trio.testing.wait_all_tasks_blocked()
        before = trio.lowlevel.current_statistics().tasks_living
        more = [await client.new(f"cli:more{number}") for number in range(20)]
        for session in more:
            await client.prompt(session, "hello")
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before + len(more)
        await trio.sleep(5001)
        assert await resident(operator) == set()
        assert len(released(runtime, "idle")) == 21


@pytest.mark.parametrize("cap", [1, 4, 16])
async def test_many_clients_at_once(autojump_clock: object, cap: int) -> None:
    """B9: 8 clients that each open 20 sessions at once end with exactly `cap` resident, and no
    session is lost.
    """
    async with (
        open_runtime(bounds=bounds(cap=cap), store_delay=lambda: 0.002) as runtime,
        runtime.operator() as operator,
    ):

        async def open_twenty(client: WireClient, name: int) -> None:
            sessions = [await client.new(f"cli:{name}.{number}") for number in range(20)]
            requests = [await client.begin_prompt(session, "count to 9") for session in sessions]
            for request in requests:
                assert (await client.answer(request))["stopReason"] == "end_turn"
            assert all(client.text(session) == "1 2 3 4 5 6 7 8 9" for session in sessions)
            finished.append(name)
            await all_done.wait()

        async def one(name: int) -> None:
            async with runtime.client() as client:
                await open_twenty(client, name)

        finished: list[int] = []
        all_done = trio.Event()
        async with trio.open_nursery() as nursery:
            for name in range(8):
                nursery.start_soon(one, name)
            await trio.sleep(60)
            assert len(finished) == 8
            assert len(await resident(operator)) == cap
            assert (await status(operator))["sessions"]["known"] == 160
            assert runtime.models.open_handles == cap
            all_done.set()
