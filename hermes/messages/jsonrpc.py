"""JSON-RPC 2.0 frames as plain values: one text in, one of four things out.

Both websockets share this framing (protocol.md), and it is pure, so each rule is
proved without a socket.  Nothing here raises on what a peer sends: a frame that
cannot be served becomes `Refused`, which holds the answer.  What a peer *answers*
is never answered back, however broken it is: an error that echoed its id would be
taken for the answer to some request of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from hermes.errors import HermesError
from hermes.messages import strict_json

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
UNKNOWN_SESSION: Final = -32002

SESSION_BUSY: Final = -31001
MAILBOX_FULL: Final = -31002
DRAINING: Final = -31003
STORE_FULL: Final = -31004
CANNOT_REPLAY: Final = -31005
TURN_FAILED: Final = -31006
INTERRUPTED: Final = -31007
ID_REUSED: Final = -31008

_INT64 = 2**63
"""Ids are int64 in ACP's schema; a wider one could not be echoed to every client."""

RequestId = int | str


@frozen
class RpcError(HermesError):
    """An error as the peer gets it; `data` is left out of the frame where it is None."""

    code: int
    message: str
    data: Mapping[str, object] | None = None

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


@frozen
class Request:
    """Somebody waits for an answer under `id`; `params` is None where there were none."""

    id: RequestId
    method: str
    params: Mapping[str, object] | None = None


@frozen
class Notification:
    """Nobody waits.  Params that are not an object count as absent: there is nobody to tell."""

    method: str
    params: Mapping[str, object] | None = None


@frozen
class Response:
    """The peer answers a request of ours, with `result` or with `error` (then not None).

    `id` is None where the peer sent none that we could have used.
    """

    id: RequestId | None
    result: object = None
    error: Mapping[str, object] | None = None


@frozen
class Refused:
    """A frame that gets `error` back, under `id` (null where it is None)."""

    id: RequestId | None
    error: RpcError


Incoming = Request | Notification | Response | Refused


def parse(text: str) -> Incoming:
    """Classify one text frame; it never raises."""
    try:
        frame = strict_json.decode(text)
    except strict_json.InvalidJson as error:
        return Refused(None, RpcError(PARSE_ERROR, "parse error", {"reason": str(error)}))
    if isinstance(frame, list):
        return _invalid(None, "batches are not served: send one object per frame")
    if not isinstance(frame, dict):
        return _invalid(None, "a request is an object")
    identity = _usable_id(frame.get("id"))
    if "method" not in frame and ("result" in frame or "error" in frame):
        return _response(identity, frame)
    if frame.get("jsonrpc") != "2.0":
        return _invalid(identity, 'jsonrpc must be "2.0"')
    method = frame.get("method")
    if not isinstance(method, str):
        return _invalid(identity, "method must be a string")
    return _call(identity, method, frame)


def _call(identity: RequestId | None, method: str, frame: Mapping[str, object]) -> Incoming:
    params = frame.get("params")
    if "id" not in frame:
        return Notification(method, params if isinstance(params, dict) else None)
    if identity is None:
        return _invalid(None, "id must be a string or an integer")
    if params is not None and not isinstance(params, dict):
        return Refused(identity, invalid_params("params", "an object"))
    return Request(identity, method, params)


def _response(identity: RequestId | None, frame: Mapping[str, object]) -> Response:
    error = frame.get("error")
    if "error" in frame and not isinstance(error, dict):
        error = {"code": INTERNAL_ERROR, "message": "malformed error"}
    return Response(identity, frame.get("result"), error if isinstance(error, dict) else None)


def _usable_id(value: object) -> RequestId | None:
    if isinstance(value, str):
        return value
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    return None


def _invalid(identity: RequestId | None, reason: str) -> Refused:
    return Refused(identity, RpcError(INVALID_REQUEST, "invalid request", {"reason": reason}))


def invalid_params(path: str, expected: str) -> RpcError:
    """The -32602 that names the first wrong place, dotted (`prompt[0].text`)."""
    return RpcError(INVALID_PARAMS, "invalid params", {"path": path, "expected": expected})


def method_not_found(method: str) -> RpcError:
    """The -32601 for a method that is not served."""
    return RpcError(METHOD_NOT_FOUND, "method not found", {"method": method})


def unknown_session(session_id: str) -> RpcError:
    """The -32002 for a session that is not there, or somebody else's."""
    return RpcError(UNKNOWN_SESSION, "unknown session", {"sessionId": session_id})


def result_frame(identity: RequestId, result: Mapping[str, object]) -> str:
    """An answer; an empty result is `{}`, never null."""
    return strict_json.encode({"jsonrpc": "2.0", "id": identity, "result": result})


def error_frame(identity: RequestId | None, error: RpcError) -> str:
    """An error answer; `identity` None says that the request's id could not be read."""
    body: dict[str, object] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return strict_json.encode({"jsonrpc": "2.0", "id": identity, "error": body})


def notification_frame(method: str, params: Mapping[str, object]) -> str:
    """A notification of ours."""
    return strict_json.encode({"jsonrpc": "2.0", "method": method, "params": params})


def request_frame(identity: RequestId, method: str, params: Mapping[str, object]) -> str:
    """A request of ours; the peer answers under `identity`."""
    return strict_json.encode(
        {"jsonrpc": "2.0", "id": identity, "method": method, "params": params}
    )
