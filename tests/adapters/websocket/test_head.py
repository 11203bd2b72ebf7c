from __future__ import annotations

import pytest
import trio
from trio.testing import memory_stream_pair

from hermes.adapters.websocket.head import HEAD_SECONDS, MAX_HEAD, BadHead, Head, Rewound, read_head

REQUEST = b"GET /acp?a=b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\n\r\n"


class Pieces(trio.abc.Stream):
    """A stream that gives these pieces one by one, then its end, or nothing more."""

    def __init__(self, *pieces: bytes, then_close: bool = False) -> None:
        self._pieces = list(pieces)
        self._then_close = then_close

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._pieces:
            piece = self._pieces.pop(0)
            if max_bytes is not None and len(piece) > max_bytes:
                self._pieces.insert(0, piece[max_bytes:])
            return piece[:max_bytes]
        if not self._then_close:
            await trio.sleep_forever()
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        raise AssertionError("nothing is sent here")

    async def wait_send_all_might_not_block(self) -> None:
        raise AssertionError("nothing is sent here")

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def read(*pieces: bytes, then_close: bool = False) -> tuple[Head, bytes] | None:
    """What is read of these pieces, each in its own packet."""
    return await read_head(Pieces(*pieces, then_close=then_close))


async def test_a_head() -> None:
    """A head is parsed, and every byte that was read comes with it."""
    got = await read(REQUEST + b"more")
    assert got is not None
    head, received = got
    assert (head.method, head.path, head.query) == ("GET", "/acp", "a=b")
    assert head.values("x-a") == ("1", "2")
    assert head.values("absent") == ()
    assert not head.upgrade
    assert received == REQUEST + b"more"


async def test_split_bytes() -> None:
    """A head may come one byte at a time."""
    whole = await read(REQUEST)
    assert await read(*[bytes([byte]) for byte in REQUEST]) == whole


@pytest.mark.parametrize("value", ["websocket", "WebSocket", " websocket "])
def test_upgrade(value: str) -> None:
    """The Upgrade header is compared without its case."""
    assert Head("GET", "/", (("upgrade", value),)).upgrade
    assert not Head("GET", "/", (("upgrade", "h2c"),)).upgrade


GARBAGE = {
    "not http": b"hello there\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "a bad header": b"GET / HTTP/1.1\r\nHost: h\r\nbad header\r\n\r\n",
    "a bad length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
async def test_garbage(data: bytes) -> None:
    """What is not HTTP gets a 400."""
    with pytest.raises(BadHead) as refused:
        await read(data)
    assert refused.value.status == 400


@pytest.mark.parametrize("pieces", [1, 2, 40])
async def test_a_head_that_is_too_large(pieces: int) -> None:
    """Z5: a head of more than 16 KiB is refused, in one packet or in many."""
    size = MAX_HEAD // pieces + 1
    filler = [b"X-%d: %s\r\n" % (number, b"x" * size) for number in range(pieces)]
    with pytest.raises(BadHead) as refused:
        await read(b"GET / HTTP/1.1\r\nHost: h\r\n", *filler, b"\r\n")
    assert refused.value.status == 431


async def test_a_head_that_just_fits() -> None:
    """Z5: a head of 16 KiB is read."""
    start = b"GET / HTTP/1.1\r\nHost: h\r\nX: "
    got = await read(start + b"x" * (MAX_HEAD - len(start) - 4) + b"\r\n\r\n")
    assert got is not None


@pytest.mark.parametrize("pieces", [(), (REQUEST[:-2],)], ids=["silent", "half"])
async def test_a_slow_peer(autojump_clock: object, pieces: tuple[bytes, ...]) -> None:
    """Z5: after 5 s without a whole head nothing is waited for."""
    started = trio.current_time()
    assert await read(*pieces) is None
    assert trio.current_time() - started == pytest.approx(HEAD_SECONDS)


async def test_drops_do_not_win_time(autojump_clock: object) -> None:
    """Z5: a byte now and then does not keep a connection open."""
    ours, theirs = memory_stream_pair()
    started = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            for byte in REQUEST:
                await ours.send_all(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        assert await read_head(theirs) is None
        nursery.cancel_scope.cancel()
    assert trio.current_time() - started == pytest.approx(HEAD_SECONDS)


@pytest.mark.parametrize("pieces", [(), (REQUEST[:9],)], ids=["at once", "half way"])
async def test_a_peer_that_leaves(pieces: tuple[bytes, ...]) -> None:
    """A peer that goes before its head is whole is no error."""
    assert await read(*pieces, then_close=True) is None


async def test_a_connection_that_breaks() -> None:
    """A reset before the head is whole is no error either."""
    ours, theirs = memory_stream_pair()
    await theirs.aclose()
    assert await read_head(theirs) is None
    await ours.aclose()


async def test_rewound() -> None:
    """Bytes that were read are given once more, in any portions, before the rest."""
    ours, theirs = memory_stream_pair()
    stream = Rewound(theirs, b"abcde")
    await ours.send_all(b"fg")
    assert await stream.receive_some(2) == b"ab"
    assert await stream.receive_some() == b"cde"
    assert await stream.receive_some() == b"fg"
    await stream.wait_send_all_might_not_block()
    await stream.send_all(b"h")
    assert await ours.receive_some() == b"h"
    await stream.aclose()
    assert await ours.receive_some() == b""
