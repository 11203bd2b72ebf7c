"""`/acp`: a session's client, speaking the Agent Client Protocol.

Frames are handled in the order in which they come.  Whatever takes as long as a
turn is answered by a callback, so the reader is back at the socket at once.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import outcome
import trio

from hermes.actors import ActorClosed
from hermes.actors.session import messages as msg
from hermes.actors.session.content import dump_content
from hermes.adapters.websocket.calls import Calls
from hermes.adapters.websocket.desk import Desk
from hermes.adapters.websocket.gate import Grant
from hermes.adapters.websocket.outbox import Outbox
from hermes.adapters.websocket.prompts import PendingPrompt
from hermes.adapters.websocket.replay import Replay
from hermes.errors import CannotReplay, Draining, StoreError, UnknownSession
from hermes.messages import acp, jsonrpc, results
from hermes.messages.acp_content import ResourceLink, TextBlock, prompt_text
from hermes.messages.joined import Joined
from hermes.messages.jsonrpc import Notification, Request, RequestId, RpcError
from hermes.messages.notifications import SESSION_UPDATE
from hermes.ports.client import Attached
from hermes.ports.store import ListSessions, LoadSession, OpenSession, SessionRow

log = logging.getLogger(__name__)

#: What this daemon can do: true capabilities only.
CAPABILITIES = results.Capabilities(
    load_session=True, list=True, resume=True, close=True, delete=True
)

#: Rows in one page of `session/list`.
LIST_PAGE = 100

#: Actors of one session that an attach may meet on their way out: a close and a
#: crash right after it are two.
ATTACH_TRIES = 3


class AcpPeer:
    """One client.

    Args:
        desk: the daemon.
        grant: what its token allows.
        outbox: where frames to it go.
        nursery: where replays run, and what else takes time.
        hang_up: ends the connection, with a reason; what was missed can be resumed.
    """

    def __init__(
        self,
        desk: Desk,
        grant: Grant,
        outbox: Outbox,
        nursery: trio.Nursery,
        hang_up: Callable[[str], None],
    ) -> None:
        self._desk = desk
        self._grant = grant
        self._outbox = outbox
        self._calls = Calls(outbox)
        self._initialized = False
        self._gone = False
        self._known: dict[str, SessionRow] = {}
        self._attached: set[str] = set()
        self._nursery = nursery
        self._hang_up = hang_up
        self._prompts: dict[RequestId, PendingPrompt] = {}
        self._replays: dict[str, Replay] = {}
        self._methods: Mapping[str, Callable[[RequestId, acp.AcpParams], Awaitable[None]]] = {
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": self._resume,
            "session/list": self._list,
            "session/delete": self._delete,
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
        self._gone = True
        self._outbox.close()
        for session in self._attached:
            self._desk.directory.tell_live(session, msg.Detach(self))
        self._attached.clear()

    # -- the session's side ---------------------------------------------------

    def update(self, session: str, update: Joined, *, sender: bool) -> None:
        """Send a numbered update; a replay that is not there yet reads it from the disk."""
        replay = self._replays.get(session)
        if replay is not None:
            replay.missed(update)
        else:
            self._outbox.put_update(session, update, sender=sender)

    def attached(self, session: str) -> None:
        """Remember whom to tell when this connection goes; if it has gone, tell at once."""
        if self._gone:
            self._desk.directory.tell_live(session, msg.Detach(self))
        else:
            self._attached.add(session)

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
            facts = _facts(row, there, existing=opened.existing)
            self._calls.answer(identity, results.new_result(row.id, facts))

        self._attach(row.id, attached, lambda error: self._calls.fail(identity, error))

    async def _prompt(self, identity: RequestId, params: acp.AcpParams) -> None:
        assert isinstance(params, acp.PromptParams)
        row = await self._mine(params.session_id)
        for place, block in enumerate(params.prompt):
            if not isinstance(block, TextBlock | ResourceLink):
                raise jsonrpc.invalid_params(f"prompt[{place}].type", "text or resource_link")
        if self._desk.lifecycle.draining():
            raise Draining
        text = prompt_text(params.prompt)
        hermes = params.meta.hermes
        sink = PendingPrompt(
            self, row.id, identity, hermes.id, self._calls, self._outbox, self._answered
        )
        self._prompts[identity] = sink
        try:
            self._desk.directory.tell(
                row.id,
                msg.Offer(text, dump_content(text), sink, hermes.id, hermes.when_busy.value),
            )
        except Exception:
            self._answered(identity)
            raise

    async def _load(self, identity: RequestId, params: acp.AcpParams) -> None:
        """Replay all that is kept, then answer."""
        assert isinstance(params, acp.LoadParams)
        row = await self._fresh(params.session_id)
        replay = self._begin_replay(row, row.first_seq - 1)

        def attached(there: Attached) -> None:
            def answer() -> None:
                self._calls.answer(identity, results.attach_result(_facts(row, there)))

            self._start_replay(
                replay, there.last_seq, answer, lambda error: self._calls.fail(identity, error)
            )

        self._attach(row.id, attached, lambda error: self._not_attached(identity, row.id, error))

    async def _resume(self, identity: RequestId, params: acp.AcpParams) -> None:
        """Answer, then replay what is numbered above `afterSeq`, then go on live."""
        assert isinstance(params, acp.ResumeParams)
        after = params.meta.hermes.after_seq
        row = await self._fresh(params.session_id)
        if after is not None and not row.first_seq - 1 <= after <= row.last_seq:
            raise CannotReplay(row.first_seq, row.last_seq)
        replay = self._begin_replay(row, after) if after is not None else None

        def attached(there: Attached) -> None:
            self._calls.answer(identity, results.attach_result(_facts(row, there)))
            if replay is not None:
                self._start_replay(replay, there.last_seq, _nothing, lambda error: None)

        self._attach(row.id, attached, lambda error: self._not_attached(identity, row.id, error))

    def _not_attached(self, identity: RequestId, session: str, error: Exception) -> None:
        self._replays.pop(session, None)
        self._calls.fail(identity, error)

    def _begin_replay(self, row: SessionRow, after: int) -> Replay:
        if row.id in self._replays:
            reason = {"reason": "a replay of this session is still under way"}
            raise RpcError(jsonrpc.INVALID_REQUEST, "invalid request", reason)
        # From here on what happens live is left to the replay.
        replay = self._replays[row.id] = Replay(row.id, after, after)
        return replay

    def _start_replay(
        self,
        replay: Replay,
        until: int,
        reached: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        """Replay in a task of its own; `reached` or `failed` answers the request."""
        replay.latest = max(replay.latest, until)
        if self._gone:
            self._replays.pop(replay.session, None)
            return

        async def run() -> None:
            try:
                await replay.run(self._desk.store, self._outbox, until, reached)
            except (StoreError, CannotReplay, UnknownSession) as error:
                log.warning("session %s is not replayed any further: %s", replay.session, error)
                if replay.cursor < until:
                    failed(error)
                if not isinstance(error, UnknownSession):
                    self._hang_up("the replay was cut: resume again")
            finally:
                self._replays.pop(replay.session, None)

        self._nursery.start_soon(run)

    async def _list(self, identity: RequestId, params: acp.AcpParams) -> None:
        assert isinstance(params, acp.ListParams)
        owner = None if self._grant.sees_all else self._grant.principal
        try:
            page = await self._desk.store.run(ListSessions(owner, LIST_PAGE, params.cursor))
        except ValueError as error:
            raise jsonrpc.invalid_params("cursor", "a cursor of a former page") from error
        rows = [row for row in page.rows if params.cwd in (None, row.cwd)]
        sessions = [results.SessionInfo(row.id, row.cwd) for row in rows]
        self._calls.answer(identity, results.list_result(sessions, page.next_cursor))

    async def _delete(self, identity: RequestId, params: acp.AcpParams) -> None:
        """Close and forget; it takes as long as a close, so it has a task of its own."""
        assert isinstance(params, acp.DeleteParams)
        row = await self._fresh(params.session_id)

        async def delete() -> None:
            try:
                await self._desk.directory.bury(row.id)
            except Exception as error:  # noqa: BLE001 - the boundary: an error is an answer
                self._calls.fail(identity, error)
            else:
                self._known.pop(row.id, None)
                self._calls.answer(identity, {})

        self._nursery.start_soon(delete)

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
        except (RpcError, UnknownSession, StoreError) as error:
            log.info("a notification is ignored: %s", error)

    # -- sessions -------------------------------------------------------------

    async def _fresh(self, session: str) -> SessionRow:
        """The row as it is on disk now, of a session that this client may reach."""
        self._known.pop(session, None)
        return await self._mine(session)

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
        attach = msg.Attach(self)

        def answered(result: outcome.Maybe[Attached]) -> None:
            if isinstance(result, outcome.Value):
                attached(result.value)
            elif isinstance(result.error, ActorClosed) and tries > 1:
                # It met an actor on its way out: ask the next one.
                try:
                    self._attach(session, attached, failed, tries - 1)
                except (UnknownSession, Draining) as error:
                    failed(error)
            else:
                assert isinstance(result.error, Exception)
                failed(result.error)

        attach.reply.on_done(answered)
        self._desk.directory.tell(session, attach)

    def _answered(self, identity: RequestId) -> None:
        self._prompts.pop(identity, None)


def _facts(row: SessionRow, there: Attached, *, existing: bool = True) -> results.SessionFacts:
    return results.SessionFacts(row.key, existing, there.last_seq, there.state)


def _nothing() -> None:
    """The answer was given before."""
