from __future__ import annotations

import ssl

import httpcore
import httpx
import pytest
import trio
import trio.testing

from hermes.adapters.models.transport import SocketPool, is_loopback, proxy_for


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("api.openai.com", False),
    ],
)
def test_loopback(host: str, expected: bool) -> None:
    """Loopback is known by name and by address."""
    assert is_loopback(host) is expected


@pytest.fixture
def _proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("https_proxy", "http://user:pass@proxy.test:3128")
    monkeypatch.setenv("all_proxy", "http://all.test:1")
    monkeypatch.setenv("no_proxy", "direct.test")


@pytest.mark.usefixtures("_proxies")
def test_proxy() -> None:
    """A proxy of the environment is used, with its user and password."""
    proxy = proxy_for(httpx.URL("https://api.test/v1"))
    assert proxy is not None
    assert (proxy.url.host, proxy.url.port) == (b"proxy.test", 3128)
    assert proxy.auth == (b"user", b"pass")
    other = proxy_for(httpx.URL("http://api.test/v1"))
    assert other is not None
    assert other.url.host == b"all.test"


@pytest.mark.usefixtures("_proxies")
@pytest.mark.parametrize("url", ["https://127.0.0.1:1/v1", "https://direct.test/v1"])
def test_no_proxy(url: str) -> None:
    """Loopback never goes through a proxy, nor does what the environment excludes."""
    assert proxy_for(httpx.URL(url)) is None


def test_unknown_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of an unknown kind is an error, not silently left out."""
    monkeypatch.setenv("https_proxy", "gopher://proxy.test")
    with pytest.raises(ValueError, match="proxy"):
        proxy_for(httpx.URL("https://api.test/v1"))


async def test_cancelled_handshake(nursery: trio.Nursery) -> None:
    """R1: a request that is cancelled in its TLS handshake leaves no socket, open or counted."""
    hung_up = trio.Event()

    async def never_shake_hands(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        hung_up.set()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, never_shake_hands, listeners)
    transport = SocketPool(keepalive=1.0, tls=ssl.create_default_context(), proxy=None)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as requests:
                requests.start_soon(client.get, f"https://127.0.0.1:{port}")
                while not transport.sockets:
                    await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
        assert transport.sockets == 0
        await hung_up.wait()


async def test_refused_tls(nursery: trio.Nursery) -> None:
    """A server that speaks no TLS is a connection error, and its socket is closed and counted."""

    async def speak_plain(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.send_all(b"HTTP/1.1 400 Bad\r\n\r\n")

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, speak_plain, listeners)
    transport = SocketPool(keepalive=1.0, tls=ssl.create_default_context(), proxy=None)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises((httpx.TransportError, httpcore.ConnectError)):
            await client.get(f"https://127.0.0.1:{port}")
    assert transport.sockets == 0
