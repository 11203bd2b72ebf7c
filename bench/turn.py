"""A text turn of 50 instant chunks over `/acp`: its processor time, latency, throughput.

The floor is what no daemon can save: the reply read from the same mock with bare
`httpx`, and two synced commits, for the prompt and for the end of the turn.  A
round of the floor and a round of ours take turns, and the best round of each
counts, since what else runs on the machine only ever adds.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median

import httpx
import trio

from bench.client import Socket, open_client
from bench.floor import BareDisk, bare_client, bare_stream, open_disk
from bench.mock import SLOW_SECONDS, Mock
from bench.process import DaemonProcess, open_daemon
from bench.report import Figure

#: Rounds of 50 turns on 25 sessions: 10 ms, which is the kernel's clock, are then
#: some percent of a round, and the histories stay as short as real ones.
ROUNDS = 6
TURNS = 50
SESSIONS = 25

#: Sessions at once, turns of each in a round, and rounds: issue 5's table.
CROWD = 64
CROWD_TURNS = 4
CROWD_ROUNDS = 4


async def measure_turn(mock: Mock, folder: Path) -> list[Figure]:
    """Processor time and median latency of one turn at a time."""
    base_url = mock.base_url("instant")
    ours_cpu, ours_time, floor_cpu, floor_time = [], [], [], []
    with open_disk(folder) as disk:
        async with (
            open_daemon(folder / "state", base_url) as daemon,
            open_client(daemon) as client,
            bare_client() as http,
        ):
            sessions = [await client.new() for _ in range(SESSIONS)]
            for session in sessions:
                await client.prompt(session)
            for _ in range(ROUNDS):
                before = time.process_time()
                floor_time.append(await _floor_round(http, base_url, disk))
                floor_cpu.append((time.process_time() - before) / TURNS)
                before = daemon.cpu()
                ours_time.append(await _turn_round(client, sessions))
                ours_cpu.append((daemon.cpu() - before) / TURNS)
    name = "stream + 2 commits"
    return [
        Figure("turn: CPU of the daemon", min(ours_cpu) * 1e3, "ms", 2, min(floor_cpu) * 1e3, name),
        Figure("turn: median latency", min(ours_time) * 1e3, "ms", 2, min(floor_time) * 1e3, name),
    ]


async def _floor_round(http: httpx.AsyncClient, base_url: str, disk: BareDisk) -> float:
    """The median seconds of a round."""
    times = []
    for _ in range(TURNS):
        began = time.perf_counter()
        disk.commit()
        await bare_stream(http, base_url)
        disk.commit()
        times.append(time.perf_counter() - began)
    return median(times)


async def _turn_round(client: Socket, sessions: list[str]) -> float:
    times = []
    for number in range(TURNS):
        began = time.perf_counter()
        await client.prompt(sessions[number % SESSIONS])
        times.append(time.perf_counter() - began)
    return median(times)


async def measure_crowd(mock: Mock, folder: Path) -> list[Figure]:
    """64 sessions at once: with instant replies, and with replies of 2 s."""
    base_url = mock.base_url("instant")
    ours, floor = [], []
    async with open_daemon(folder / "instant", base_url) as daemon, bare_client() as http:
        for _ in range(CROWD_ROUNDS):
            floor.append(await _crowd(lambda: bare_stream(http, base_url)))
            ours.append(await crowd_of_sessions(daemon, CROWD_TURNS))
    async with open_daemon(folder / "slow", mock.base_url("slow")) as daemon:
        seconds = CROWD / await crowd_of_sessions(daemon, 1)
    return [
        Figure(
            "64 sessions at once",
            max(ours),
            "turns/s",
            0.45,
            max(floor),
            "64 bare streams",
            at_least=True,
        ),
        Figure("64 turns of a 2 s stream", seconds, "s", 1.3, SLOW_SECONDS, "the stream"),
    ]


async def crowd_of_sessions(daemon: DaemonProcess, turns: int) -> float:
    """Turns a second of 64 connections with a session each, that has run a turn before."""
    ready, go = trio.open_memory_channel[None](CROWD), trio.Event()
    finished: list[float] = []

    async def one() -> None:
        async with open_client(daemon) as client:
            session = await client.new()
            await client.prompt(session)
            ready[0].send_nowait(None)
            await go.wait()
            for _ in range(turns):
                await client.prompt(session)
            finished.append(time.perf_counter())

    async with trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(one)
        for _ in range(CROWD):
            await ready[1].receive()
        began = time.perf_counter()
        go.set()
    return CROWD * turns / (max(finished) - began)


async def _crowd(work: Callable[[], Awaitable[None]]) -> float:
    """How often a second 64 tasks do something."""

    async def one() -> None:
        for _ in range(CROWD_TURNS):
            await work()

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(CROWD):
            nursery.start_soon(one)
    return CROWD * CROWD_TURNS / (time.perf_counter() - began)
