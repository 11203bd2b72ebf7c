"""What can go wrong, each with a name of its own.

Two families that are never mixed up: what *we* closed or refused (a busy
session, a draining daemon) and what the *world* broke (a provider that hung up,
a disk that is full).  A foreign library's exception is translated into one of
these exactly once, in the adapter that called the library; above the adapters
nobody catches an `httpx` or an `apsw` error.

The kernel has two errors of its own, `ActorClosed` and `MailboxFull`, in
`hermes.actors`: it imports nothing from here.
"""

from __future__ import annotations

from attrs import frozen


class HermesError(Exception):
    """The base of every error that this project raises on purpose."""


class ConfigError(HermesError):
    """A setting is wrong; the text is one line that says where and what to do."""


class StartError(HermesError):
    """The daemon cannot start; the text is one line that says what to do next."""


# -- sessions ---------------------------------------------------------------


@frozen
class UnknownSession(HermesError):
    """No such session, or it belongs to someone else: the two are not told apart."""

    session: str


class KeyTaken(HermesError):
    """The session key belongs to another principal."""


class SessionBusy(HermesError):
    """A turn is running and the caller asked not to wait for it."""


class Draining(HermesError):
    """The daemon takes no more prompts: it is about to stop, or an operator said so."""


@frozen
class CannotReplay(HermesError):
    """The updates asked for are not all there (trimmed, or not yet given).

    `first` and `last` are the numbers that are there; `first` is `last + 1`
    where there are none.
    """

    first: int
    last: int


class IdReused(HermesError):
    """An idempotency id came again with other content."""


class Interrupted(HermesError):
    """A turn was cut twice and is not run a third time."""


@frozen
class TurnFailed(HermesError):
    """A turn ended without an answer.

    `reason` is `"inactivity"` where the watchdog stopped it, else None and the
    other three say what the provider did.
    """

    message: str
    provider: str | None = None
    status: int | None = None
    retryable: bool = False
    reason: str | None = None
    retry_after: float | None = None


class ResourceUnavailable(HermesError):
    """A task resource could not be opened, or died; its session goes on."""


# -- the store --------------------------------------------------------------


class StoreError(HermesError):
    """The store could not do what was asked; nothing of it is on disk."""


class StoreFull(StoreError):
    """No space, or an fsync failed: nothing that was asked for is on disk."""


class StoreClosed(StoreError):
    """The store was closed before the operation was committed."""


class StoreCorrupt(StoreError):
    """The file is damaged or of a newer version; it was not written to."""


# -- models -----------------------------------------------------------------


@frozen
class ModelError(HermesError):
    """A provider did not give a whole answer.

    `provider` is its configured name, `status` the HTTP status where there was
    one, `retryable` whether the same request may succeed later, `retry_after`
    the seconds that the provider asked for.
    """

    message: str
    provider: str = ""
    status: int | None = None
    retry_after: float | None = None

    @property
    def retryable(self) -> bool:
        """Whether the very same request may succeed at another time."""
        return True

    def __str__(self) -> str:
        return self.message


class ProviderUnavailable(ModelError):
    """The transport failed: refused, reset, timed out, hung up before an answer."""


class RateLimited(ModelError):
    """HTTP 429; `retry_after` has the provider's wish, if it gave one."""


class ProviderRejected(ModelError):
    """The provider refused this request (other 4xx): sending it again is no use."""

    @property
    def retryable(self) -> bool:
        """Never: the same request would be refused again."""
        return False


class ProviderFailed(ModelError):
    """HTTP 5xx."""


class StreamTruncated(ModelError):
    """The stream ended with no finish reason."""


class StreamEmpty(ModelError):
    """HTTP 200 and not one event."""


class StreamGarbled(ModelError):
    """The stream carried something that is not JSON, or too large to take."""


class HandleClosed(HermesError):
    """A model handle was used after it was given back (row R1)."""
