from __future__ import annotations

import json

import httpx
import pytest
import trio
import trio.testing

from hermes.adapters.models.pool import ModelPools
from hermes.adapters.offline import OfflineModel, serve_offline
from hermes.errors import (
    ModelError,
    ProviderFailed,
    ProviderRejected,
    RateLimited,
    StreamEmpty,
    StreamGarbled,
    StreamTruncated,
)
from hermes.ports.model import (
    Finished,
    ModelEvent,
    ModelHandle,
    ModelRequest,
    Runtime,
    Secret,
    TextDelta,
    ThoughtDelta,
    ToolCallDelta,
    Usage,
)

TOOLS = b'[{"type":"function","function":{"name":"ls","parameters":{}}}]'


@pytest.fixture
async def model(nursery: trio.Nursery) -> OfflineModel:
    offline: OfflineModel = await nursery.start(serve_offline)
    return offline


@pytest.fixture
async def pools(nursery: trio.Nursery) -> ModelPools:
    pools = ModelPools()
    await nursery.start(pools.serve)
    return pools


@pytest.fixture
async def handle(pools: ModelPools, model: OfflineModel) -> ModelHandle:
    return await pools.open(
        Runtime("offline", "offline", model.base_url, credential=model.credential)
    )


def request(prompt: str) -> ModelRequest:
    message = json.dumps({"role": "user", "content": prompt})
    return ModelRequest([b'{"role":"system","content":"You are Hermes."}', message.encode()], TOOLS)


async def collect(handle: ModelHandle, prompt: str) -> list[ModelEvent]:
    async with handle.stream(request(prompt)) as batches:
        return [event async for batch in batches for event in batch]


async def test_text_end_to_end(pools: ModelPools, handle: ModelHandle) -> None:
    """A prompt goes through pool, SDK, socket and rules, and the answer streams back."""
    events = await collect(handle, "count to 3")
    assert events[:3] == [TextDelta("1"), TextDelta(" 2"), TextDelta(" 3")]
    assert events[3:] == [Finished("stop"), Usage(7, 2)]
    assert await collect(handle, "count to 3") == events
    assert pools.statistics()["offline"].sockets == 1


async def test_tool_calls_end_to_end(handle: ModelHandle) -> None:
    """Two tool calls of one reply arrive with their numbers, ids and arguments."""
    events = await collect(handle, 'call ls {"a": 1}\ncall ls')
    assert [event for event in events if isinstance(event, ToolCallDelta)] == [
        ToolCallDelta(0, "call_2_0", "ls", '{"a"'),
        ToolCallDelta(0, "", "", ": 1}"),
        ToolCallDelta(1, "call_2_1", "ls", "{"),
        ToolCallDelta(1, "", "", "}"),
    ]
    assert Finished("tool_calls") in events


async def test_thoughts_end_to_end(handle: ModelHandle) -> None:
    """Reasoning comes as reasoning."""
    assert (await collect(handle, "think hard"))[0] == ThoughtDelta("hard")


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ("fail 503", ProviderFailed),
        ("fail 400", ProviderRejected),
        ("truncate", StreamTruncated),
        ("empty", StreamEmpty),
        ("garble", StreamGarbled),
    ],
)
async def test_faults_end_to_end(handle: ModelHandle, prompt: str, error: type[ModelError]) -> None:
    """F5: each fault that can be asked for is seen as its own error."""
    with pytest.raises(error):
        await collect(handle, prompt)
    assert await collect(handle, "hello")  # and the next request is served


async def test_retry_after(handle: ModelHandle) -> None:
    """F8: a rate limit carries the time that was asked for."""
    with pytest.raises(RateLimited) as caught:
        await collect(handle, "fail 429 after 2.5")
    assert caught.value.retry_after == 2.5


async def test_stall(pools: ModelPools, handle: ModelHandle) -> None:
    """A stalled reply gives one chunk and then nothing; leaving it closes the socket."""
    async with handle.stream(request("stall")) as batches:
        assert await anext(aiter(batches)) == [TextDelta("And now nothing more")]
    assert pools.statistics()["offline"].sockets == 0


async def test_slow(mock_clock: trio.testing.MockClock, handle: ModelHandle) -> None:
    """A slow reply waits on the clock before each chunk."""
    async with handle.stream(request("slow 60 count to 2")) as batches:
        iterator = aiter(batches)
        for text in ["1", " 2"]:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(60)
            assert await anext(iterator) == [TextDelta(text)]


async def test_client_that_leaves(nursery: trio.Nursery) -> None:
    """A client that leaves in a long wait is noticed at once, not at the next chunk."""
    async with trio.open_nursery() as server:
        model: OfflineModel = await server.start(serve_offline)
        before = trio.lowlevel.current_statistics().tasks_living
        async with httpx.AsyncClient(trust_env=False) as client:
            with trio.CancelScope() as scope:
                async with client.stream(
                    "POST",
                    f"{model.base_url}/chat/completions",
                    headers={"Authorization": f"Bearer {model.credential.value}"},
                    json={"stream": True, "messages": [{"role": "user", "content": "slow 60 x"}]},
                ) as response:
                    assert response.status_code == 200
                    scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living == before
        server.cancel_scope.cancel()


@pytest.mark.parametrize("token", [None, "x", "wrong", "é"])
async def test_token(model: OfflineModel, token: str | None) -> None:
    """Z1: another user of the machine, who has not the token, gets nothing but 401."""
    headers: dict[bytes, bytes] = {}
    if token is not None:
        headers[b"Authorization"] = f"Bearer {token}".encode()
    async with httpx.AsyncClient(trust_env=False) as client:
        for path in ["/models", "/chat/completions", "/other"]:
            response = await client.post(model.base_url + path, headers=headers, content=b"{}")
            assert response.status_code == 401


async def test_tokens_differ(nursery: trio.Nursery, model: OfflineModel) -> None:
    """Each start makes a token of its own, which shows in no repr."""
    other: OfflineModel = await nursery.start(serve_offline)
    assert other.credential != model.credential
    assert model.credential.value not in repr(model)
    assert isinstance(model.credential, Secret)


async def test_other_requests(model: OfflineModel) -> None:
    """The models are listed, a chat without a stream is answered, the rest is a clear error."""
    headers = {"Authorization": f"Bearer {model.credential.value}"}
    async with httpx.AsyncClient(
        trust_env=False, headers=headers, base_url=model.base_url
    ) as client:
        models = await client.get("/models")
        assert models.json()["data"][0]["id"] == "offline"
        body = {"messages": [{"role": "user", "content": "count to 2"}]}
        whole = await client.post("/chat/completions", json=body)
        assert whole.json()["choices"][0]["message"]["content"] == "1 2"
        assert (await client.get("/chat/completions")).status_code == 404
        for bad in [b"", b"[]", b"{", b"[" * 100_000, b'{"messages":1}']:
            refused = await client.post("/chat/completions", content=bad)
            assert refused.status_code == 400
            assert refused.json()["error"]["message"]


@pytest.mark.parametrize("data", [b"garbage\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n"])
async def test_no_http(model: OfflineModel, data: bytes) -> None:
    """What is not HTTP gets 400 and a closed connection, and others are served on."""
    port = httpx.URL(model.base_url).port
    assert port is not None
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(data)
        answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.1 400")
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(model.base_url)).status_code == 401


async def test_cancelled_server() -> None:
    """Cancelling the server closes its listener and every connection."""
    async with trio.open_nursery() as nursery:
        model: OfflineModel = await nursery.start(serve_offline)
        port = httpx.URL(model.base_url).port
        assert port is not None
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    async with stream:
        assert await stream.receive_some() == b""
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream("127.0.0.1", port)
