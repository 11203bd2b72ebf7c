from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from support.runtime import open_runtime
from support.wire import RpcFailed, WireClient

NEW = {"cwd": "/", "mcpServers": []}


async def refused(client: WireClient, text: str) -> dict[str, Any]:
    """The error, under whatever id, that a frame is answered with."""
    before = len(client.frames)
    await client.raw(text)
    await client.until(lambda: len(client.frames) > before)
    frame = client.frames[before]
    return {"id": frame["id"], **frame["error"]}


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
    "params in a list": ('{"jsonrpc":"2.0","id":7,"method":"session/new","params":[]}', -32602, 7),
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
