"""An HTTP transport that can count its sockets and sweep the idle ones.

`httpx.AsyncHTTPTransport` does neither in public: it closes an expired connection
only when the next request comes, and has no count.  Row R1 asks for both, so this
puts a thin transport of our own on `httpcore`'s public pool and network backend.
Proxies of the environment, which `httpx` leaves out for such a transport, are
found by `proxy_for`.
"""

from __future__ import annotations

import ipaddress
import ssl
import urllib.request
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from typing import Any

import httpcore
import httpx

# Every error that the transport below can raise, and httpx on top of it.
TRANSPORT_ERRORS: tuple[type[Exception], ...] = (
    httpx.RequestError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
HUNG_UP: tuple[type[Exception], ...] = (httpx.RemoteProtocolError, httpcore.RemoteProtocolError)


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine by name or by address."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def proxy_for(url: httpx.URL) -> httpcore.Proxy | None:
    """The proxy that the environment names for `url`; never one for loopback.

    Raises:
        ValueError: the environment names a proxy of an unknown kind.
    """
    proxies = urllib.request.getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    proxy = httpx.Proxy(address)
    return httpcore.Proxy(
        url=httpcore.URL(
            scheme=proxy.url.raw_scheme,
            host=proxy.url.raw_host,
            port=proxy.url.port,
            target=proxy.url.raw_path,
        ),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
    )


class _CountedStream(httpcore.AsyncNetworkStream):
    """One socket; `closed` is called once, when it is closed."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, closed: Callable[[], None]) -> None:
        self._stream = stream
        self._closed: Callable[[], None] | None = closed

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        if closed is not None:
            closed()
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        try:
            stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self.aclose()  # httpcore forgets the socket when a handshake is cancelled
            raise
        closed, self._closed = self._closed, None
        return _CountedStream(stream, closed or _nothing)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _nothing() -> None:
    """Stand in for a socket that was counted off already."""


class _CountingBackend(httpcore.AsyncNetworkBackend):
    """Opens sockets on Trio and knows how many are open."""

    def __init__(self) -> None:
        self._backend = httpcore.TrioBackend()
        self.sockets = 0

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        self.sockets += 1
        return _CountedStream(stream, self._count_off)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    def _count_off(self) -> None:
        self.sockets -= 1


class _Body(httpx.AsyncByteStream):
    """The body of a response; no generator of its own, since each one costs a step."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert isinstance(self._response.stream, AsyncIterable)
        return aiter(self._response.stream)

    async def aclose(self) -> None:
        await self._response.aclose()


class SocketPool(httpx.AsyncBaseTransport):
    """A transport with no limit on its sockets; `keepalive` is in seconds.

    **Resources**: whoever makes it calls `aclose` (an `httpx.AsyncClient` does).
    """

    def __init__(
        self, *, keepalive: float, tls: ssl.SSLContext | None, proxy: httpcore.Proxy | None
    ) -> None:
        self._backend = _CountingBackend()
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            proxy=proxy,
            max_connections=None,
            keepalive_expiry=keepalive,
            network_backend=self._backend,
        )

    @property
    def sockets(self) -> int:
        """How many sockets are open, in use or idle."""
        return self._backend.sockets

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the errors are those of `TRANSPORT_ERRORS`."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(
            response.status,
            headers=response.headers,
            stream=_Body(response),
            extensions=response.extensions,
        )

    async def sweep(self) -> None:
        """Close the sockets that were idle for too long, or that the provider closed."""
        for connection in self._pool.connections:
            if connection.is_idle() and connection.has_expired():
                await connection.aclose()

    async def aclose(self) -> None:
        """Close every socket, those in use too."""
        await self._pool.aclose()
