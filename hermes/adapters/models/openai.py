"""A handle on an OpenAI-compatible provider, through the SDK's request path.

The SDK gives authentication, headers and its mapping of URLs; the bytes that go out
are frozen by others and the bytes that come in are parsed by `ReplyReader`, since
the SDK's own chunk objects cost half of a turn.  Importing this module imports the
SDK (0.4 s), so the pools do it in a thread.

Closing an SDK client on a shared pool breaks its neighbours' streams, so a handle
never does: it cuts its own requests, and the pool stays with `ModelPools`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import httpx
import openai
import trio

from hermes.adapters.models import translate
from hermes.adapters.models.chat import ReplyReader, request_body
from hermes.adapters.models.transport import HUNG_UP, TRANSPORT_ERRORS
from hermes.errors import HandleClosed, ModelError, ProviderUnavailable, StreamTruncated
from hermes.ports.model import ModelEvent, ModelRequest, Runtime, Secret

# Connecting takes one or two round trips; a host that needs longer is not there.
CONNECT_SECONDS = 10.0
# After `[DONE]` the end of the body is usually there already.  Waiting this long for
# it saves the socket for the next request; a server that keeps it open costs no more.
LINGER_SECONDS = 0.25
# Enough for any error object; the rest of such a body is not read.
MAX_ERROR_BYTES = 64 * 1024

# The SDK adds headers from OPENAI_* variables (organization, project, any other) to
# every request; they are meant for OpenAI and nobody else.  These go to everyone.
_COMMON_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "host",
        "user-agent",
    }
)


def connect(
    transport: httpx.AsyncBaseTransport,
    provider: str,
    base_url: str,
    wall: Callable[[], float] = time.time,
) -> tuple[openai.AsyncOpenAI, httpx.AsyncClient]:
    """The SDK client and the HTTP client that all handles of one pool share.

    Credentials are not part of them: each request brings its own.

    **Resources**: the caller closes the HTTP client, and never the SDK client.
    """

    async def keep_common_headers(request: httpx.Request) -> None:
        for name in set(request.headers) - _COMMON_HEADERS:
            del request.headers[name]

    async def refuse_errors(response: httpx.Response) -> None:
        if not response.is_success:
            raise await _error_of(response, provider, wall)

    http_client = httpx.AsyncClient(
        transport=transport,
        follow_redirects=False,
        trust_env=False,
        # Compression gains nothing on events of a hundred bytes, and delays them.
        headers={"Accept-Encoding": "identity"},
        event_hooks={
            "request": [] if provider == "openai" else [keep_common_headers],
            "response": [refuse_errors],
        },
    )
    client = openai.AsyncOpenAI(
        api_key="each request brings its own",
        base_url=base_url,
        max_retries=0,  # retries are the agent's: visible, journaled, cancellable
        http_client=http_client,  # type: ignore[arg-type]  # typed for httpx2, documented for both
    )
    return client, http_client


class OpenAIHandle:
    """One agent's use of a model; see `hermes.ports.model.ModelHandle`.

    `settled` is called once: when the handle is closed and its last request is gone.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        runtime: Runtime,
        settled: Callable[[OpenAIHandle], None],
    ) -> None:
        self._client = client
        self._runtime = runtime
        self._on_settled = settled
        self._requests: set[trio.CancelScope] = set()
        self._closed = False
        self._settled = trio.Event()

    @property
    def in_flight(self) -> int:
        """How many requests of this handle are under way."""
        return len(self._requests)

    @asynccontextmanager
    async def stream(
        self, request: ModelRequest
    ) -> AsyncGenerator[AsyncIterator[Sequence[ModelEvent]]]:
        """Send a request and iterate over its events, one batch for each piece of the body.

        Raises:
            ModelError: the provider gave no whole answer.
            HandleClosed: the handle was given back, before or during the stream.

        **Cancellation**: leaving the context closes the socket of a reply that was
        not read to its end; a whole one leaves it to the pool.
        """
        if self._closed:
            raise HandleClosed("this model handle was given back; open another")
        with trio.CancelScope() as scope:
            self._requests.add(scope)
            try:
                async with (
                    self._send(request) as response,
                    aclosing(self._batches(response)) as batches,
                ):
                    yield batches
            finally:
                self._requests.discard(scope)
                self._settle()
        if scope.cancelled_caught:
            raise HandleClosed("this model handle was given back in mid-stream")

    async def aclose(self) -> None:
        """Give the handle back; idempotent.  A request in flight is cut first.

        **Cancellation**: the handle is closed all the same, and its requests end by
        themselves.
        """
        self.kill()
        await self._settled.wait()

    def kill(self) -> None:
        """Mark closed and cut the requests, without waiting for their end."""
        self._closed = True
        for scope in self._requests:
            scope.cancel()
        self._settle()

    def _settle(self) -> None:
        if self._closed and not self._requests and not self._settled.is_set():
            self._settled.set()
            self._on_settled(self)

    @asynccontextmanager
    async def _send(self, request: ModelRequest) -> AsyncGenerator[httpx.Response]:
        runtime = self._runtime
        secret = runtime.credential
        authorization = openai.Omit() if secret is None else f"Bearer {secret.value}"
        seconds = runtime.request_timeout
        try:
            response: object = await self._client.post(
                "/chat/completions",
                cast_to=httpx.Response,  # the response as it is, not yet read
                content=request_body(request, runtime),
                options={
                    "headers": {"Accept": "text/event-stream", "Authorization": authorization},
                    "timeout": openai.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
                },
                stream=True,
                stream_cls=openai.AsyncStream[object],
            )
        except openai.APIConnectionError as error:
            raise _unavailable(runtime, error.__cause__ or error) from error
        except TRANSPORT_ERRORS as error:
            raise _unavailable(runtime, error) from error
        assert isinstance(response, httpx.Response)
        try:
            yield response
        finally:
            await response.aclose()

    async def _batches(self, response: httpx.Response) -> AsyncGenerator[Sequence[ModelEvent]]:
        reader = ReplyReader(self._runtime.provider, self._runtime.credential)
        chunks = response.aiter_bytes()
        broken: Exception | None = None
        try:
            while not reader.done:
                try:
                    data = await anext(chunks, None)
                except TRANSPORT_ERRORS as error:
                    broken, data = error, None
                if data is None:
                    events = reader.finish(self._error_of_break(broken, reader.started))
                else:
                    events = reader.feed(data)
                if events:
                    yield events
            if reader.failure is not None:
                raise reader.failure from broken
            await _exhaust(chunks, LINGER_SECONDS)
        finally:
            await _exhaust(chunks, 0.0)

    def _error_of_break(self, broken: Exception | None, started: bool) -> ModelError | None:
        if broken is None:
            return None
        if started and isinstance(broken, HUNG_UP):
            provider = self._runtime.provider
            return StreamTruncated(f"{provider} hung up in the middle of its answer", provider)
        return _unavailable(self._runtime, broken)


async def _exhaust(chunks: AsyncIterator[bytes], seconds: float) -> None:
    """Read to the end, or for `seconds`, and drop what comes.

    A body is a nest of generators.  Left where they are they are found by the
    garbage collector, which cannot close a socket; cancelled in a read they close it
    on their way out.
    """
    with trio.move_on_after(seconds):
        try:
            async for _ in chunks:
                pass
        except TRANSPORT_ERRORS:
            return  # the answer was whole, or is given up: how the socket ends is no matter


async def _error_of(
    response: httpx.Response, provider: str, wall: Callable[[], float]
) -> ModelError:
    """Read as much of an error answer as is worth it, and translate it."""
    body = bytearray()
    chunks = response.aiter_bytes()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ERROR_BYTES:
                break
    except TRANSPORT_ERRORS:
        body.clear()  # the status says enough
    finally:
        await _exhaust(chunks, 0.0)
    scheme, _, value = response.request.headers.get("Authorization", "").partition(" ")
    message = translate.redact(
        translate.message_of_body(bytes(body)), Secret(value) if scheme == "Bearer" else None
    )
    retry_after = translate.retry_after_of(response.headers.get("Retry-After"), wall())
    return translate.error_of_status(provider, response.status_code, message, retry_after)


def _unavailable(runtime: Runtime, error: BaseException) -> ProviderUnavailable:
    """Name what failed: the libraries' own texts are often empty."""
    what = str(error) or type(error).__name__
    return ProviderUnavailable(
        f"{runtime.provider} cannot be reached at {runtime.base_url}: {what}", runtime.provider
    )
