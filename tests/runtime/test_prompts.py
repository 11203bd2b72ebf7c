"""Prompts in the whole runtime: each accepted one has one end, whatever it meets."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from support.looking import events, inspect, status
from support.runtime import open_runtime
from support.wire import RpcFailed, WireClient

from hermes.daemon.daemon import Bounds


async def outcome(client: WireClient, request: int) -> object:
    """The stop reason, or the error's code."""
    try:
        return (await client.answer(request))["stopReason"]
    except RpcFailed as error:
        return error.code


def accepted(client: WireClient) -> list[dict[str, Any]]:
    """The acknowledgements that came, in order."""
    found = [update.get("_meta", {}).get("hermes", {}) for update in client.updates]
    return [hermes["accepted"] for hermes in found if "accepted" in hermes]


async def test_prompts_wait_in_order(autojump_clock: object) -> None:
    """K1: prompts of one session run one after another, in the order in which they came."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        requests = [
            await client.begin_prompt(session, f"slow 1 repeat 1 {word}", id=word) for word in "abc"
        ]
        assert [await outcome(client, request) for request in requests] == ["end_turn"] * 3
        assert client.text(session) == "abc"
        assert accepted(client) == [
            {"id": word, "position": place} for place, word in enumerate("abc")
        ]


async def test_when_busy_reject(autojump_clock: object) -> None:
    """`reject` answers -31001 while a turn runs, and was not accepted."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        running = await client.begin_prompt(session, "slow 5 hello")
        await trio.sleep(1)
        refused = await client.begin_prompt(session, "hello", whenBusy="reject", id="x")
        with pytest.raises(RpcFailed) as caught:
            await client.answer(refused)
        assert caught.value.code == -31001
        assert caught.value.data["retryAfterSeconds"] > 0
        assert await outcome(client, running) == "end_turn"
        assert await client.prompt(session, "count to 2", whenBusy="reject", id="x") == "end_turn"


async def test_when_busy_interrupt(autojump_clock: object) -> None:
    """`interrupt` cancels the running prompt, and runs before the queue."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        running = await client.begin_prompt(session, "slow 50 hello")
        queued = await client.begin_prompt(session, "repeat 1 queued")
        await trio.sleep(1)
        first = await client.begin_prompt(session, "repeat 1 first,", whenBusy="interrupt")
        assert await outcome(client, running) == "cancelled"
        assert await outcome(client, first) == "end_turn"
        assert await outcome(client, queued) == "end_turn"
        assert client.text(session) == "first,queued"
        assert trio.current_time() < 5


async def test_two_interruptions_at_once(autojump_clock: object) -> None:
    """Interruptions that meet: the running prompt is cancelled once, each has its answer."""
    async with open_runtime(store_delay=lambda: 0.01) as runtime, runtime.client() as client:
        session = await client.new()
        requests = [await client.begin_prompt(session, "slow 50 hello")]
        await trio.sleep(1)
        for _ in range(5):
            requests.append(await client.begin_prompt(session, "hello", whenBusy="interrupt"))
        outcomes = [await outcome(client, request) for request in requests]
        assert outcomes[0] == "cancelled"
        assert set(outcomes[1:]) <= {"cancelled", "end_turn"}
        assert "end_turn" in outcomes


async def test_a_full_mailbox(autojump_clock: object) -> None:
    """K2: one runs and `mailbox` wait; all others are refused aloud, with a time to retry."""
    bounds = Bounds(mailbox=3)
    async with (
        open_runtime(bounds=bounds) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        requests = [await client.begin_prompt(session, "slow 5 hello") for _ in range(200)]
        await trio.sleep(2)
        seen = await inspect(operator, session)
        assert (seen["busy"], seen["mailboxDepth"]) == (True, 3)
        assert (await status(operator))["mailboxDepth"] == 3
        refused = [request for request in requests if client.answered(request)]
        assert refused == requests[4:]
        with pytest.raises(RpcFailed) as caught:
            await client.answer(refused[0])
        assert caught.value.code == -31002
        assert caught.value.data["retryAfterSeconds"] > 0
        assert {await outcome(client, request) for request in refused} == {-31002}
        taken = [await outcome(client, request) for request in requests[:4]]
        assert taken == ["end_turn"] * 4
        assert (await status(operator))["mailboxDepth"] == 0


async def test_cancel_of_the_session(autojump_clock: object) -> None:
    """`session/cancel`: the running prompt and every one that waits answer cancelled, once."""
    async with open_runtime(store_delay=lambda: 0.01) as runtime, runtime.client() as client:
        session = await client.new()
        requests = [await client.begin_prompt(session, "slow 50 hello") for _ in range(10)]
        await client.notify("session/cancel", {"sessionId": session})
        outcomes = [await outcome(client, request) for request in requests]
        assert outcomes == ["cancelled"] * 10
        assert await client.prompt(session, "hello") == "end_turn"


async def test_cancel_of_one_request(autojump_clock: object) -> None:
    """`$/cancel_request` stops that prompt only, running or waiting."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        running, waiting, kept = [
            await client.begin_prompt(session, "slow 50 repeat 1 word") for _ in range(3)
        ]
        await trio.sleep(1)
        for request in (waiting, running):
            await client.notify("$/cancel_request", {"requestId": request})
            assert await outcome(client, request) == "cancelled"
        assert await outcome(client, kept) == "end_turn"
        assert client.text(session) == "word"


async def test_an_operator_interrupts(autojump_clock: object) -> None:
    """`sessions/interrupt` stops the turn that runs, and says where there is none."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        running = await client.begin_prompt(session, "stall")
        await trio.sleep(1)
        name = {"session": "cli:one"}
        assert await operator.call("sessions/interrupt", name) == {"interrupted": True}
        assert await outcome(client, running) == "cancelled"
        assert await operator.call("sessions/interrupt", name) == {"interrupted": False}


async def test_one_id_a_hundred_times(autojump_clock: object) -> None:
    """D5: the same id a hundred times at once runs one turn, and all get the same answer; after
    the end a repeat gets it again, and other content is -31008.
    """
    async with (
        open_runtime(store_delay=lambda: 0.01) as runtime,
        runtime.client() as one,
        runtime.client() as two,
    ):
        session = await one.new("cli:once")
        await two.new("cli:once")
        requests = [
            (client, await client.begin_prompt(session, "count to 3", id="once"))
            for _ in range(50)
            for client in (one, two)
        ]
        outcomes = [await outcome(client, request) for client, request in requests]
        assert outcomes == ["end_turn"] * 100
        assert await one.prompt(session, "count to 3", id="once") == "end_turn"
        assert len(events(runtime, "turn_started")) == 1
        assert len(runtime.models.requests) == 1
        assert one.text(session) == "1 2 3"
        other = await one.begin_prompt(session, "count to 4", id="once")
        assert await outcome(one, other) == -31008


async def test_a_failure_is_kept_under_its_id(autojump_clock: object) -> None:
    """D5: a repeat of a prompt that failed gets the same error, and runs nothing."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        errors = []
        for _ in range(2):
            with pytest.raises(RpcFailed) as caught:
                await client.prompt(session, "fail 503", id="bad")
            errors.append((caught.value.code, caught.value.data))
        assert errors[0] == errors[1]
        assert len(runtime.models.requests) == 1


@pytest.mark.parametrize("delay", [0.001, 0.01, 0.1])
async def test_a_repeat_meets_a_cancel(autojump_clock: object, delay: float) -> None:
    """D5: a repeated id that meets its prompt's cancel or end runs nothing again, and every
    repeat has an answer.
    """
    async with open_runtime(store_delay=lambda: delay) as runtime, runtime.client() as client:
        session = await client.new()
        requests = []
        for _ in range(10):
            requests.append(await client.begin_prompt(session, "hello", id="one"))
            await client.notify("session/cancel", {"sessionId": session})
            requests.append(await client.begin_prompt(session, "hello", id="one"))
            await trio.sleep(delay / 3)
        outcomes = {await outcome(client, request) for request in requests}
        assert outcomes <= {"cancelled", "end_turn"}
        assert len(outcomes) == 1 or len(events(runtime, "turn_started")) <= 1
        assert len(events(runtime, "turn_started")) <= 1


async def test_suspend_and_resume(autojump_clock: object) -> None:
    """A suspended session keeps what comes and runs nothing; control still reaches it; resumed,
    it goes on.
    """
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        name = {"session": session}
        assert await operator.call("sessions/suspend", name) == {"state": "suspended"}
        request = await client.begin_prompt(session, "hello")
        await trio.sleep(60)
        assert not client.answered(request)
        seen = await inspect(operator, session)
        assert (seen["state"], seen["mailboxDepth"]) == ("suspended", 1)
        await operator.call("sessions/resume", name)
        assert await outcome(client, request) == "end_turn"


async def test_a_suspension_is_kept(autojump_clock: object) -> None:
    """A suspension outlives the daemon, and the prompts that wait for its end do too."""
    async with open_runtime() as runtime:
        connection = runtime.connection
        async with runtime.client() as client, runtime.operator() as operator:
            session = await client.new("cli:one")
            await operator.call("sessions/suspend", {"session": session})
            await client.begin_prompt(session, "count to 3", id="kept")
            await client.until(lambda: bool(accepted(client)))
            runtime.crash()
            await trio.sleep(1)
    async with (
        open_runtime(connection=connection, seed=7) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        await trio.sleep(60)
        assert (await inspect(operator, session))["state"] == "suspended"
        await operator.call("sessions/resume", {"session": session})
        assert await client.prompt(session, "count to 3", id="kept") == "end_turn"
        assert len(events(runtime, "turn_started")) == 1
