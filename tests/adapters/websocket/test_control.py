from __future__ import annotations

from typing import Any

import pytest
import trio
from support.runtime import open_runtime
from support.wire import RpcFailed

from hermes.daemon.daemon import Bounds
from hermes.messages.acp import METHODS
from hermes.messages.control import CONTROL_METHODS
from hermes.supervisor.residency import Limits

STATUS = {
    "version", "node", "uptime", "pid", "rss", "draining", "cap", "idleTtl", "inactivityLimit",
    "sessions", "turns", "evictions", "pools", "mailboxDepth",
}  # fmt: skip


async def test_status_names_every_field(autojump_clock: object) -> None:
    """A status names every field, on a daemon that has done nothing yet."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        status = await operator.call("supervisor/status")
        assert set(status) == STATUS
        assert (status["cap"], status["idleTtl"], status["inactivityLimit"]) == (128, 3600, 1800)
        assert set(status["sessions"]) == {"known", "live", "resident", "busy", "waiting"}
        assert status["turns"] == {"started": 0, "completed": 0, "failed": 0, "cancelled": 0}
        assert set(status["evictions"]) == {"cap", "idle", "operator", "memory"}
        assert status["draining"] is False


async def test_status_counts(autojump_clock: object) -> None:
    """A status counts turns by how they ended, what waits, and requests of the model."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        with pytest.raises(RpcFailed):
            await client.prompt(session, "fail 400")
        running = await client.begin_prompt(session, "stall")
        waiting = await client.begin_prompt(session, "hello")
        await client.until(lambda: client.text(session).count("stall") > 0 or bool(client.frames))
        await trio.testing.wait_all_tasks_blocked()
        status = await operator.call("supervisor/status")
        assert status["turns"] == {"started": 3, "completed": 1, "failed": 1, "cancelled": 0}
        assert (status["sessions"]["busy"], status["mailboxDepth"]) == (1, 1)
        assert status["pools"] == {"rules": {"sockets": 1, "inFlight": 1}}
        await operator.call("sessions/interrupt", {"session": session})
        assert (await client.answer(running))["stopReason"] == "cancelled"
        assert (await client.answer(waiting))["stopReason"] == "end_turn"
        turns = (await operator.call("supervisor/status"))["turns"]
        assert turns == {"started": 4, "completed": 2, "failed": 1, "cancelled": 1}


async def test_configure(autojump_clock: object) -> None:
    """B11: limits change at once; null lifts one, an absent one stays."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        sessions = [await client.new() for _ in range(3)]
        for session in sessions:
            await client.prompt(session, "hello")
        before = await operator.call("supervisor/configure", {})
        assert before == {"cap": 128, "idleTtl": 3600, "inactivityLimit": 1800}
        after = await operator.call("supervisor/configure", {"cap": 1, "idleTtl": None})
        assert after == {"cap": 1, "idleTtl": None, "inactivityLimit": 1800}
        await trio.testing.wait_all_tasks_blocked()
        assert (await operator.call("supervisor/status"))["sessions"]["resident"] == 1
        lifted = await operator.call("supervisor/configure", {"inactivityLimit": None, "cap": None})
        assert lifted == {"cap": None, "idleTtl": None, "inactivityLimit": None}


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "a cap below 0": ("supervisor/configure", {"cap": -1}, "cap"),
    "a cap that is a text": ("supervisor/configure", {"cap": "none"}, "cap"),
    "a cap that is a bool": ("supervisor/configure", {"cap": True}, "cap"),
    "an unknown limit": ("supervisor/configure", {"caps": 1}, "caps"),
    "params for status": ("supervisor/status", {"verbose": True}, "verbose"),
    "no session": ("sessions/inspect", {}, "session"),
    "a null session": ("sessions/release", {"session": None}, "session"),
    "a state that is none": ("sessions/list", {"state": "asleep"}, "state"),
    "a page of none": ("sessions/list", {"limit": 0}, "limit"),
    "a page too large": ("sessions/list", {"limit": 1001}, "limit"),
    "a cursor of nobody": ("sessions/list", {"cursor": "nonsense"}, "cursor"),
    "a negative age": ("supervisor/sweep", {"olderThan": -1}, "olderThan"),
}


@pytest.mark.parametrize(("method", "params", "path"), WRONG.values(), ids=WRONG)
async def test_wrong_params(
    autojump_clock: object, method: str, params: dict[str, Any], path: str
) -> None:
    """Wrong params get -32602 with the path, and change nothing."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        with pytest.raises(RpcFailed) as failed:
            await operator.call(method, params)
        assert failed.value.code == -32602
        assert failed.value.data["path"] == path
        assert (await operator.call("supervisor/status"))["cap"] == 128


async def test_null_counts_as_absent(autojump_clock: object) -> None:
    """In params, except of configure, null means absent."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        listed = await operator.call(
            "sessions/list", {"state": None, "limit": None, "cursor": None}
        )
        assert listed == {"sessions": [], "nextCursor": None}
        assert await operator.call("supervisor/sweep", {"olderThan": None}) == {
            "released": [], "busy": [],
        }  # fmt: skip


@pytest.mark.parametrize("frame", ["{nonsense", "[]", '{"jsonrpc":"2.0","id":null,"method":"x"}'])
async def test_bad_frames(autojump_clock: object, frame: str) -> None:
    """Z6: operators' frames obey the same framing, and nothing closes."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        await operator.raw(frame)
        await operator.until(lambda: bool(operator.frames))
        assert operator.frames[0]["id"] is None
        assert operator.frames[0]["error"]["code"] in (-32700, -32600)
        with pytest.raises(RpcFailed) as failed:
            await operator.call("session/new", {"cwd": "/", "mcpServers": []})
        assert failed.value.code == -32601
        await operator.call("supervisor/status")


async def test_list_pages(autojump_clock: object) -> None:
    """Pages follow the order of creation, and hold every session once."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        made = []
        for number in range(7):
            made.append(await client.new(f"cli:{number}"))
            await trio.sleep(1)
        found: list[str] = []
        cursor = None
        pages = 0
        while pages == 0 or cursor is not None:
            page = await operator.call("sessions/list", {"limit": 3, "cursor": cursor})
            found += [row["id"] for row in page["sessions"]]
            cursor = page["nextCursor"]
            pages += 1
        assert found == made
        assert pages == 3


async def test_list_by_state(autojump_clock: object) -> None:
    """Sessions are found by their state; looking at a dormant one does not wake it."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        async with runtime.client() as client:
            asleep = await client.new("cli:asleep")
            awake = await client.new("cli:awake")
            await client.prompt(awake, "hello")
        await trio.testing.wait_all_tasks_blocked()
        for state, expected in (("dormant", [asleep]), ("idle", [awake]), ("running", [])):
            listed = await operator.call("sessions/list", {"state": state})
            assert [row["id"] for row in listed["sessions"]] == expected
        inspected = await operator.call("sessions/inspect", {"session": "cli:asleep"})
        assert (inspected["state"], inspected["resident"]) == ("dormant", False)
        status = await operator.call("supervisor/status")
        assert (status["sessions"]["known"], status["sessions"]["live"]) == (2, 1)


async def test_inspect_a_running_turn(autojump_clock: object) -> None:
    """A running turn is seen with its age, its depth, what it does and its calls of the model."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:a")
        await client.begin_prompt(session, "stall")
        await client.until(lambda: bool(client.text(session)))
        await trio.sleep(5)
        seen = await operator.call("sessions/inspect", {"session": session})
        assert (seen["state"], seen["busy"], seen["idle"], seen["clients"]) == (
            "running", True, None, 1,
        )  # fmt: skip
        assert seen["turn"]["age"] == pytest.approx(5)
        assert (seen["turn"]["depth"], seen["turn"]["modelCalls"]) == (0, 1)
        assert (seen["modelRequests"], seen["model"]) == (1, "rules-1")
        assert len(seen["signature"]) >= 32
        assert seen["promptHash"]


async def test_release(autojump_clock: object) -> None:
    """B10: a release answers released, busy, or already released; a dormant one stays asleep."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        async with runtime.client() as client:
            session = await client.new("cli:a")
            turn = await client.begin_prompt(session, "slow 1 hello")
            await client.until(lambda: bool(client.text(session)))
            busy = await operator.call("sessions/release", {"session": "cli:a"})
            await client.answer(turn)
            answers = [
                await operator.call("sessions/release", {"session": session}) for _ in range(2)
            ]
        await trio.testing.wait_all_tasks_blocked()
        dormant = await operator.call("sessions/release", {"session": session})
        assert [answer["result"] for answer in (busy, *answers, dormant)] == [
            "busy", "released", "already released", "already released",
        ]  # fmt: skip
        seen = await operator.call("sessions/inspect", {"session": session})
        assert seen["state"] == "dormant"


async def test_a_sweep(autojump_clock: object) -> None:
    """A sweep of 0 seconds asks every agent, and names who is busy."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        idle, busy = await client.new("cli:idle"), await client.new("cli:busy")
        await client.prompt(idle, "hello")
        turn = await client.begin_prompt(busy, "slow 1 hello")
        await client.until(lambda: bool(client.text(busy)))
        assert await operator.call("supervisor/sweep", {"olderThan": 0}) == {
            "released": [idle], "busy": [busy],
        }  # fmt: skip
        await client.answer(turn)


async def test_close_and_its_steps(autojump_clock: object) -> None:
    """R3: a close reports its steps in order; a dormant session has none."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        async with runtime.client() as client:
            session = await client.new("cli:a")
            await client.prompt(session, "hello")
            closed = await operator.call("sessions/close", {"session": session, "reason": "tidy"})
        assert [step["step"] for step in closed["steps"]] == [
            "turn", "children", "memory", "model", "browser", "terminal", "processes",
            "scratch", "actor",
        ]  # fmt: skip
        assert all(set(step) == {"step", "seconds", "outcome"} for step in closed["steps"])
        assert closed["closed"] is True
        again = await operator.call("sessions/close", {"session": session})
        assert again == {"closed": True, "steps": []}


async def test_interrupt(autojump_clock: object) -> None:
    """An interrupt stops the running turn only; without one it says so."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:a")
        nothing = await operator.call("sessions/interrupt", {"session": session})
        turn = await client.begin_prompt(session, "stall")
        await client.until(lambda: bool(client.text(session)))
        something = await operator.call("sessions/interrupt", {"session": session})
        assert (nothing, something) == ({"interrupted": False}, {"interrupted": True})
        assert (await client.answer(turn))["stopReason"] == "cancelled"


@pytest.mark.parametrize("awake", [True, False])
async def test_suspend_and_resume(autojump_clock: object, awake: bool) -> None:
    """A suspended session takes no prompts until it is resumed, asleep or awake."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        async with runtime.client() as client:
            session = await client.new("cli:a")
            if awake:
                await client.prompt(session, "hello")
        await trio.testing.wait_all_tasks_blocked()
        suspended = await operator.call("sessions/suspend", {"session": session})
        assert suspended == {"state": "suspended"}
        seen = await operator.call("sessions/inspect", {"session": session})
        assert seen["state"] == "suspended"
        async with runtime.client() as client:
            turn = await client.begin_prompt(session, "hello")
            await trio.sleep(60)
            assert not client.answered(turn)
            await operator.call("sessions/resume", {"session": session})
            assert (await client.answer(turn))["stopReason"] == "end_turn"


@pytest.mark.parametrize("method", sorted(CONTROL_METHODS))
async def test_operators_methods_are_not_for_clients(autojump_clock: object, method: str) -> None:
    """Z3: no method of /control is served on /acp, whatever the token's scope is."""
    async with open_runtime() as runtime:
        for token in ("session", "operator"):
            async with runtime.client(token) as client:
                with pytest.raises(RpcFailed) as failed:
                    await client.call(method, {})
                assert failed.value.code == -32601


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_clients_methods_are_not_for_operators(autojump_clock: object, method: str) -> None:
    """Z3: no method of /acp is served on /control."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        with pytest.raises(RpcFailed) as failed:
            await operator.call(method, {})
        assert failed.value.code == -32601


NAMES = ["inspect", "release", "close", "interrupt", "suspend", "resume"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("session", ["ses_never", "cli:never", "", "../../etc/passwd"])
async def test_unknown_sessions(autojump_clock: object, name: str, session: str) -> None:
    """An unknown session is -32002 with what was asked for, and is not made."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        with pytest.raises(RpcFailed) as failed:
            await operator.call(f"sessions/{name}", {"session": session})
        assert failed.value.code == -32002
        assert failed.value.data == {"sessionId": session}
        assert (await operator.call("supervisor/status"))["sessions"]["known"] == 0


async def test_a_slow_close_holds_up_nobody(autojump_clock: object) -> None:
    """B10: while a close or a release drags, the same operator's other requests are answered."""
    async with (
        open_runtime(bounds=Bounds(residency=Limits(10, None))) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, other = await client.new("cli:a"), await client.new("cli:b")
        await client.prompt(session, "hello")
        runtime.models.close_seconds = 3.0
        started = trio.current_time()
        close = await operator.send("sessions/close", {"session": session})
        assert (await operator.call("sessions/inspect", {"session": session}))["state"] == "closing"
        await operator.call("supervisor/status")
        await client.prompt(other, "hello")
        assert trio.current_time() - started < 1
        assert (await operator.answer(close))["closed"] is True
        assert trio.current_time() - started == pytest.approx(3, abs=1)
