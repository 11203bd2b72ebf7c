"""The offline model as an HTTP server on loopback, so that the real client path is used.

A fake inside the process would be cheaper and would prove nothing: with this one a
fresh machine exercises the pool, the SDK, the parser and every error.  h11 on Trio
is enough for two addresses; a framework would bring a task and a queue for each
request.

Any user of the machine can reach a loopback port, so a bearer token made at the
start is required.
"""

from __future__ import annotations

import hmac
import json
import logging
import secrets
from collections.abc import Sequence

import h11
import trio
from attrs import field, frozen

from hermes.adapters.offline import wire
from hermes.adapters.offline.rules import (
    Call,
    Delay,
    Empty,
    Fail,
    Garble,
    Stall,
    Step,
    Truncate,
    steps_for,
)
from hermes.ports.model import Secret

# A request carries a whole history; four times the largest context is far below.
MAX_REQUEST_BYTES = 32 * 1024 * 1024
# Above the runtime's own keep-alive, so that the client closes first and no request
# is lost in a socket that is just closing.
IDLE_SECONDS = 60.0
# A client that does not take a chunk for this long is gone.
SEND_SECONDS = 60.0
# The runtime has one connection for each turn; others are not meant to come at all.
MAX_CONNECTIONS = 4096
_READ_BYTES = 65_536

_log = logging.getLogger(__name__)


@frozen
class OfflineModel:
    """A running offline model: where it is, and the token that it asks for."""

    base_url: str
    credential: Secret = field(factory=lambda: Secret(secrets.token_urlsafe(32)))


async def serve_offline(
    *, task_status: trio.TaskStatus[OfflineModel] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve on a free port of 127.0.0.1 until cancelled.

    Raises:
        OSError: no port can be opened.

    **Cancellation**: the listener and every connection are closed.
    """
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    model = OfflineModel(f"http://127.0.0.1:{port}/v1")

    async with trio.open_nursery() as connections:

        async def serve_client(stream: trio.SocketStream) -> None:
            async with stream:
                if len(connections.child_tasks) <= MAX_CONNECTIONS:
                    await _Connection(stream, model.credential).serve()

        task_status.started(model)  # it listens already
        await trio.serve_listeners(serve_client, listeners, handler_nursery=connections)


class _Connection:
    """One client's connection: request after request until either side ends it."""

    def __init__(self, stream: trio.SocketStream, credential: Secret) -> None:
        self._stream = stream
        self._authorization = f"Bearer {credential.value}".encode()
        self._http = h11.Connection(h11.SERVER)

    async def serve(self) -> None:
        """Answer requests; an error ends this connection and nothing else."""
        try:
            while await self._serve_one():
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._refuse_garbage(error)
        except (h11.LocalProtocolError, trio.BrokenResourceError, trio.TooSlowError) as error:
            _log.debug("a client of the offline model is gone: %r", error)
        except Exception:  # noqa: BLE001 - the boundary: a fault here is this client's only
            _log.exception("the offline model failed to answer")

    async def _serve_one(self) -> bool:
        """Answer one request; return whether another may follow."""
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            return False
        headers = dict(event.headers)
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._authorization):
            await self._send_fail(Fail(401, "wrong or no token for the offline model"))
            return False
        body = await self._read_body()
        if body is None:
            await self._send_fail(Fail(413, f"a request has at most {MAX_REQUEST_BYTES} bytes"))
            return False
        if event.method == b"GET" and event.target == b"/v1/models":
            await self._send_whole(200, wire.models_reply())
        elif event.method == b"POST" and event.target == b"/v1/chat/completions":
            await self._answer(body)
        else:
            await self._send_fail(
                Fail(404, "there are POST /v1/chat/completions and GET /v1/models here")
            )
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    # -- reading ---------------------------------------------------------------

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        with trio.fail_after(IDLE_SECONDS):
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    assert not isinstance(event, type) or event is h11.PAUSED
                    return event
                self._http.receive_data(await self._stream.receive_some(_READ_BYTES))

    async def _read_body(self) -> bytes | None:
        """The body of the request, None where it is too large."""
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > MAX_REQUEST_BYTES:
                return None
        return bytes(body)

    # -- answering -------------------------------------------------------------

    async def _answer(self, body: bytes) -> None:
        try:
            request: object = json.loads(body)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            await self._send_fail(Fail(400, "the body is not a JSON object"))
            return
        steps = steps_for(request)
        if isinstance(steps[0], Fail):
            await self._send_fail(steps[0])
            return
        async with trio.open_nursery() as nursery:
            # Without it a client that left would be found only at the next chunk.
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                await self._perform(request, steps)
            except (trio.BrokenResourceError, trio.TooSlowError) as error:
                _log.debug("a client of the offline model left in mid-reply: %r", error)
            nursery.cancel_scope.cancel()

    async def _watch(self, reply: trio.CancelScope) -> None:
        """Cut the reply when the client leaves; a client that talks is waited for."""
        try:
            data = await self._stream.receive_some(_READ_BYTES)
        except trio.BrokenResourceError:
            data = b""
        self._http.receive_data(data)
        if not data:
            reply.cancel()

    async def _perform(self, request: dict[str, object], steps: Sequence[Step]) -> None:
        usage = wire.usage_of(request, steps)
        if not request.get("stream"):
            await self._perform_whole(steps, usage)
            return
        await self._send(_head(200, b"text/event-stream"))
        index = 0
        for step in steps:
            if isinstance(step, Delay):
                await trio.sleep(step.seconds)
            elif isinstance(step, Stall):
                await trio.sleep_forever()
            elif isinstance(step, Truncate | Empty):
                await self._send(h11.EndOfMessage())
                return
            for event in wire.events_of(step, index):
                await self._send(h11.Data(event))
            index += isinstance(step, Call)
        options = request.get("stream_options")
        wanted = isinstance(options, dict) and options.get("include_usage")
        for event in wire.last_events(steps, usage if wanted else None):
            await self._send(h11.Data(event))
        await self._send(h11.EndOfMessage())

    async def _perform_whole(self, steps: Sequence[Step], usage: wire.Usage) -> None:
        for step in steps:
            if isinstance(step, Delay):
                await trio.sleep(step.seconds)
            elif isinstance(step, Stall):
                await trio.sleep_forever()
        reply = wire.whole_reply(steps, usage)
        if any(isinstance(step, Empty | Garble | Truncate) for step in steps):
            reply = reply[:1]
        await self._send_whole(200, reply)

    # -- writing ---------------------------------------------------------------

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            with trio.fail_after(SEND_SECONDS):
                await self._stream.send_all(data)

    async def _send_whole(self, status: int, body: bytes, retry_after: float | None = None) -> None:
        await self._send(_head(status, b"application/json", len(body), retry_after))
        await self._send(h11.Data(body))
        await self._send(h11.EndOfMessage())

    async def _send_fail(self, fail: Fail) -> None:
        await self._send_whole(fail.status, wire.error_reply(fail), fail.retry_after)

    async def _refuse_garbage(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        try:
            await self._send_fail(Fail(error.error_status_hint, "this is not HTTP/1.1"))
        except (h11.LocalProtocolError, trio.BrokenResourceError, trio.TooSlowError) as gone:
            _log.debug("a client of the offline model is gone: %r", gone)


def _head(
    status: int,
    content_type: bytes,
    length: int | None = None,
    retry_after: float | None = None,
) -> h11.Response:
    headers = [(b"Content-Type", content_type)]
    if length is not None:
        headers.append((b"Content-Length", b"%d" % length))
    if retry_after is not None:
        headers.append((b"Retry-After", b"%g" % retry_after))
    return h11.Response(status_code=status, headers=headers)
