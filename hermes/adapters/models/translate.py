"""From what a provider answered to the errors of this project, decided purely.

The adapters that do the I/O call these and nothing else, so that one status means
one error, whichever library carried it.
"""

from __future__ import annotations

import email.utils
import json
import math

from hermes.errors import (
    ModelError,
    ProviderFailed,
    ProviderRejected,
    RateLimited,
)
from hermes.ports.model import Secret

# As much of a provider's own words as fits in a few lines of a terminal.
MAX_MESSAGE_CHARS = 500
# A provider that asks for more than a day means "not today"; nobody waits longer.
MAX_RETRY_AFTER = 86_400.0

_TOO_MANY_REQUESTS = 429
_FIRST_CLIENT_ERROR = 400
_FIRST_SERVER_ERROR = 500


def error_of_status(
    provider: str, status: int, message: str, retry_after: float | None = None
) -> ModelError:
    """The error for an HTTP status that is not a 2xx."""
    text = (
        f"{provider} answered {status}: {message}" if message else f"{provider} answered {status}"
    )
    if status == _TOO_MANY_REQUESTS:
        return RateLimited(text, provider, status, retry_after)
    if status >= _FIRST_SERVER_ERROR:
        return ProviderFailed(text, provider, status, retry_after)
    if status < _FIRST_CLIENT_ERROR:
        text += " (redirects are not followed: set base_url to the final address)"
    return ProviderRejected(text, provider, status)


def error_of_event(provider: str, error: object, secret: Secret | None = None) -> ModelError:
    """The error for an `error` object that came inside a stream.

    Some providers put an HTTP status into `code`, others only a word into `type`.
    """
    message = redact(message_of(error), secret)
    code = error.get("code") if isinstance(error, dict) else None
    kind = error.get("type") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == len("429"):
        code = int(code)
    is_number = isinstance(code, int) and not isinstance(code, bool)
    if is_number and isinstance(code, int) and _FIRST_CLIENT_ERROR <= code < 600:
        return error_of_status(provider, code, message)
    text = f"{provider} broke off with an error: {message}"
    words = f"{code} {kind}"
    if "rate_limit" in words:
        return RateLimited(text, provider)
    if "invalid_request" in words:
        return ProviderRejected(text, provider)
    return ProviderFailed(text, provider)


def message_of_body(body: bytes) -> str:
    """What the body of an error answer says, at most `MAX_MESSAGE_CHARS` characters."""
    try:
        parsed: object = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return _bounded(body.decode("utf-8", "replace"))
    if isinstance(parsed, list) and parsed:
        parsed = parsed[0]  # Google's endpoint wraps the object into an array
    if isinstance(parsed, dict) and "error" in parsed:
        parsed = parsed["error"]
    return message_of(parsed)


def message_of(error: object) -> str:
    """The text of an `error` object, or the object itself as JSON."""
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        return _bounded(error["message"])
    if isinstance(error, str):
        return _bounded(error)
    return _bounded(json.dumps(error))


def retry_after_of(value: str | None, wall: float) -> float | None:
    """The seconds that a `Retry-After` header asks for: a number, or an HTTP date.

    `wall` is the present in Unix seconds.  Anything else is None; a date in the
    past is 0.0, and more than `MAX_RETRY_AFTER` is cut to it.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - wall)
        except (ValueError, OverflowError):
            return None
    if not math.isfinite(seconds) or seconds < 0:
        return None
    return min(seconds, MAX_RETRY_AFTER)


def redact(text: str, secret: Secret | None) -> str:
    """`text` without the credential: some providers repeat it in their complaint."""
    return text.replace(secret.value, "***") if secret is not None and secret.value else text


def _bounded(text: str) -> str:
    """On one line and short; lone surrogates, which no sink can encode, are replaced."""
    text = " ".join(text.encode("utf-8", "replace").decode("utf-8").split())
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 3] + "..."
