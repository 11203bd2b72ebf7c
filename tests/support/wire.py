"""A JSON-RPC client over a websocket, for tests; every frame it gets is validated.

On `/acp` each result, notification and request is checked against its `$defs` entry of
the published schema, unknown properties forbidden.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from attrs import define, field
from support.acp_schema import FrameValidator
from trio_websocket import ConnectionClosed, WebSocketConnection

Frame = dict[str, Any]

#: Virtual seconds after which a test is stuck, so that it fails instead of hanging:
#: longer than any time-to-live or inactivity limit in a test.
FOR_EVER = 20_000.0


class RpcFailed(Exception):
    """An error answer."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.code: int = error["code"]
        self.message: str = error["message"]
        self.data: Any = error.get("data")


@define(eq=False)
class WireClient:
    """One connection.

    `frames` are all frames in the order in which they came, `updates` the params of
    `session/update`.  `changed` is set (and renewed) at every frame.
    """

    socket: WebSocketConnection
    validator: FrameValidator | None = None
    frames: list[Frame] = field(factory=list)
    updates: list[Frame] = field(factory=list)
    events: list[Frame] = field(factory=list)
    closed: bool = False
    read_gate: trio.Event | None = None
    _changed: trio.Event = field(factory=trio.Event, init=False)
    _pending: dict[int | str, str] = field(factory=dict, init=False)
    _answers: dict[int | str, Frame] = field(factory=dict, init=False)
    _ids: int = field(default=0, init=False)

    async def read(self) -> None:
        """Read until the connection closes."""
        try:
            while True:
                if self.read_gate is not None:
                    await self.read_gate.wait()
                self._take(json.loads(await self.socket.get_message()))
        except ConnectionClosed:
            self.closed = True
        finally:
            self._wake()

    def _take(self, frame: Frame) -> None:
        if self.validator is not None:
            self.validator.validate_outgoing(frame, self._pending)
        self.frames.append(frame)
        if "method" in frame and frame["method"] == "session/update":
            self.updates.append(frame["params"])
        elif frame.get("method") == "event":
            self.events.append(frame["params"])
        elif "method" not in frame and frame.get("id") is not None:
            self._answers[frame["id"]] = frame
            self._pending.pop(frame["id"], None)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def send(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Send a request; returns its id, for `answer`."""
        self._ids += 1
        identity = self._ids
        await self.send_as(identity, method, params)
        return identity

    async def send_as(
        self, identity: int | str, method: str, params: Mapping[str, Any] | None = None
    ) -> None:
        """Send a request under an id of the caller's."""
        self._pending[identity] = method
        frame: Frame = {"jsonrpc": "2.0", "id": identity, "method": method}
        if params is not None:
            frame["params"] = params
        await self.socket.send_message(json.dumps(frame))

    async def answer(self, identity: int | str) -> Any:
        """Wait for a request's result.

        Raises:
            RpcFailed: it was an error.
            ConnectionError: the connection closed first.
        """
        await self.until(lambda: identity in self._answers)
        frame = self._answers[identity]
        if "error" in frame:
            raise RpcFailed(frame["error"])
        return frame["result"]

    def answered(self, identity: int | str) -> bool:
        """Whether a request has its answer."""
        return identity in self._answers

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on what came holds.

        Raises:
            ConnectionError: the connection closed first.
            trio.TooSlowError: nothing of the kind came for ever, in virtual time.
        """
        with trio.fail_after(FOR_EVER):
            while not condition():
                if self.closed:
                    raise ConnectionError("the connection is closed")
                await self._changed.wait()

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request and wait for its result."""
        return await self.answer(await self.send(method, params))

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification."""
        await self.socket.send_message(
            json.dumps({"jsonrpc": "2.0", "method": method, "params": params})
        )

    async def raw(self, text: str | bytes) -> None:
        """Send a frame as it is."""
        await self.socket.send_message(text)

    # -- ACP --------------------------------------------------------------------

    async def initialize(self) -> Any:
        """Say hello."""
        return await self.call("initialize", {"protocolVersion": 1})

    async def new(self, key: str | None = None, cwd: str = "/") -> str:
        """Make or join a session; returns its id."""
        params: Frame = {"cwd": cwd, "mcpServers": []}
        if key is not None:
            params["_meta"] = {"hermes": {"key": key}}
        return str((await self.call("session/new", params))["sessionId"])

    async def begin_prompt(self, session: str, text: str, **hermes: Any) -> int:
        """Send a prompt; returns the request's id."""
        params: Frame = {"sessionId": session, "prompt": [{"type": "text", "text": text}]}
        if hermes:
            params["_meta"] = {"hermes": hermes}
        return await self.send("session/prompt", params)

    async def prompt(self, session: str, text: str, **hermes: Any) -> str:
        """Prompt and wait; returns the stop reason."""
        answer = await self.answer(await self.begin_prompt(session, text, **hermes))
        return str(answer["stopReason"])

    def text(self, session: str) -> str:
        """All that the agent said in a session on this connection."""
        return "".join(
            update["update"]["content"]["text"]
            for update in self.updates
            if update["sessionId"] == session
            and update["update"]["sessionUpdate"] == "agent_message_chunk"
        )

    def numbers(self, session: str) -> list[tuple[int, int]]:
        """The numbers that came for a session, as (first, last), in order."""
        found = []
        for update in self.updates:
            hermes = update.get("_meta", {}).get("hermes", {})
            if update["sessionId"] == session and "seq" in hermes:
                found.append((hermes.get("firstSeq", hermes["seq"]), hermes["seq"]))
        return found


@asynccontextmanager
async def speaking(
    socket: WebSocketConnection, validator: FrameValidator | None
) -> AsyncIterator[WireClient]:
    """A client on an open websocket, reading until the body is left."""
    async with trio.open_nursery() as nursery:
        client = WireClient(socket, validator)
        nursery.start_soon(client.read)
        yield client
        nursery.cancel_scope.cancel()
