"""Close in the whole runtime: the ladder, whatever hangs, fails or comes in between."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.factories import SpiedFactory
from support.looking import events, inspect, status
from support.rule_models import RuleModels
from support.runtime import LiveRuntime, open_runtime
from support.scripted import ScriptedResource, scripted_kinds
from support.tools import resource_tool, stubborn_tool
from support.wire import WireClient

from hermes.ports.resource import Rung

#: The rungs that task resources stand on, by the name of a resource there.
RESOURCES = {
    "browser": Rung.BROWSER,
    "scratch": Rung.SCRATCH,
    "child": Rung.CHILDREN,
    "processes": Rung.PROCESSES,
    "terminal": Rung.TERMINAL,
    "memory": Rung.MEMORY,
}

#: The same, in the order of row R3.
IN_ORDER = ["child", "memory", "browser", "terminal", "processes", "scratch"]

RUNGS = [rung.name.lower() for rung in Rung]

#: Opens every resource, then runs until it is stopped, and a while longer.
BUSY = (
    "\n".join(f'call use {{"kind": "{kind}"}}' for kind in RESOURCES)
    + '\nthen\ncall stubborn {"seconds": SECONDS}'
)

TOOLS = (resource_tool(), stubborn_tool())


def busy(seconds: float) -> str:
    """A prompt whose turn takes that long to end once it was cancelled."""
    return BUSY.replace("SECONDS", str(seconds))


async def begin(client: WireClient, log: list[str], seconds: float = 0.0) -> tuple[str, int]:
    """A session with everything open, in mid-turn."""
    session = await client.new("cli:busy")
    request = await client.begin_prompt(session, busy(seconds))
    await client.until(lambda: "stubborn" in str(client.updates))
    assert sorted(log) == sorted(
        f"{word} {kind}" for kind in RESOURCES for word in ("open", "opened")
    )
    log.clear()
    return session, request


def by_name(steps: list[dict[str, Any]]) -> dict[str, tuple[float, str]]:
    """The steps of a close: seconds and outcome for each."""
    return {step["step"]: (round(step["seconds"], 3), step["outcome"]) for step in steps}


def stops(log: list[str]) -> list[str]:
    """What was stopped, in order."""
    return [line.removeprefix("stop ") for line in log if line.startswith("stop ")]


def slow_to_stop(resource: ScriptedResource) -> None:
    """A resource that takes a second to end."""
    resource.stop_seconds = 1


def hanging(resource: ScriptedResource) -> None:
    """A resource that never ends by itself."""
    resource.hang_stop = True


def failing(resource: ScriptedResource) -> None:
    """A resource that can be neither ended nor killed."""
    resource.fail_stop = resource.fail_kill = True


async def test_the_order_of_a_close(autojump_clock: object) -> None:
    """R3: turn, children, memory, model, browser, terminal, processes, scratch, actor: one
    after another, with the time that each took.
    """
    log: list[str] = []
    kinds = scripted_kinds(log, RESOURCES)
    for kind in kinds.values():
        kind.script = slow_to_stop
    models = RuleModels()
    async with (
        open_runtime(kinds=kinds, models=models, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, prompt = await begin(client, log, seconds=1)
        models.close_seconds = 1
        close = await operator.send("sessions/close", {"session": session, "reason": "test"})
        await trio.sleep(2.5)
        assert (await inspect(operator, session))["state"] == "closing"
        assert models.open_handles == 1, "the memory provider may still need its model"
        await trio.sleep(2)
        assert models.open_handles == 0
        steps = (await operator.answer(close))["steps"]
        assert [step["step"] for step in steps] == RUNGS
        expected = dict.fromkeys(RUNGS, (1, "done")) | {"actor": (0, "done")}
        assert by_name(steps) == expected
        assert stops(log) == IN_ORDER
        assert not [line for line in log if line.startswith("kill")]
        assert (await client.answer(prompt))["stopReason"] == "cancelled"
        (closed,) = events(runtime, "closed")
        assert closed == ("closed", session, {"reason": "test", "steps": steps})


async def test_everything_hangs(autojump_clock: object) -> None:
    """R3: each step that hangs is killed after its 5 s, all together end within 20 s."""
    log: list[str] = []
    kinds = scripted_kinds(log, RESOURCES)
    for kind in kinds.values():
        kind.script = hanging
    models = RuleModels()
    async with (
        open_runtime(kinds=kinds, models=models, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, prompt = await begin(client, log, seconds=8)
        models.close_seconds = 1000
        began = trio.current_time()
        steps = (await operator.call("sessions/close", {"session": session}))["steps"]
        assert trio.current_time() - began == pytest.approx(20)
        hung = dict.fromkeys(["turn", "children", "memory", "model"], (5.0, "killed"))
        late = dict.fromkeys(["browser", "terminal", "processes", "scratch"], (0.0, "killed"))
        assert {**by_name(steps), "actor": None} == {**hung, **late, "actor": None}
        assert stops(log) == IN_ORDER
        assert [line for line in log if line.startswith("kill")] == [f"kill {k}" for k in IN_ORDER]
        assert models.open_handles == 0
        assert (await client.answer(prompt))["stopReason"] == "cancelled"


async def test_everything_fails(autojump_clock: object) -> None:
    """R3: a step that fails, and cannot even be killed, does not stop the next."""
    log: list[str] = []
    kinds = scripted_kinds(log, RESOURCES)
    for kind in kinds.values():
        kind.script = failing
    async with (
        open_runtime(kinds=kinds, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, _ = await begin(client, log)
        steps = (await operator.call("sessions/close", {"session": session}))["steps"]
        outcomes = {name: outcome for name, (_, outcome) in by_name(steps).items()}
        assert outcomes == dict.fromkeys(RUNGS, "failed") | dict.fromkeys(
            ["turn", "model", "actor"], "done"
        )
        assert stops(log) == IN_ORDER
        assert {f"ended {kind}" for kind in RESOURCES} <= set(log)


async def test_a_crash_goes_down_the_same_ladder(autojump_clock: object) -> None:
    """R3, K4: the crash of an actor takes its resources down in the order of a close."""
    log: list[str] = []
    factory = SpiedFactory()
    async with (
        open_runtime(kinds=scripted_kinds(log, RESOURCES), factory=factory, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, _ = await begin(client, log)
        factory.crashes = 1
        await inspect(operator, session)
        await client.until(lambda: "restarted" in str(client.updates))
        assert stops(log) == IN_ORDER
        assert runtime.models.open_handles == 1
        assert runtime.models.opened == 2


async def test_a_shutdown_goes_down_the_same_ladder(autojump_clock: object) -> None:
    """R3: a cancel from outside takes a session down in the order of a close."""
    log: list[str] = []
    models = RuleModels()
    async with open_runtime(
        kinds=scripted_kinds(log, RESOURCES), models=models, tools=TOOLS
    ) as runtime:
        async with runtime.client() as client:
            await begin(client, log)
            runtime.daemon.stop(drain=0.0)
            await runtime.daemon.ended.wait()
        assert stops(log) == IN_ORDER
        assert models.open_handles == 0


async def test_an_empty_close(autojump_clock: object) -> None:
    """R3, R6: what is not there is reported as nothing to do; a dormant session has no steps."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        first = await operator.call("sessions/close", {"session": session})
        assert by_name(first["steps"]) == dict.fromkeys(RUNGS, (0, "none")) | {"actor": (0, "done")}
        again = await operator.call("sessions/close", {"session": session})
        assert again == {"closed": True, "steps": []}


async def test_closes_join(autojump_clock: object) -> None:
    """R6: a second close joins the first: one ladder, each resource stopped once."""
    log: list[str] = []
    kinds = scripted_kinds(log, RESOURCES)
    for kind in kinds.values():
        kind.script = slow_to_stop
    async with (
        open_runtime(kinds=kinds, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session, prompt = await begin(client, log)
        waiting = await client.begin_prompt(session, "hello")
        first = await operator.send("sessions/close", {"session": session})
        await trio.sleep(2)
        second = await operator.send("sessions/close", {"session": session})
        by_client = await client.send("session/close", {"sessionId": session})
        assert await operator.answer(first) == await operator.answer(second)
        assert await client.answer(by_client) == {}
        for request in (prompt, waiting):
            assert (await client.answer(request))["stopReason"] == "cancelled"
        assert stops(log) == IN_ORDER
        assert len(events(runtime, "closed")) == 1


async def test_a_close_meets_a_release(autojump_clock: object) -> None:
    """R6: a close joins a release under way, within its step's deadline; both are answered."""
    models = RuleModels()
    models.close_seconds = 3
    async with (
        open_runtime(models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        release = await operator.send("sessions/release", {"session": session})
        await trio.sleep(1)
        close = await operator.call("sessions/close", {"session": session})
        assert by_name(close["steps"])["model"] == (2, "done")
        assert await operator.answer(release) == {"result": "released"}
        assert models.open_handles == 0
        assert (await status(operator))["sessions"]["resident"] == 0


async def test_a_closed_session_comes_back(autojump_clock: object) -> None:
    """R9: a closed session is dormant; a prompt starts a new actor with the same ids, the same
    history and fresh resources.
    """
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL})
    async with (
        open_runtime(kinds=kinds, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:back")
        use = 'call use {"kind": "terminal"}'
        await client.prompt(session, use)
        before = client.numbers(session)
        await operator.call("sessions/close", {"session": session})
        seen = await inspect(operator, session)
        assert (seen["state"], seen["resident"], seen["resources"]) == ("dormant", False, [])
        assert (await status(operator))["sessions"]["live"] == 0
        await client.prompt(session, use)
        after = client.numbers(session)
        assert after[len(before)][0] == before[-1][1] + 1
        one, two = kinds["terminal"].made
        assert one.task_id == two.task_id
        assert (await inspect(operator, "cli:back"))["id"] == session
        assert (await inspect(operator, session))["messages"] == 8


# -- resources by themselves ------------------------------------------------------


async def opened(runtime: LiveRuntime, client: WireClient, kind: str) -> str:
    """A session with one resource open."""
    session = await client.new()
    await client.prompt(session, f'call use {{"kind": "{kind}"}}')
    return session


async def test_a_resource_that_dies(autojump_clock: object) -> None:
    """R8: the crash of a resource is told, and harms neither sibling, turn nor actor; who needs
    it next gets a fresh one.
    """
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL, "browser": Rung.BROWSER})
    async with (
        open_runtime(kinds=kinds, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await opened(runtime, client, "browser")
        await client.prompt(session, 'call use {"kind": "terminal"}')
        turn = await client.begin_prompt(session, "slow 1 count to 5")
        await trio.sleep(2)
        kinds["terminal"].made[0].crash.set()
        await trio.sleep(1)
        assert (await inspect(operator, session))["resources"] == ["browser"]
        ((_, told, data),) = events(runtime, "warning")
        assert told == session
        assert "terminal crashed" in data["message"]
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        await client.prompt(session, 'call use {"kind": "terminal"}')
        assert len(kinds["terminal"].made) == 2
        assert len(kinds["browser"].made) == 1


async def test_a_cancelled_asker(autojump_clock: object) -> None:
    """R8: a turn that is cancelled while its resource starts does not harm the resource."""
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL})

    def slow(resource: ScriptedResource) -> None:
        resource.open_seconds = 5

    kinds["terminal"].script = slow
    async with open_runtime(kinds=kinds, tools=TOOLS) as runtime, runtime.client() as client:
        session = await client.new()
        turn = await client.begin_prompt(session, 'call use {"kind": "terminal"}')
        await trio.sleep(2)
        await client.notify("session/cancel", {"sessionId": session})
        assert (await client.answer(turn))["stopReason"] == "cancelled"
        await trio.sleep(4)
        assert log == ["open terminal", "opened terminal"]
        assert await client.prompt(session, 'call use {"kind": "terminal"}') == "end_turn"
        assert len(kinds["terminal"].made) == 1


async def test_a_resource_that_does_not_open(autojump_clock: object) -> None:
    """R8: a resource that fails to open is an answer to the tool; the turn goes on."""
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL})

    def broken(resource: ScriptedResource) -> None:
        resource.fail_open = True

    kinds["terminal"].script = broken
    async with open_runtime(kinds=kinds, tools=TOOLS) as runtime, runtime.client() as client:
        session = await opened(runtime, client, "terminal")
        assert "could not be opened" in client.text(session)
        assert await client.prompt(session, "hello") == "end_turn"


async def test_a_resource_that_hangs_while_it_opens(autojump_clock: object) -> None:
    """R8, R3: a close takes down a resource that never finished opening."""
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL})

    def stuck(resource: ScriptedResource) -> None:
        resource.hang_open = True

    kinds["terminal"].script = stuck
    async with (
        open_runtime(kinds=kinds, tools=TOOLS) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        turn = await client.begin_prompt(session, 'call use {"kind": "terminal"}')
        await trio.sleep(1)
        steps = (await operator.call("sessions/close", {"session": session}))["steps"]
        assert by_name(steps)["terminal"] == (0, "done")
        assert (await client.answer(turn))["stopReason"] == "cancelled"
        assert log[-1] == "ended terminal"
