"""Those who act in a story: clients, an operator, the world; and the eyes on each connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import trio
from attrs import define
from support.runtime import LiveRuntime
from support.simulation.disk import Disk
from support.simulation.faults import Crashes, Workshop, add_tools
from support.simulation.record import Asked, Connection, Frame, Record
from support.simulation.story import Act
from support.wire import RpcFailed, WireClient
from trio_websocket import ConnectionClosed

from hermes.errors import ProviderUnavailable

#: Seconds of virtual time within which everything that was asked must be answered,
#: once nothing hangs any more: a whole ladder (20 s), and commits.
PATIENCE = 30.0


@define(eq=False)
class Stage:
    """One era under way."""

    era: int
    runtime: LiveRuntime
    record: Record
    disk: Disk
    keys: tuple[str, ...]
    crashes: Crashes
    workshop: Workshop
    nursery: trio.Nursery


def watch(stage: Stage, connection: Connection, frame: Frame) -> None:
    """Look at a frame in the very moment in which it comes: what must be on disk by now?"""
    record, disk = stage.record, stage.disk
    connection.frames.append((trio.current_time(), frame))
    record.note(trio.current_time(), connection.name, _stable(frame))
    if frame.get("method") != "session/update":
        return
    session, hermes = frame["params"]["sessionId"], frame["params"].get("_meta", {}).get("hermes")
    if not hermes:
        return
    if "accepted" in hermes and "id" in hermes["accepted"]:
        identity = hermes["accepted"]["id"]
        record.hold(
            disk.prompt(session, identity) is not None,
            f"D1: {connection.name} was told that {identity} is accepted, and it is not on disk",
        )
    if "seq" in hermes:
        record.hold(
            disk.last_number(session) >= hermes["seq"],
            f"D1: {connection.name} got update {hermes['seq']} before it was on disk",
        )


def _stable(frame: Frame) -> Frame:
    """Without what no seed decides: the id under which the log has an internal error."""
    if frame.get("error", {}).get("code") == -32603:
        return {**frame, "error": "internal"}
    return frame


class SimulatedClient:
    """A client of several sessions, which may leave and come back.

    Args:
        stage: where it acts.
        name: how the trace calls it.
    """

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        self._count = 0
        self._wire: WireClient | None = None
        self._seen: Connection | None = None
        self._leave = trio.Event()
        self._left = trio.Event()
        self.gate: trio.Event | None = None

    async def play(self, acts: tuple[Act, ...]) -> None:
        """Connect, attach to every session, and do what the story says."""
        await self.arrive()
        for act in acts:
            await trio.sleep(act.pause)
            try:
                await self._do(act)
            except (ConnectionError, ConnectionClosed):
                await self.depart("closed")
                await self.arrive()

    async def arrive(self) -> None:
        """Open a connection and attach to every session."""
        self._count += 1
        era = self._stage.era
        self._leave, self._left = trio.Event(), trio.Event()
        self._seen = Connection(f"{self.name}.{era}.{self._count}", era)
        self._stage.record.connections.append(self._seen)
        self._wire = await self._stage.nursery.start(self._live, self._seen)
        for key in self._stage.keys:
            session = await self._wire.new(key)
            self._stage.record.sessions[key] = session

    async def depart(self, why: str) -> None:
        """Leave, without a word."""
        if self._seen is not None and self._seen.gone is None:
            self._seen.gone = why
        self._leave.set()
        await self._left.wait()

    async def _live(
        self,
        seen: Connection,
        task_status: trio.TaskStatus[WireClient] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        leave, left = self._leave, self._left
        try:
            async with AsyncExitStack() as stack:
                wire = await stack.enter_async_context(self._stage.runtime.connect())
                nursery = await stack.enter_async_context(trio.open_nursery())
                nursery.start_soon(self._watch, wire, seen)
                await wire.initialize()
                task_status.started(wire)
                await leave.wait()
                nursery.cancel_scope.cancel()
        finally:
            left.set()

    async def _watch(self, wire: WireClient, seen: Connection) -> None:
        try:
            while True:
                await wire.until(lambda: len(wire.frames) > len(seen.frames))
                while len(seen.frames) < len(wire.frames):
                    watch(self._stage, seen, wire.frames[len(seen.frames)])
        except ConnectionError:
            seen.gone = seen.gone or "closed by the daemon"

    # -- acts -----------------------------------------------------------------

    async def _do(self, act: Act) -> None:
        assert self._wire is not None
        session = self._session(act.session)
        match act.kind:
            case "prompt":
                await self.prompt(session, act.text, act.option, act.identity)
            case "cancel":
                await self.cancel(session)
            case "cancel request":
                await self._cancel_request(act)
            case "close":
                await self._wire.send("session/close", {"sessionId": session})
                if act.seconds > 2:  # and once more: it joins the first
                    await self._wire.send("session/close", {"sessionId": session})
            case "disconnect":
                await self.depart("left")
                await trio.sleep(act.seconds / 4)
                await self.arrive()
            case "stop reading":
                await self._stop_reading(act.seconds)

    async def prompt(
        self, session: str, text: str, when_busy: str = "queue", identity: str | None = None
    ) -> Asked:
        """Send a prompt, and wait for nothing."""
        assert self._wire is not None
        assert self._seen is not None
        hermes = {"whenBusy": when_busy} | ({"id": identity} if identity else {})
        seen = self._seen
        request = await self._wire.begin_prompt(session, text, **hermes)
        asked = Asked(request, session, identity, text, when_busy)
        seen.asked.append(asked)
        return asked

    async def wait(self, asked: Asked) -> str:
        """The stop reason, or the error in words."""
        assert self._wire is not None
        try:
            return str((await self._wire.answer(asked.request))["stopReason"])
        except RpcFailed as error:
            return f"{error.code} {error.message}"

    def said(self, session: str, asked: Asked) -> str:
        """What the agent said in the turn of a prompt that was answered."""
        assert self._seen is not None
        text, inside = "", False
        for _, frame in self._seen.frames:
            params = frame.get("params", {})
            hermes = params.get("_meta", {}).get("hermes", {})
            if params.get("sessionId") == session and "turn" in hermes:
                inside = hermes.get("id") == asked.identity and hermes["turn"] == "started"
            elif inside and params.get("sessionId") == session:
                text += params["update"].get("content", {}).get("text", "")
        return text

    async def cancel(self, session: str) -> None:
        """Stop the turn and all that waits."""
        assert self._wire is not None
        await self._wire.notify("session/cancel", {"sessionId": session})

    async def settle(self) -> None:
        """Wait until every prompt of this connection has its answer."""
        assert self._wire is not None
        assert self._seen is not None
        wire, asked = self._wire, self._seen.asked
        await wire.until(lambda: all(wire.answered(one.request) for one in asked))

    async def _cancel_request(self, act: Act) -> None:
        assert self._wire is not None
        assert self._seen is not None
        wire = self._wire
        waiting = [one for one in self._seen.asked if not wire.answered(one.request)]
        if waiting:
            chosen = waiting[int(act.seconds * 100) % len(waiting)]
            await wire.notify("$/cancel_request", {"requestId": chosen.request})

    async def _stop_reading(self, seconds: float) -> None:
        assert self._wire is not None
        wire, gate = self._wire, trio.Event()
        wire.read_gate = self.gate = gate

        async def go_on() -> None:
            await trio.sleep(seconds)
            wire.read_gate = None
            gate.set()

        self._stage.nursery.start_soon(go_on)

    def _session(self, place: int) -> str:
        return self._stage.record.sessions[self._stage.keys[place]]


class SimulatedOperator:
    """An operator: asks without waiting for the last answer; every answer must come."""

    def __init__(self, stage: Stage, wire: WireClient) -> None:
        self._stage = stage
        self.wire = wire

    async def play(self, acts: tuple[Act, ...]) -> None:
        """Do what the story says."""
        async with trio.open_nursery() as nursery:
            for act in acts:
                await trio.sleep(act.pause)
                nursery.start_soon(self._do, act)

    async def ask(self, method: str, params: Mapping[str, object] | None = None) -> Frame:
        """Call, within the time that anything may take."""
        began = trio.current_time()
        answer: Frame = {}
        with trio.move_on_after(PATIENCE) as patience:
            try:
                answer = await self.wire.call(method, params)
            except RpcFailed as error:
                # Before the first client came there is no such session; an ask that meets
                # its actor's crash fails.
                known = error.code == -32002 or bool(self._stage.crashes.happened)
                self._stage.record.hold(known, f"{method} answered {error}")
        if patience.cancelled_caught:
            self._stage.record.wrong(f"R3, B10: {method} had no answer in {PATIENCE:g} s")
        now = trio.current_time()
        if method == "sessions/close":
            self._stage.record.hold(now - began < 22, f"R3: a close took {now - began:g} s")
        self._stage.record.note(now, "operator", (method, _timeless(answer)))
        return answer

    async def _do(self, act: Act) -> None:
        name = {"session": self._stage.keys[act.session]}
        calls: Mapping[str, Callable[[], Awaitable[Frame]]] = {
            "release": lambda: self.ask("sessions/release", name),
            "close": lambda: self.ask("sessions/close", name),
            "interrupt": lambda: self.ask("sessions/interrupt", name),
            "suspend": lambda: self.ask("sessions/suspend", name),
            "resume": lambda: self.ask("sessions/resume", name),
            "sweep": lambda: self.ask("supervisor/sweep", {"olderThan": act.seconds}),
            "configure": lambda: self.ask("supervisor/configure", {"cap": act.number}),
            "status": lambda: self.ask("supervisor/status"),
            "list": lambda: self.ask("sessions/list"),
        }
        await calls[act.kind]()


def _timeless(answer: Frame) -> Frame:
    return {key: value for key, value in answer.items() if key != "rss"}


@define(eq=False)
class SimulatedWorld:
    """What nobody asked for."""

    stage: Stage

    async def play(self, acts: tuple[Act, ...]) -> None:
        """Do what the story says."""
        for act in acts:
            await trio.sleep(act.pause)
            self._do(act)

    def _do(self, act: Act) -> None:
        stage = self.stage
        models = stage.runtime.models
        session = stage.record.sessions.get(stage.keys[act.session])
        match act.kind:
            case "crash actor" if session is not None:
                stage.crashes.armed[session] = act.number or 0
            case "crash resource":
                stage.workshop.crash_one(act.number or 0)
            case "slow close":
                models.close_seconds = act.seconds
            case "no model":
                models.open_error = ProviderUnavailable("the provider is away", "rules")
            case "model again":
                models.open_error = None
            case "new tool":
                add_tools(stage.runtime.registry)
