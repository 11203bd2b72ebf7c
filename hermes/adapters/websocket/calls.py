"""The requests of one connection that have no answer yet.

Both websockets are JSON-RPC servers of the same kind: a frame is classified, an
id that is in flight is refused, a method's failure becomes the documented error.
This is that part; what the methods do is in `acp` and `control`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from hermes.adapters.websocket.failures import to_rpc
from hermes.adapters.websocket.outbox import Outbox
from hermes.messages import jsonrpc
from hermes.messages.jsonrpc import Notification, Refused, Request, RequestId, RpcError

log = logging.getLogger(__name__)

#: Requests of one connection that may be unanswered at once: every session that a
#: client could sensibly keep busy, and a bound on what a hostile one can pile up.
MAX_IN_FLIGHT = 4096


class Calls:
    """Answers requests, each once, into a connection's outbox."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._in_flight: set[RequestId] = set()

    def begin(self, text: str) -> Request | Notification | None:
        """Classify a frame; None where it was answered, or is to be ignored."""
        incoming = jsonrpc.parse(text)
        match incoming:
            case Refused():
                self._outbox.put_frame(jsonrpc.error_frame(incoming.id, incoming.error))
            case Notification():
                return incoming
            case Request():
                return self._begin(incoming)
        return None

    def answer(self, identity: RequestId, result: Mapping[str, object]) -> None:
        """Give a result."""
        self._in_flight.discard(identity)
        self._outbox.put_frame(jsonrpc.result_frame(identity, result))

    def fail(self, identity: RequestId, error: Exception) -> None:
        """Give an error."""
        self._in_flight.discard(identity)
        self._outbox.put_frame(jsonrpc.error_frame(identity, to_rpc(error)))

    def _begin(self, request: Request) -> Request | None:
        if request.id in self._in_flight:
            reason = {"reason": "this id is still in flight"}
            error = RpcError(jsonrpc.INVALID_REQUEST, "invalid request", reason)
            self._outbox.put_frame(jsonrpc.error_frame(request.id, error))
            return None
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            full = RpcError(jsonrpc.MAILBOX_FULL, "mailbox full", {"retryAfterSeconds": 1.0})
            self._outbox.put_frame(jsonrpc.error_frame(request.id, full))
            return None
        self._in_flight.add(request.id)
        return request
