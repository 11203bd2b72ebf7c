from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import pytest
import trio
import trio.testing
from support.provider import (
    CHUNKED_HEAD,
    DONE,
    SSE_HEAD,
    STOP,
    RawClient,
    RawProvider,
    Script,
    delta,
    error_head,
)

from hermes.adapters.models.openai import LINGER_SECONDS, MAX_ERROR_BYTES
from hermes.adapters.models.pool import ModelPools
from hermes.errors import (
    HandleClosed,
    ModelError,
    ProviderFailed,
    ProviderRejected,
    ProviderUnavailable,
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
)

Start = Callable[[Script], Awaitable[RawProvider]]

REQUEST = ModelRequest([b'{"role":"user","content":"hi"}'])
SECRET = Secret("sk-very-secret")


def runtime_of(provider: RawProvider, name: str = "acme") -> Runtime:
    return Runtime(name, "big", provider.base_url, credential=SECRET)


def sending(*pieces: bytes) -> Script:
    async def script(client: RawClient) -> None:
        for piece in pieces:
            await client.send(piece)

    return script


async def collect(handle: ModelHandle, events: list[ModelEvent] | None = None) -> list[ModelEvent]:
    events = [] if events is None else events
    async with handle.stream(REQUEST) as batches:
        async for batch in batches:
            events.extend(batch)
    return events


async def test_whole_answer(pools: ModelPools, start_provider: Start) -> None:
    """L6: a whole answer is streamed, and the request carried the frozen bytes and the key."""
    provider = await start_provider(sending(SSE_HEAD, delta("hello"), STOP, DONE))
    handle = await pools.open(runtime_of(provider))
    assert await collect(handle) == [TextDelta("hello"), Finished("stop")]
    [client] = provider.clients
    assert client.head.startswith("POST /v1/chat/completions HTTP/1.1\r\n")
    assert REQUEST.messages[0] in client.body
    assert f"authorization: Bearer {SECRET.value}\r\n" in client.head.replace("A", "a")


async def test_no_credential(pools: ModelPools, start_provider: Start) -> None:
    """A provider that needs no credential is sent none, whatever the environment has."""
    provider = await start_provider(sending(SSE_HEAD, STOP))
    handle = await pools.open(Runtime("ollama", "big", provider.base_url))
    await collect(handle)
    assert "authorization" not in provider.clients[0].head.lower()


@pytest.mark.parametrize(("name", "sent"), [("openai", True), ("acme", False)])
async def test_headers_for_openai_alone(
    pools: ModelPools,
    start_provider: Start,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sent: bool,
) -> None:
    """Z8: what the SDK adds from OPENAI_* variables reaches OpenAI and nobody else."""
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: yes")
    provider = await start_provider(sending(SSE_HEAD, STOP))
    handle = await pools.open(runtime_of(provider, name))
    await collect(handle)
    head = provider.clients[0].head.lower()
    assert ("org-mine" in head) is sent
    assert ("x-mine" in head) is sent


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_byte_at_a_time(pools: ModelPools, start_provider: Start, size: int) -> None:
    """A reply that comes in tiny pieces, its characters split too, is the same reply."""
    body = delta("café 🎉") + STOP + DONE
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    framed = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    provider = await start_provider(sending(CHUNKED_HEAD, *framed, b"0\r\n\r\n"))
    handle = await pools.open(runtime_of(provider))
    assert await collect(handle) == [TextDelta("café 🎉"), Finished("stop")]


async def test_a_batch_for_each_read(pools: ModelPools, start_provider: Start) -> None:
    """The events that came in one read are one batch."""
    provider = await start_provider(sending(SSE_HEAD, delta("a") + delta("b") + STOP))
    handle = await pools.open(runtime_of(provider))
    seen: list[Sequence[ModelEvent]] = []
    async with handle.stream(REQUEST) as batches:
        async for batch in batches:
            seen.append(batch)
    assert seen == [[TextDelta("a"), TextDelta("b"), Finished("stop")]]


CHUNK = b"%x\r\n%s\r\n" % (len(delta("a")), delta("a"))


@pytest.mark.parametrize(
    ("answer", "error", "events"),
    [
        (SSE_HEAD, StreamEmpty, 0),
        (SSE_HEAD + delta("a"), StreamTruncated, 1),
        (SSE_HEAD + delta("a") + DONE, StreamTruncated, 1),
        (CHUNKED_HEAD + CHUNK, StreamTruncated, 1),
        (CHUNKED_HEAD, ProviderUnavailable, 0),
        (SSE_HEAD + b"data: {not json\n\n", StreamGarbled, 0),
        (SSE_HEAD + delta("a") + b"data: []\n\n" + delta("b"), StreamGarbled, 1),
        (CHUNKED_HEAD + CHUNK + b"xyz\r\n", StreamTruncated, 1),
        (b"", ProviderUnavailable, 0),
        (b"garbage\r\n\r\n", ProviderUnavailable, 0),
        (SSE_HEAD[:20], ProviderUnavailable, 0),
    ],
)
async def test_faults_of_a_stream(
    pools: ModelPools, start_provider: Start, answer: bytes, error: type[ModelError], events: int
) -> None:
    """F5: each way in which a stream breaks is one named error, after the events before it."""
    provider = await start_provider(sending(answer))
    handle = await pools.open(runtime_of(provider))
    seen: list[ModelEvent] = []
    with pytest.raises(ModelError) as caught:
        await collect(handle, seen)
    assert type(caught.value) is error
    assert caught.value.provider == "acme"
    assert seen == [TextDelta("a")] * events
    assert handle.in_flight == 0


@pytest.mark.parametrize(
    ("answer", "error", "retry_after"),
    [
        (error_head("429 Slow", b"{}", "Retry-After: 2"), RateLimited, 2.0),
        (
            error_head("429 Slow", b"{}", "Retry-After: Thu, 01 Jan 1970 00:17:00 GMT"),
            RateLimited,
            20.0,
        ),
        (error_head("429 Slow", b"{}", "Retry-After: soon"), RateLimited, None),
        (error_head("503 Away", b"{}"), ProviderFailed, None),
        (error_head("400 Bad", b"{}"), ProviderRejected, None),
        (error_head("500 Oops", b"")[:-2] + b"\r\n", ProviderFailed, None),
    ],
)
async def test_statuses(
    pools: ModelPools,
    start_provider: Start,
    answer: bytes,
    error: type[ModelError],
    retry_after: float | None,
) -> None:
    """F8: an error status is one named error, with the time that the provider asked for."""
    provider = await start_provider(sending(answer))
    handle = await pools.open(runtime_of(provider))
    with pytest.raises(ModelError) as caught:
        await collect(handle)
    assert type(caught.value) is error
    assert caught.value.retry_after == retry_after
    assert len(provider.clients) == 1  # retries are the agent's


async def test_message_without_credential(
    pools: ModelPools, start_provider: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """Z8: the provider's words are in the error; a credential it repeats is in no error or log."""
    caplog.set_level(logging.DEBUG)
    body = b'{"error":{"message":"Incorrect API key: sk-very-secret"}}'
    provider = await start_provider(sending(error_head("401 No", body)))
    handle = await pools.open(runtime_of(provider))
    with pytest.raises(ProviderRejected, match=r"Incorrect API key: \*\*\*") as caught:
        await collect(handle)
    assert SECRET.value not in repr(caught.value)
    assert SECRET.value not in caplog.text


async def test_endless_error_body(pools: ModelPools, start_provider: Start) -> None:
    """An error body without end is not read to its end."""
    hung_up = trio.Event()

    async def script(client: RawClient) -> None:
        try:
            await client.send(error_head("500 Oops", b"").replace(b"Content-Length: 0", b"X: 1"))
            while True:
                await client.send(b"x" * MAX_ERROR_BYTES)
        except trio.BrokenResourceError:
            hung_up.set()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    with pytest.raises(ProviderFailed, match="xxx"):
        await collect(handle)
    await hung_up.wait()


async def test_redirects_are_not_followed(pools: ModelPools, start_provider: Start) -> None:
    """A redirect is refused with a word on what to do; the credential goes nowhere else."""
    target = await start_provider(sending(SSE_HEAD, STOP))
    answer = error_head("307 Elsewhere", b"", f"Location: {target.base_url}/chat/completions")
    provider = await start_provider(sending(answer))
    handle = await pools.open(runtime_of(provider))
    with pytest.raises(ProviderRejected, match="set base_url"):
        await collect(handle)
    assert target.clients == []


async def test_refused_connection(pools: ModelPools) -> None:
    """F5: a refused connection is a transport error that says which address it was."""
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        handle = await pools.open(Runtime("acme", "big", f"http://127.0.0.1:{port}/v1"))
        with pytest.raises(ProviderUnavailable, match=f"127.0.0.1:{port}"):
            await collect(handle)


@pytest.mark.parametrize("head", [b"", SSE_HEAD + delta("a")])
async def test_read_timeout(
    pools: ModelPools, start_provider: Start, mock_clock: trio.testing.MockClock, head: bytes
) -> None:
    """F5: silence for the request's time-out is a transport error, before and in mid-stream."""

    async def script(client: RawClient) -> None:
        await client.send(head)
        await trio.testing.wait_all_tasks_blocked(0.0)
        mock_clock.jump(601)
        await client.wait_hung_up()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    with pytest.raises(ProviderUnavailable, match="Timeout"):
        await collect(handle)


async def test_close_in_mid_stream(
    pools: ModelPools, start_provider: Start, nursery: trio.Nursery
) -> None:
    """R1: closing a handle cuts its socket at once, and a neighbour's stream goes on."""
    go_on, cut = trio.Event(), trio.Event()

    async def script(client: RawClient) -> None:
        await client.send(SSE_HEAD + delta("a"))
        if len(provider.clients) == 1:
            await client.wait_hung_up()
            cut.set()
        else:
            await go_on.wait()
            await client.send(delta("b") + STOP)

    provider = await start_provider(script)
    first = await pools.open(runtime_of(provider))
    second = await pools.open(runtime_of(provider))
    outcome: list[BaseException] = []

    async def talk(task_status: trio.TaskStatus[None]) -> None:
        try:
            async with first.stream(REQUEST) as batches:
                async for _ in batches:
                    task_status.started()
        except HandleClosed as error:
            outcome.append(error)

    await nursery.start(talk)
    async with second.stream(REQUEST) as batches:
        assert await anext(aiter(batches)) == [TextDelta("a")]
        assert pools.statistics()["acme"].sockets == 2
        assert pools.statistics()["acme"].in_flight == 2
        await first.aclose()
        assert (first.in_flight, second.in_flight) == (0, 1)
        assert pools.statistics()["acme"].sockets == 1
        await cut.wait()
        go_on.set()
        assert [batch async for batch in batches] == [[TextDelta("b"), Finished("stop")]]
    assert [type(error) for error in outcome] == [HandleClosed]


async def test_closed_handle(pools: ModelPools, start_provider: Start) -> None:
    """R1: using a handle after it was given back raises; giving it back twice is harmless."""
    provider = await start_provider(sending(SSE_HEAD, STOP))
    handle = await pools.open(runtime_of(provider))
    await handle.aclose()
    await handle.aclose()
    handle.kill()
    with pytest.raises(HandleClosed):
        await collect(handle)
    assert provider.clients == []


async def test_kill_while_connecting(
    pools: ModelPools, start_provider: Start, nursery: trio.Nursery
) -> None:
    """R3: kill waits for nothing, and ends a request whose answer has not begun."""
    asked, cut = trio.Event(), trio.Event()

    async def script(client: RawClient) -> None:
        asked.set()
        await client.wait_hung_up()
        cut.set()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))

    async def kill() -> None:
        await asked.wait()
        handle.kill()

    nursery.start_soon(kill)
    with pytest.raises(HandleClosed):
        await collect(handle)
    await cut.wait()
    assert pools.statistics().get("acme") is None or pools.statistics()["acme"].sockets == 0


async def test_cancelled_reader(pools: ModelPools, start_provider: Start) -> None:
    """R1: a turn that is cancelled leaves no socket and no request, and the handle works on."""
    cut = trio.Event()

    async def script(client: RawClient) -> None:
        await client.send(SSE_HEAD + delta("a"))
        if len(provider.clients) > 1:
            await client.send(STOP)
            return
        await client.wait_hung_up()
        cut.set()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    with trio.CancelScope() as scope:
        async with handle.stream(REQUEST) as batches:
            async for _ in batches:
                scope.cancel()
    assert scope.cancelled_caught
    assert handle.in_flight == 0
    assert pools.statistics()["acme"].sockets == 0
    await cut.wait()
    assert await collect(handle) == [TextDelta("a"), Finished("stop")]


async def test_reader_that_leaves(pools: ModelPools, start_provider: Start) -> None:
    """Leaving the context in mid-stream closes the socket, and no generator is left behind."""
    cut = trio.Event()

    async def script(client: RawClient) -> None:
        await client.send(SSE_HEAD + delta("a"))
        await client.wait_hung_up()
        cut.set()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    async with handle.stream(REQUEST) as batches:
        async for _ in batches:
            break
    async with handle.stream(REQUEST):
        pass
    assert pools.statistics()["acme"].sockets == 0
    await cut.wait()


async def test_server_that_lingers(
    pools: ModelPools, start_provider: Start, mock_clock: trio.testing.MockClock
) -> None:
    """A provider that keeps its stream open after the end holds nobody up for long."""

    async def script(client: RawClient) -> None:
        await client.send(SSE_HEAD + STOP + DONE)
        await trio.testing.wait_all_tasks_blocked(0.0)
        mock_clock.jump(LINGER_SECONDS)
        await client.wait_hung_up()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    assert await collect(handle) == [Finished("stop")]
    assert pools.statistics()["acme"].sockets == 0


async def test_keep_alive(pools: ModelPools, start_provider: Start) -> None:
    """A whole answer leaves its socket to the next request."""
    body = delta("a") + STOP + DONE
    reply = CHUNKED_HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    async def script(client: RawClient) -> None:
        await client.send(reply)
        again = await client.next_request()
        assert again is not None
        await again.send(reply)
        await client.wait_hung_up()

    provider = await start_provider(script)
    handle = await pools.open(runtime_of(provider))
    assert await collect(handle) == await collect(handle)
    assert len(provider.clients) == 1
    assert pools.statistics()["acme"].sockets == 1
