"""The harness is judged: one that accepted everything would prove nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from support.acp_schema import SchemaViolation
from support.runtime import validator
from support.wire import speaking
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_client_stream, wrap_server_stream

CHUNK = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "x"}}


def update(**more: Any) -> dict[str, Any]:
    return {
        "jsonrpc": "2.0",
        "method": "session/update",
        "params": {"sessionId": "s", "update": CHUNK, **more},
    }


async def meet(frame: dict[str, Any]) -> int:
    """Let a daemon send this frame to a client of the harness; how many frames it took."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:
        servers: list[WebSocketConnection] = []

        async def accept() -> None:
            request = await wrap_server_stream(nursery, theirs)
            servers.append(await request.accept())

        nursery.start_soon(accept)
        socket = await wrap_client_stream(nursery, ours, "h", "/acp")  # type: ignore[arg-type]
        async with speaking(socket, validator()) as client:
            await servers[0].send_message(json.dumps(frame))
            await client.until(lambda: bool(client.frames))
        nursery.cancel_scope.cancel()
    return len(client.frames)


async def test_a_good_frame() -> None:
    """A frame of the schema reaches the test."""
    assert await meet(update()) == 1


BAD: dict[str, dict[str, Any]] = {
    "a property of ours outside _meta": update(seq=1),
    "a missing property": {
        "jsonrpc": "2.0",
        "method": "session/update",
        "params": {"update": CHUNK},
    },
    "an unknown method": {"jsonrpc": "2.0", "method": "session/unheard", "params": {}},
    "a result that nobody asked for": {"jsonrpc": "2.0", "id": 99, "result": {}},
    "a null result": {"jsonrpc": "2.0", "id": 1, "result": None},
    "no version": {"id": None, "error": {"code": -32700, "message": "parse error"}},
}


@pytest.mark.parametrize("frame", BAD.values(), ids=BAD)
async def test_a_bad_frame(frame: dict[str, Any]) -> None:
    """A frame that the published schema forbids fails whichever test it comes to."""
    with pytest.RaisesGroup(SchemaViolation, flatten_subgroups=True):
        await meet(frame)
