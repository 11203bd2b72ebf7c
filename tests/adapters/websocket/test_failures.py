from __future__ import annotations

import logging

import pytest

from hermes.actors import MailboxFull
from hermes.adapters.websocket.failures import to_rpc
from hermes.errors import (
    CannotReplay,
    Draining,
    HermesError,
    IdReused,
    Interrupted,
    KeyTaken,
    SessionBusy,
    StoreFull,
    TurnFailed,
    UnknownSession,
)
from hermes.messages.jsonrpc import RpcError

CASES: list[tuple[Exception, int, str, set[str]]] = [
    (SessionBusy("a turn is running"), -31001, "session busy", {"retryAfterSeconds"}),
    (MailboxFull(100), -31002, "mailbox full", {"retryAfterSeconds"}),
    (Draining(), -31003, "draining", {"retryAfterSeconds"}),
    (StoreFull("no space"), -31004, "store full", {"retryAfterSeconds"}),
    (CannotReplay(3, 9), -31005, "cannot replay", {"firstSeq", "lastSeq"}),
    (Interrupted("cut twice"), -31007, "interrupted", {"reason"}),
    (IdReused(), -31008, "idempotency id reused", set()),
    (UnknownSession("ses_1"), -32002, "unknown session", {"sessionId"}),
    (KeyTaken(), -32602, "invalid params", {"path", "expected"}),
]


@pytest.mark.parametrize(
    ("error", "code", "message", "data"), CASES, ids=lambda value: str(value)[:20]
)
def test_our_errors(error: Exception, code: int, message: str, data: set[str]) -> None:
    """Each of our errors has the code and the data that protocol.md says."""
    rpc = to_rpc(error)
    assert (rpc.code, rpc.message, set(rpc.data or {})) == (code, message, data)


def test_a_replay_names_the_numbers() -> None:
    """D4: the error says which numbers are there."""
    assert to_rpc(CannotReplay(3, 9)).data == {"firstSeq": 3, "lastSeq": 9}


def test_a_provider_that_failed() -> None:
    """A failed turn says what the provider did, and when to try again."""
    error = TurnFailed("no", provider="p", status=429, retryable=True, retry_after=7.0)
    rpc = to_rpc(error)
    assert (rpc.code, rpc.message) == (-31006, "turn failed")
    assert rpc.data == {
        "provider": "p", "status": 429, "retryable": True, "message": "no",
        "retryAfterSeconds": 7.0,
    }  # fmt: skip


def test_a_silent_turn() -> None:
    """A4: a turn that the watchdog stopped says so, and names no provider."""
    rpc = to_rpc(TurnFailed("silent", reason="inactivity", retryable=True))
    assert rpc.code == -31006
    assert rpc.data == {"reason": "inactivity", "message": "silent"}


def test_an_error_of_the_wire_stays_itself() -> None:
    """An error that is made for the wire is sent as it is."""
    error = RpcError(-32602, "invalid params", {"path": "cwd"})
    assert to_rpc(error) is error


@pytest.mark.parametrize("error", [ValueError("secret detail"), HermesError("secret detail")])
def test_a_failure_of_ours(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """What is not foreseen is -32603 with an id that the log has too, and no detail."""
    with caplog.at_level(logging.ERROR):
        rpc = to_rpc(error)
    assert (rpc.code, rpc.message) == (-32603, "internal error")
    assert rpc.data is not None
    assert set(rpc.data) == {"id"}
    assert "secret" not in str(rpc.data)
    [record] = caplog.records
    assert str(rpc.data["id"]) in record.getMessage()
    assert record.exc_info is not None
