"""From sending a prompt to the acknowledgement that it is on disk, at 200 prompts/s.

An open loop: prompts are sent when their time has come, whatever became of those
before; bare commits are paced the same.  Once the sessions are busy and the prompts
wait, which is acceptance alone; once each prompt's turn of 50 chunks runs too, and
then a machine that cannot run 200 such turns a second shows its backlog here.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import trio

from bench.client import TURN_STARTED, Socket, open_client, prompt_params
from bench.floor import BareDisk, open_disk
from bench.mock import Mock
from bench.process import open_daemon
from bench.report import Figure, percentile

#: Prompts a second, for how many prompts, over how many sessions.
RATE = 200
PROMPTS = 800
SESSIONS = 100

ACCEPTED = b'"accepted":'


async def measure_acceptance(mock: Mock, folder: Path) -> list[Figure]:
    """The 99th percentiles, in milliseconds."""
    with open_disk(folder) as disk:
        bare = await _bare_commits(disk)
    busy = await _acceptance(folder / "busy", mock.base_url("never"))
    running = await _acceptance(folder / "running", mock.base_url("instant"))
    peer = percentile(bare, 99) * 1e3
    return [
        Figure(what, percentile(times, 99) * 1e3, "ms", 10, peer, "bare commit, p99")
        for what, times in (
            ("acceptance, p99, prompts wait", busy),
            ("acceptance, p99, turns run", running),
        )
    ]


async def _acceptance(state_dir: Path, base_url: str) -> list[float]:
    async with open_daemon(state_dir, base_url) as daemon, open_client(daemon) as client:
        sessions = [await client.new() for _ in range(SESSIONS)]
        for session in sessions:
            await client.begin("session/prompt", prompt_params(session))
        await client.wait_for(TURN_STARTED, SESSIONS)
        return await _prompts(client, sessions)


async def _bare_commits(disk: BareDisk) -> list[float]:
    times = []
    start = trio.current_time()
    for number in range(PROMPTS):
        await trio.sleep_until(start + number / RATE)
        began = time.perf_counter()
        disk.commit()
        times.append(time.perf_counter() - began)
    return times


async def _prompts(client: Socket, sessions: list[str]) -> list[float]:
    sent: dict[str, float] = {}
    times: list[float] = []

    async def listen() -> None:
        while len(times) < PROMPTS:
            frame = await client.receive()
            if ACCEPTED in frame:
                now = time.perf_counter()
                accepted = json.loads(frame)["params"]["_meta"]["hermes"]["accepted"]
                if "id" in accepted:
                    times.append(now - sent[accepted["id"]])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        start = trio.current_time()
        for number in range(PROMPTS):
            await trio.sleep_until(start + number / RATE)
            name = f"p{number}"
            sent[name] = time.perf_counter()
            params = prompt_params(sessions[number % SESSIONS], id=name)
            await client.begin("session/prompt", params)
    return times
