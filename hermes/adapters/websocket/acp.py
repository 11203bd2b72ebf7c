"""`/acp`: a session's client, speaking the Agent Client Protocol.

Frames are handled in the order in which they come.  Whatever takes as long as a
turn is answered by a callback, so the reader is back at the socket at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import outcome

from hermes.actors import ActorClosed
from hermes.actors.session import messages as msg
from hermes.actors.session.content import dump_content
from hermes.adapters.websocket.calls import Calls
from hermes.adapters.websocket.desk import Desk
from hermes.adapters.websocket.gate import Grant
from hermes.adapters.websocket.outbox import Outbox
from hermes.adapters.websocket.prompts import PendingPrompt
from hermes.errors import Draining, UnknownSession
from hermes.messages import acp, jsonrpc, results
from hermes.messages.acp_content import ResourceLink, TextBlock, prompt_text
from hermes.messages.joined import Joined
from hermes.messages.jsonrpc import Notification, Request, RequestId, RpcError
from hermes.messages.notifications import SESSION_UPDATE
from hermes.ports.client import Attached
from hermes.ports.store import LoadSession, OpenSession, SessionRow

log = logging.getLogger(__name__)

#: What this daemon can do: true capabilities only.
CAPABILITIES = results.Capabilities(close=True)

#: Actors of one session that an attach may meet on their way out: a close and a
#: crash right after it are two.
ATTACH_TRIES = 3


class AcpPeer:
    """One client.

    Args:
        desk: the daemon.
        grant: what its token allows.
        outbox: where frames to it go.
    """

    def __init__(self, desk: Desk, grant: Grant, outbox: Outbox) -> None:
        self._desk = desk
        self._grant = grant
        self._outbox = outbox
        self._calls = Calls(outbox)
        self._initialized = False
        self._known: dict[str, SessionRow] = {}
        self._attached: set[str] = set()
        self._prompts: dict[RequestId, PendingPrompt] = {}
        self._methods: Mapping[str, Callable[[RequestId, acp.AcpParams], Awaitable[None]]] = {
            "session/new": self._new,
            "session/prompt": self._prompt,
            "session/close": self._close,
        }

    # -- the link's side ------------------------------------------------------

    async def received(self, text: str) -> None:
        """Take one frame."""
        call = self._calls.begin(text)
        if isinstance(call, Notification):
            await self._notified(call)
        elif call is not None:
            try:
                await self._requested(call)
            except Exception as error:  # noqa: BLE001 - the boundary: an error is an answer
                self._calls.fail(call.id, error)

    def gone(self) -> None:
        """The connection is over; sessions and their turns go on."""
        self._outbox.close()
        for session in self._attached:
            self._desk.directory.tell_live(session, msg.Detach(self))
        self._attached.clear()

    # -- the session's side ---------------------------------------------------

    def update(self, session: str, update: Joined, *, sender: bool) -> None:
        """Send a numbered update."""
        self._outbox.put_update(session, update, sender=sender)

    def detached(self, session: str, reason: str) -> None:
        """Tell that a session was closed; a prompt or a load attaches again."""
        self._attached.discard(session)
        params = {
            "sessionId": session,
            "update": {"sessionUpdate": "session_info_update"},
            "_meta": {"hermes": {"state": "dormant", "closed": reason}},
        }
        self._outbox.put_frame(jsonrpc.notification_frame(SESSION_UPDATE, params))

    # -- requests -------------------------------------------------------------

    async def _requested(self, request: Request) -> None:
        if request.method == "initialize":
            acp.structure_params(request.method, request.params)
            self._initialized = True
            version = self._desk.process.version
            self._calls.answer(request.id, results.initialize_result(CAPABILITIES, version=version))
            return
        if not self._initialized:
            raise RpcError(jsonrpc.INVALID_REQUEST, "not initialized")
        method = self._methods.get(request.method)
        if method is None:
            raise jsonrpc.method_not_found(request.method)
        await method(request.id, acp.structure_params(request.method, request.params))

    async def _new(self, identity: RequestId, params: acp.AcpParams) -> None:
        assert isinstance(params, acp.NewParams)
        if not await self._desk.is_directory(params.cwd):
            raise jsonrpc.invalid_params("cwd", "a directory that exists")
        new_id = self._desk.world.new_id
        key = params.meta.hermes.key or f"acp:{new_id('key')}"
        opened = await self._desk.store.run(
            OpenSession(
                id=new_id("ses"),
                key=key,
                owner=self._grant.principal,
                cwd=params.cwd,
                task_id=new_id("task"),
                created_at=self._desk.world.wall(),
            )
        )
        row = opened.row
        self._known[row.id] = row

        def attached(there: Attached) -> None:
            facts = results.SessionFacts(row.key, opened.existing, there.last_seq, there.state)
            self._calls.answer(identity, results.new_result(row.id, facts))

        self._attach(row.id, attached, lambda error: self._calls.fail(identity, error))

    async def _prompt(self, identity: RequestId, params: acp.AcpParams) -> None:
        assert isinstance(params, acp.PromptParams)
        row = await self._mine(params.session_id)
        for place, block in enumerate(params.prompt):
            if not isinstance(block, TextBlock | ResourceLink):
                raise jsonrpc.invalid_params(f"prompt[{place}].type", "text or resource_link")
        if self._desk.draining():
            raise Draining
        text = prompt_text(params.prompt)
        hermes = params.meta.hermes
        sink = PendingPrompt(
            self, row.id, identity, hermes.id, self._calls, self._outbox, self._answered
        )
        if row.id not in self._attached:
            self._attach(row.id, lambda _: None, lambda error: log.info("not attached: %s", error))
        self._prompts[identity] = sink
        try:
            self._desk.directory.tell(
                row.id,
                msg.Offer(text, dump_content(text), sink, hermes.id, hermes.when_busy.value),
            )
        except Exception:
            self._answered(identity)
            raise

    async def _close(self, identity: RequestId, params: acp.AcpParams) -> None:
        assert isinstance(params, acp.CloseParams)
        row = await self._mine(params.session_id)
        close = msg.Close("client")
        # Whatever became of the actor: once it has answered or gone, it is closed.
        close.reply.on_done(lambda _: self._calls.answer(identity, {}))
        if not self._desk.directory.tell_live(row.id, close):
            self._calls.answer(identity, {})

    # -- notifications --------------------------------------------------------

    async def _notified(self, notification: Notification) -> None:
        """Cancels; anything else, and anything malformed, is ignored: nobody waits."""
        if not self._initialized:
            return
        try:
            params = acp.structure_params(notification.method, notification.params)
            if isinstance(params, acp.CancelParams):
                row = await self._mine(params.session_id)
                self._desk.directory.tell_live(row.id, msg.Cancel())
            elif isinstance(params, acp.CancelRequestParams) and params.request_id is not None:
                sink = self._prompts.get(params.request_id)
                if sink is not None:
                    self._desk.directory.tell_live(sink.session, msg.CancelPrompt(sink))
        except (RpcError, UnknownSession) as error:
            log.debug("a notification is ignored: %s", error)

    # -- sessions -------------------------------------------------------------

    async def _mine(self, session: str) -> SessionRow:
        """The row of a session that this client may reach.

        Raises:
            UnknownSession: there is none, or it is somebody else's.
        """
        row = self._known.get(session)
        if row is None:
            row = await self._desk.store.run(LoadSession(session))
            if row is None or row.id != session:
                raise UnknownSession(session)
            if not (self._grant.sees_all or row.owner == self._grant.principal):
                raise UnknownSession(session)
            self._known[session] = row
        return row

    def _attach(
        self,
        session: str,
        attached: Callable[[Attached], None],
        failed: Callable[[Exception], None],
        tries: int = ATTACH_TRIES,
    ) -> None:
        """See the session's updates from now on; `attached` runs before the first of them."""
        self._attached.add(session)
        attach = msg.Attach(self)

        def answered(result: outcome.Maybe[Attached]) -> None:
            if isinstance(result, outcome.Value):
                attached(result.value)
            elif isinstance(result.error, ActorClosed) and tries > 1:
                # It met an actor on its way out: ask the next one.
                self._attach(session, attached, failed, tries - 1)
            else:
                assert isinstance(result.error, Exception)
                failed(result.error)

        attach.reply.on_done(answered)
        self._desk.directory.tell(session, attach)

    def _answered(self, identity: RequestId) -> None:
        self._prompts.pop(identity, None)
