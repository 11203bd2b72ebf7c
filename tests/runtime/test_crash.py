"""Crashes of actors in the whole runtime: one session's problem, and not for long."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

import pytest
import trio
from support.factories import SpiedFactory
from support.looking import events, inspect, status
from support.runtime import LiveRuntime, open_runtime
from support.wire import RpcFailed

from hermes.errors import StoreCorrupt
from hermes.ports.store import LoadSession, Operation

R = TypeVar("R")


async def test_neighbours_are_undisturbed(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """K4: an actor's crash is logged with its traceback and takes no neighbour down."""
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        victim, neighbour = await client.new(), await client.new()
        turn = await client.begin_prompt(neighbour, "slow 1 count to 5")
        await client.until(lambda: bool(client.text(neighbour)))
        factory.victim, factory.crashes = victim, 1
        await inspect(operator, victim)
        assert factory.crashes == 0
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        assert client.text(neighbour) == "1 2 3 4 5"
        assert await client.prompt(victim, "hello") == "end_turn"
        (record,) = [record for record in caplog.records if "crashed" in record.getMessage()]
        assert victim in record.getMessage()
        assert record.exc_info is not None


async def test_prompts_are_taken_up(autojump_clock: object) -> None:
    """K4, D2: the next actor takes up the running prompt and those that wait, in order; their
    clients get one answer each, and updates go on without a gap.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory, store_delay=lambda: 0.05) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        requests = [
            await client.begin_prompt(session, f"slow 0.02 repeat 20 {word}") for word in "abc"
        ]
        await client.until(lambda: bool(client.text(session)))
        factory.crashes = 1
        await inspect(operator, session)
        for request in requests:
            assert (await client.answer(request))["stopReason"] == "end_turn"
        assert [data["cached"] for _, _, data in events(runtime, "turn_started")] == [
            False, False, True, True,
        ]  # fmt: skip
        assert len(events(runtime, "restarted")) == 1
        assert client.text(session).endswith("a " * 19 + "a" + "b " * 19 + "b" + "c " * 19 + "c")
        numbers = client.numbers(session)
        assert numbers[0][0] == 1
        assert all(one[1] + 1 == two[0] for one, two in pairwise(numbers))


@pytest.mark.parametrize("after", [0.0, 0.01, 0.03, 0.06, 0.11, 0.16])
async def test_prompts_on_their_way_to_the_disk(autojump_clock: object, after: float) -> None:
    """K2, D1: a prompt that an actor's crash meets on its way to the disk runs once, and its
    sender has one answer; where it was not taken, its sender is told.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory, store_delay=lambda: 0.05) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        requests = []
        for number in range(4):
            requests.append(await client.begin_prompt(session, f"repeat 1 {number}"))
            await trio.sleep(0.01)
        await trio.sleep(after)
        factory.crashes = 1
        await inspect(operator, session)
        outcomes = []
        for request in requests:
            try:
                outcomes.append((await client.answer(request))["stopReason"])
            except RpcFailed as error:
                outcomes.append(error.code)
        assert set(outcomes) <= {"end_turn", -32603}
        assert outcomes.count(-32603) <= 1
        await trio.sleep(10)
        ended = events(runtime, "turn_ended")
        assert len(ended) == 1 + outcomes.count("end_turn")
        assert (await status(operator))["mailboxDepth"] == 0


@pytest.mark.parametrize("after", [0.11, 0.12, 0.13, 0.14])
async def test_numbers_go_on(autojump_clock: object, after: float) -> None:
    """D4: an actor that crashes while its updates wait for the disk leaves no number to be given
    twice: the next one goes on behind them.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory, store_delay=lambda: 0.05) as runtime,
        runtime.client() as client,
    ):
        session = await client.new("cli:one")
        async with runtime.client() as leaving:
            await leaving.new("cli:one")
            request = await client.begin_prompt(session, "slow 0.012 repeat 40 a")
            await client.until(lambda: bool(client.text(session)))
            await trio.sleep(after)
            # The connection goes, and telling the session so crashes it at once.
            factory.crashes = 1
        assert (await client.answer(request))["stopReason"] == "end_turn"
        assert factory.crashes == 0
        numbers = client.numbers(session)
        assert all(one[1] + 1 == two[0] for one, two in pairwise(numbers))


async def test_a_crash_loop_is_quarantined(autojump_clock: object) -> None:
    """K4: more than 5 crashes in 10 s quarantine that session alone, visibly; it keeps what
    comes, and an operator's resume lets it go on.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        victim, neighbour = await client.new("cli:victim"), await client.new("cli:neighbour")
        factory.victim, factory.crashes = victim, 1_000_000
        await inspect(operator, victim)
        await trio.sleep(1)
        assert factory.crashes == 1_000_000 - 6
        ((_, session, data),) = events(runtime, "quarantined")
        assert session == victim
        assert "a planted crash" in data["error"]
        assert (await inspect(operator, victim))["state"] == "quarantined"
        kept = await client.begin_prompt(victim, "hello")
        assert await client.prompt(neighbour, "hello") == "end_turn"
        await trio.sleep(60)
        assert not client.answered(kept)
        factory.crashes = 0
        await operator.call("sessions/resume", {"session": victim})
        assert (await client.answer(kept))["stopReason"] == "end_turn"
        assert (await inspect(operator, victim))["state"] == "idle"


async def test_rare_crashes_are_forgiven(autojump_clock: object) -> None:
    """K4: crashes that are far enough apart never quarantine."""
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new()
        for _ in range(20):
            factory.crashes = 1
            await inspect(operator, session)
            await trio.sleep(2.1)
        assert events(runtime, "quarantined") == []
        assert await client.prompt(session, "hello") == "end_turn"


async def test_a_quarantine_is_kept(autojump_clock: object) -> None:
    """K4: a quarantine outlives the daemon, and a dormant session's is lifted on its row."""
    factory = SpiedFactory()
    async with open_runtime(factory=factory) as runtime:
        connection = runtime.connection
        async with runtime.client() as client, runtime.operator() as operator:
            session = await client.new("cli:one")
            factory.crashes = 6
            await inspect(operator, session)
            await trio.sleep(1)
            runtime.crash()
            await trio.sleep(1)
    async with open_runtime(connection=connection, seed=3) as runtime:
        async with runtime.operator() as operator:
            assert (await inspect(operator, "cli:one"))["state"] == "quarantined"
            await operator.call("sessions/resume", {"session": "cli:one"})
            assert (await inspect(operator, "cli:one"))["state"] == "dormant"
        async with runtime.client() as client:
            session = await client.new("cli:one")
            assert await client.prompt(session, "hello") == "end_turn"


async def test_asks_of_a_crashed_actor(autojump_clock: object) -> None:
    """K3: who waits for an answer of an actor that crashes is answered all the same."""
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        name = {"session": session}
        for method in ("sessions/inspect", "sessions/release", "sessions/close", "sessions/list"):
            factory.crashes = 1
            answer = await operator.call(method, {} if method.endswith("list") else name)
            assert answer
            assert factory.crashes == 0
            assert await client.prompt(session, "hello") == "end_turn"


def unreadable(runtime: LiveRuntime, seconds: float, patch: pytest.MonkeyPatch) -> None:
    """Make every read of a session's row fail, after some seconds."""
    run = runtime.store.run

    async def failing(operation: Operation[R]) -> R:
        if isinstance(operation, LoadSession):
            await trio.sleep(seconds)
            raise StoreCorrupt("a planted failure")
        return await run(operation)

    patch.setattr(runtime.store, "run", failing)


async def test_a_crash_and_then_an_unreadable_session(autojump_clock: object) -> None:
    """K2, D1: where no actor can follow one that crashed every sender is told, the one whose
    prompt was with the store too; that prompt is kept, and runs once when the session is back.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory, store_delay=lambda: 0.1) as runtime,
        runtime.client() as client,
    ):
        session = await client.new()
        await client.prompt(session, "hello")
        requests = [await client.begin_prompt(session, "count to 3", id="kept")]
        await trio.sleep(0.02)
        with pytest.MonkeyPatch.context() as patch:
            unreadable(runtime, 1.0, patch)
            factory.crashes = 1
            for _ in range(3):
                # The first crashes the actor, the next two wait for one that cannot come.
                requests.append(await client.begin_prompt(session, "hello"))
                await trio.sleep(0.02)
            assert factory.crashes == 0
            for request in requests:
                with trio.fail_after(60), pytest.raises(RpcFailed) as caught:
                    await client.answer(request)
                assert caught.value.code == -32603
        before = len(runtime.models.requests)
        assert await client.prompt(session, "count to 3", id="kept") == "end_turn"
        assert len(runtime.models.requests) == before + 1
