from __future__ import annotations

import pytest
import trio
from support.raw_http import HttpReply, exchange, get, upgrade
from support.runtime import TOKENS, LiveRuntime, open_runtime
from trio.testing import memory_stream_pair
from trio_websocket import ConnectionClosed

from hermes.adapters.websocket.front import HANDSHAKE_SECONDS, MAX_UNKNOWN
from hermes.adapters.websocket.head import HEAD_SECONDS
from hermes.adapters.websocket.throttle import FAILURES, WINDOW

SESSION, OPERATOR = TOKENS["session"], TOKENS["operator"]


async def ask(runtime: LiveRuntime, request: bytes) -> HttpReply:
    """The daemon's answer on a connection of its own."""
    ours, theirs = memory_stream_pair()
    runtime.daemon.connect(theirs)
    async with ours:
        return await exchange(ours, request)


async def test_a_handshake(autojump_clock: object) -> None:
    """A 101 of /acp names its connection, each another, and compresses nothing."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate"
    async with open_runtime() as runtime:
        replies = [await ask(runtime, upgrade("/acp", SESSION, offer)) for _ in range(2)]
    assert [reply.status for reply in replies] == [101, 101]
    identities = [identity for reply in replies for identity in reply.values("acp-connection-id")]
    assert len(set(identities)) == 2
    assert replies[0].values("sec-websocket-accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
    assert replies[0].values("sec-websocket-extensions") == []
    assert replies[0].values("sec-websocket-protocol") == []


@pytest.mark.parametrize(
    ("offer", "selected"),
    [
        ("hermes.bearer.{0}", "hermes.bearer.{0}"),
        ("hermes.acp, hermes.bearer.{0}", "hermes.acp"),
        ("chat, hermes.bearer.{0}", "hermes.bearer.{0}"),
    ],
)
async def test_a_token_in_a_subprotocol(autojump_clock: object, offer: str, selected: str) -> None:
    """A browser sends its token as a subprotocol, and gets exactly one selected."""
    line = f"Sec-WebSocket-Protocol: {offer.format(SESSION)}"
    async with open_runtime() as runtime:
        reply = await ask(runtime, upgrade("/acp", None, line))
    assert reply.status == 101
    assert reply.values("sec-websocket-protocol") == [selected.format(SESSION)]


REFUSED = {
    "a foreign host": (upgrade("/acp", SESSION, host="evil.example"), 403),
    "no host": (upgrade("/acp", SESSION, host=None), 400),
    "a foreign origin": (upgrade("/acp", SESSION, "Origin: http://evil.example"), 403),
    "a null origin": (upgrade("/acp", SESSION, "Origin: null"), 403),
    "no token": (upgrade("/acp"), 401),
    "a wrong token": (upgrade("/acp", "w" * 43), 401),
    "a token in the url": (upgrade(f"/acp?token={SESSION}", SESSION), 401),
    "a scope that does not reach": (upgrade("/control", SESSION), 403),
    "plain http on /acp": (get("/acp", f"Authorization: Bearer {SESSION}"), 426),
    "plain http on /control": (get("/control"), 426),
    "garbage": (b"\x00\x01\x02 garbage\r\n\r\n", 400),
    "a head that is too large": (upgrade("/acp", SESSION, f"X: {'x' * 20_000}"), 431),
    "another path": (get("/nothing"), 404),
    "a post": (get("/healthz", "Content-Length: 0", method="POST"), 405),
    "a foreign page": (get("/healthz", "Origin: http://evil.example"), 403),
}


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED.values(), ids=REFUSED)
async def test_refusals(autojump_clock: object, request_bytes: bytes, status: int) -> None:
    """Z4: each refusal is its documented status, one line of JSON, and the daemon serves on."""
    async with open_runtime() as runtime:
        reply = await ask(runtime, request_bytes)
        assert reply.status == status
        assert set(reply.json) == {"error"}
        assert reply.body.count(b"\n") == 1
        assert SESSION.encode() not in reply.body
        assert (await ask(runtime, upgrade("/acp", SESSION))).status == 101


async def test_the_health_pages(autojump_clock: object) -> None:
    """/healthz and /readyz answer without a token."""
    async with open_runtime() as runtime:
        for path in ("/healthz", "/readyz"):
            reply = await ask(runtime, get(path))
            assert (reply.status, set(reply.json)) == (200, {"status"})


async def test_ten_failures(autojump_clock: object) -> None:
    """Ten wrong tokens in a minute are 429 then; a valid one passes, and a minute mends it."""
    async with open_runtime() as runtime:
        wrong = upgrade("/acp", "wrong")
        answers = [(await ask(runtime, wrong)).status for _ in range(FAILURES + 2)]
        assert answers == [401] * FAILURES + [429] * 2
        reply = await ask(runtime, wrong)
        assert reply.values("retry-after") == ["60"]
        assert (await ask(runtime, upgrade("/acp", SESSION))).status == 101
        assert (await ask(runtime, upgrade("/control", SESSION))).status == 403
        await trio.sleep(WINDOW)
        assert (await ask(runtime, wrong)).status == 401


async def test_other_refusals_are_no_failed_logins(autojump_clock: object) -> None:
    """A foreign Origin or a scope that does not reach closes nobody's door."""
    async with open_runtime() as runtime:
        for _ in range(FAILURES + 1):
            await ask(runtime, upgrade("/control", SESSION))
            await ask(runtime, upgrade("/acp", "wrong", "Origin: null"))
        assert (await ask(runtime, upgrade("/acp", "wrong"))).status == 401


async def test_silent_connections_are_bounded(autojump_clock: object) -> None:
    """Z5: 64 connections may be silent; one more is served, and the oldest of them goes."""
    async with open_runtime() as runtime:
        silent = []
        for _ in range(MAX_UNKNOWN):
            ours, theirs = memory_stream_pair()
            runtime.daemon.connect(theirs)
            silent.append(ours)
        await trio.testing.wait_all_tasks_blocked()
        assert (await ask(runtime, upgrade("/acp", SESSION))).status == 101
        started, closed = trio.current_time(), []

        async def wait_closed(ours: trio.abc.Stream) -> None:
            assert await ours.receive_some() == b""
            closed.append(trio.current_time() - started)

        async with trio.open_nursery() as nursery:
            for ours in silent:
                nursery.start_soon(wait_closed, ours)
        assert sorted(closed) == pytest.approx([0.0] + [HEAD_SECONDS] * (MAX_UNKNOWN - 1))
        assert trio.current_time() - started == pytest.approx(HEAD_SECONDS)
        assert (await ask(runtime, upgrade("/acp", SESSION))).status == 101


async def test_clients_with_a_token_do_not_count(autojump_clock: object) -> None:
    """Z5: only sockets that have shown no token are bounded by that number."""
    async with open_runtime() as runtime:
        streams = []
        for _ in range(MAX_UNKNOWN + 1):
            ours, theirs = memory_stream_pair()
            runtime.daemon.connect(theirs)
            assert (await exchange(ours, upgrade("/acp", SESSION))).status == 101
            streams.append(ours)
        for ours in streams:
            await ours.aclose()


@pytest.mark.parametrize(
    "request_bytes",
    [
        upgrade("/acp", SESSION, method="POST"),
        upgrade("/acp", SESSION).replace(b"Version: 13", b"Version: 12"),
        upgrade("/acp", SESSION).replace(b"Sec-WebSocket-Key", b"X-Nothing"),
    ],
    ids=["a post", "an old version", "no key"],
)
async def test_a_handshake_that_fails(autojump_clock: object, request_bytes: bytes) -> None:
    """Z5: a handshake that does not come about ends within 5 s, with no 101."""
    async with open_runtime() as runtime:
        started = trio.current_time()
        reply = await ask(runtime, request_bytes)
        assert reply.status != 101
        assert trio.current_time() - started <= HANDSHAKE_SECONDS
        assert (await ask(runtime, upgrade("/acp", SESSION))).status == 101


async def test_tokens_are_not_logged(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Z2: a token in a URL is redacted from the log."""
    caplog.set_level("DEBUG", "hermes")
    async with open_runtime() as runtime:
        await ask(runtime, upgrade(f"/acp?token={SESSION}"))
        await ask(runtime, upgrade("/acp", "w" * 43))
    assert "401" in caplog.text
    assert SESSION not in caplog.text
    assert "w" * 43 not in caplog.text


async def test_a_stop_is_answered(autojump_clock: object) -> None:
    """D8: at a stop the goodbyes are exchanged at once, and the daemon waits for no deadline."""
    async with open_runtime() as runtime, runtime.client() as client, runtime.operator():
        started = trio.current_time()
        runtime.daemon.stop(drain=0.0)
        await runtime.daemon.ended.wait()
        assert trio.current_time() - started < 1
        with pytest.raises(ConnectionClosed) as closed:
            await client.socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001
