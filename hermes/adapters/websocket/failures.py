"""Our errors as the peer gets them: the one place that knows the codes.

What is not ours is a failure of ours: -32603 with an id that the log has too, and
no traceback.
"""

from __future__ import annotations

import logging
import secrets

from hermes.actors import MailboxFull
from hermes.errors import (
    CannotReplay,
    Draining,
    IdReused,
    Interrupted,
    KeyTaken,
    SessionBusy,
    StoreFull,
    TurnFailed,
    UnknownSession,
)
from hermes.messages import jsonrpc
from hermes.messages.jsonrpc import RpcError

log = logging.getLogger(__name__)

#: Seconds after which a refused prompt may well be taken.
RETRY_BUSY = 1.0
RETRY_DRAINING = 5.0
RETRY_STORE = 30.0
RETRY_TURN = 5.0


def to_rpc(error: Exception) -> RpcError:
    """The error that a client is sent for one of ours."""
    match error:
        case RpcError():
            return error
        case SessionBusy():
            return _retry(jsonrpc.SESSION_BUSY, "session busy", RETRY_BUSY)
        case MailboxFull():
            return _retry(jsonrpc.MAILBOX_FULL, "mailbox full", RETRY_BUSY)
        case Draining():
            return _retry(jsonrpc.DRAINING, "draining", RETRY_DRAINING)
        case StoreFull():
            return _retry(jsonrpc.STORE_FULL, "store full", RETRY_STORE)
        case CannotReplay():
            data = {"firstSeq": error.first, "lastSeq": error.last}
            return RpcError(jsonrpc.CANNOT_REPLAY, "cannot replay", data)
        case TurnFailed():
            return _turn_failed(error)
        case Interrupted():
            return RpcError(jsonrpc.INTERRUPTED, "interrupted", {"reason": str(error)})
        case IdReused():
            return RpcError(jsonrpc.ID_REUSED, "idempotency id reused")
        case UnknownSession():
            return jsonrpc.unknown_session(error.session)
        case KeyTaken():
            return jsonrpc.invalid_params("_meta.hermes.key", "a key of your own")
        case _:
            return internal(error)


def internal(error: Exception) -> RpcError:
    """A failure of ours: the id is in the log, beside the traceback."""
    identity = f"err_{secrets.token_hex(6)}"
    log.error("%s: %s", identity, error, exc_info=error)
    return RpcError(jsonrpc.INTERNAL_ERROR, "internal error", {"id": identity})


def _retry(code: int, message: str, seconds: float) -> RpcError:
    return RpcError(code, message, {"retryAfterSeconds": seconds})


def _turn_failed(error: TurnFailed) -> RpcError:
    if error.reason is not None:
        data: dict[str, object] = {"reason": error.reason, "message": error.message}
    else:
        data = {
            "provider": error.provider,
            "status": error.status,
            "retryable": error.retryable,
            "message": error.message,
        }
    if error.retry_after is not None:
        data["retryAfterSeconds"] = error.retry_after
    elif error.retryable and error.reason is None:
        data["retryAfterSeconds"] = RETRY_TURN
    return RpcError(jsonrpc.TURN_FAILED, "turn failed", data)
