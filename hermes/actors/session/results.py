"""The end of a prompt, as it is kept on disk and given again to a repeated id."""

from __future__ import annotations

import json

from hermes.errors import Interrupted, ModelError, StoreError, TurnFailed
from hermes.ports.client import PromptSink


def turn_failure(error: Exception) -> TurnFailed:
    """A turn's exception as what its client is told; an unknown one is a failure of ours."""
    if isinstance(error, TurnFailed):
        return error
    if isinstance(error, ModelError):
        return TurnFailed(
            str(error),
            provider=error.provider,
            status=error.status,
            retryable=error.retryable,
            retry_after=error.retry_after,
        )
    return TurnFailed(f"the turn crashed: {type(error).__name__}")


def dump_answer(stop_reason: str) -> bytes:
    """The result of a turn that ended by itself, or was cancelled."""
    return json.dumps({"stopReason": stop_reason}).encode()


def dump_failure(error: TurnFailed | Interrupted) -> bytes:
    """The result of a turn that failed or was interrupted."""
    if isinstance(error, Interrupted):
        return json.dumps({"interrupted": True}).encode()
    return json.dumps(
        {
            "failed": {
                "message": error.message,
                "provider": error.provider,
                "status": error.status,
                "retryable": error.retryable,
                "reason": error.reason,
                "retry_after": error.retry_after,
            }
        }
    ).encode()


def tell(sink: PromptSink, result: bytes) -> None:
    """Tell a client the kept result of its prompt."""
    kept = json.loads(result)
    if "stopReason" in kept:
        sink.answer(kept["stopReason"])
    elif "failed" in kept:
        sink.fail(TurnFailed(**kept["failed"]))
    elif "interrupted" in kept:
        sink.fail(Interrupted("the turn was cut twice and is not run again"))
    else:
        sink.fail(StoreError("the kept result of this prompt cannot be read"))
