from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from support.runtime import open_runtime
from support.wire import Frame, RpcFailed, WireClient


def hermes(update: Frame) -> dict[str, Any]:
    """What is ours in the params of an update."""
    found: dict[str, Any] = update.get("_meta", {}).get("hermes", {})
    return found


def kind(update: Frame) -> str:
    return str(update["update"]["sessionUpdate"])


def numbered(client: WireClient, session: str) -> list[Frame]:
    """The numbered updates of a session, as they came."""
    return [one for one in client.updates if one["sessionId"] == session and "seq" in hermes(one)]


async def turn_ended(client: WireClient) -> None:
    """Wait until a turn has ended in what this connection sees."""
    await client.until(lambda: any(hermes(one).get("turn") == "ended" for one in client.updates))


async def test_the_sender_sees(autojump_clock: object) -> None:
    """Its sender gets: accepted, started, the chunks, ended, then the answer, in this order."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        before = len(client.frames)
        turn = await client.begin_prompt(session, "count to 3", id="mine")
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        *frames, answer = client.frames[before:]
        assert answer["id"] == turn
        accepted, started, *chunks, ended = [frame["params"] for frame in frames]
        assert accepted["update"] == started["update"] == {"sessionUpdate": "session_info_update"}
        assert hermes(accepted) == {"accepted": {"id": "mine", "position": 0}}
        assert hermes(started) == {"seq": 1, "turn": "started", "id": "mine"}
        assert {kind(chunk) for chunk in chunks} == {"agent_message_chunk"}
        assert {"messageId"} <= set.intersection(*(set(chunk["update"]) for chunk in chunks))
        assert len({chunk["update"]["messageId"] for chunk in chunks}) == 1
        assert hermes(ended) == {
            "seq": client.numbers(session)[-1][1],
            "turn": "ended",
            "stopReason": "end_turn",
            "id": "mine",
        }


async def test_others_see(autojump_clock: object) -> None:
    """Every other connection gets the user's message, under the number of the sender's mark."""
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:a")
        assert await two.new("cli:a") == session
        await one.prompt(session, "count to 3")
        await turn_ended(two)
        user, *_, ended = two.updates
        assert kind(user) == "user_message_chunk"
        assert user["update"]["content"] == {"type": "text", "text": "count to 3"}
        assert user["update"]["messageId"]
        assert hermes(user) == {"seq": 1}
        assert hermes(ended) == hermes(numbered(one, session)[-1])
        assert two.text(session) == one.text(session)
        assert not any("accepted" in hermes(one) for one in two.updates)


async def test_a_joined_prompt_is_answered_after_its_end(autojump_clock: object) -> None:
    """D5: a repeat joins the turn; on both connections its updates precede the answers."""
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:a")
        assert await two.new("cli:a") == session
        first = await one.begin_prompt(session, "slow 1 count to 3", id="same")
        await one.until(lambda: bool(one.text(session)))
        second = await two.begin_prompt(session, "slow 1 count to 3", id="same")
        assert await one.answer(first) == await two.answer(second) == {"stopReason": "end_turn"}
        for client, identity in ((one, first), (two, second)):
            *_, ended, answer = client.frames
            assert hermes(ended["params"])["turn"] == "ended"
            assert answer["id"] == identity
        assert len(runtime.models.requests) == 1
        again = await one.answer(await one.begin_prompt(session, "slow 1 count to 3", id="same"))
        assert again == {"stopReason": "end_turn"}
        with pytest.raises(RpcFailed) as failed:
            await two.prompt(session, "something else", id="same")
        assert failed.value.code == -31008


@pytest.mark.parametrize(
    ("text", "code"), [("fail 503", -31006), ("fail 400", -31006), ("truncate", -31006)]
)
async def test_a_turn_that_fails(autojump_clock: object, text: str, code: int) -> None:
    """A failed turn ends with its mark, then its error with what the provider did."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        with pytest.raises(RpcFailed) as failed:
            await client.prompt(session, text)
        assert failed.value.code == code
        assert {"provider", "status", "retryable"} <= set(failed.value.data)
        mark = hermes(client.frames[-2]["params"])
        assert mark["turn"] == "ended"
        assert await client.prompt(session, "hello") == "end_turn"


async def test_numbers(autojump_clock: object) -> None:
    """D4: numbers start at 1 and have no gap, over turns, release, close and connections."""
    async with (
        open_runtime() as runtime,
        runtime.operator() as operator,
        runtime.client() as watcher,
    ):
        session = await watcher.new("cli:a")
        for number in range(4):
            async with runtime.client() as client:
                assert await client.new("cli:a") == session
                await client.prompt(session, f"count to {number + 2}")
            await operator.call("sessions/release", {"session": session})
        last = (await operator.call("sessions/inspect", {"session": session}))["lastSeq"]
        await watcher.until(lambda: watcher.numbers(session)[-1][1] == last)
        await operator.call("sessions/close", {"session": session})
        await watcher.prompt(session, "hello")
        numbers = watcher.numbers(session)
        assert numbers[0][0] == 1
        assert all(before[1] + 1 == after[0] for before, after in pairwise(numbers))


async def test_a_long_answer_is_split(autojump_clock: object) -> None:
    """No frame of ours is over 1 MiB: a long message is split, and comes whole to all."""
    text = "\N{SNOWMAN}" * 100_000
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:a")
        assert await two.new("cli:a") == session
        assert await one.prompt(session, text) == "end_turn"
        await turn_ended(two)
        said = [
            update["update"]["content"]["text"]
            for update in two.updates
            if kind(update) == "user_message_chunk"
        ]
        assert len(said) > 1
        assert "".join(said) == text
        largest = max(len(json.dumps(frame, ensure_ascii=False).encode()) for frame in two.frames)
        assert largest <= 1_048_576
        assert all(a[1] + 1 == b[0] for a, b in pairwise(two.numbers(session)))
