"""What is kept of a prompt's end, and told again."""

from __future__ import annotations

import pytest
from attrs import asdict
from support.session_parts import RecordingSink

from hermes.actors.session.results import dump_answer, dump_failure, tell, turn_failure
from hermes.errors import Interrupted, ModelError, ProviderRejected, RateLimited, TurnFailed


def told(result: bytes) -> object:
    """What a sink is told of a kept result."""
    sink = RecordingSink()
    tell(sink, result)
    (fate,) = sink.fates
    return fate


def test_an_answer() -> None:
    """D5: a kept stop reason is told as it was."""
    assert told(dump_answer("max_tokens")) == "max_tokens"


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", "openai", 429, 7.0),
        ProviderRejected("no such model", "openai", 404),
        TurnFailed("silent", reason="inactivity", retryable=True),
        RuntimeError("ours"),
    ],
)
def test_a_failure(error: Exception) -> None:
    """D5: a kept failure is told with all that it said the first time."""
    failure = turn_failure(error)
    again = told(dump_failure(failure))
    assert isinstance(again, TurnFailed)
    assert asdict(again) == asdict(failure)
    if isinstance(error, ModelError):
        assert (failure.status, failure.retryable) == (error.status, error.retryable)
        assert failure.retry_after == error.retry_after


def test_a_crash_of_ours_says_nothing_of_itself() -> None:
    """The text of an exception of ours may hold anything, so a client is not told it."""
    assert "secret" not in turn_failure(RuntimeError("secret")).message


def test_interrupted() -> None:
    """D2: a prompt that was cut twice is told so, again."""
    assert isinstance(told(dump_failure(Interrupted("cut"))), Interrupted)
