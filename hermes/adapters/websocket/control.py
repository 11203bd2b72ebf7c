"""`/control`: an operator, who looks and asks.  Nothing here wakes a dormant session."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

import trio
from attrs import evolve

from hermes.actors import ActorClosed, StepReport
from hermes.actors.session import messages as msg
from hermes.actors.session.inspection import Inspection
from hermes.adapters.websocket import views
from hermes.adapters.websocket.calls import Calls
from hermes.adapters.websocket.desk import Desk
from hermes.adapters.websocket.outbox import Outbox
from hermes.errors import UnknownSession
from hermes.messages import control, jsonrpc
from hermes.messages.control import ControlParams
from hermes.messages.jsonrpc import Notification
from hermes.messages.structure import Unset
from hermes.ports.store import CountSessions, ListSessions, LoadSession, SessionRow
from hermes.supervisor.events import Event
from hermes.supervisor.residency import Limits
from hermes.supervisor.supervisor import Configure, GetStatus, Status, Sweep

log = logging.getLogger(__name__)

Result = Mapping[str, object]

#: Operators' requests that one connection may have under way; the rest wait unread.
MAX_AT_ONCE = 64

#: Frames that may wait for an operator before events are left out: the gap shows
#: in their numbers, and the connection is kept.
MAX_EVENTS_WAITING = 1000


class ControlPeer:
    """One operator.

    Args:
        desk: the daemon.
        outbox: where frames to the operator go.
        nursery: where requests are served, each by itself: a close may take 20 s.
    """

    def __init__(self, desk: Desk, outbox: Outbox, nursery: trio.Nursery) -> None:
        self._desk = desk
        self._outbox = outbox
        self._nursery = nursery
        self._calls = Calls(outbox)
        self._places = trio.Semaphore(MAX_AT_ONCE)
        self._unlisten: Callable[[], None] | None = None
        self._methods: Mapping[str, Callable[[ControlParams], Awaitable[Result]]] = {
            "supervisor/status": self._status,
            "supervisor/configure": self._configure,
            "supervisor/sweep": self._sweep,
            "supervisor/drain": self._drain,
            "supervisor/resume": self._resume_prompts,
            "supervisor/shutdown": self._shutdown,
            "sessions/list": self._list,
            "sessions/inspect": self._inspect,
            "sessions/release": self._release,
            "sessions/close": self._close,
            "sessions/interrupt": self._interrupt,
            "sessions/suspend": self._suspend,
            "sessions/resume": self._resume,
            "background/list": self._background,
            "background/stop": self._stop_background,
            "events/subscribe": self._subscribe,
            "events/unsubscribe": self._unsubscribe,
        }

    async def received(self, text: str) -> None:
        """Take one frame."""
        call = self._calls.begin(text)
        if call is None or isinstance(call, Notification):
            return
        method = self._methods.get(call.method)
        if method is None:
            self._calls.fail(call.id, jsonrpc.method_not_found(call.method))
            return
        try:
            params = control.structure_control(call.method, call.params)
        except jsonrpc.RpcError as error:
            self._calls.fail(call.id, error)
            return
        await self._places.acquire()
        self._nursery.start_soon(self._serve, call.id, method, params)

    def gone(self) -> None:
        """The connection is over; what was asked for is done all the same."""
        self._stop_listening()
        self._outbox.close()

    async def _serve(
        self,
        identity: jsonrpc.RequestId,
        method: Callable[[ControlParams], Awaitable[Result]],
        params: ControlParams,
    ) -> None:
        try:
            self._calls.answer(identity, await method(params))
        except Exception as error:  # noqa: BLE001 - the boundary: an error is an answer
            self._calls.fail(identity, error)
        finally:
            self._places.release()

    # -- the supervisor -------------------------------------------------------

    async def _status(self, _: ControlParams) -> Result:
        status: Status = await self._desk.supervisor.ask(GetStatus(), control=True)
        known = await self._desk.store.run(CountSessions())
        return views.status(self._desk, status, known)

    async def _configure(self, params: ControlParams) -> Result:
        assert isinstance(params, control.ConfigureParams)
        if not isinstance(params.inactivity_limit, Unset):
            self._desk.inactivity.set(params.inactivity_limit)

        def change(limits: Limits) -> Limits:
            if not isinstance(params.cap, Unset):
                limits = evolve(limits, cap=params.cap)
            if not isinstance(params.idle_ttl, Unset):
                limits = evolve(limits, idle_ttl=params.idle_ttl)
            return limits

        limits = await self._desk.supervisor.ask(Configure(change), control=True)
        return views.limits(limits, self._desk.inactivity.get())

    async def _sweep(self, params: ControlParams) -> Result:
        assert isinstance(params, control.SweepParams)
        swept = await self._desk.supervisor.ask(Sweep(params.older_than), control=True)
        return {"released": list(swept.released), "busy": list(swept.busy)}

    async def _drain(self, params: ControlParams) -> Result:
        assert isinstance(params, control.TimeoutParams)
        counts = await self._desk.lifecycle.drain(params.timeout)
        return {"drained": counts.drained, "interrupted": counts.interrupted}

    async def _resume_prompts(self, _: ControlParams) -> Result:
        self._desk.lifecycle.resume()
        return {}

    async def _shutdown(self, params: ControlParams) -> Result:
        assert isinstance(params, control.TimeoutParams)
        self._desk.lifecycle.stop(params.timeout)
        return {}

    # -- background work, events ------------------------------------------------

    async def _background(self, _: ControlParams) -> Result:
        return {"tasks": []}

    async def _stop_background(self, _: ControlParams) -> Result:
        return {"stopped": False}

    async def _subscribe(self, params: ControlParams) -> Result:
        assert isinstance(params, control.SubscribeParams)
        session = (await self._row(params.session)).id if params.session is not None else None
        kinds = frozenset(kind.value for kind in params.kinds) if params.kinds else None

        def listen(event: Event) -> None:
            wanted = (session is None or event.session == session) and (
                kinds is None or event.kind in kinds
            )
            if wanted and self._outbox.waiting < MAX_EVENTS_WAITING:
                frame = jsonrpc.notification_frame("event", views.event(event))
                self._outbox.put_frame(frame)

        self._stop_listening()
        self._unlisten = self._desk.events.listen(listen)
        return {}

    async def _unsubscribe(self, _: ControlParams) -> Result:
        self._stop_listening()
        return {}

    def _stop_listening(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None

    # -- sessions -------------------------------------------------------------

    async def _list(self, params: ControlParams) -> Result:
        assert isinstance(params, control.ListParams)
        wanted = params.state.value if params.state is not None else None
        found: list[Inspection] = []
        cursor = params.cursor
        while True:
            # Pages of the store are read until one of ours is full: only the state
            # of live sessions is asked for, and no history is touched.
            try:
                page = await self._desk.store.run(
                    ListSessions(limit=params.limit - len(found), cursor=cursor)
                )
            except ValueError as error:
                raise jsonrpc.invalid_params("cursor", "a cursor of a former page") from error
            for row in page.rows:
                seen = await self._look(row)
                if wanted is None or seen.state == wanted:
                    found.append(seen)
            cursor = page.next_cursor
            if cursor is None or len(found) >= params.limit:
                break
        return {"sessions": [views.row(seen) for seen in found], "nextCursor": cursor}

    async def _inspect(self, params: ControlParams) -> Result:
        assert isinstance(params, control.SessionParams)
        return views.inspection(await self._look(await self._row(params.session)))

    async def _release(self, params: ControlParams) -> Result:
        assert isinstance(params, control.SessionParams)
        row = await self._row(params.session)
        release = msg.Release("operator")
        if not self._desk.directory.tell_live(row.id, release):
            return {"result": "already released"}
        try:
            return {"result": await release.reply.wait()}
        except ActorClosed:
            return {"result": "already released"}

    async def _close(self, params: ControlParams) -> Result:
        assert isinstance(params, control.CloseParams)
        row = await self._row(params.session)
        close = msg.Close(params.reason or "operator")
        steps: tuple[StepReport, ...] = ()
        if self._desk.directory.tell_live(row.id, close):
            try:
                steps = await close.reply.wait()
            except ActorClosed:
                log.info("session %s was gone before it could be closed", row.id)
        return {"closed": True, "steps": views.steps(steps)}

    async def _interrupt(self, params: ControlParams) -> Result:
        assert isinstance(params, control.SessionParams)
        row = await self._row(params.session)
        interrupt = msg.Interrupt()
        if not self._desk.directory.tell_live(row.id, interrupt):
            return {"interrupted": False}
        try:
            return {"interrupted": await interrupt.reply.wait()}
        except ActorClosed:
            return {"interrupted": False}

    async def _suspend(self, params: ControlParams) -> Result:
        return await self._set_suspended(params, suspended=True)

    async def _resume(self, params: ControlParams) -> Result:
        return await self._set_suspended(params, suspended=False)

    async def _set_suspended(self, params: ControlParams, *, suspended: bool) -> Result:
        """Tell the actor; a dormant session is changed on its row only."""
        assert isinstance(params, control.SessionParams)
        row = await self._row(params.session)
        suspend = msg.Suspend(suspended)
        if self._desk.directory.tell_live(row.id, suspend):
            try:
                return {"state": await suspend.reply.wait()}
            except ActorClosed:
                # It met an actor on its way out: what counts is the row, for the next one.
                log.info("session %s went while it was told", row.id)
        await views.keep_suspended(self._desk.store, row, suspended)
        return {"state": "suspended" if suspended else "dormant"}

    async def _row(self, name: str) -> SessionRow:
        row = await self._desk.store.run(LoadSession(name))
        if row is None:
            raise UnknownSession(name)
        return row

    async def _look(self, row: SessionRow) -> Inspection:
        """What there is to see of a session, without waking it."""
        inspect = msg.Inspect()
        if self._desk.directory.tell_live(row.id, inspect):
            try:
                return await inspect.reply.wait()
            except ActorClosed:
                log.debug("session %s went while it was looked at", row.id)
        return views.dormant(row)
