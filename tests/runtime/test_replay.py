"""Coming back: load, resume, list, delete, through the wire and in virtual time."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from support.runtime import open_runtime
from support.wire import RpcFailed, WireClient


def consecutive(numbers: list[tuple[int, int]]) -> bool:
    """Whether ranges of numbers follow one another without a gap or a double."""
    return all(before[1] + 1 == after[0] for before, after in pairwise(numbers))


async def resume(client: WireClient, session: str, after: int | None) -> dict[str, object]:
    """Resume a session after a number."""
    params: dict[str, object] = {"sessionId": session, "cwd": "/"}
    if after is not None:
        params["_meta"] = {"hermes": {"afterSeq": after}}
    result = await client.call("session/resume", params)
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("lost_after", range(1, 12))
async def test_resume_gives_exactly_what_was_missed(
    autojump_clock: object, lost_after: int
) -> None:
    """D4: one that went in mid-turn resumes after N and gets those above N, once, then live."""
    async with open_runtime() as runtime:
        async with runtime.client() as client:
            session = await client.new("cli:one")
            await client.begin_prompt(session, "slow 1 count to 20")
            await client.until(lambda: bool(client.numbers(session)))
            await client.until(lambda: client.numbers(session)[-1][1] >= lost_after)
            seen = client.numbers(session)[-1][1]
            before = client.text(session)
        await trio.sleep(3)
        async with runtime.client() as client:
            await resume(client, session, seen)
            await client.until(
                lambda: any(
                    update["_meta"]["hermes"].get("turn") == "ended" for update in client.updates
                )
            )
            numbers = client.numbers(session)
            assert numbers[0][0] == seen + 1
            assert consecutive(numbers)
            assert before + client.text(session) == " ".join(str(n) for n in range(1, 21))


async def test_load_replays_all_then_answers(autojump_clock: object) -> None:
    """D4: load replays every number that is kept, the user's message too, before it answers."""
    async with open_runtime() as runtime:
        async with runtime.client() as client:
            session = await client.new("cli:one")
            await client.prompt(session, "hello", id="once")
        async with runtime.client() as client:
            result = await client.call(
                "session/load", {"sessionId": session, "cwd": "/", "mcpServers": []}
            )
            numbers = client.numbers(session)
            assert numbers[0][0] == 1
            assert numbers[-1][1] == result["_meta"]["hermes"]["lastSeq"]
            assert consecutive(numbers)
            assert client.updates[0]["update"]["sessionUpdate"] == "user_message_chunk"


@pytest.mark.parametrize("after", [99, 4])
async def test_resume_beyond_what_is_there(autojump_clock: object, after: int) -> None:
    """D4: numbers that were not given yet are a typed error that says which are there."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        with pytest.raises(RpcFailed) as failed:
            await resume(client, session, after)
        assert failed.value.code == -31005
        assert failed.value.data == {"firstSeq": 1, "lastSeq": 0}


async def test_resume_without_a_number_replays_nothing(autojump_clock: object) -> None:
    """Resume without afterSeq attaches, and sends only what comes."""
    async with open_runtime() as runtime:
        async with runtime.client() as client:
            session = await client.new("cli:one")
            await client.prompt(session, "hello")
        async with runtime.client() as client:
            facts = (await resume(client, session, None))["_meta"]["hermes"]  # type: ignore[index]
            assert client.numbers(session) == []
            await client.prompt(session, "count to 3")
            assert client.numbers(session)[0][0] == facts["lastSeq"] + 1


async def test_list_and_delete(autojump_clock: object) -> None:
    """A deleted session is forgotten: unknown by id, its key free, not listed any more."""
    async with open_runtime() as runtime, runtime.client() as client, runtime.client() as other:
        session = await client.new("cli:one")
        await client.prompt(session, "hello")
        running = await client.begin_prompt(session, "stall")
        await client.until(lambda: "chunk" in str(client.updates[-1]))
        listed = await other.call("session/list", {})
        assert [one["sessionId"] for one in listed["sessions"]] == [session]
        assert await other.call("session/delete", {"sessionId": session}) == {}
        assert (await client.answer(running))["stopReason"] == "cancelled"
        for method, params in (
            ("session/prompt", {"prompt": [{"type": "text", "text": "hello"}]}),
            ("session/load", {"cwd": "/", "mcpServers": []}),
            ("session/delete", {}),
        ):
            with pytest.raises(RpcFailed) as failed:
                await client.call(method, {"sessionId": session, **params})
            assert failed.value.code == -32002
        assert (await other.call("session/list", {}))["sessions"] == []
        assert await client.new("cli:one") != session


async def test_someone_elses_sessions(autojump_clock: object) -> None:
    """Z3: a token sees the sessions of its principal only; an operator's sees all."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.client("other") as other,
        runtime.client("operator") as operator,
    ):
        session = await client.new("cli:one")
        assert (await other.call("session/list", {}))["sessions"] == []
        with pytest.raises(RpcFailed) as failed:
            await resume(other, session, 0)
        assert failed.value.code == -32002
        assert len((await operator.call("session/list", {}))["sessions"]) == 1


async def test_drain_and_resume(autojump_clock: object) -> None:
    """D8: a drain refuses prompts and waits for turns; what waited runs after a resume."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        first = await client.begin_prompt(session, "slow 1 count to 3")
        second = await client.begin_prompt(session, "hello")
        await client.until(lambda: bool(client.text(session)))
        drained = await operator.call("supervisor/drain", {"timeout": 60})
        assert drained == {"drained": 1, "interrupted": 0}
        assert (await client.answer(first))["stopReason"] == "end_turn"
        assert not client.answered(second)
        with pytest.raises(RpcFailed) as failed:
            await client.prompt(session, "hello")
        assert failed.value.code == -31003
        assert (await operator.call("supervisor/status"))["draining"] is True
        assert await operator.call("supervisor/resume") == {}
        assert (await client.answer(second))["stopReason"] == "end_turn"


async def test_a_drain_that_is_too_short(autojump_clock: object) -> None:
    """D8: a turn that outlasts a drain is cut, unanswered, and runs once more after it."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        turn = await client.begin_prompt(session, "slow 1 count to 5")
        await client.until(lambda: bool(client.text(session)))
        drained = await operator.call("supervisor/drain", {"timeout": 1})
        assert drained == {"drained": 0, "interrupted": 1}
        assert (await operator.call("supervisor/status"))["sessions"]["busy"] == 0
        await trio.sleep(60)
        assert not client.answered(turn)
        assert await operator.call("supervisor/resume") == {}
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        marks = [update["_meta"]["hermes"].get("turn") for update in client.updates]
        assert [mark for mark in marks if mark] == ["started", "restarted", "ended"]
        await client.prompt(session, "how many messages")
        assert client.text(session).endswith("There are 4 messages.")
        assert consecutive(client.numbers(session))


async def test_shutdown_by_an_operator(autojump_clock: object) -> None:
    """supervisor/shutdown answers, lets turns finish, then says 1001 to everyone."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
    ):
        session = await client.new("cli:one")
        turn = await client.begin_prompt(session, "slow 1 count to 3")
        await client.until(lambda: bool(client.text(session)))
        assert await operator.call("supervisor/shutdown", {"timeout": 60}) == {}
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        await runtime.daemon.ended.wait()
        await client.until(lambda: client.closed)
        assert client.socket.closed is not None
        assert client.socket.closed.code == 1001
