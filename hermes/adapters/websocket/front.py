"""The one port: health pages, `/acp` and `/control`, told apart by their first bytes.

Every connection has a boundary of its own: nothing that a peer sends ends more
than its own task.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from functools import partial
from http import HTTPStatus

import trio
from attrs import define, field
from trio_websocket import WebSocketConnection, wrap_server_stream

from hermes.actors import Deadline, open_service_nursery
from hermes.adapters.websocket.acp import AcpPeer
from hermes.adapters.websocket.control import ControlPeer
from hermes.adapters.websocket.desk import Desk
from hermes.adapters.websocket.gate import (
    SCOPES,
    Admission,
    Doors,
    Grants,
    Refusal,
    check_host,
    judge,
    redact,
)
from hermes.adapters.websocket.head import BadHead, Head, Rewound, read_head
from hermes.adapters.websocket.link import CLOSE_SECONDS, INTERNAL, Link
from hermes.adapters.websocket.throttle import Throttle

log = logging.getLogger(__name__)

#: Sockets that have not shown a token yet: row Z5.
MAX_UNKNOWN = 64

#: Seconds for the websocket handshake, once the head is there: row Z5.
HANDSHAKE_SECONDS = 5.0

#: Frames that may wait to be read: with the library's default of 1 a busy reader
#: leaves pings unanswered.
MESSAGE_QUEUE = 16

#: Bytes taken from the network at once.
RECEIVE_BYTES = 64 * 1024


@define(eq=False)
class Front:
    """Serves connections.

    Args:
        desk: the daemon.
        doors: what the listener is called.
        grants: today's tokens.
        deadline: the process's deadline.
        max_frame: bytes that one frame may have.
        ready: whether the daemon takes prompts, for `/readyz`.
    """

    desk: Desk
    doors: Doors
    grants: Callable[[], Grants]
    deadline: Deadline
    max_frame: int
    ready: Callable[[], bool]
    _throttle: Throttle = field(factory=Throttle, init=False)
    _unknown: dict[trio.CancelScope, None] = field(factory=dict, init=False)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection to its end, and close it; nothing escapes."""
        scope = trio.CancelScope()
        self._meet(scope)
        try:
            with scope:
                await self._serve(stream, scope)
        except Exception:
            log.exception("a connection failed")
        finally:
            self._unknown.pop(scope, None)
            with self.deadline.shield(CLOSE_SECONDS):
                await trio.aclose_forcefully(stream)

    def _meet(self, scope: trio.CancelScope) -> None:
        """One more that has shown no token; past the bound the oldest of them goes.

        Were it the newest, whoever keeps 64 silent sockets open would keep everybody out.
        """
        if len(self._unknown) >= MAX_UNKNOWN:
            log.warning("more than %d connections show no token; the oldest goes", MAX_UNKNOWN)
            oldest = next(iter(self._unknown))
            del self._unknown[oldest]
            oldest.cancel()
        self._unknown[scope] = None

    async def _serve(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        head, received = await self._head(stream)
        if head is None:
            return
        verdict = self._judge(head, stream)
        if isinstance(verdict, Refusal):
            await _answer(stream, verdict.status, verdict.why, verdict.headers)
            return
        async with open_service_nursery(self.deadline) as services:
            # It outlives a cancel: without a reader no goodbye is ever answered.
            readers = await services.start(_hold_nursery, "websocket reader")
            link = await self._shake_hands(readers, stream, received, verdict)
            if link is not None:
                self._unknown.pop(scope, None)
                await self._speak(link, verdict)

    async def _head(self, stream: trio.abc.Stream) -> tuple[Head | None, bytes]:
        try:
            got = await read_head(stream)
        except BadHead as error:
            await _answer(stream, error.status, str(error))
            return None, b""
        return got if got is not None else (None, b"")

    def _judge(self, head: Head, stream: trio.abc.Stream) -> Refusal | Admission:
        if head.path not in SCOPES:
            return check_host(head, self.doors) or self._page(head)
        now, address = self.desk.world.now(), _address(stream)
        throttled = self._throttle.closed(address, now)
        verdict = judge(head, self.doors, self.grants(), throttled=throttled)
        if isinstance(verdict, Refusal):
            log.info("%s %s: %d %s", address, redact(head.target), verdict.status, verdict.why)
            if verdict.counts:
                self._throttle.failed(address, now)
        return verdict

    def _page(self, head: Head) -> Refusal:
        """A plain page, in the form of an answer."""
        if head.method not in ("GET", "HEAD"):
            return Refusal(405, "only GET is served here", (("Allow", "GET, HEAD"),))
        if head.path == "/healthz":
            return Refusal(200, "ok")
        if head.path == "/readyz":
            return Refusal(200, "ready") if self.ready() else Refusal(503, "draining")
        return Refusal(404, "not found; websockets are at /acp and /control")

    async def _shake_hands(
        self, nursery: trio.Nursery, stream: trio.abc.Stream, received: bytes, verdict: Admission
    ) -> Link | None:
        with trio.move_on_after(HANDSHAKE_SECONDS):
            request = await wrap_server_stream(
                nursery,
                Rewound(stream, received),
                message_queue_size=MESSAGE_QUEUE,
                max_message_size=self.max_frame,
                receive_buffer_size=RECEIVE_BYTES,
            )
            identity = self.desk.world.new_id("con")
            socket: WebSocketConnection = await request.accept(
                subprotocol=verdict.subprotocol,
                extra_headers=[(b"Acp-Connection-Id", identity.encode())],
            )
            return Link(socket, stream, self.deadline, self.max_frame)
        return None

    async def _speak(self, link: Link, verdict: Admission) -> None:
        async with trio.open_nursery() as nursery:
            if verdict.path == "/acp":
                hang_up = partial(link.end, INTERNAL)
                peer = AcpPeer(self.desk, verdict.grant, link.outbox, nursery, hang_up)
                await link.serve(peer)
            else:
                await link.serve(ControlPeer(self.desk, link.outbox, nursery))
            nursery.cancel_scope.cancel()


async def _hold_nursery(*, task_status: trio.TaskStatus[trio.Nursery]) -> None:
    """Keep a nursery open until cancelled."""
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await trio.sleep_forever()


async def _answer(
    stream: trio.abc.Stream, status: int, why: str, headers: Sequence[tuple[str, str]] = ()
) -> None:
    """Answer with a short JSON body, and no more on this connection."""
    body = json.dumps({"status" if status < 400 else "error": why}).encode() + b"\n"
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    with trio.move_on_after(CLOSE_SECONDS):
        try:
            await stream.send_all(head + body)
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
            # Unread bytes would reset the connection, and the answer be lost with it.
            while await stream.receive_some(RECEIVE_BYTES):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a peer went before its answer")


def _address(stream: trio.abc.Stream) -> str:
    """The peer's address, for the throttle; streams that have none share one."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        return str(stream.socket.getpeername()[0])
    return "memory"
