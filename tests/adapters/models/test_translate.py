from __future__ import annotations

import json

import pytest

from hermes.adapters.models import translate
from hermes.errors import ModelError, ProviderFailed, ProviderRejected, RateLimited
from hermes.ports.model import Secret


@pytest.mark.parametrize(
    ("status", "error", "retryable"),
    [
        (302, ProviderRejected, False),
        (400, ProviderRejected, False),
        (404, ProviderRejected, False),
        (429, RateLimited, True),
        (500, ProviderFailed, True),
        (503, ProviderFailed, True),
    ],
)
def test_status(status: int, error: type[ModelError], retryable: bool) -> None:
    """Each status has one error, which carries it and says whether to try again."""
    translated = translate.error_of_status("acme", status, "so it is")
    assert type(translated) is error
    assert (translated.provider, translated.status) == ("acme", status)
    assert translated.retryable is retryable
    assert "so it is" in str(translated)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        ("1.5", 1.5),
        ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("1e30", translate.MAX_RETRY_AFTER),
        ("Thu, 99 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """F8: Retry-After is read as seconds or as an HTTP date, and garbage is as if absent."""
    assert translate.retry_after_of(value, 1000.0) == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"no such model"}}', "no such model"),
        (b'{"error":"no such model"}', "no such model"),
        (b'[{"error":{"message":"no such model"}}]', "no such model"),
        (b'{"detail":"no such model"}', '{"detail": "no such model"}'),
        (b"<h1>Bad\r\n\r\nGateway</h1>", "<h1>Bad Gateway</h1>"),
        (b"\xff\xfe", "��"),
        (b"", ""),
        (b'{"error":{"message":"half \\ud83d"}}', "half ?"),
        (b"[" * 100_000, "[" * 497 + "..."),
    ],
)
def test_message_of_body(body: bytes, message: str) -> None:
    """A provider's own words are found in any form of body, on one line and bounded."""
    assert translate.message_of_body(body) == message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "slow down", "code": 429}, RateLimited),
        ({"message": "slow down", "code": "429"}, RateLimited),
        ({"message": "slow down", "type": "rate_limit_exceeded"}, RateLimited),
        ({"message": "bad", "type": "invalid_request_error"}, ProviderRejected),
        ({"message": "bad", "code": 400}, ProviderRejected),
        ({"message": "broken", "code": 502}, ProviderFailed),
        ({"message": "broken", "code": True}, ProviderFailed),
        ("broken", ProviderFailed),
        (["broken"], ProviderFailed),
    ],
)
def test_error_inside_a_stream(error: object, expected: type[ModelError]) -> None:
    """An error object in a stream is as good as the status that it names."""
    assert type(translate.error_of_event("acme", error)) is expected


def test_credential_is_redacted() -> None:
    """Z8: a credential that a provider repeats in its complaint is not in the error."""
    error = translate.error_of_event("acme", {"message": "bad key sk-1234"}, Secret("sk-1234"))
    assert "sk-1234" not in repr(error)
    assert "bad key ***" in str(error)
    assert json.dumps(str(error))
