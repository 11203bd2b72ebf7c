"""Several clients on one session, slow ones, and ones that are gone without a word."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from attrs import evolve
from support.runtime import LiveRuntime, open_runtime, seeded_world
from support.slow_stream import Valve, ValveStream
from support.wire import RpcFailed, WireClient

from hermes.daemon.daemon import Bounds

# Prompts that may wait, by default; one more runs.
MAILBOX = 100

# A word that the model echoes: said and answered, half a megabyte each.
LONG = "x" * 500_000


def whole(numbers: list[tuple[int, int]], first: int, last: int) -> bool:
    """Whether these are the numbers from `first` to `last`, each once."""
    spans = [(first - 1, first - 1), *numbers, (last + 1, last + 1)]
    return all(before[1] + 1 == after[0] for before, after in pairwise(spans))


async def resumed(runtime: LiveRuntime, session: str, after: int, last: int) -> bool:
    """Whether a client that resumes after a number gets exactly what is above it."""
    async with runtime.client() as client:
        meta = {"hermes": {"afterSeq": after}}
        await client.call("session/resume", {"sessionId": session, "cwd": "/", "_meta": meta})
        await client.until(lambda: last_of(client, session) >= last)
        return whole(client.numbers(session), after + 1, last)


def last_of(client: WireClient, session: str) -> int:
    """The last number that a client has; 0 before the first."""
    return client.numbers(session)[-1][1] if client.numbers(session) else 0


async def test_a_hundred_and_fifty_prompts_at_once(autojump_clock: object) -> None:
    """K2: of 150 prompts at once to a busy session each is answered or refused aloud; those
    that were acknowledged are the ones that are answered.
    """
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:one")
        running = await one.begin_prompt(session, "slow 1 hello")
        await one.until(lambda: bool(one.text(session)))
        asked = [
            (client, await client.begin_prompt(session, "hello", id=f"{n}"))
            for n in range(150)
            for client in [one if n % 2 else two]
        ]
        outcomes: list[str] = []
        refusals: set[tuple[int, bool]] = set()
        for client, prompt in asked:
            try:
                outcomes.append((await client.answer(prompt))["stopReason"])
            except RpcFailed as failed:
                refusals.add((failed.code, failed.data["retryAfterSeconds"] > 0))
                outcomes.append("refused")
        await one.answer(running)
        assert refusals == {(-31002, True)}
        assert outcomes.count("end_turn") == MAILBOX
        assert outcomes.count("refused") == 150 - MAILBOX
        accepted = [
            update["_meta"]["hermes"]["accepted"].get("id")
            for client in (one, two)
            for update in client.updates
            if "accepted" in update["_meta"]["hermes"]
        ]
        answered = {f"{n}" for n, outcome in enumerate(outcomes) if outcome == "end_turn"}
        assert set(accepted) - {None} == answered
        assert len(accepted) == MAILBOX + 1


async def test_all_clients_see_the_same(autojump_clock: object) -> None:
    """D4: all clients of a session see the same numbers and text; one that goes takes nothing
    along, and its prompt is answered to whoever asks for it again.
    """
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:one")
        async with runtime.client() as sender:
            assert await sender.new("cli:one") == session
            assert await two.new("cli:one") == session
            await sender.begin_prompt(session, "slow 1 count to 5", id="gone")
            await two.until(lambda: bool(two.text(session)))
        assert await two.prompt(session, "slow 1 count to 5", id="gone") == "end_turn"
        await one.until(lambda: last_of(one, session) == last_of(two, session))
        assert one.text(session) == two.text(session) == "1 2 3 4 5"
        assert whole(one.numbers(session), 1, last_of(one, session))
        assert whole(two.numbers(session), 1, last_of(two, session))


async def test_deltas_for_a_slow_reader_are_joined(autojump_clock: object) -> None:
    """A client that stops reading for a while gets what piled up in few frames, without a gap,
    and the session has not waited for it.
    """
    slow = Valve()
    valves = [slow, Valve()]
    async with (
        open_runtime(wire=lambda stream: ValveStream(stream, valves.pop(0))) as runtime,
        runtime.client() as reader,
        runtime.client() as client,
    ):
        session = await reader.new("cli:one")
        slow.out = trio.Event()
        before = trio.current_time()
        assert await client.prompt(session, "slow 0.1 count to 100") == "end_turn"
        assert trio.current_time() - before < 11
        assert reader.numbers(session) == []
        slow.out.set()
        await reader.until(lambda: last_of(reader, session) == last_of(client, session))
        assert reader.text(session) == client.text(session)
        assert whole(reader.numbers(session), 1, last_of(client, session))
        assert len(client.numbers(session)) > 100
        assert len(reader.numbers(session)) < 10


async def test_a_reader_that_is_too_slow(autojump_clock: object) -> None:
    """A client that does not read past its limit is closed with 1008; its session goes on, and
    what it missed can be resumed without a gap.
    """
    slow = Valve()
    valves = [slow, Valve(), Valve()]
    async with (
        open_runtime(wire=lambda stream: ValveStream(stream, valves.pop(0))) as runtime,
        runtime.client() as client,
    ):
        async with runtime.client() as worker:
            session = await client.new("cli:one")
            assert await worker.prompt(session, "count to 3") == "end_turn"
            await client.until(lambda: last_of(client, session) == last_of(worker, session))
            slow.out = trio.Event()
            for _ in range(10):
                assert await worker.prompt(session, LONG) == "end_turn"
            slow.out.set()
            with pytest.raises(ConnectionError):
                await client.until(lambda: False)
            closed = client.socket.closed
            assert closed is not None
            assert (closed.code, closed.reason) == (1008, "slow consumer")
            assert whole(client.numbers(session), 1, last_of(client, session))
            seen = last_of(client, session)
            assert await worker.prompt(session, "hello") == "end_turn"
            last = last_of(worker, session)
        assert await resumed(runtime, session, seen, last)


async def test_a_half_open_connection(autojump_clock: object) -> None:
    """A client from which no pong comes is dropped after 20 s and 25 s, and its turn goes on."""
    dead = Valve()
    valves = [dead, Valve(), Valve()]
    async with open_runtime(wire=lambda stream: ValveStream(stream, valves.pop(0))) as runtime:
        async with runtime.client() as client, runtime.operator() as operator:
            session = await client.new("cli:one")
            await client.begin_prompt(session, "slow 10 count to 10")
            await client.until(lambda: bool(client.text(session)))
            dead.into = trio.Event()
            await trio.sleep(20)
            assert (await operator.call("sessions/inspect", {"session": session}))["clients"] == 1
            await trio.sleep(26)
            inspected = await operator.call("sessions/inspect", {"session": session})
            assert inspected["clients"] == 0
            assert inspected["state"] == "running"
            seen = last_of(client, session)
            await trio.sleep(100)
            inspected = await operator.call("sessions/inspect", {"session": session})
            assert inspected["turns"] == 1
            assert await resumed(runtime, session, seen, inspected["lastSeq"])


async def test_a_jump_of_the_wall_clock(autojump_clock: object) -> None:
    """D10: a wall clock that jumps a year ahead or back expires nothing: no agent, no turn, no
    connection.
    """
    jump = [0.0]
    world = seeded_world(0)
    world = evolve(world, wall=lambda: 1_700_000_000.0 + jump[0])
    async with (
        open_runtime(world=world, bounds=Bounds()) as runtime,
        runtime.client() as client,
    ):
        idle, busy = await client.new("cli:idle"), await client.new("cli:busy")
        await client.prompt(idle, "hello")
        for year in (365 * 86_400.0, -365 * 86_400.0):
            turn = await client.begin_prompt(busy, "slow 10 count to 5")
            await trio.sleep(15)
            jump[0] = year
            await trio.sleep(15)
            assert runtime.models.open_handles == 2
            assert (await client.answer(turn))["stopReason"] == "end_turn"
            assert runtime.kinds_of("released", "closed", "warning") == []
        await trio.sleep(3600)
        assert [event.session for event in runtime.kinds_of("released")] == [idle]
