from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
import trio
from support.runtime import open_runtime
from support.wire import Frame, RpcFailed, WireClient

NEW = {"cwd": "/", "mcpServers": []}


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


async def refused(client: WireClient, text: str) -> dict[str, Any]:
    """The error, under whatever id, that a frame is answered with."""
    before = len(client.frames)
    await client.raw(text)
    await client.until(lambda: len(client.frames) > before)
    frame = client.frames[before]
    return {"id": frame["id"], **frame["error"]}


# -- framing ------------------------------------------------------------------


FRAMES = {
    "not json": ("{nonsense", -32700, None),
    "nothing": ("", -32700, None),
    "nan": ('{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":NaN}}', -32700, None),
    "depth": ("[" * 100_000, -32700, None),
    "a duplicate key": ('{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}', -32700, None),
    "a lone surrogate": ('{"jsonrpc":"2.0","id":1,"method":"\\ud800"}', -32700, None),
    "a long number": ('{"jsonrpc":"2.0","id":' + "1" * 5000 + ',"method":"x"}', -32700, None),
    "a batch": ('[{"jsonrpc":"2.0","id":1,"method":"initialize"}]', -32600, None),
    "an empty batch": ("[]", -32600, None),
    "a number": ("1", -32600, None),
    "null": ("null", -32600, None),
    "no version": ('{"id":7,"method":"initialize"}', -32600, 7),
    "another version": ('{"jsonrpc":"1.0","id":7,"method":"initialize"}', -32600, 7),
    "no method": ('{"jsonrpc":"2.0","id":7}', -32600, 7),
    "a method that is a number": ('{"jsonrpc":"2.0","id":7,"method":1}', -32600, 7),
    "an id of null": ('{"jsonrpc":"2.0","id":null,"method":"initialize"}', -32600, None),
    "an id that is a list": ('{"jsonrpc":"2.0","id":[1],"method":"initialize"}', -32600, None),
    "a fractional id": ('{"jsonrpc":"2.0","id":1.5,"method":"initialize"}', -32600, None),
    "a boolean id": ('{"jsonrpc":"2.0","id":true,"method":"initialize"}', -32600, None),
    "params that are a list": ('{"jsonrpc":"2.0","id":7,"method":"initialize","params":[]}', -32602, 7),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code", "identity"), FRAMES.values(), ids=FRAMES)
async def test_bad_frames(
    autojump_clock: object, text: str, code: int, identity: int | None
) -> None:
    """Z6: a bad frame gets the documented error under the documented id, and nothing closes."""
    async with open_runtime() as runtime, runtime.client() as client:
        error = await refused(client, text)
        assert (error["code"], error["id"]) == (code, identity)
        assert await client.prompt(await client.new(), "hello") == "end_turn"


async def test_an_id_in_flight(autojump_clock: object) -> None:
    """An id that is still in flight gets -32600; once answered, it may come again."""
    # Unvalidated: the harness takes the first answer under an id for the only one.
    async with open_runtime() as runtime, runtime.connect(validate=False) as client:
        await client.initialize()
        session = await client.new()
        prompt = {"sessionId": session, "prompt": [{"type": "text", "text": "stall"}]}
        await client.send_as("same", "session/prompt", prompt)
        await client.until(lambda: bool(client.text(session)))
        twice = {"jsonrpc": "2.0", "id": "same", "method": "session/new", "params": NEW}
        error = await refused(client, json.dumps(twice))
        assert (error["code"], error["id"]) == (-32600, "same")
        await client.notify("$/cancel_request", {"requestId": "same"})
        await client.until(lambda: "result" in client.frames[-1])
        last = client.frames[-1]
        assert (last["id"], last["result"]) == ("same", {"stopReason": "cancelled"})
        await client.send_as("same", "session/new", NEW)
        await client.until(lambda: "sessionId" in client.frames[-1].get("result", {}))


@pytest.mark.parametrize("identity", [0, -1, "", "0", 2**53, "\N{SNOWMAN}"])
async def test_ids(autojump_clock: object, identity: int | str) -> None:
    """An id may be 0, and any other integer or string; it comes back as it was."""
    async with open_runtime() as runtime, runtime.connect() as client:
        await client.send_as(identity, "initialize", {"protocolVersion": 1})
        await client.answer(identity)
        assert client.frames[0]["id"] == identity
        assert type(client.frames[0]["id"]) is type(identity)


async def test_unknown_methods(autojump_clock: object) -> None:
    """An unknown method gets -32601; unknown notifications and stray answers are ignored."""
    async with open_runtime() as runtime, runtime.client() as client:
        for method in ("session/unheard", "supervisor/status", "_extension", ""):
            with pytest.raises(RpcFailed) as failed:
                await client.call(method, {})
            assert failed.value.code == -32601
        before = len(client.frames)
        await client.notify("session/unheard", {})
        await client.notify("session/cancel", {"nonsense": 1})
        await client.notify("$/cancel_request", {"requestId": "never sent"})
        await client.raw('{"jsonrpc":"2.0","id":5,"result":{}}')
        await client.raw('{"jsonrpc":"2.0","id":5,"error":"broken"}')
        await client.raw(b"binary")
        await trio.testing.wait_all_tasks_blocked()
        assert len(client.frames) == before
        await client.new()


WRONG: dict[str, tuple[str, dict[str, Any], str]] = {
    "no cwd": ("session/new", {"mcpServers": []}, "cwd"),
    "a relative cwd": ("session/new", {**NEW, "cwd": "src"}, "cwd"),
    "a cwd that is not there": ("session/new", {**NEW, "cwd": "/missing/folder"}, "cwd"),
    "a cwd that is a number": ("session/new", {**NEW, "cwd": 1}, "cwd"),
    "no mcpServers": ("session/new", {"cwd": "/"}, "mcpServers"),
    "an unknown property": ("session/new", {**NEW, "more": 1}, "more"),
    "a key without a colon": (
        "session/new", {**NEW, "_meta": {"hermes": {"key": "one"}}}, "_meta.hermes.key",
    ),
    "a key of another type": (
        "session/new", {**NEW, "_meta": {"hermes": {"key": 1}}}, "_meta.hermes.key",
    ),
    "a key that is a path": (
        "session/new", {**NEW, "_meta": {"hermes": {"key": "cli:../../etc"}}}, "_meta.hermes.key",
    ),
    "no session": ("session/prompt", {"prompt": []}, "sessionId"),
    "a prompt that is a text": ("session/prompt", {"sessionId": "s", "prompt": "hi"}, "prompt"),
    "a block without its text": (
        "session/prompt",
        {"sessionId": "s", "prompt": [{"type": "text", "text": "a"}, {"type": "text"}]},
        "prompt[1].text",
    ),
    "an unknown way when busy": (
        "session/prompt",
        {"sessionId": "s", "prompt": [], "_meta": {"hermes": {"whenBusy": "shout"}}},
        "_meta.hermes.whenBusy",
    ),
    "no version": ("initialize", {}, "protocolVersion"),
    "close without a session": ("session/close", {}, "sessionId"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "params", "path"), WRONG.values(), ids=WRONG)
async def test_wrong_params(
    autojump_clock: object, method: str, params: dict[str, Any], path: str
) -> None:
    """Wrong or missing params get -32602 with the path of the first problem."""
    async with open_runtime() as runtime, runtime.client() as client:
        with pytest.raises(RpcFailed) as failed:
            await client.call(method, params)
        assert failed.value.code == -32602
        assert failed.value.data["path"] == path
        await client.new()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "data": "aGk=", "mimeType": "image/png"},
        {"type": "audio", "data": "aGk=", "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "a"}},
    ],
    ids=lambda block: block["type"],
)
async def test_content_that_is_not_taken(autojump_clock: object, block: dict[str, Any]) -> None:
    """Content that was not advertised is refused by its type, and the prompt not accepted."""
    async with open_runtime() as runtime, runtime.client() as client:
        session = await client.new()
        prompt = [{"type": "text", "text": "look"}, block]
        with pytest.raises(RpcFailed) as failed:
            await client.call("session/prompt", {"sessionId": session, "prompt": prompt})
        assert failed.value.code == -32602
        assert failed.value.data["path"] == "prompt[1].type"
        assert client.updates == []


# -- initialize ---------------------------------------------------------------


async def test_before_initialize(autojump_clock: object) -> None:
    """Anything before initialize gets -32600 `not initialized`, and initialize goes on."""
    async with open_runtime() as runtime, runtime.connect() as client:
        for method, params in (("session/new", NEW), ("session/unheard", {})):
            with pytest.raises(RpcFailed) as failed:
                await client.call(method, params)
            assert (failed.value.code, failed.value.message) == (-32600, "not initialized")
        await client.notify("session/cancel", {"sessionId": "s"})
        await client.initialize()
        await client.new()


@pytest.mark.parametrize("version", [1, 2, 65_535, 0])
async def test_versions(autojump_clock: object, version: int) -> None:
    """protocolVersion answers 1 whatever is asked, and a second initialize answers again."""
    async with open_runtime() as runtime, runtime.connect() as client:
        first = await client.call("initialize", {"protocolVersion": version})
        assert first["protocolVersion"] == 1
        assert first["authMethods"] == []
        assert await client.call("initialize", {"protocolVersion": 1}) == first


async def test_capabilities_are_true(autojump_clock: object) -> None:
    """What is advertised is served, and what is served is advertised, as `{}` objects."""
    async with open_runtime() as runtime, runtime.connect() as client:
        able = (await client.initialize())["agentCapabilities"]
        sessions = able["sessionCapabilities"]
        assert all(value == {} for value in sessions.values())
        assert not any(able["promptCapabilities"].values())
        advertised = {f"session/{name}" for name in sessions}
        if able.get("loadSession"):
            advertised.add("session/load")
        for name in ("load", "list", "resume", "close", "delete"):
            try:
                await client.call(f"session/{name}", {"cursor": 1})
            except RpcFailed as failed:
                served = failed.code != -32601
            assert served == (f"session/{name}" in advertised), name


# -- sessions -----------------------------------------------------------------


async def test_a_new_session(autojump_clock: object) -> None:
    """The answer to new says its key, whether it existed, its last number and its state."""
    async with open_runtime() as runtime, runtime.client() as client:
        first = await client.call("session/new", {**NEW, "_meta": {"hermes": {"key": "cli:a"}}})
        facts = first["_meta"]["hermes"]
        assert facts == {"key": "cli:a", "existing": False, "lastSeq": 0, "state": "idle"}
        assert ":" not in first["sessionId"]
        await client.prompt(first["sessionId"], "hello")
        last = client.numbers(first["sessionId"])[-1][1]
        again = await client.call(
            "session/new", {"cwd": "/other", "mcpServers": [], "_meta": {"hermes": {"key": "cli:a"}}}
        )
        assert again["sessionId"] == first["sessionId"]
        facts = again["_meta"]["hermes"]
        assert (facts["existing"], facts["lastSeq"]) == (True, last)


async def test_sessions_without_a_key(autojump_clock: object) -> None:
    """Without a key each new session is another, with a key of its own."""
    async with open_runtime() as runtime, runtime.client() as client:
        answers = [await client.call("session/new", NEW) for _ in range(3)]
        assert len({answer["sessionId"] for answer in answers}) == 3
        assert len({answer["_meta"]["hermes"]["key"] for answer in answers}) == 3


async def test_two_at_once_make_one(autojump_clock: object) -> None:
    """Two session/new with the same key at once make one session."""
    delays = iter([0.5, 0.1] * 100)
    async with (
        open_runtime(store_delay=lambda: next(delays, 0.0)) as runtime,
        runtime.client() as one,
        runtime.client() as two,
    ):
        params = {**NEW, "_meta": {"hermes": {"key": "cli:same"}}}
        sent = [(client, await client.send("session/new", params)) for client in (one, two, one)]
        answers = [await client.answer(identity) for client, identity in sent]
        assert len({answer["sessionId"] for answer in answers}) == 1
        existing = sorted(answer["_meta"]["hermes"]["existing"] for answer in answers)
        assert existing == [False, True, True]


async def test_attaching_replays_nothing(autojump_clock: object) -> None:
    """session/new of an existing key attaches without a replay, and goes on live."""
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:a")
        await one.prompt(session, "hello")
        assert await two.new("cli:a") == session
        await trio.testing.wait_all_tasks_blocked()
        assert numbered(two, session) == []
        last = one.numbers(session)[-1][1]
        await one.prompt(session, "count to 3")
        await turn_ended(two)
        assert two.text(session) == "1 2 3"
        assert two.numbers(session)[0][0] == last + 1


METHODS = ["session/prompt", "session/close", "session/load", "session/resume", "session/delete"]


@pytest.mark.parametrize("method", METHODS)
async def test_other_peoples_sessions(autojump_clock: object, method: str) -> None:
    """Z3: somebody else's session is as unknown as one that never was: -32002 with its id."""
    async with (
        open_runtime() as runtime,
        runtime.client() as mine,
        runtime.client("other") as other,
        runtime.client("operator") as operator,
    ):
        session = await mine.new("cli:mine")

        def params(identity: str) -> dict[str, Any]:
            more: dict[str, dict[str, Any]] = {
                "session/prompt": {"prompt": [{"type": "text", "text": "hi"}]},
                "session/load": NEW,
                "session/resume": {"cwd": "/"},
            }
            return {"sessionId": identity, **more.get(method, {})}

        errors = []
        for client, identity in ((other, session), (mine, "ses_never"), (mine, "cli:mine")):
            with pytest.raises(RpcFailed) as failed:
                await client.call(method, params(identity))
            assert failed.value.data == {"sessionId": identity}
            errors.append((failed.value.code, failed.value.message))
        assert errors == [(-32002, "unknown session")] * 3
        await operator.call(method, params(session))


async def test_other_people_cannot_cancel(autojump_clock: object) -> None:
    """Z3: a cancel of somebody else's session is ignored."""
    async with (
        open_runtime() as runtime,
        runtime.client() as mine,
        runtime.client("other") as other,
    ):
        session = await mine.new("cli:mine")
        turn = await mine.begin_prompt(session, "slow 1 hello")
        await mine.until(lambda: bool(mine.text(session)))
        await other.notify("session/cancel", {"sessionId": session})
        await other.notify("$/cancel_request", {"requestId": turn})
        assert (await mine.answer(turn))["stopReason"] == "end_turn"


async def test_a_key_of_somebody_else(autojump_clock: object) -> None:
    """Z3: another owner's key is -32602, and nobody is attached."""
    async with (
        open_runtime() as runtime,
        runtime.client() as mine,
        runtime.client("other") as other,
    ):
        session = await mine.new("cli:mine")
        with pytest.raises(RpcFailed) as failed:
            await other.new("cli:mine")
        assert failed.value.code == -32602
        assert failed.value.data["path"] == "_meta.hermes.key"
        await mine.prompt(session, "hello")
        assert other.updates == []


async def test_close(autojump_clock: object) -> None:
    """R9: a close answers `{}`, again too; others learn it; a prompt starts a new actor."""
    async with open_runtime() as runtime, runtime.client() as one, runtime.client() as two:
        session = await one.new("cli:a")
        assert await two.new("cli:a") == session
        running = await one.begin_prompt(session, "stall")
        waiting = await one.begin_prompt(session, "hello")
        await one.until(lambda: bool(one.text(session)))
        assert await two.call("session/close", {"sessionId": session}) == {}
        assert await one.answer(running) == {"stopReason": "cancelled"}
        assert await one.answer(waiting) == {"stopReason": "cancelled"}
        await one.until(lambda: any(hermes(seen).get("closed") == "client" for seen in one.updates))
        assert await one.call("session/close", {"sessionId": session}) == {}
        assert await one.prompt(session, "hello") == "end_turn"


# -- a turn on the wire -------------------------------------------------------


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


async def test_a_client_that_leaves_while_it_attaches(autojump_clock: object) -> None:
    """B12: an attach that waits for a close to end keeps no session awake for a client gone."""
    async with open_runtime() as runtime, runtime.operator() as operator:
        async with runtime.client() as client:
            session = await client.new("cli:a")
            await client.prompt(session, "hello")
            runtime.models.close_seconds = 3.0
            closing = await operator.send("sessions/close", {"session": session})
            async with runtime.client() as late:
                await late.send("session/new", {**NEW, "_meta": {"hermes": {"key": "cli:a"}}})
                await trio.testing.wait_all_tasks_blocked()
            await operator.answer(closing)
        await trio.testing.wait_all_tasks_blocked()
        seen = await operator.call("sessions/inspect", {"session": session})
        assert (seen["state"], seen["clients"]) == ("dormant", 0)
