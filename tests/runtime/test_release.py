"""Release in the whole runtime: what goes, what stays, and what meets it."""

from __future__ import annotations

import gc

import pytest
import trio
from support.factories import SpiedFactory
from support.looking import events, inspect, said, status
from support.rule_models import RuleModels
from support.runtime import open_runtime
from support.scripted import scripted_kinds
from support.tools import resource_tool
from support.wire import WireClient

from hermes.ports.resource import Rung


async def release(operator: WireClient, session: str) -> str:
    """Ask for a release."""
    return str((await operator.call("sessions/release", {"session": session}))["result"])


async def test_release_ends_the_use_of_the_model(autojump_clock: object) -> None:
    """R1: after a release the handle is closed, nothing is in flight, and `inspect` says so."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        assert runtime.models.open_handles == 1
        assert (await inspect(operator, session))["resident"]
        assert await release(operator, session) == "released"
        assert runtime.models.open_handles == 0
        seen = await inspect(operator, session)
        assert not seen["resident"]
        assert seen["modelRequests"] == 0
        assert seen["lastRelease"]["cause"] == "operator"
        assert (await status(operator))["pools"] == {"rules": {"sockets": 0, "inFlight": 0}}


async def test_release_frees_the_agent(autojump_clock: object) -> None:
    """R1: nothing in the runtime holds a released agent: its memory is collectable."""
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        await client.prompt(session, "hello again")
        assert await release(operator, session) == "released"
        gc.collect()
        assert [agent() for agent in factory.built] == [None]


async def test_release_touches_no_resource(autojump_clock: object) -> None:
    """R2, R4: resources stay open over a release; the fresh agent reaches the very same ones,
    under the same task id, and continues the history.
    """
    log: list[str] = []
    kinds = scripted_kinds(log, {"terminal": Rung.TERMINAL})
    async with (
        open_runtime(kinds=kinds, tools=[resource_tool()]) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        use = 'call use {"kind": "terminal"}'
        await client.prompt(session, use)
        assert await release(operator, session) == "released"
        assert (await inspect(operator, session))["resources"] == ["terminal"]
        await client.prompt(session, use)
        assert log == ["open terminal", "opened terminal"]
        assert len(kinds["terminal"].made) == 1
        assert runtime.models.opened == 2
        assert said(runtime)[1] == ("user", use)
        assert (await inspect(operator, session))["messages"] == 8


async def test_a_turn_never_loses_its_client(autojump_clock: object) -> None:
    """R5: a release of a session that builds or runs is answered busy, and does nothing."""
    models = RuleModels()
    models.open_seconds = 5
    async with (
        open_runtime(models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        prompt = await client.begin_prompt(session, "slow 1 count to 5")
        await trio.sleep(2)
        assert (await inspect(operator, session))["state"] == "starting"
        assert await release(operator, session) == "busy"
        await client.until(lambda: bool(client.text(session)))
        assert await release(operator, session) == "busy"
        assert (await client.answer(prompt))["stopReason"] == "end_turn"
        assert client.text(session) == "1 2 3 4 5"
        assert models.cut == 0


async def test_releases_join(autojump_clock: object) -> None:
    """R6: a release that meets one under way joins it; a released session says so."""
    models = RuleModels()
    models.close_seconds = 3
    async with (
        open_runtime(models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        began = trio.current_time()
        first = await operator.send("sessions/release", {"session": session})
        second = await operator.send("sessions/release", {"session": session})
        assert (await inspect(operator, session))["state"] == "releasing"
        for request in (first, second):
            assert await operator.answer(request) == {"result": "released"}
        assert trio.current_time() - began == pytest.approx(3)
        assert await release(operator, session) == "already released"
        assert len(events(runtime, "released")) == 1


async def test_a_prompt_meets_a_release(autojump_clock: object) -> None:
    """R6: a prompt that comes during a release is served after it, by a fresh agent."""
    models = RuleModels()
    models.close_seconds = 3
    factory = SpiedFactory()
    async with (
        open_runtime(models=models, factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        request = await operator.send("sessions/release", {"session": session})
        await trio.sleep(1)
        assert await client.prompt(session, "how many messages") == "end_turn"
        assert trio.current_time() >= 3
        assert await operator.answer(request) == {"result": "released"}
        assert len(factory.built) == 2
        assert runtime.models.open_handles == 1


async def test_a_handle_that_does_not_close(autojump_clock: object) -> None:
    """R1: a handle that hangs while it closes is killed after 5 s, and the session goes on."""
    models = RuleModels()
    models.close_seconds = 1000
    async with (
        open_runtime(models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        began = trio.current_time()
        assert await release(operator, session) == "released"
        assert trio.current_time() - began == pytest.approx(5)
        assert runtime.models.open_handles == 0
        assert await client.prompt(session, "hello") == "end_turn"
        models.close_seconds = 0


async def test_a_new_generation_rebuilds(autojump_clock: object) -> None:
    """S7, L2: a change of the tools rebuilds each agent before its next turn; history stays."""
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        await client.prompt(session, "hello again")
        assert len(factory.built) == 1
        runtime.registry.register(resource_tool())
        assert await client.prompt(session, "how many messages") == "end_turn"
        assert len(factory.built) == 2
        assert ("user", "hello again") in said(runtime)
        assert events(runtime, "rebuilt") == [("rebuilt", session, {"reason": "configuration"})]
        assert [data["cause"] for _, _, data in events(runtime, "released")] == ["rebuild"]
        assert (await inspect(operator, session))["lastRebuild"]["reason"] == "configuration"


async def test_a_second_message_meets_the_same_agent(autojump_clock: object) -> None:
    """L1: under the same signature the very same agent serves the next message."""
    factory = SpiedFactory()
    async with open_runtime(factory=factory) as runtime, runtime.client() as client:
        session = await client.new()
        for _ in range(3):
            await client.prompt(session, "hello")
        assert len(factory.built) == runtime.models.opened == 1
        began = [data["cached"] for _, _, data in events(runtime, "turn_started")]
        assert began == [False, True, True]
