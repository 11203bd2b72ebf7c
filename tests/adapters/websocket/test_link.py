from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field
from support.narrow import NarrowStream
from support.raw_http import exchange, upgrade
from support.runtime import TOKENS, LiveRuntime, open_runtime
from trio.testing import memory_stream_pair
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    wrap_client_stream,
    wrap_server_stream,
)

from hermes.actors import Deadline
from hermes.adapters.websocket.link import (
    CLOSE_SECONDS,
    PING_EVERY,
    PONG_WITHIN,
    SEND_SECONDS,
    Link,
)
from hermes.adapters.websocket.outbox import MAX_WAITING

MAX_FRAME = 1000


class Listener:
    """A peer that keeps what it gets."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.is_gone = False

    async def received(self, text: str) -> None:
        self.texts.append(text)

    def gone(self) -> None:
        self.is_gone = True


@define
class Ends:
    """Both ends of one websocket."""

    link: Link
    peer: Listener
    client: WebSocketConnection
    network: NarrowStream
    serving: trio.CancelScope
    over: trio.Event = field(factory=trio.Event)

    async def closed(self) -> tuple[int, str | None] | None:
        """Read to the end; how the client saw it closed, None for not at all."""
        try:
            while True:
                await self.client.get_message()
        except ConnectionClosed as closed:
            return None if closed.reason is None else (closed.reason.code, closed.reason.reason)


@asynccontextmanager
async def open_link() -> AsyncIterator[Ends]:
    """A link that serves, and its client."""
    ours, theirs = memory_stream_pair()
    network = NarrowStream(theirs)
    async with trio.open_nursery() as nursery:
        clients: list[WebSocketConnection] = []

        async def connect() -> None:
            client = await wrap_client_stream(nursery, ours, "h", "/", message_queue_size=100_000)  # type: ignore[arg-type]
            clients.append(client)

        nursery.start_soon(connect)
        request = await wrap_server_stream(nursery, network, message_queue_size=16)
        socket = await request.accept()
        await trio.testing.wait_all_tasks_blocked()
        link = Link(socket, network, Deadline(), MAX_FRAME)
        ends = Ends(link, Listener(), clients[0], network, trio.CancelScope())

        async def serve() -> None:
            with ends.serving:
                await link.serve(ends.peer)
            ends.over.set()

        nursery.start_soon(serve)
        yield ends
        nursery.cancel_scope.cancel()


async def test_frames_go_both_ways(autojump_clock: object) -> None:
    """Text frames reach the peer, what is put out reaches the client, in order."""
    async with open_link() as ends:
        await ends.client.send_message("in")
        ends.link.outbox.put_frame("out 1")
        ends.link.outbox.put_frame("out 2")
        assert [await ends.client.get_message() for _ in range(2)] == ["out 1", "out 2"]
        assert ends.peer.texts == ["in"]


async def test_binary_frames_are_ignored(autojump_clock: object) -> None:
    """A binary frame is ignored and counted, and the connection goes on."""
    async with open_link() as ends:
        await ends.client.send_message(b"\x00" * 10)
        await ends.client.send_message("text")
        await trio.testing.wait_all_tasks_blocked()
        assert (ends.peer.texts, ends.link.ignored) == (["text"], 1)


@pytest.mark.parametrize("text", ["x" * MAX_FRAME, "\N{SNOWMAN}" * (MAX_FRAME // 3)])
async def test_the_largest_frame(autojump_clock: object, text: str) -> None:
    """A frame of just the allowed bytes is taken."""
    async with open_link() as ends:
        await ends.client.send_message(text)
        await trio.testing.wait_all_tasks_blocked()
        assert ends.peer.texts == [text]


@pytest.mark.parametrize(
    "text",
    ["x" * (MAX_FRAME + 1), "\N{SNOWMAN}" * (MAX_FRAME // 3 + 1), "x" * MAX_FRAME * 20],
    ids=["a byte too many", "in bytes, not in characters", "far too large"],
)
async def test_a_frame_that_is_too_large(autojump_clock: object, text: str) -> None:
    """A frame over the limit closes with 1009 and is not handed on."""
    async with open_link() as ends:
        await ends.client.send_message(text)
        closed = await ends.closed()
        assert closed is not None
        assert closed[0] == 1009
        assert ends.peer.texts == []
        await ends.over.wait()
        assert ends.peer.is_gone


async def test_a_client_that_answers_pings_stays(autojump_clock: object) -> None:
    """A silent client that answers pings stays connected for an hour."""
    async with open_link() as ends:
        await trio.sleep(3600)
        ends.link.outbox.put_frame("still there")
        assert await ends.client.get_message() == "still there"


async def test_a_half_open_connection(autojump_clock: object) -> None:
    """A ping after 20 s; no pong within 25 s closes the connection as half open."""
    async with open_runtime() as runtime:
        ours, theirs = memory_stream_pair()
        runtime.daemon.connect(theirs)
        assert (await exchange(ours, upgrade("/acp", TOKENS["session"]))).status == 101
        started = trio.current_time()
        ping = await ours.receive_some()
        assert ping[0] == 0x89
        assert trio.current_time() - started == pytest.approx(PING_EVERY)
        assert await ours.receive_some() == b""
        assert trio.current_time() - started == pytest.approx(PING_EVERY + PONG_WITHIN)


async def test_a_client_that_leaves(autojump_clock: object) -> None:
    """A client's close is answered, and its peer told once."""
    async with open_link() as ends:
        await ends.client.aclose()
        await ends.over.wait()
        assert ends.peer.is_gone
        assert trio.current_time() < CLOSE_SECONDS


async def test_the_daemon_stops(autojump_clock: object) -> None:
    """At a stop what waits is sent, in order, and then 1001."""
    async with open_link() as ends:
        frames = [f"frame {number}" for number in range(5)]
        for frame in frames:
            ends.link.outbox.put_frame(frame)
        ends.serving.cancel()
        await ends.over.wait()
        assert [await ends.client.get_message() for _ in frames] == frames
        closed = await ends.closed()
        assert closed is not None
        assert closed[0] == 1001


async def test_the_daemon_stops_in_mid_send(autojump_clock: object) -> None:
    """D4: a stop that meets a send leaves out none of the frames behind it."""
    async with open_link() as ends:
        frames = [f"frame {number}" for number in range(5)]
        ends.network.shut()
        for frame in frames:
            ends.link.outbox.put_frame(frame)
        await trio.testing.wait_all_tasks_blocked()
        ends.link.outbox.put_frame("the last")
        ends.serving.cancel()
        await trio.sleep(CLOSE_SECONDS / 2)
        ends.network.open()
        assert [await ends.client.get_message() for _ in range(6)] == [*frames, "the last"]
        closed = await ends.closed()
        assert closed is not None
        assert closed[0] == 1001


Ending = Callable[[Ends], Awaitable[None]]


async def by_cancel(ends: Ends) -> None:
    ends.serving.cancel()


async def by_budget(ends: Ends) -> None:
    for _ in range(MAX_WAITING + 1):
        ends.link.outbox.put_frame("{}")


async def by_patience(ends: Ends) -> None:
    await trio.sleep(SEND_SECONDS)


@pytest.mark.parametrize("end", [by_cancel, by_budget, by_patience])
async def test_a_send_that_was_cut(autojump_clock: object, end: Ending) -> None:
    """Half a frame is followed by nothing: the stream is dropped, within its deadlines."""
    async with open_link() as ends:
        started = trio.current_time()
        before = len(ends.network.sent)
        ends.network.shut()
        ends.link.outbox.put_frame("x" * 100)
        await trio.testing.wait_all_tasks_blocked()
        half = ends.network.sent[before:]
        assert 50 <= len(half) < 100
        await end(ends)
        await ends.over.wait()
        assert ends.network.closed
        assert ends.network.sent[before:] == half
        # One that is only slow keeps its time: it may still learn why it is dropped.
        waited = 0.0 if end is by_cancel else SEND_SECONDS
        assert trio.current_time() - started <= waited + 2 * CLOSE_SECONDS


async def test_a_slow_consumer_is_told(autojump_clock: object) -> None:
    """A client past its budget that can still be reached is closed with 1008."""
    async with open_link() as ends:
        ends.network.shut()
        ends.link.outbox.put_frame("first")
        await trio.testing.wait_all_tasks_blocked()
        await by_budget(ends)
        await trio.sleep(CLOSE_SECONDS / 2)
        ends.network.open()
        assert await ends.client.get_message() == "first"
        assert await ends.closed() == (1008, "slow consumer")


@asynccontextmanager
async def stuck_client(runtime: LiveRuntime) -> AsyncIterator[tuple[NarrowStream, str]]:
    """A client that joined the session `cli:one` and then takes nothing any more."""
    ours, theirs = memory_stream_pair()
    network = NarrowStream(theirs)
    runtime.daemon.connect(network)
    headers = [(b"Authorization", f"Bearer {TOKENS['session']}".encode())]
    async with trio.open_nursery() as nursery:
        socket = await wrap_client_stream(
            nursery,
            ours,  # type: ignore[arg-type]
            "hermes.test",
            "/acp",
            extra_headers=headers,
        )
        new = {"cwd": "/", "mcpServers": [], "_meta": {"hermes": {"key": "cli:one"}}}
        answers = []
        for number, (method, params) in enumerate(
            [("initialize", {"protocolVersion": 1}), ("session/new", new)]
        ):
            frame = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            await socket.send_message(json.dumps(frame))
            answers.append(json.loads(await socket.get_message()))
        network.shut()
        yield network, answers[1]["result"]["sessionId"]
        nursery.cancel_scope.cancel()


async def test_a_client_that_never_reads(autojump_clock: object) -> None:
    """A client that never reads holds up no session and no other client, and is dropped."""
    async with (
        open_runtime() as runtime,
        runtime.client() as client,
        runtime.operator() as operator,
        stuck_client(runtime) as (network, session),
    ):
        assert await client.new("cli:one") == session
        started = trio.current_time()
        assert await client.prompt(session, "count to 2000") == "end_turn"
        assert trio.current_time() - started < 1
        assert client.text(session).endswith("1999 2000")
        inspected = await operator.call("sessions/inspect", {"session": session})
        assert inspected["clients"] == 2
        await trio.sleep(SEND_SECONDS + 2 * CLOSE_SECONDS)
        assert network.closed
        inspected = await operator.call("sessions/inspect", {"session": session})
        assert inspected["clients"] == 1
