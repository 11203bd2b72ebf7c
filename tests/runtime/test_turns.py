"""Turns in the whole runtime: the inactivity clock, and what belongs to one turn only."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.looking import inspect, said, status
from support.rule_models import RuleModels
from support.runtime import open_runtime
from support.tools import silent_tool
from support.wire import RpcFailed, WireClient

from hermes.daemon.daemon import Bounds

#: The limit of silence where none is configured.
LIMIT = 1800


async def failure(client: WireClient, request: int) -> RpcFailed:
    """Wait for a prompt that fails."""
    with pytest.raises(RpcFailed) as caught:
        await client.answer(request)
    return caught.value


async def test_a_fresh_turn_starts_the_clock(autojump_clock: object) -> None:
    """A1: a turn on a reused agent says so, and an idle session does not trip the watchdog."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        await trio.sleep(29 * 60)
        turn = await client.begin_prompt(session, "slow 600 hello")
        await trio.sleep(300)
        seen = (await inspect(operator, session))["turn"]
        assert seen["activity"] == "starting new turn (cached)"
        assert seen["silent"] == seen["age"] == pytest.approx(300)
        assert (await client.answer(turn))["stopReason"] == "end_turn"


async def test_silence_stops_a_turn(autojump_clock: object) -> None:
    """A4: a turn with no sign of life is stopped and its user told; the session stays usable and
    its history says what happened.
    """
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        error = await failure(client, await client.begin_prompt(session, "stall"))
        assert trio.current_time() == pytest.approx(LIMIT, abs=1)
        assert error.code == -31006
        assert error.data["reason"] == "inactivity"
        assert runtime.models.in_flight == 0
        assert (await inspect(operator, session))["state"] == "idle"
        assert await client.prompt(session, "hello") == "end_turn"
        told = [text for role, text in said(runtime) if role == "assistant"]
        assert "no sign of life for 1800 s" in told[-1]
        assert (await status(operator))["turns"]["failed"] == 1


async def test_signs_of_life(autojump_clock: object) -> None:
    """A4: chunks, a tool's progress and a tool's end each keep a turn alive, however long."""
    async with open_runtime(tools=[silent_tool()]) as runtime, runtime.client() as client:
        session = await client.new()
        assert await client.prompt(session, "slow 1700 count to 4") == "end_turn"
        assert await client.prompt(session, 'call wait {"seconds": 3600}') == "end_turn"
        quiet = 'call silent {"seconds": 1700}\nthen\ncall silent {"seconds": 1700}'
        assert await client.prompt(session, quiet) == "end_turn"
        stuck = await client.begin_prompt(session, 'call silent {"seconds": 1900}')
        assert (await failure(client, stuck)).data["reason"] == "inactivity"


async def test_the_limit_may_be_lifted(autojump_clock: object) -> None:
    """A4: with no limit a turn may be silent for ever; a new one counts for the next turn."""
    bounds = Bounds(inactivity=None)
    async with (
        open_runtime(bounds=bounds) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        assert await client.prompt(session, "slow 3600 repeat 1 word") == "end_turn"
        await operator.call("supervisor/configure", {"inactivityLimit": 60})
        began = trio.current_time()
        await failure(client, await client.begin_prompt(session, "stall"))
        assert trio.current_time() - began == pytest.approx(60, abs=1)


async def test_interruptions_of_a_stuck_turn(autojump_clock: object) -> None:
    """A2, A3: interrupting again and again cannot keep a stuck session alive: the clock and its
    description go on, the depth is counted, and model calls start at 0.
    """
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        stuck = await client.begin_prompt(session, 'call wait {"seconds": 1}\nthen\nstall')
        await trio.sleep(1)
        await client.answer(stuck)
        began = trio.current_time()
        requests = [await client.begin_prompt(session, "slow 3000 hello")]
        for depth in (1, 2, 3):
            await trio.sleep(500)
            requests.append(
                await client.begin_prompt(session, "slow 3000 hello", whenBusy="interrupt")
            )
            await trio.sleep(1)
            turn = (await inspect(operator, session))["turn"]
            assert turn["depth"] == depth
            assert turn["activity"] == "starting new turn (cached)"
            assert turn["silent"] == pytest.approx(trio.current_time() - began, abs=1)
            assert turn["age"] == pytest.approx(1, abs=1)
            assert turn["modelCalls"] == 1
        error = await failure(client, requests[-1])
        assert error.data["reason"] == "inactivity"
        assert trio.current_time() - began == pytest.approx(LIMIT, abs=1)
        for request in requests[:-1]:
            assert (await client.answer(request))["stopReason"] == "cancelled"


async def test_a_sign_of_life_of_its_own(autojump_clock: object) -> None:
    """A2: an interruption that shows a sign of life has its own clock from then on."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.begin_prompt(session, "slow 3000 hello")
        await trio.sleep(1700)
        turn = await client.begin_prompt(session, "slow 90 count to 40", whenBusy="interrupt")
        await trio.sleep(500)
        seen = (await inspect(operator, session))["turn"]
        assert seen["activity"] == "receiving from the model"
        assert seen["silent"] < 100
        assert (await client.answer(turn))["stopReason"] == "end_turn"


async def test_an_interrupted_build_has_no_clock_to_leave(autojump_clock: object) -> None:
    """A1: an interruption of a turn that had not begun does not inherit one of an hour ago."""
    models = RuleModels()
    async with (
        open_runtime(models=models) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        await operator.call("sessions/release", {"session": session})
        await trio.sleep(3600)
        models.open_seconds = 10
        first = await client.begin_prompt(session, "hello")
        await trio.sleep(1)
        second = await client.begin_prompt(session, "slow 5 hello", whenBusy="interrupt")
        assert (await client.answer(first))["stopReason"] == "cancelled"
        assert (await client.answer(second))["stopReason"] == "end_turn"


async def test_model_calls_are_counted_in_each_turn(autojump_clock: object) -> None:
    """A3: the limit of model calls counts from 0 in every turn."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        rounds = "\nthen\n".join(["call clock {}"] * 15)
        assert await client.prompt(session, rounds) == "end_turn"
        assert await client.prompt(session, rounds) == "end_turn"
        too_many = "\nthen\n".join(["call clock {}"] * 25)
        assert await client.prompt(session, too_many) == "max_turn_requests"
        assert await client.prompt(session, "hello") == "end_turn"


def about_turns(client: WireClient) -> list[dict[str, Any]]:
    """What a connection was told of the beginnings of turns."""
    found = []
    for update in client.updates:
        kind = update["update"]["sessionUpdate"]
        hermes = update.get("_meta", {}).get("hermes", {})
        if kind == "user_message_chunk":
            found.append({"user": update["update"]["content"]["text"]})
        elif hermes.get("turn") == "started":
            found.append({"started": hermes.get("id")})
    return found


async def test_what_a_message_brings_is_its_turns_own(autojump_clock: object) -> None:
    """L8: who asked, and under which id, belongs to one turn: it rebuilds no agent, and the next
    turn knows nothing of it.
    """
    async with (
        open_runtime() as runtime,
        runtime.client() as one,
        runtime.client() as two,
    ):
        session = await one.new("cli:shared")
        await two.new("cli:shared")
        await one.prompt(session, "from one", id="a")
        await two.prompt(session, "from two")
        await two.until(lambda: len(about_turns(two)) == 2)
        assert about_turns(one) == [{"started": "a"}, {"user": "from two"}]
        assert about_turns(two) == [{"user": "from one"}, {"started": None}]
        assert runtime.models.opened == 1


async def test_a_providers_failure_is_its_prompts(autojump_clock: object) -> None:
    """A failed turn answers with what the provider did, and the session goes on."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        error = await failure(client, await client.begin_prompt(session, "fail 503"))
        assert error.code == -31006
        assert (error.data["provider"], error.data["status"]) == ("rules", 503)
        assert error.data["retryable"] is True
        limited = await failure(client, await client.begin_prompt(session, "fail 429 after 7"))
        assert limited.data["retryAfterSeconds"] == 7
        assert await client.prompt(session, "hello") == "end_turn"
        turns = (await status(operator))["turns"]
        assert turns == {"started": 3, "completed": 1, "failed": 2, "cancelled": 0}


async def test_turns_wait_for_their_slot(autojump_clock: object) -> None:
    """With a bound on concurrent turns, a turn that waits for its slot is `queued`, and runs."""
    async with (
        open_runtime(bounds=Bounds(concurrent_turns=1)) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        first, second = await client.new(), await client.new()
        running = await client.begin_prompt(first, "slow 5 hello")
        await trio.sleep(1)
        waiting = await client.begin_prompt(second, "hello")
        await trio.sleep(1)
        assert (await inspect(operator, second))["state"] == "queued"
        assert (await client.answer(running))["stopReason"] == "end_turn"
        assert (await client.answer(waiting))["stopReason"] == "end_turn"
