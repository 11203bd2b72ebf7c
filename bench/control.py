"""`supervisor/status` requests a second, against a bare trio-websocket echo.

Both answer the same client, one request after another on each of a few
connections.  `python -m bench.control` is the echo, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from bench.client import Socket, open_socket
from bench.mock import Mock
from bench.process import open_daemon
from bench.report import Figure

#: Connections, requests of each in a round, and rounds: the best one counts.
CONNECTIONS = 8
REQUESTS = 150
ROUNDS = 5

STATUS = '{"jsonrpc":"2.0","id":%d,"method":"supervisor/status"}'


async def measure_control(mock: Mock, folder: Path) -> list[Figure]:
    """Requests a second, of ours and of the echo."""
    ours, peer = [], []
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(
            open_daemon(folder / "state", mock.base_url("instant"))
        )
        echo_port = await stack.enter_async_context(_echo())
        token = daemon.token("operator")
        operators = [await open_socket(daemon.port, "/control", token) for _ in range(CONNECTIONS)]
        echoes = [await open_socket(echo_port, "/") for _ in range(CONNECTIONS)]
        for _ in range(ROUNDS):
            peer.append(await _rate(echoes, _ask))
            ours.append(await _rate(operators, _ask))
        for socket in (*operators, *echoes):
            await socket.aclose()
    return [
        Figure(
            "supervisor/status",
            max(ours),
            "requests/s",
            0.5,
            max(peer),
            "trio-websocket echo",
            at_least=True,
        )
    ]


async def _rate(sockets: list[Socket], ask: Callable[[Socket, int], Awaitable[None]]) -> float:
    async def one(socket: Socket) -> None:
        for number in range(REQUESTS):
            await ask(socket, number)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for socket in sockets:
            nursery.start_soon(one, socket)
    return len(sockets) * REQUESTS / (time.perf_counter() - began)


async def _ask(socket: Socket, number: int) -> None:
    await socket.send(STATUS % number)
    await socket.receive()


@asynccontextmanager
async def _echo() -> AsyncIterator[int]:
    """Run the echo in a process for as long as the body runs; its port."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "bench.control"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(await process.stdout.receive_some())
    finally:
        process.kill()
        with trio.CancelScope(shield=True):  # a killed process ends at once
            await process.wait()


async def _serve_one(request: WebSocketRequest) -> None:
    socket = await request.accept()
    try:
        while True:
            await socket.send_message(await socket.get_message())
    except ConnectionClosed:
        return


async def _main() -> None:
    async with trio.open_nursery() as nursery:
        serve = partial(serve_websocket, ssl_context=None)
        server = await nursery.start(serve, _serve_one, "127.0.0.1", 0)
        print(server.port, flush=True)


if __name__ == "__main__":
    trio.run(_main)
