"""What sessions and connections cost in the daemon's resident set.

Some are opened first and not counted: they fill what every later one shares.
"""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from bench.client import Socket, open_client, open_socket
from bench.mock import Mock
from bench.process import DaemonProcess, open_daemon
from bench.report import Figure

#: Opened before the counting starts.
WARM = 64

#: At once: the daemon lets 64 connections in that have shown no token yet.
LANES = 16

#: What issue 5's table counts.
AGENTS = 500
IDLE_SESSIONS = 10_000
WEBSOCKETS = 10_000

#: Descriptors of a process that are not websockets.
SPARE_DESCRIPTORS = 200

KB, MB = 1000, 1_000_000


async def measure_agents(mock: Mock, folder: Path) -> list[Figure]:
    """A resident agent: a session with its actor, that has run one turn."""
    async with open_daemon(folder / "state", mock.base_url("instant"), 'cap = "none"') as daemon:

        async def one(client: Socket) -> None:
            await client.prompt(await client.new())

        each = await _each(daemon, AGENTS, one)
    return [Figure("resident agent, at 500", each / KB, "KB", 30)]


async def measure_sessions(mock: Mock, folder: Path) -> list[Figure]:
    """An idle session that has a client and never had an agent."""
    async with open_daemon(folder / "state", mock.base_url("instant")) as daemon:

        async def one(client: Socket) -> None:
            await client.new()

        each = await _each(daemon, IDLE_SESSIONS, one)
    return [Figure(f"idle session, at {IDLE_SESSIONS:,}", each / KB, "KB", 12)]


async def measure_websockets(mock: Mock, folder: Path) -> list[Figure]:
    """The whole daemon with open, initialized, idle websockets; it may be allowed fewer."""
    count = min(WEBSOCKETS, raise_descriptors() - SPARE_DESCRIPTORS)
    async with open_daemon(folder / "state", mock.base_url("instant")) as daemon:
        token = daemon.token("session")
        async with trio.open_nursery() as nursery:

            async def one() -> None:
                socket = await open_socket(daemon.port, "/acp", token)
                await socket.call("initialize", {"protocolVersion": 1})
                nursery.start_soon(_idle, socket)

            await lanes(count, lambda _: one())
            resident = daemon.resident()
            nursery.cancel_scope.cancel()
    return [Figure(f"{count:,} idle websockets", resident / MB, "MB", 512)]


def raise_descriptors() -> int:
    """Allow this process, and those that it starts, all descriptors it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


async def _idle(socket: Socket) -> None:
    """Answer pings until cancelled."""
    try:
        while True:
            await socket.receive()
    finally:
        with trio.CancelScope(shield=True):  # it does not wait for the peer
            await socket.aclose()


async def _each(
    daemon: DaemonProcess, count: int, work: Callable[[Socket], Awaitable[None]]
) -> float:
    """Bytes that each of `count` pieces of work leaves in the daemon."""
    async with open_clients(daemon) as clients:
        await lanes(WARM, lambda lane: work(clients[lane]))
        before = daemon.resident()
        await lanes(count, lambda lane: work(clients[lane]))
        return (daemon.resident() - before) / count


@asynccontextmanager
async def open_clients(daemon: DaemonProcess) -> AsyncIterator[list[Socket]]:
    """A client for each lane."""
    async with trio.open_nursery() as nursery:
        opened: list[Socket] = []

        async def hold(*, task_status: trio.TaskStatus[None]) -> None:
            async with open_client(daemon) as client:
                opened.append(client)
                task_status.started()
                await trio.sleep_forever()

        for _ in range(LANES):
            await nursery.start(hold)
        yield opened
        nursery.cancel_scope.cancel()


async def lanes(count: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Do it `count` times, each lane one after another."""

    async def lane(number: int) -> None:
        for _ in range(number, count, LANES):
            await work(number)

    async with trio.open_nursery() as nursery:
        for number in range(LANES):
            nursery.start_soon(partial(lane, number))
