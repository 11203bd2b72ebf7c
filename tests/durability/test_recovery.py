"""After a restart: what was pending is taken up, in order, while others are served."""

from __future__ import annotations

from collections.abc import Sequence

import apsw
import pytest
import trio
from support.factories import SpiedFactory
from support.runtime import LiveRuntime, open_runtime
from support.wire import RpcFailed, WireClient

from hermes.actors.session.content import dump_content
from hermes.adapters.store import open_memory
from hermes.adapters.store.database import Database
from hermes.adapters.store.operations import perform
from hermes.daemon.daemon import Bounds
from hermes.messages.jsonrpc import INTERRUPTED
from hermes.ports.store import AcceptPrompt, OpenSession

SESSIONS = 250
PROMPTS = 4
QUIET = 50
RECOVERY_TURNS = 8
TURN = "slow 1 count to 2"


@pytest.fixture
def pending() -> apsw.Connection:
    """A store in which 250 sessions have 4 prompts each, accepted in turns; 50 have none."""
    connection = open_memory()
    db = Database(connection)
    with connection:
        for n in range(SESSIONS + QUIET):
            perform(db, OpenSession(f"ses_{n:03d}", f"cli:{n:03d}", "local", "/", "t", n))
        for turn in range(PROMPTS):
            for n in range(SESSIONS):
                name = f"{n:03d}-{turn}"
                perform(db, AcceptPrompt(f"ses_{n:03d}", name, dump_content(TURN), 1.0))
    return connection


def started(runtime: LiveRuntime) -> list[str]:
    """The sessions in the order in which their turns began."""
    return [str(event.session) for event in runtime.kinds_of("turn_started")]


def most_at_once(runtime: LiveRuntime, but: Sequence[str]) -> int:
    """How many turns ran side by side, those of some sessions not counted."""
    running = most = 0
    for event in runtime.kinds_of("turn_started", "turn_ended"):
        if event.session not in but:
            running += 1 if event.kind == "turn_started" else -1
            most = max(most, running)
    return most


def ids_of_turns(client: WireClient, session: str) -> list[str]:
    """The ids of the turns that ended, in order."""
    marks = [u["_meta"]["hermes"] for u in client.updates if u["sessionId"] == session]
    return [mark["id"] for mark in marks if mark.get("turn") == "ended"]


async def test_a_thousand_pending_prompts(autojump_clock: object, pending: apsw.Connection) -> None:
    """D9: a thousand pending prompts are taken up in order of acceptance, 8 sessions at once,
    a new client is served meanwhile, and sessions with nothing to do are not woken.
    """
    async with (
        open_runtime(connection=pending) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        before = trio.current_time()
        new = await client.new("cli:new")
        assert await client.prompt(new, TURN) == "end_turn"
        assert trio.current_time() - before < 3
        # Each turn takes two seconds.
        await trio.sleep(SESSIONS * PROMPTS / RECOVERY_TURNS * 2 + 10)
        taken = [name for name in started(runtime) if name != new]
        # Those that run side by side have no order among themselves.
        for place, name in enumerate(taken):
            off = abs(place % SESSIONS - int(name[4:]))
            assert min(off, SESSIONS - off) < RECOVERY_TURNS
        assert most_at_once(runtime, but=[new]) == RECOVERY_TURNS
        assert len(started(runtime)) == SESSIONS * PROMPTS + 1
        listed = await operator.call("sessions/list", {"limit": 1000})
        turns = {row["id"]: row["turns"] for row in listed["sessions"]}
        states = {row["id"]: row["state"] for row in listed["sessions"]}
        for n in range(SESSIONS + QUIET):
            assert turns[f"ses_{n:03d}"] == (PROMPTS if n < SESSIONS else 0)
        assert {states[f"ses_{n:03d}"] for n in range(SESSIONS, SESSIONS + QUIET)} == {"dormant"}
        await client.call("session/load", {"sessionId": "ses_007", "cwd": "/", "mcpServers": []})
        assert ids_of_turns(client, "ses_007") == [f"007-{turn}" for turn in range(PROMPTS)]


async def test_who_speaks_first_goes_first(
    autojump_clock: object, pending: apsw.Connection
) -> None:
    """D9: a session whose client speaks first goes first, and keeps its own order."""
    async with open_runtime(connection=pending) as runtime, runtime.client() as client:
        session = "ses_200"
        await client.call("session/resume", {"sessionId": session, "cwd": "/"})
        assert await client.prompt(session, "hello", id="spoken") == "end_turn"
        assert ids_of_turns(client, session) == [*(f"200-{n}" for n in range(PROMPTS)), "spoken"]
        # Its five turns took nearly ten seconds: five rounds of two seconds for the others.
        others = [name for name in started(runtime) if name != session]
        assert set(others) == {f"ses_{n:03d}" for n in range(5 * RECOVERY_TURNS)}

        assert most_at_once(runtime, but=[session]) == RECOVERY_TURNS


async def test_one_id_a_hundred_times_over_a_restart(autojump_clock: object) -> None:
    """D5: the same id a hundred times at once, before and after a crash, runs one turn."""
    async with open_runtime() as runtime:
        connection = runtime.connection
        async with runtime.client() as client:
            session = await client.new("cli:one")
            for _ in range(100):
                await client.begin_prompt(session, "slow 1 count to 3", id="same")
            await client.until(lambda: bool(client.text(session)))
            runtime.crash()
    async with open_runtime(connection=connection, seed=5) as runtime, runtime.client() as client:
        await client.call("session/resume", {"sessionId": session, "cwd": "/"})
        asked = [
            await client.begin_prompt(session, "slow 1 count to 3", id="same") for _ in range(100)
        ]
        answers = [await client.answer(prompt) for prompt in asked]
        assert {answer["stopReason"] for answer in answers} == {"end_turn"}
        assert len(runtime.kinds_of("turn_started")) == 1
        client.updates.clear()
        await client.call("session/load", {"sessionId": session, "cwd": "/", "mcpServers": []})
        marks = [update["_meta"]["hermes"].get("turn") for update in client.updates]
        assert (marks.count("restarted"), marks.count("ended")) == (1, 1)


async def test_a_turn_that_is_cut_twice(autojump_clock: object) -> None:
    """D2: a turn that two crashes cut ends as interrupted, aloud, and what waits behind it
    is answered.
    """
    connection = open_memory()
    session = ""
    for life in range(2):
        async with open_runtime(connection=connection, seed=2 * life) as runtime:
            async with runtime.client() as client:
                session = await client.new("cli:one")
                await client.begin_prompt(session, "stall", id="poison")
                await client.begin_prompt(session, "hello", id="behind")
                await trio.sleep(1)
                runtime.crash()
    async with open_runtime(connection=connection, seed=9) as runtime, runtime.client() as client:
        await client.call("session/load", {"sessionId": session, "cwd": "/", "mcpServers": []})
        assert await client.prompt(session, "hello", id="behind") == "end_turn"
        poison = await client.begin_prompt(session, "stall", id="poison")
        await client.until(lambda: client.answered(poison))
        marks = [u["_meta"]["hermes"] for u in client.updates]
        turns = [
            (m["turn"], m.get("stopReason"))
            for m in marks
            if m.get("id") == "poison" and "turn" in m
        ]
        assert ("restarted", None) in turns
        assert turns[-1] == ("ended", "interrupted")


async def test_suspended_and_quarantined_stay_so(autojump_clock: object) -> None:
    """K4, D9: what waits in a suspended session is kept over a crash, is not run by the
    recovery, and does not keep the others waiting.
    """
    async with open_runtime() as runtime:
        connection = runtime.connection
        async with runtime.client() as client, runtime.operator() as operator:
            held, free = await client.new("cli:held"), await client.new("cli:free")
            await operator.call("sessions/suspend", {"session": held})
            await client.begin_prompt(held, "hello", id="held")
            await client.begin_prompt(free, "slow 1 hello", id="free")
            await client.until(lambda: bool(client.text(free)))
            runtime.crash()
    async with (
        open_runtime(connection=connection, seed=5) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        await trio.sleep(60)
        assert set(started(runtime)) == {free}
        inspected = await operator.call("sessions/inspect", {"session": held})
        assert inspected["state"] == "suspended"
        await operator.call("sessions/resume", {"session": held})
        assert await client.prompt(held, "hello", id="held") == "end_turn"
        assert started(runtime).count(held) == 1


@pytest.mark.parametrize("places", [1, 2])
async def test_a_crash_in_a_recovery(autojump_clock: object, places: int) -> None:
    """D9, K4: an actor that crashes during a recovery, which never ends here, strands no prompt:
    not where a client spoke (1 place), not where the recovery had granted them (2 places).
    """
    bounds = Bounds(recovery_turns=places)
    async with open_runtime(bounds=bounds) as runtime:
        connection = runtime.connection
        async with runtime.client() as client:
            busy, victim = await client.new("cli:busy"), await client.new("cli:victim")
            await client.begin_prompt(busy, "stall")
            await client.begin_prompt(victim, TURN, id="cut")
            await client.until(lambda: bool(client.text(victim)))
            runtime.crash()
    factory = SpiedFactory()
    async with (
        open_runtime(connection=connection, seed=7, bounds=bounds, factory=factory) as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        await client.call("session/resume", {"sessionId": victim, "cwd": "/"})
        if places == 1:
            await trio.sleep(1)
            assert started(runtime) == [busy]
            await client.begin_prompt(victim, "hello", id="spoken")
        await client.until(lambda: bool(client.text(victim)))
        factory.victim, factory.crashes = victim, 1
        await operator.call("sessions/inspect", {"session": victim})
        assert factory.crashes == 0
        # Nobody speaks again: what waits is taken up all the same.
        await trio.sleep(60)
        inspected = await operator.call("sessions/inspect", {"session": victim})
        assert (inspected["state"], inspected["mailboxDepth"]) == ("idle", 0)
        cut = await client.begin_prompt(victim, TURN, id="cut")
        with pytest.raises(RpcFailed) as caught:
            await client.answer(cut)
        assert caught.value.code == INTERRUPTED
        assert await client.prompt(victim, "hello", id="spoken") == "end_turn"
