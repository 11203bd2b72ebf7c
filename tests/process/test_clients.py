"""Clients over real sockets: a released one that nobody here wrote, and many at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import acp
import trio
from acp.ws import create_websocket_stream
from support.process import LiveDaemon, open_daemon
from support.wire import WireClient

CLIENTS, SESSIONS, CAP = 8, 20, 16


class Watcher:
    """The released package's client; it keeps what it is told."""

    def __init__(self) -> None:
        self.text = ""
        self.kinds: list[str] = []
        self.spoken = asyncio.Event()

    async def session_update(self, session_id: str, update: Any, **kwargs: Any) -> None:
        self.kinds.append(update.session_update)
        if update.session_update == "agent_message_chunk":
            self.text += update.content.text
            self.spoken.set()


async def drive(url: str, token: str, cwd: str) -> dict[str, Any]:
    """A whole visit with the released package, on its own event loop."""
    watcher = Watcher()
    headers = {"Authorization": f"Bearer {token}"}
    stream = await create_websocket_stream(url, headers=headers)
    async with acp.connect_to_agent(cast(acp.Client, watcher), stream) as connection:
        hello = await connection.initialize(protocol_version=acp.PROTOCOL_VERSION)
        session = await connection.new_session(cwd=cwd, mcp_servers=[])
        answer = await connection.prompt(
            session_id=session.session_id, prompt=[acp.text_block("count to 20")]
        )
        counted, watcher.text = watcher.text, ""
        watcher.spoken.clear()
        stalled = asyncio.create_task(
            connection.prompt(session_id=session.session_id, prompt=[acp.text_block("stall")])
        )
        await watcher.spoken.wait()
        await connection.cancel(session_id=session.session_id)
        cancelled = await stalled
        again = await connection.prompt(
            session_id=session.session_id, prompt=[acp.text_block("count to 2")]
        )
    return {
        "version": hello.protocol_version,
        "counted": counted,
        "kinds": set(watcher.kinds),
        "stops": [answer.stop_reason, cancelled.stop_reason, again.stop_reason],
    }


async def test_a_released_client(tmp_path: Path) -> None:
    """The unmodified client of agent-client-protocol prompts, streams and cancels a turn."""

    def visit() -> dict[str, Any]:
        return asyncio.run(
            asyncio.wait_for(drive(daemon.url(), daemon.token("session"), str(tmp_path)), 20)
        )

    async with open_daemon(tmp_path) as daemon:
        told = await trio.to_thread.run_sync(visit)
    assert told["version"] == 1
    assert told["counted"] == " ".join(map(str, range(1, 21)))
    assert told["stops"] == ["end_turn", "cancelled", "end_turn"]
    assert told["kinds"] <= {"agent_message_chunk", "session_info_update"}


async def open_sessions(daemon: LiveDaemon, name: int, cwd: str, found: dict[str, str]) -> None:
    """One client that opens all its sessions at once and prompts each."""

    async def converse(client: WireClient, key: str) -> None:
        session = await client.new(key, cwd)
        assert await client.prompt(session, f"repeat 3 {key}") == "end_turn"
        found[session] = client.text(session)

    async with daemon.connect() as client, trio.open_nursery() as nursery:
        for number in range(SESSIONS):
            nursery.start_soon(converse, client, f"cli:c{name}-s{number}")


async def test_eight_clients_of_twenty_sessions(tmp_path: Path) -> None:
    """B9: 8 clients x 20 sessions at once, cap 16: 16 stay resident, no session is lost."""
    found: dict[str, str] = {}
    async with (
        open_daemon(tmp_path, env={"HERMES_LIMITS__CAP": str(CAP)}) as daemon,
        daemon.connect("/control") as operator,
    ):
        await operator.call("events/subscribe", {"kinds": ["released"]})
        async with trio.open_nursery() as nursery:
            for name in range(CLIENTS):
                nursery.start_soon(open_sessions, daemon, name, str(tmp_path), found)
        total = CLIENTS * SESSIONS
        await operator.until(lambda: len(operator.events) >= total - CAP)
        status = await operator.call("supervisor/status")
        assert (status["sessions"]["resident"], status["sessions"]["busy"]) == (CAP, 0)
        assert status["turns"]["completed"] == total
        assert status["evictions"]["cap"] == total - CAP
        assert len(operator.events) == total - CAP
        listed = (await operator.call("sessions/list", {"limit": 1000}))["sessions"]
        assert sum(row["resident"] for row in listed) == CAP
        assert {row["id"] for row in listed} == set(found)
        assert {row["turns"] for row in listed} == {1}
        keys = {f"cli:c{name}-s{number}" for name in range(CLIENTS) for number in range(SESSIONS)}
        assert {text.split()[0] for text in found.values()} == keys
