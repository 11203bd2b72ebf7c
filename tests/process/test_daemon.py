"""The daemon as a process: it starts, says so, serves, and ends when it is told to."""

from __future__ import annotations

import json
import os
import signal
import stat
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from support.process import LISTENING, STOP_SECONDS, open_daemon, run_hermes
from support.wire import RpcFailed, WireClient
from trio_websocket import ConnectionClosed


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def draining(operator: WireClient) -> None:
    """Ask until a signal has arrived: nothing else says when it does."""
    while not (await operator.call("supervisor/status"))["draining"]:
        pass


async def test_it_says_where_it_listens(tmp_path: Path) -> None:
    """One line on standard error says where it listens, and daemon.json says it to commands."""
    async with open_daemon(tmp_path) as daemon:
        assert daemon.lines == [f"{LISTENING}ws://127.0.0.1:{daemon.port}/acp"]
        place = json.loads((daemon.state_dir / "daemon.json").read_text())
        assert (place["pid"], place["port"]) == (daemon.process.pid, daemon.port)
        assert place["host"] == "127.0.0.1"
        assert await daemon.stop() == 0
        assert not (daemon.state_dir / "daemon.json").exists()
        assert len(daemon.lines) == 1


async def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """Z7: the state directory is 0700, every file in it 0600, whatever the umask is."""
    before = os.umask(0)
    try:
        async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
            await client.prompt(await client.new(cwd=str(tmp_path)), "hello")
            assert mode(daemon.state_dir) == 0o700
            files = {path.name: path for path in daemon.state_dir.iterdir() if path.is_file()}
            assert {"daemon.json", "tokens.json", "lock"} < set(files)
            assert {name: mode(path) for name, path in files.items()} == dict.fromkeys(files, 0o600)
    finally:
        os.umask(before)


async def test_tokens_last(tmp_path: Path) -> None:
    """Z2: tokens are made once, 256 bits each, and are the same after a restart."""
    async with open_daemon(tmp_path) as daemon:
        first = {scope: daemon.token(scope) for scope in ("session", "operator")}
    async with open_daemon(tmp_path) as daemon, daemon.connect():
        assert {scope: daemon.token(scope) for scope in first} == first
    assert len(set(first.values())) == 2
    assert all(len(token) == 43 for token in first.values())


async def test_sigterm_lets_turns_finish(tmp_path: Path) -> None:
    """D8: at SIGTERM a turn is finished, prompts are refused, /control lives; then exit 0."""
    async with (
        open_daemon(tmp_path) as daemon,
        daemon.connect() as client,
        daemon.connect("/control") as operator,
    ):
        session = await client.new(cwd=str(tmp_path))
        turn = await client.begin_prompt(session, "slow 0.1 count to 10")
        await client.until(lambda: bool(client.text(session)))
        daemon.process.send_signal(signal.SIGTERM)
        await draining(operator)
        with pytest.raises(RpcFailed) as refused:
            await client.prompt(session, "hello")
        assert refused.value.code == -31003
        assert refused.value.data["retryAfterSeconds"] > 0
        assert (await client.answer(turn))["stopReason"] == "end_turn"
        assert client.text(session) == " ".join(map(str, range(1, 11)))
        with pytest.raises(ConnectionClosed) as closed:
            await client.socket.get_message()
        assert closed.value.reason is not None
        assert closed.value.reason.code == 1001
        assert await daemon.ended() == 0


async def test_sigterm_does_not_wait_for_ever(tmp_path: Path) -> None:
    """D8: a turn that does not end holds a stop for the drain time and 5 s at most; exit 0."""
    drain = 0.5
    env = {"HERMES_LIMITS__DRAIN": str(drain)}
    async with open_daemon(tmp_path, env=env) as daemon, daemon.connect() as client:
        session = await client.new(cwd=str(tmp_path))
        turn = await client.begin_prompt(session, "stall")
        await client.until(lambda: bool(client.text(session)))
        with trio.fail_after(drain + 5):
            assert await daemon.stop() == 0
        assert not client.answered(turn)


async def test_a_second_sigterm(tmp_path: Path) -> None:
    """D8: after a second signal the process is gone within 2 s."""
    async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
        session = await client.new(cwd=str(tmp_path))
        await client.begin_prompt(session, "stall")
        await client.until(lambda: bool(client.text(session)))
        daemon.process.send_signal(signal.SIGTERM)
        async with daemon.connect("/control") as operator:
            await draining(operator)
        daemon.process.send_signal(signal.SIGTERM)
        with trio.fail_after(2.5):
            await daemon.process.wait()


async def test_sigint(tmp_path: Path) -> None:
    """Ctrl-C in its terminal stops it like SIGTERM: exit 0, no traceback."""
    async with open_daemon(tmp_path) as daemon:
        daemon.process.send_signal(signal.SIGINT)
        assert await daemon.ended() == 0
        assert "Traceback" not in "\n".join(daemon.lines)


async def test_a_kill_in_mid_turn(tmp_path: Path) -> None:
    """D2: after SIGKILL the cut turn runs once more; its numbers and its id go on."""
    async with open_daemon(tmp_path) as daemon:
        async with daemon.connect() as client:
            session = await client.new("cli:cut", str(tmp_path))
            assert await client.prompt(session, "hello", id="done") == "end_turn"
            await client.begin_prompt(session, "slow 0.1 count to 5", id="cut")
            said = client.text(session)
            await client.until(lambda: client.text(session) != said)
            before = client.numbers(session)
            await daemon.kill()
    async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
        assert await client.new("cli:cut", str(tmp_path)) == session
        answer = await client.prompt(session, "slow 0.1 count to 5", id="cut")
        assert answer == "end_turn"
        assert await client.prompt(session, "hello", id="done") == "end_turn"
        replay = {"sessionId": session, "cwd": str(tmp_path), "mcpServers": []}
        async with daemon.connect() as late:
            await late.call("session/load", replay)
            numbers = late.numbers(session)
            assert numbers[0][0] == 1
            assert all(a[1] + 1 == b[0] for a, b in pairwise(numbers))
            assert numbers[-1][1] > before[-1][1]
            turns = [
                (hermes.get("turn"), hermes.get("id"))
                for hermes in (update.get("_meta", {}).get("hermes", {}) for update in late.updates)
                if "turn" in hermes
            ]
        assert turns == [("ended", "done"), ("restarted", "cut"), ("ended", "cut")]
        listed = await daemon.call("sessions/list")
        assert [(row["key"], row["turns"]) for row in listed["sessions"]] == [("cli:cut", 2)]


async def test_it_listens_again_at_once(tmp_path: Path) -> None:
    """D2: a killed daemon's port and state directory are free at once, its lock included."""
    async with open_daemon(tmp_path) as daemon:
        port = daemon.port
        async with daemon.connect():
            await daemon.kill()
    async with open_daemon(tmp_path, "--port", str(port)) as daemon:
        assert daemon.port == port


async def test_a_cut_turn_is_journaled(tmp_path: Path) -> None:
    """D8: a turn that a stop cut is run again at the next start, without being asked for."""
    env = {"HERMES_LIMITS__DRAIN": "0"}
    async with open_daemon(tmp_path, env=env) as daemon, daemon.connect() as client:
        session = await client.new("cli:cut", str(tmp_path))
        await client.begin_prompt(session, "slow 0.1 count to 5")
        await client.until(lambda: bool(client.text(session)))
        assert await daemon.stop() == 0
    async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
        assert await client.new("cli:cut", str(tmp_path)) == session
        await client.until(
            lambda: any(
                update.get("_meta", {}).get("hermes", {}).get("turn") == "ended"
                for update in client.updates
            )
        )


async def test_shutdown_by_an_operator(tmp_path: Path) -> None:
    """`hermes ctl shutdown` ends the daemon like SIGTERM: exit 0, nothing left behind."""
    async with open_daemon(tmp_path) as daemon, daemon.connect():
        done = await run_hermes(tmp_path, "ctl", "shutdown", "--state-dir", str(daemon.state_dir))
        assert (done.code, done.err) == (0, "")
        with trio.fail_after(STOP_SECONDS):
            assert await daemon.ended() == 0
