"""A daemon that speaks as much of protocol.md as a client needs, and a console of lists."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, field
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

Script = Callable[["FakeDaemon", Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class Refusal(Exception):
    """What a script raises to answer with an error."""

    def __init__(self, code: int, message: str, data: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message, "data": data or {}}


@define
class FakeDaemon:
    """Answers by `scripts`, a function for each method; `seen` is all that came in."""

    state_dir: Path
    port: int = 0
    scripts: dict[str, Script] = field(factory=dict)
    seen: list[dict[str, Any]] = field(factory=list)
    arrived: trio.Event = field(factory=trio.Event)
    cancelled: trio.Event = field(factory=trio.Event)
    websocket: WebSocketConnection | None = None

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/acp"

    def methods(self) -> list[str]:
        return [str(frame.get("method")) for frame in self.seen]

    async def send(self, frame: Mapping[str, Any]) -> None:
        assert self.websocket is not None
        await self.websocket.send_message(json.dumps({"jsonrpc": "2.0", **frame}))

    async def update(self, kind: str, hermes: Mapping[str, Any] | None = None, **rest: Any) -> None:
        params = {
            "sessionId": "s1",
            "update": {"sessionUpdate": kind, **rest},
            "_meta": {"hermes": hermes or {}},
        }
        await self.send({"method": "session/update", "params": params})

    async def say(self, text: str, message: str = "m1", kind: str = "agent_message_chunk") -> None:
        await self.update(kind, content={"type": "text", "text": text}, messageId=message)

    async def handle(self, request: WebSocketRequest) -> None:
        if dict(request.headers).get(b"authorization") not in (b"Bearer ses", b"Bearer op"):
            await request.reject(401)
            return
        self.websocket = await request.accept()
        async with trio.open_nursery() as nursery:
            try:
                while True:
                    frame = json.loads(await self.websocket.get_message())
                    self.seen.append(frame)
                    nursery.start_soon(self.answer, frame)
            except ConnectionClosed:
                nursery.cancel_scope.cancel()

    async def answer(self, frame: Mapping[str, Any]) -> None:
        method = frame.get("method")
        if method == "session/cancel":
            self.cancelled.set()
        if "id" not in frame or method is None:
            self.arrived.set()
            return
        try:
            result = await self.scripts[str(method)](self, frame.get("params") or {})
        except Refusal as refusal:
            await self.send({"id": frame["id"], "error": refusal.body})
        else:
            await self.send({"id": frame["id"], "result": result})


async def initialize(daemon: FakeDaemon, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"protocolVersion": 1, "agentCapabilities": {}, "authMethods": []}


async def new_session(daemon: FakeDaemon, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"sessionId": "s1", "_meta": {"hermes": {"state": "idle", "lastSeq": 0}}}


async def echo(daemon: FakeDaemon, params: Mapping[str, Any]) -> Mapping[str, Any]:
    await daemon.update("session_info_update", {"turn": "started"})
    for word in ("You said: ", params["prompt"][0]["text"]):
        await daemon.say(word)
    await daemon.update("session_info_update", {"turn": "ended", "stopReason": "end_turn"})
    return {"stopReason": "end_turn"}


@pytest.fixture
async def daemon(tmp_path: Path, nursery: trio.Nursery) -> FakeDaemon:
    """A fake daemon that listens and echoes, with its files in `tmp_path`."""
    fake = FakeDaemon(tmp_path)
    fake.scripts = {
        "initialize": initialize, "session/new": new_session, "session/prompt": echo,
    }  # fmt: skip
    server = await nursery.start(
        partial(serve_websocket, fake.handle, "127.0.0.1", 0, ssl_context=None)
    )
    fake.port = server.port
    write_place(tmp_path, server.port)
    return fake


def write_place(state_dir: Path, port: int) -> None:
    place = {"pid": os.getpid(), "host": "127.0.0.1", "port": port, "version": "0"}
    (state_dir / "daemon.json").write_text(json.dumps(place))
    (state_dir / "tokens.json").write_text(json.dumps({"session": "ses", "operator": "op"}))


@define
class FakeConsole:
    """A console of lists; `interrupts` takes a Ctrl-C."""

    lines: list[str] = field(factory=list)
    interactive: bool = True
    colour: bool = False
    text: str = ""
    errors: list[str] = field(factory=list)
    pressed: trio.MemorySendChannel[None] = field(init=False)
    presses: trio.MemoryReceiveChannel[None] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.pressed, self.presses = trio.open_memory_channel[None](8)

    def interrupt(self) -> None:
        self.pressed.send_nowait(None)

    async def read_line(self, prompt: str) -> str | None:
        await trio.lowlevel.checkpoint()
        self.text += prompt
        return self.lines.pop(0) if self.lines else None

    async def read_all(self) -> str:
        await trio.lowlevel.checkpoint()
        return "\n".join(self.lines)

    async def write(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.text += text

    async def error(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.errors.append(line)

    async def wait_interrupt(self) -> None:
        await self.presses.receive()


@pytest.fixture
def make_console() -> Callable[..., FakeConsole]:
    """The class of consoles, for tests that cannot import this file."""
    return FakeConsole


@pytest.fixture
def refusal() -> Callable[..., Exception]:
    """What a script raises to answer with an error."""
    return Refusal
