from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
import pytest
import trio
import trio.testing
from support.provider import CHUNKED_HEAD, STOP, RawClient, RawProvider, Script

from hermes.adapters.models.pool import (
    CLOSE_SECONDS,
    KEEPALIVE_SECONDS,
    SWEEP_SECONDS,
    ModelPools,
    check_runtime,
    in_thread,
)
from hermes.errors import ProviderRejected, ProviderUnavailable
from hermes.ports.model import ModelHandle, ModelRequest, PoolStatistics, Runtime, Secret

T = TypeVar("T")
Start = Callable[[Script], Awaitable[RawProvider]]

ANSWER = CHUNKED_HEAD + b"%x\r\n%s\r\n0\r\n\r\n" % (len(STOP), STOP)


async def inline(function: Callable[[], T], /) -> T:
    return function()


async def answer_all(client: RawClient) -> None:
    following: RawClient | None = client
    while following is not None:
        await following.send(ANSWER)
        following = await client.next_request()


def age_sockets(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """The pool counts idle time on the real monotonic clock: move that forward."""
    real = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: real() + seconds)


async def talk(handle: ModelHandle) -> None:
    async with handle.stream(ModelRequest([b"{}"])) as batches:
        async for _ in batches:
            pass


async def test_pool_without_handles(pools: ModelPools, start_provider: Start) -> None:
    """R1: a pool is shared by its handles and closed with the last of them."""
    provider = await start_provider(answer_all)
    runtime = Runtime("acme", "big", provider.base_url)
    first, second = await pools.open(runtime), await pools.open(runtime)
    await talk(first)
    await talk(second)
    await first.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert pools.statistics() == {"acme": PoolStatistics(sockets=1, in_flight=0)}
    await second.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert pools.statistics() == {}
    [client] = provider.clients
    await client.gone.wait()


async def test_pool_opens_again(pools: ModelPools, start_provider: Start) -> None:
    """R4: after the last handle of a pool was closed, another one opens a fresh pool."""
    provider = await start_provider(answer_all)
    runtime = Runtime("acme", "big", provider.base_url)
    handle = await pools.open(runtime)
    await handle.aclose()
    again = await pools.open(runtime)
    await talk(again)
    await trio.testing.wait_all_tasks_blocked()
    assert pools.statistics() == {"acme": PoolStatistics(sockets=1, in_flight=0)}


async def test_statistics_by_provider(pools: ModelPools, start_provider: Start) -> None:
    """Two base URLs of one provider are counted together, another provider apart."""
    provider, other = await start_provider(answer_all), await start_provider(answer_all)
    for name, url in [("acme", provider), ("acme", other), ("bolt", other)]:
        await talk(await pools.open(Runtime(name, "big", url.base_url)))
    assert pools.statistics() == {"acme": PoolStatistics(2, 0), "bolt": PoolStatistics(1, 0)}


async def test_idle_sockets_are_swept(
    pools: ModelPools, start_provider: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: the sweep closes a socket that was idle for too long, and its handle works on."""
    provider = await start_provider(answer_all)
    handle = await pools.open(Runtime("acme", "big", provider.base_url))
    await talk(handle)
    await pools.sweep()
    assert pools.statistics()["acme"].sockets == 1
    age_sockets(monkeypatch, KEEPALIVE_SECONDS)
    await pools.sweep()
    assert pools.statistics()["acme"].sockets == 0
    await talk(handle)
    assert len(provider.clients) == 2


async def test_sweep_spares_what_is_in_use(
    pools: ModelPools, start_provider: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R1: the sweep touches no socket in mid-stream, however old."""
    finish = trio.Event()

    async def script(client: RawClient) -> None:
        await client.send(ANSWER[:-7])
        await finish.wait()
        await client.send(ANSWER[-7:])
        await client.wait_hung_up()

    provider = await start_provider(script)
    handle = await pools.open(Runtime("acme", "big", provider.base_url))
    async with handle.stream(ModelRequest([b"{}"])) as batches:
        assert await anext(aiter(batches))
        age_sockets(monkeypatch, 100 * KEEPALIVE_SECONDS)
        await pools.sweep()
        finish.set()
        assert [batch async for batch in batches] == []
    assert pools.statistics()["acme"].sockets == 1


async def test_sweeping_in_time(
    mock_clock: trio.testing.MockClock,
    pools: ModelPools,
    start_provider: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R1: the pools' own task sweeps often enough for 30 s."""
    assert KEEPALIVE_SECONDS + SWEEP_SECONDS <= 30
    provider = await start_provider(answer_all)
    await talk(await pools.open(Runtime("acme", "big", provider.base_url)))
    age_sockets(monkeypatch, KEEPALIVE_SECONDS)
    mock_clock.jump(SWEEP_SECONDS)
    await provider.clients[0].gone.wait()
    assert pools.statistics()["acme"].sockets == 0


async def test_end_of_service(start_provider: Start) -> None:
    """The end of the service closes every pool, with handles open too, and opens no more."""
    pools = ModelPools(call=inline)
    provider = await start_provider(answer_all)
    runtime = Runtime("acme", "big", provider.base_url)
    async with trio.open_nursery() as nursery:
        await nursery.start(pools.serve)
        handle = await pools.open(runtime)
        await talk(handle)
        nursery.cancel_scope.cancel()
    assert pools.statistics() == {}
    await provider.clients[0].gone.wait()
    with pytest.raises(ProviderUnavailable):
        await pools.open(runtime)
    await handle.aclose()


async def test_closing_has_a_deadline(autojump_clock: trio.testing.MockClock) -> None:
    """R3: a transport that never closes holds up the end of the service for a bounded time."""

    class Stuck(httpx.AsyncBaseTransport):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    pools = ModelPools(call=inline, transport=Stuck)
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        await nursery.start(pools.serve)
        await pools.open(Runtime("acme", "big", "http://127.0.0.1/v1"))
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start == CLOSE_SECONDS


async def test_transport_seam(nursery: trio.Nursery) -> None:
    """K7: with a transport of its own a pool opens no socket, and counts none."""

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=STOP)

    pools = ModelPools(call=inline, transport=lambda: httpx.MockTransport(answer))
    await nursery.start(pools.serve)
    await talk(await pools.open(Runtime("acme", "big", "https://acme.test/v1")))
    assert pools.statistics() == {"acme": PoolStatistics(0, 0)}


async def test_loads_in_a_thread() -> None:
    """What is slow to load runs in a thread, and its result comes back."""
    assert await in_thread(lambda: 7) == 7


@pytest.mark.parametrize(
    ("runtime", "words"),
    [
        (Runtime("openai", "m", "https://api.openai.com/v1"), "set OPENAI_API_KEY"),
        (Runtime("openai", "m", "https://x/v1", credential=Secret("")), "set OPENAI_API_KEY"),
        (Runtime("acme", "m", "ftp://acme.test"), "no http or https address"),
        (Runtime("acme", "m", "acme.test/v1"), "no http or https address"),
        (Runtime("acme", "m", "http://[::1/v1"), "no http or https address"),
        (Runtime("acme", "m", "https://acme.test", api_mode="responses"), "chat_completions"),
        (Runtime("acme", "m", "https://acme.test", credential=Secret("a\n")), "line end"),
        (Runtime("acme", "m", "https://acme.test", credential=Secret("é")), "set it again"),
    ],
)
def test_runtime_that_cannot_work(runtime: Runtime, words: str) -> None:
    """A runtime that cannot work is refused before any socket, with what to set."""
    with pytest.raises(ProviderRejected, match=words) as caught:
        check_runtime(runtime)
    assert caught.value.provider == runtime.provider


@pytest.mark.parametrize("credential", [None, Secret("key")])
def test_runtime_that_works(credential: Secret | None) -> None:
    """A provider of any other name may or may not have a credential."""
    check_runtime(Runtime("acme", "m", "http://127.0.0.1:1/v1", credential=credential))


async def test_proxy_that_cannot_be_used(
    pools: ModelPools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of the environment that cannot be used is said so when a handle is opened."""
    monkeypatch.setenv("http_proxy", "gopher://proxy.test")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ProviderRejected, match="proxy"):
        await pools.open(Runtime("acme", "big", "http://acme.test/v1"))


async def test_opening_https(pools: ModelPools) -> None:
    """Opening handles of https providers connects nowhere yet."""
    for name in ("acme", "bolt"):
        await pools.open(Runtime(name, "big", "https://acme.test/v1"))
    assert pools.statistics() == {"acme": PoolStatistics(0, 0), "bolt": PoolStatistics(0, 0)}
