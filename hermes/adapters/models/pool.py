"""The service that owns the sockets: one pool for each provider and base URL.

An HTTP client of its own for each agent costs 23 ms and 853 KB; a handle on a
shared one 39 us and 1.1 KB.  So the pools are made here, lent to handles, swept and
closed by one task, and no handle ever closes one.
"""

from __future__ import annotations

import importlib
import math
import ssl
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, TypeVar

import httpx
import trio
from attrs import define, field

from hermes.actors import Deadline
from hermes.adapters.models.transport import SocketPool, proxy_for
from hermes.errors import ProviderRejected, ProviderUnavailable
from hermes.ports.model import PoolStatistics, Runtime

if TYPE_CHECKING:
    import openai

    from hermes.adapters.models.openai import OpenAIHandle

T = TypeVar("T")

# Row R1: idle sockets are gone within 30 s.  One is too old after 20 s, and is seen
# at the latest 5 s after that.
KEEPALIVE_SECONDS = 20.0
SWEEP_SECONDS = 5.0
# Closing sockets waits for nobody; this is for a transport that misbehaves.
CLOSE_SECONDS = 5.0

# The providers that answer nothing without a key, and where it is looked for.
CREDENTIALS: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "nous": "NOUS_API_KEY",
    "nous-research": "NOUS_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
}


class Inline(Protocol):
    """How to call something slow: in a thread, or at once in a test."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """Call `function` and return what it returns."""
        ...


async def in_thread(function: Callable[[], T], /) -> T:
    """Call `function` in a worker thread.

    **Cancellation**: waits for the end of the call.
    """
    return await trio.to_thread.run_sync(function)


@define(eq=False)
class _Pool:
    key: tuple[str, str]
    transport: httpx.AsyncBaseTransport
    client: openai.AsyncOpenAI
    http_client: httpx.AsyncClient
    handles: set[OpenAIHandle] = field(factory=set)

    @property
    def sockets(self) -> int:
        return self.transport.sockets if isinstance(self.transport, SocketPool) else 0


class ModelPools:
    """All pools of the daemon; see `hermes.ports.model.Models`.

    `transport` makes the transport of each pool (a seam for tests; then sockets are
    not counted), `wall` gives Unix seconds, `call` runs what is slow.

    **Resources**: `serve` owns the pools and closes them at its end.  Handles are
    closed by whoever opened them; with the last one of a pool the pool is closed.
    """

    def __init__(
        self,
        *,
        deadline: Deadline | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        wall: Callable[[], float] = time.time,
        call: Inline = in_thread,
    ) -> None:
        self._deadline = deadline or Deadline()
        self._transport = transport
        self._wall = wall
        self._call = call
        self._pools: dict[tuple[str, str], _Pool] = {}
        self._unused: list[_Pool] = []
        self._changed = trio.Event()
        self._closed = False
        self._tls: ssl.SSLContext | None = None

    async def open(self, runtime: Runtime) -> OpenAIHandle:
        """Lend a handle; the first one imports the SDK in a thread.

        Raises:
            ProviderRejected: the runtime cannot be used; the text says what to set.
            ProviderUnavailable: the pools are closed.

        **Resources**: the caller closes the handle.
        """
        check_runtime(runtime)
        module_name = "hermes.adapters.models.openai"
        await self._call(lambda: importlib.import_module(module_name))
        if runtime.base_url.startswith("https:") and self._tls is None:
            self._tls = await self._call(httpx.create_ssl_context)
        if self._closed:
            raise ProviderUnavailable("the model pools are closed", runtime.provider)
        return self._lend(runtime)

    def statistics(self) -> Mapping[str, PoolStatistics]:
        """The pools by provider name, those that are about to be closed included."""
        result: dict[str, PoolStatistics] = {}
        for pool in (*self._pools.values(), *self._unused):
            provider = pool.key[0]
            so_far = result.get(provider, PoolStatistics(0, 0))
            in_flight = sum(handle.in_flight for handle in pool.handles)
            result[provider] = PoolStatistics(
                so_far.sockets + pool.sockets, so_far.in_flight + in_flight
            )
        return result

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Close unused pools at once and idle sockets in time, until cancelled.

        **Cancellation**: every pool is closed, within `CLOSE_SECONDS`; streams that
        are still going on break.
        """
        try:
            task_status.started()
            while True:
                with trio.move_on_after(SWEEP_SECONDS if self._pools else math.inf):
                    await self._changed.wait()
                self._changed = trio.Event()
                await self._close_unused()
                await self.sweep()
        finally:
            self._closed = True
            self._unused.extend(self._pools.values())
            self._pools.clear()
            with self._deadline.shield(CLOSE_SECONDS):
                await self._close_unused()

    async def sweep(self) -> None:
        """Close the sockets that were idle for too long; `serve` does it by itself."""
        for pool in list(self._pools.values()):
            if isinstance(pool.transport, SocketPool):
                await pool.transport.sweep()

    def _lend(self, runtime: Runtime) -> OpenAIHandle:
        from hermes.adapters.models.openai import OpenAIHandle

        key = (runtime.provider, runtime.base_url)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._new_pool(*key)
            self._changed.set()

        def settled(handle: OpenAIHandle) -> None:
            pool.handles.discard(handle)
            if not pool.handles and self._pools.get(key) is pool:
                self._unused.append(self._pools.pop(key))
                self._changed.set()

        handle = OpenAIHandle(pool.client, runtime, settled)
        pool.handles.add(handle)
        return handle

    def _new_pool(self, provider: str, base_url: str) -> _Pool:
        from hermes.adapters.models.openai import connect

        if self._transport is not None:
            transport = self._transport()
        else:
            try:
                proxy = proxy_for(httpx.URL(base_url))
            except ValueError as error:
                raise ProviderRejected(
                    f"the proxy that the environment names cannot be used: {error}", provider
                ) from error
            transport = SocketPool(keepalive=KEEPALIVE_SECONDS, tls=self._tls, proxy=proxy)
        client, http_client = connect(transport, provider, base_url, self._wall)
        return _Pool((provider, base_url), transport, client, http_client)

    async def _close_unused(self) -> None:
        while self._unused:
            await self._unused[0].http_client.aclose()
            del self._unused[0]


def check_runtime(runtime: Runtime) -> None:
    """Refuse a runtime that cannot work, before any socket is opened.

    Raises:
        ProviderRejected: the text says what to set.
    """
    provider = runtime.provider
    if runtime.api_mode != "chat_completions":
        raise ProviderRejected(
            f'{provider}: api_mode "{runtime.api_mode}" is not known here; set "chat_completions"',
            provider,
        )
    try:
        url = httpx.URL(runtime.base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise ProviderRejected(
            f'{provider}: base_url "{runtime.base_url}" is no http or https address', provider
        )
    value = "" if runtime.credential is None else runtime.credential.value
    if not value and provider in CREDENTIALS:
        raise ProviderRejected(
            f"{provider} needs a credential: set {CREDENTIALS[provider]}, or api_key_env"
            " or api_key_file in [model]",
            provider,
        )
    if not (value.isascii() and (not value or value.isprintable()) and value == value.strip()):
        raise ProviderRejected(
            f"the credential of {provider} has characters that no HTTP header can carry"
            " (a line end, perhaps): set it again",
            provider,
        )
