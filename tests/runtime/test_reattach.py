"""Joins that meet a close, a crash, a delete, a disk that fails or a trim: none is lost."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TypeVar

import pytest
import support.runtime
import trio
from support.factories import SpiedFactory
from support.looking import inspect
from support.runtime import LiveRuntime, open_runtime
from support.slow_stream import Valve, ValveStream
from support.wire import RpcFailed, WireClient

from hermes.adapters.store import SqliteStore
from hermes.adapters.store.updates import TRIM_EVERY
from hermes.errors import StoreError
from hermes.ports.store import Operation, ReadUpdates

R = TypeVar("R")

#: Seconds that a handle takes to close in these tests: an actor goes that slowly.
CLOSING = 3.0

#: Rounds of the loop: many times what a load takes.  A task with nothing to do takes none.
ROUNDS = 500

#: Updates that are kept in the test of trimming: more than one page of a replay.
KEPT = 600

#: The number at which a replay that has only begun is far behind what is kept.
TRIMMED = 2 * KEPT + 2 * TRIM_EVERY


class Steps(trio.abc.Instrument):
    """Counts how often each task ran."""

    def __init__(self) -> None:
        self.of: dict[str, int] = {}

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """One more."""
        self.of[task.name] = self.of.get(task.name, 0) + 1


async def begin_load(client: WireClient, session: str) -> int:
    """Send a `session/load`."""
    return await client.send("session/load", {"sessionId": session, "cwd": "/", "mcpServers": []})


async def outcome_of(client: WireClient, request: int) -> object:
    """The code of the error that a request has within a minute; None for a result."""
    with trio.fail_after(60):
        try:
            await client.answer(request)
        except RpcFailed as error:
            return error.code
    return None


async def test_a_join_behind_one_that_left(autojump_clock: object) -> None:
    """R9: who joins while an actor goes sees the next one's updates, though another client
    joined before it and has left meanwhile.
    """
    async with (
        open_runtime() as runtime,
        runtime.client() as prompting,
        runtime.client() as joining,
        runtime.operator() as operator,
    ):
        async with runtime.client() as leaving:
            session = await leaving.new("cli:one")
            await leaving.prompt(session, "hello")
            runtime.models.close_seconds = CLOSING
            closing = await operator.send("sessions/close", {"session": session})
            await trio.sleep(CLOSING / 3)
            await begin_load(leaving, session)
            await trio.sleep(CLOSING / 30)
        await trio.sleep(CLOSING / 30)
        joined = await begin_load(joining, session)
        await operator.answer(closing)
        assert await outcome_of(joining, joined) is None
        # An actor that thinks itself alone has gone by then.
        await trio.sleep(CLOSING)
        before = joining.numbers(session)[-1][1]
        assert await prompting.prompt(session, "hello") == "end_turn"
        await joining.until(lambda: joining.numbers(session)[-1][1] > before)


async def take_rounds() -> None:
    """Let every task that can run do so, many times."""
    for _ in range(ROUNDS):
        await trio.lowlevel.checkpoint()


def unreadable(runtime: LiveRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the store fail to read updates, and nothing else."""
    run = runtime.store.run

    async def failing(operation: Operation[R]) -> R:
        if isinstance(operation, ReadUpdates):
            await trio.lowlevel.checkpoint()
            raise StoreError("a planted failure")
        return await run(operation)

    monkeypatch.setattr(runtime.store, "run", failing)


async def test_a_replay_that_cannot_read(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D4: a replay that cannot be read answers its load with an error and ends the connection,
    which leaves no task that turns in circles.
    """
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        async with runtime.client() as loading:
            unreadable(runtime, monkeypatch)
            load = await begin_load(loading, session)
            # By rounds: where a task turns in circles, virtual time stands still.
            await take_rounds()
            assert loading.closed
            assert await outcome_of(loading, load) == -32603
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            await take_rounds()
            trio.lowlevel.remove_instrument(steps)
            busy = [name for name, count in steps.of.items() if count > ROUNDS / 10]
            assert busy == [trio.lowlevel.current_task().name]
        assert await client.prompt(session, "hello") == "end_turn"


async def test_a_join_again_meets_a_delete(autojump_clock: object) -> None:
    """K3: a join that met a crash and then a delete is told that the session is unknown, a
    prompt beside it too, and the daemon serves on.
    """
    factory = SpiedFactory()
    async with (
        open_runtime(factory=factory) as runtime,
        runtime.client() as client,
        runtime.client() as other,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        runtime.models.close_seconds = CLOSING
        factory.crashes = 1
        await operator.send("sessions/inspect", {"session": session})
        await trio.sleep(CLOSING / 10)
        assert factory.crashes == 0
        prompt = await client.begin_prompt(session, "hello")
        load = await begin_load(other, session)
        await trio.sleep(CLOSING / 10)
        deleted = await other.send("session/delete", {"sessionId": session})
        assert await outcome_of(other, load) == -32002
        assert await outcome_of(client, prompt) == -32002
        assert await outcome_of(other, deleted) is None
        fresh = await client.new("cli:one")
        assert fresh != session
        assert (await inspect(operator, fresh))["state"] == "idle"


async def say_until(client: WireClient, session: str, number: int) -> None:
    """Prompt until an update has that number."""
    await client.prompt(session, "hello")
    while client.numbers(session)[-1][1] < number:
        await client.prompt(session, "hello")


async def test_a_trim_passes_a_replay(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D4: a replay so slow that what comes next is trimmed ends its connection, never jumps over
    the gap; who resumes there is told which numbers are left.
    """
    monkeypatch.setattr(support.runtime, "SqliteStore", partial(SqliteStore, keep_updates=KEPT))
    valve = Valve()
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        await say_until(client, session, KEPT)
        runtime.wire = partial(ValveStream, valve=valve)
        async with runtime.client() as slow:
            valve.out = trio.Event()
            await begin_load(slow, session)
            await trio.sleep(1)
            await say_until(client, session, TRIMMED)
            valve.out.set()
            with pytest.raises(ConnectionError):
                await slow.until(lambda: False)
            numbers = slow.numbers(session)
            assert all(one[1] + 1 == two[0] for one, two in pairwise(numbers))
            seen = numbers[-1][1]
        assert client.numbers(session)[-1][1] - seen > KEPT
        async with runtime.client() as back:
            meta = {"hermes": {"afterSeq": seen}}
            params = {"sessionId": session, "cwd": "/", "mcpServers": [], "_meta": meta}
            with pytest.raises(RpcFailed) as failed:
                await back.call("session/resume", params)
            assert failed.value.code == -31005
            assert failed.value.data["firstSeq"] > seen + 1
