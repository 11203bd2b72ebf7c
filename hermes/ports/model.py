"""The model port: a service that lends handles, and the events of a stream.

A handle is cheap (tens of microseconds, about a kilobyte): the sockets belong to
the service's pool for that provider, so giving a handle back never touches a
neighbour's stream.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from attrs import field, frozen


@frozen
class Secret:
    """A credential that does not show itself in a repr, a log or an error."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "***"


@frozen
class Runtime:
    """Which model, where, and how to reach it.

    `api_mode` is `"chat_completions"` for now.  `context_length` and
    `max_tokens` are in tokens, `request_timeout` in seconds.
    """

    provider: str
    model: str
    base_url: str
    api_mode: str = "chat_completions"
    credential: Secret | None = None
    context_length: int | None = None
    max_tokens: int | None = None
    request_timeout: float = 600.0


@frozen
class ModelRequest:
    """One request, built by appending to frozen bytes.

    `messages` are JSON objects in OpenAI chat form, the system message first;
    `tools` is a JSON array in OpenAI chat form, `b"[]"` for none.  They are sent
    byte for byte, so that a provider's prefix cache hits.
    """

    messages: Sequence[bytes]
    tools: bytes = b"[]"
    reasoning: str | None = None


@frozen
class TextDelta:
    """A piece of the answer."""

    text: str


@frozen
class ThoughtDelta:
    """A piece of the model's reasoning."""

    text: str


@frozen
class ToolCallDelta:
    """A piece of a tool call: `call_id` and `name` come once, `arguments` in pieces."""

    index: int
    call_id: str = ""
    name: str = ""
    arguments: str = ""


@frozen
class Usage:
    """What the request cost, in tokens; `cached` is the part of `input` read from cache."""

    input: int
    output: int
    cached: int = 0


@frozen
class Finished:
    """The provider's finish reason: stop, length, tool_calls or content_filter."""

    reason: str


ModelEvent = TextDelta | ThoughtDelta | ToolCallDelta | Usage | Finished


class ModelHandle(Protocol):
    """One agent's use of a model.

    **Resources**: whoever opened it closes it.  `aclose` is idempotent; after it
    `stream` raises `HandleClosed`.
    """

    @property
    def in_flight(self) -> int:
        """How many requests of this handle are under way."""
        ...

    def stream(
        self, request: ModelRequest
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelEvent]]]:
        """Send a request and iterate over its events, one batch for each network read.

        A whole answer has exactly one `Finished`; an iteration that ends without
        one raises `StreamTruncated`.

        Raises:
            ModelError: the provider gave no whole answer.
            HandleClosed: the handle was given back.

        **Cancellation**: leaving the context closes the one socket that was in
        mid-stream, at once; nothing else is touched.
        """
        ...

    async def aclose(self) -> None:
        """Give the handle back; a request in flight is cut first."""
        ...

    def kill(self) -> None:
        """The synchronous last resort of the teardown ladder: mark closed, wait for nothing."""
        ...


@frozen
class PoolStatistics:
    """What one provider's pool holds: open `sockets`, requests `in_flight`."""

    sockets: int
    in_flight: int


class Models(Protocol):
    """The service that owns one shared pool for each provider."""

    async def open(self, runtime: Runtime) -> ModelHandle:
        """Lend a handle.

        Raises:
            ModelError: the runtime cannot be used (no credential, unknown mode).
        """
        ...

    def statistics(self) -> Mapping[str, PoolStatistics]:
        """The pools by provider name."""
        ...
