"""One websocket, framed as JSON-RPC: a reader, a writer, a keepalive.

The reader always reads, so pings are answered and a cancel is heard while a turn
runs; it hands each frame to its peer's protocol and never waits for a turn.  The
writer is the only one who sends, with a deadline of its own.  A send is shielded,
since whatever follows half a frame would be read as a part of it: at an end it gets
a moment to come to its own, and one that was cut drops the connection.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from hermes.actors import Deadline
from hermes.adapters.websocket.outbox import Outbox

log = logging.getLogger(__name__)

#: Seconds between pings, and until one must be answered: protocol.md.
PING_EVERY = 20.0
PONG_WITHIN = 25.0

#: Rounds of the loop between a missed pong and the verdict: after a stall (a stopped
#: process, a laptop's sleep) a pong that is in the socket is read first (row D10).
STALL_TICKS = 10

#: Seconds for one frame of at most 1 MiB to be taken by the peer's network; far
#: slower than any line that a person would chat over.
SEND_SECONDS = 30.0

#: Seconds for the close handshake before the socket is dropped.
CLOSE_SECONDS = 2.0

#: RFC 6455, 7.4.1: what a close frame says.
GOING_AWAY, POLICY, TOO_BIG, INTERNAL = 1001, 1008, 1009, 1011


class Peer(Protocol):
    """What speaks over a link: ACP or control."""

    async def received(self, text: str) -> None:
        """Take one text frame; must not raise, must not wait for a turn."""
        ...

    def gone(self) -> None:
        """The connection is over: detach from everything."""
        ...


class Link:
    """One accepted websocket.

    Args:
        socket: the websocket, accepted.
        stream: the stream under it, which is dropped where a handshake does no good.
        deadline: the process's deadline.
        max_frame: bytes that one frame may have.
    """

    def __init__(
        self,
        socket: WebSocketConnection,
        stream: trio.abc.Stream,
        deadline: Deadline,
        max_frame: int,
    ) -> None:
        self.outbox = Outbox(self._overflowed)
        self.ignored = 0
        self._socket = socket
        self._stream = stream
        self._deadline = deadline
        self._max_frame = max_frame
        self._ending: tuple[int, str] | None = None
        self._scope = trio.CancelScope()
        self._unsent: deque[str] = deque()
        self._sending: trio.CancelScope | None = None
        self._cut = False

    def end(self, code: int, reason: str) -> None:
        """Close the connection: nothing more is read, what waits is sent if it can be."""
        if self._ending is None:
            self._ending = (code, reason)
            self._scope.cancel()

    async def serve(self, peer: Peer) -> None:
        """Speak until either side closes.

        **Cancellation**: the peer is told 1001, the socket is closed.
        """
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._keep_alive, nursery)
                    try:
                        await self._read(peer)
                    finally:
                        # Its sessions need not wait for the goodbye.
                        peer.gone()
                        self._hurry()
                    nursery.cancel_scope.cancel()
        finally:
            await self._close()

    async def _read(self, peer: Peer) -> None:
        while True:
            try:
                message = await self._socket.get_message()
            except ConnectionClosed:
                return
            if isinstance(message, bytes):
                self.ignored += 1
            elif len(message) * 4 > self._max_frame and len(message.encode()) > self._max_frame:
                self.end(TOO_BIG, f"a frame has at most {self._max_frame} bytes")
                await trio.lowlevel.checkpoint()
            else:
                await peer.received(message)

    async def _write(self) -> None:
        while True:
            self._unsent.extend(await self.outbox.take())
            if not self._unsent and self.outbox.closed:
                return
            while self._unsent:
                await trio.lowlevel.checkpoint_if_cancelled()
                if not await self._send(self._unsent[0]):
                    await trio.aclose_forcefully(self._stream)
                    self._scope.cancel()
                    return
                self._unsent.popleft()

    async def _send(self, frame: str) -> bool:
        """Send a whole frame; whether the peer took it in time."""
        with self._deadline.shield(SEND_SECONDS) as self._sending:
            try:
                await self._socket.send_message(frame)
            except ConnectionClosed:
                return False
        self._cut = self._sending.cancelled_caught
        return not self._cut

    def _hurry(self) -> None:
        """The end is near: a frame that is on its way has a moment left.

        A slow reader keeps its time, so that it may still learn why it is dropped.
        """
        slow = self._ending is not None and self._ending[0] == POLICY
        if self._sending is not None and not slow:
            until = trio.current_time() + CLOSE_SECONDS
            self._sending.deadline = min(self._sending.deadline, until)

    async def _keep_alive(self, nursery: trio.Nursery) -> None:
        while True:
            await trio.sleep(PING_EVERY)
            answered = trio.Event()
            nursery.start_soon(self._ping, answered)
            with trio.move_on_after(PONG_WITHIN):
                await answered.wait()
            for _ in range(STALL_TICKS):
                await trio.lowlevel.checkpoint()
            if not answered.is_set():
                log.info("a half open connection is dropped: no pong in %g s", PONG_WITHIN)
                await trio.aclose_forcefully(self._stream)
                self._scope.cancel()
                return

    async def _ping(self, answered: trio.Event) -> None:
        try:
            await self._socket.ping()
        except ConnectionClosed:
            return  # the reader sees it too, and ends the connection
        answered.set()

    def _overflowed(self) -> None:
        log.info("a client that does not read is dropped")
        self.end(POLICY, "slow consumer")

    async def _close(self) -> None:
        """Say what is left to say and close, within a deadline of its own."""
        code, reason = self._ending or (GOING_AWAY, "the daemon is stopping")
        self.outbox.close()
        with self._deadline.shield(CLOSE_SECONDS):
            if not self._cut:
                await self._say_goodbye(code, reason)
        with self._deadline.shield(CLOSE_SECONDS):
            await trio.aclose_forcefully(self._stream)

    async def _say_goodbye(self, code: int, reason: str) -> None:
        try:
            if code in (GOING_AWAY, INTERNAL):
                for frame in (*self._unsent, *await self.outbox.take()):
                    await self._socket.send_message(frame)
            await self._socket.aclose(code, reason)
        except ConnectionClosed:
            log.debug("a peer went without a goodbye")
