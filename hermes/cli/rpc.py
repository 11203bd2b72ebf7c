"""A JSON-RPC 2.0 client over a websocket, for `/acp` and `/control` alike.

One task always reads and one task writes.  The first keeps answers and pings
from waiting for each other; the second keeps a cancelled caller from leaving half
a frame on the wire.  What comes in is given to one callback in the order of the
wire, so that the updates of a turn are shown before its answer is looked at; a
callback that is slow holds back the reading, and nothing is queued without bound.
"""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import outcome
import trio
from attrs import define, field, frozen
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    WebSocketConnection,
    wrap_client_stream,
)

from hermes.cli.exits import CommandFailed, NoDaemon, unwrapped
from hermes.errors import HermesError
from hermes.messages import jsonrpc
from hermes.messages.jsonrpc import Notification, Request, RequestId, Response, RpcError

# Frames read ahead; with the library's default of 1 a busy callback delays pings.
MESSAGE_QUEUE = 16

# Frames waiting for the writer; a client has a handful under way at most.
OUTBOX = 16

# The daemon takes no larger frame unless configured, and never sends one.
MAX_FRAME_BYTES = 1_048_576

# On loopback each takes milliseconds; these only end what hangs.
CONNECT_SECONDS = 10.0
SEND_SECONDS = 10.0
CLOSE_SECONDS = 2.0


@frozen
class RpcFailed(HermesError):
    """The daemon answered with an error; `data` is empty where it sent none."""

    code: int
    message: str
    data: Mapping[str, object] = field(factory=dict)

    def __str__(self) -> str:
        details = ", ".join(f"{name} {value}" for name, value in self.data.items())
        return f"{self.message} ({details})" if details else f"{self.message} ({self.code})"


class ConnectionLost(CommandFailed):
    """The connection ended; calls that waited for an answer get none."""


@define
class _Waiting:
    """One call under way: `result` is there once `answered` is set."""

    answered: trio.Event = field(factory=trio.Event)
    result: outcome.Maybe[Mapping[str, object]] | None = None

    def settle(self, result: outcome.Maybe[Mapping[str, object]]) -> None:
        self.result = result
        self.answered.set()


class Rpc:
    """One open connection; made by `open_rpc`."""

    def __init__(self, websocket: WebSocketConnection, receive: Receive) -> None:
        self._websocket = websocket
        self._receive = receive
        self._outbox, self._outgoing = trio.open_memory_channel[str](OUTBOX)
        self._numbers = itertools.count(1)
        self._calls: dict[RequestId, _Waiting] = {}
        self._lost: ConnectionLost | None = None
        self._ended = trio.Event()

    async def call(self, method: str, params: Mapping[str, object]) -> Mapping[str, object]:
        """Send a request and wait for its result.

        Raises:
            RpcFailed: the daemon answered with an error.
            ConnectionLost: the connection ended first.

        **Cancellation**: the request may have been sent; its answer is ignored.
        """
        number = next(self._numbers)
        waiting = self._calls[number] = _Waiting()
        try:
            await self._send(jsonrpc.request_frame(number, method, params))
            await waiting.answered.wait()
        finally:
            del self._calls[number]
        assert waiting.result is not None
        return waiting.result.unwrap()

    async def notify(self, method: str, params: Mapping[str, object]) -> None:
        """Send a notification.

        Raises:
            ConnectionLost: the connection has ended.
        """
        await self._send(jsonrpc.notification_frame(method, params))

    async def answer(self, request: Request, result: Mapping[str, object]) -> None:
        """Answer a request of the daemon's."""
        await self._send(jsonrpc.result_frame(request.id, result))

    async def refuse(self, request: Request, error: RpcError) -> None:
        """Answer a request of the daemon's with an error."""
        await self._send(jsonrpc.error_frame(request.id, error))

    async def wait_lost(self) -> ConnectionLost:
        """Wait until the connection has ended; returns why."""
        await self._ended.wait()
        assert self._lost is not None
        return self._lost

    async def read(self) -> None:
        """Read until the connection ends; run by `open_rpc`."""
        try:
            while True:
                frame = await self._websocket.get_message()
                if isinstance(frame, str):
                    await self._take(jsonrpc.parse(frame))
        except ConnectionClosed as closed:
            self._lose(_why(closed))

    async def write(self) -> None:
        """Write what is sent, one frame after the other; run by `open_rpc`."""
        try:
            async for frame in self._outgoing:
                with trio.fail_after(SEND_SECONDS):
                    await self._websocket.send_message(frame)
        except ConnectionClosed as closed:
            self._lose(_why(closed))
        except trio.TooSlowError:
            self._lose(f"the daemon has read nothing for {SEND_SECONDS:g} s")

    async def _send(self, frame: str) -> None:
        size = len(frame.encode())
        if size > MAX_FRAME_BYTES:
            raise CommandFailed(
                f"this message has {size} bytes, and {MAX_FRAME_BYTES} fit in one: "
                "put the text in a file and name the file"
            )
        if self._lost is not None:
            raise self._lost
        await self._outbox.send(frame)

    async def _take(self, incoming: jsonrpc.Incoming) -> None:
        match incoming:
            case Response(identity, result, error) if identity in self._calls:
                self._calls[identity].settle(_outcome(result, error))
            case Request() | Notification():
                await self._receive(self, incoming)
            case _:
                pass  # an answer that nobody waits for, or not JSON-RPC at all

    def _lose(self, why: str) -> None:
        if self._lost is not None:
            return
        self._lost = ConnectionLost(f"{why}; see: hermes ctl status")
        self._ended.set()
        for waiting in self._calls.values():
            waiting.settle(outcome.Error(self._lost))


Receive = Callable[[Rpc, Request | Notification], Awaitable[None]]


async def refuse_all(rpc: Rpc, incoming: Request | Notification) -> None:
    """The callback of a client that serves nothing: notifications are ignored."""
    if isinstance(incoming, Request):
        await rpc.refuse(incoming, jsonrpc.method_not_found(incoming.method))


@asynccontextmanager
async def open_rpc(url: str, token: str, receive: Receive = refuse_all) -> AsyncIterator[Rpc]:
    """Connect to `url` (`ws://HOST:PORT/PATH`) with a bearer token.

    Raises:
        NoDaemon: nothing listens there.
        CommandFailed: it refused the token, or is no daemon.

    The stream is opened here and not by trio-websocket, whose own way leaves the
    socket of a refused handshake open.

    **Resources**: leaving the context closes the connection.
    """
    place = urlsplit(url)
    try:
        async with (
            await _connect(url, place.hostname or "", place.port or 0) as stream,
            trio.open_nursery() as nursery,
        ):
            websocket = await _shake_hands(nursery, stream, url, token)
            rpc = Rpc(websocket, receive)
            nursery.start_soon(rpc.read)
            nursery.start_soon(rpc.write)
            try:
                yield rpc
            finally:
                with trio.move_on_after(CLOSE_SECONDS):
                    await websocket.aclose()
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        error = unwrapped(group)
        if isinstance(error, ConnectionRejected):  # raised by trio-websocket's own task
            raise CommandFailed(_rejection(url, error.status_code)) from error
        raise error from error.__cause__


async def _connect(url: str, host: str, port: int) -> trio.SocketStream:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await trio.open_tcp_stream(host, port)
    except (OSError, trio.TooSlowError) as error:
        raise NoDaemon(f"nothing listens at {url}; start a daemon with: hermes serve") from error


async def _shake_hands(
    nursery: trio.Nursery, stream: trio.SocketStream, url: str, token: str
) -> WebSocketConnection:
    place = urlsplit(url)
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await wrap_client_stream(
                nursery,
                stream,
                place.netloc,
                place.path,
                extra_headers=[(b"Authorization", f"Bearer {token}".encode())],
                message_queue_size=MESSAGE_QUEUE,
                max_message_size=MAX_FRAME_BYTES,
            )
    except (ConnectionClosed, trio.TooSlowError) as error:
        raise CommandFailed(f"what listens at {url} is no Hermes daemon") from error


def _rejection(url: str, status: int) -> str:
    match status:
        case 401:
            return "the daemon refused this machine's token; stop it and start it: hermes serve"
        case 403:
            return "the daemon refused: this token or this address may not do that"
        case 429:
            return "the daemon saw too many wrong tokens from here; try again in a minute"
        case _:
            return f"what listens at {url} is no Hermes daemon (HTTP {status})"


def _why(closed: ConnectionClosed) -> str:
    reason = closed.reason
    if reason is None:
        return "the connection to the daemon broke"
    told = reason.reason or reason.name.lower().replace("_", " ")
    return f"the daemon closed the connection ({reason.code}, {told})"


def _outcome(
    result: object, error: Mapping[str, object] | None
) -> outcome.Maybe[Mapping[str, object]]:
    if error is not None:
        code, data = error.get("code"), error.get("data")
        return outcome.Error(
            RpcFailed(
                code if isinstance(code, int) else jsonrpc.INTERNAL_ERROR,
                str(error.get("message", "failed")),
                data if isinstance(data, Mapping) else {},
            )
        )
    if not isinstance(result, Mapping):
        return outcome.Error(RpcFailed(jsonrpc.INTERNAL_ERROR, "the answer is no JSON object"))
    return outcome.Value(result)
