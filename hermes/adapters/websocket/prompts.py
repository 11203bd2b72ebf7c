"""A prompt that came over a connection: where its session tells its fate."""

from __future__ import annotations

from collections.abc import Callable

from hermes.adapters.websocket.calls import Calls
from hermes.adapters.websocket.outbox import Outbox
from hermes.messages import results
from hermes.messages.jsonrpc import RequestId, notification_frame
from hermes.messages.notifications import SESSION_UPDATE, accepted_params
from hermes.ports.client import SessionClient


class PendingPrompt:
    """The `PromptSink` of one `session/prompt` request.

    Args:
        client: its connection, for the session to know the sender.
        session: the session's id.
        identity: the request's id.
        client_id: the idempotency id, if there is one.
        calls: where its answer goes.
        outbox: where its acknowledgement goes.
        over: called once it is answered.
    """

    def __init__(
        self,
        client: SessionClient,
        session: str,
        identity: RequestId,
        client_id: str | None,
        calls: Calls,
        outbox: Outbox,
        over: Callable[[RequestId], None],
    ) -> None:
        self.session = session
        self._client = client
        self._identity = identity
        self._client_id = client_id
        self._calls = calls
        self._outbox = outbox
        self._over = over

    @property
    def client(self) -> SessionClient:
        """The connection that it came over."""
        return self._client

    def accepted(self, position: int) -> None:
        """Acknowledge it: it is on disk."""
        params = accepted_params(self.session, self._client_id, position)
        self._outbox.put_frame(notification_frame(SESSION_UPDATE, params))

    def answer(self, stop_reason: str) -> None:
        """Its turn ended."""
        self._over(self._identity)
        self._calls.answer(self._identity, results.prompt_result(stop_reason))

    def fail(self, error: Exception) -> None:
        """It was refused, or its turn failed."""
        self._over(self._identity)
        self._calls.fail(self._identity, error)
