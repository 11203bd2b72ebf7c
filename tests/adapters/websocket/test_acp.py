from __future__ import annotations

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
    """The version answers 1 whatever is asked, and a second initialize answers again."""
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
            "session/new",
            {"cwd": "/other", "mcpServers": [], "_meta": {"hermes": {"key": "cli:a"}}},
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
