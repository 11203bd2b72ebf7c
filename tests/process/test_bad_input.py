"""Bad input of every kind: the documented error, one line, and the daemon serves on."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from support.process import LiveDaemon, open_daemon, run_hermes
from support.raw_http import HttpReply, exchange, get, upgrade
from support.wire import RpcFailed
from trio_websocket import ConnectionClosed

from hermes.adapters.websocket.throttle import FAILURES


async def ask(daemon: LiveDaemon, request: bytes) -> HttpReply:
    """The answer to a request on a connection of its own."""
    async with await trio.open_tcp_stream("127.0.0.1", daemon.port) as stream:
        return await exchange(stream, request)


async def still_serves(daemon: LiveDaemon, folder: Path) -> None:
    """A real client gets a real answer; nothing was a failure of ours, no token is told."""
    async with daemon.connect() as client:
        assert await client.prompt(await client.new(cwd=str(folder)), "hello") == "end_turn"
    told = "\n".join(daemon.lines)
    assert not any(word in told for word in ("Traceback", "ERROR", "CRITICAL")), told
    assert daemon.token("session") not in told


async def test_strangers(tmp_path: Path) -> None:
    """Z4: foreign hosts, origins, tokens, methods and bytes get their status before an upgrade."""
    async with open_daemon(tmp_path) as daemon:
        host, token = f"127.0.0.1:{daemon.port}", daemon.token("session")
        own = f"Origin: http://localhost:{daemon.port}"
        cases = {
            upgrade("/acp", token, host="evil.example"): 403,
            upgrade("/acp", token, "Origin: http://evil.example", host=host): 403,
            upgrade("/acp", token, "Origin: null", host=host): 403,
            upgrade("/acp", token, own, host=host): 101,
            upgrade("/acp", None, host=host): 401,
            upgrade("/acp", token[:-1], host=host): 401,
            upgrade("/acp", token + "A", host=host): 401,
            upgrade(f"/acp?token={token}", None, host=host): 401,
            upgrade("/control", token, host=host): 403,
            upgrade("/acp", None, f"Sec-WebSocket-Protocol: hermes.bearer.{token}", host=host): 101,
            get("/acp", host=host): 426,
            get("/healthz", host=host): 200,
            get("/readyz", host=host): 200,
            get("/healthz", host="evil.example"): 403,
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls?\r\n\r\n": 400,
            b"GET /acp HTTP/1.1\r\nHost: " + host.encode() + b"\r\nX: " + b"x" * 200_000: 431,
        }
        for request, status in cases.items():
            assert (await ask(daemon, request)).status == status, request[:300]
        await still_serves(daemon, tmp_path)


async def test_too_many_failures(tmp_path: Path) -> None:
    """After ten wrong tokens in a minute 429, on loopback too; a valid one passes."""
    async with open_daemon(tmp_path) as daemon:
        host = f"127.0.0.1:{daemon.port}"
        wrong = upgrade("/acp", "wrong", host=host)
        answers = [(await ask(daemon, wrong)).status for _ in range(FAILURES + 1)]
        assert answers == [401] * FAILURES + [429]
        await still_serves(daemon, tmp_path)


async def test_garbage_frames(tmp_path: Path) -> None:
    """Z6: garbage and wrong types get their errors, none of which closes the connection."""
    cases: list[tuple[str, int]] = [
        ("garbage", -32700),
        ("[" * 100_000, -32700),
        ("[]", -32600),
        ('{"jsonrpc":"2.0","id":null,"method":"initialize"}', -32600),
        ('{"jsonrpc":"2.0","id":-1,"method":"session/new","params":{"cwd":7}}', -32602),
        ('{"jsonrpc":"2.0","id":-1,"method":"session/unheard"}', -32601),
    ]
    async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
        for text, code in cases:
            before = len(client.frames)
            await client.raw(text)
            await client.until(lambda before=before: len(client.frames) > before)  # type: ignore[misc]
            assert client.frames[-1]["error"]["code"] == code, text[:100]
        await client.raw(b"\x00\xff")
        with pytest.raises(RpcFailed) as unknown:
            await client.prompt("ses_never", "hello")
        assert unknown.value.code == -32002
        assert unknown.value.data == {"sessionId": "ses_never"}
        with pytest.raises(RpcFailed) as missing:
            await client.new(cwd=str(tmp_path / "missing"))
        assert (missing.value.code, missing.value.data["path"]) == (-32602, "cwd")
        assert await client.prompt(await client.new(cwd=str(tmp_path)), "hello") == "end_turn"
        await still_serves(daemon, tmp_path)


async def test_a_frame_that_is_too_large(tmp_path: Path) -> None:
    """A frame over 1 MiB closes its connection with 1009, and no other."""
    async with open_daemon(tmp_path) as daemon:
        for size in (1_048_577, 8_000_000):
            async with daemon.connect() as client:
                with suppress(ConnectionClosed):
                    await client.raw("x" * size)
                with pytest.raises(ConnectionError):
                    await client.until(lambda: False)
                with pytest.raises(ConnectionClosed) as closed:
                    await client.socket.get_message()
                assert closed.value.reason is not None
                assert closed.value.reason.code == 1009
        await still_serves(daemon, tmp_path)


async def test_bytes_that_are_no_websocket(tmp_path: Path) -> None:
    """Z6: bytes that are no frame, and text that is no UTF-8, end that connection only."""
    bad_text = b"\x81\x82\x00\x00\x00\x00\xff\xfe"
    async with open_daemon(tmp_path) as daemon:
        opening = upgrade("/acp", daemon.token("session"), host=f"127.0.0.1:{daemon.port}")
        for data in (b"\xff" * 100, bad_text, b"GET / HTTP/1.1\r\n\r\n"):
            async with await trio.open_tcp_stream("127.0.0.1", daemon.port) as stream:
                assert (await exchange(stream, opening)).status == 101
                await stream.send_all(data)
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    continue
        await still_serves(daemon, tmp_path)


CONFIGS: list[tuple[str, list[str]]] = [
    ("limits = [", ["hermes.toml", "TOML"]),
    ("[limits]\ncapp = 3\n", ["limits.capp", "cap"]),
    ('[limits]\ncap = "many"\n', ["limits.cap"]),
    ('[server]\nhost = "0.0.0.0"\n', ["server.host", "tls_cert"]),
]


async def test_a_broken_configuration(tmp_path: Path) -> None:
    """A broken configuration file stops the start: one line that says where, exit code 1."""

    async def start(number: int, text: str, words: list[str]) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        file = folder / "hermes.toml"
        file.write_text(text)
        ended = await run_hermes(folder, "serve", "--port", "0", "--config", str(file))
        assert (ended.code, ended.out) == (1, "")
        assert all(word in ended.line for word in words), ended.line

    async with trio.open_nursery() as nursery:
        for number, (text, words) in enumerate(CONFIGS):
            nursery.start_soon(start, number, text, words)


async def test_wrong_usage(tmp_path: Path) -> None:
    """A wrong flag is one line and exit code 2; no daemon to talk to is 3."""
    assert (await run_hermes(tmp_path, "serve", "--prot", "0")).code == 2
    nobody = await run_hermes(tmp_path, "ctl", "status")
    assert nobody.code == 3
    assert "hermes serve" in nobody.line


async def test_a_port_in_use(tmp_path: Path) -> None:
    """A port in use is one line that names it, exit code 1; who had it serves on."""
    async with open_daemon(tmp_path) as daemon:
        port, other = str(daemon.port), str(tmp_path / "other")
        ended = await run_hermes(tmp_path, "serve", "--port", port, "--state-dir", other)
        assert ended.code == 1
        assert f"127.0.0.1:{port}" in ended.line
        assert "--port" in ended.line
        await still_serves(daemon, tmp_path)


async def test_a_second_daemon(tmp_path: Path) -> None:
    """D7: a second daemon on the same state directory names the first one's pid and ends."""
    async with open_daemon(tmp_path) as daemon:
        state = str(daemon.state_dir)
        ended = await run_hermes(tmp_path, "serve", "--port", "0", "--state-dir", state)
        assert ended.code == 1
        assert str(daemon.process.pid) in ended.line
        place = json.loads((daemon.state_dir / "daemon.json").read_text())
        assert place["port"] == daemon.port
        await still_serves(daemon, tmp_path)


@pytest.mark.parametrize("name", ["", "tokens.json"])
async def test_a_loose_state_directory(tmp_path: Path, name: str) -> None:
    """Z7: a directory or file that others can read is refused with the command that mends it."""
    async with open_daemon(tmp_path) as daemon:
        state_dir = daemon.state_dir
    path = state_dir / name if name else state_dir
    path.chmod(0o755)
    ended = await run_hermes(tmp_path, "serve", "--port", "0", "--state-dir", str(state_dir))
    assert ended.code == 1
    assert "chmod" in ended.line
    assert path.name in ended.line


@pytest.mark.parametrize(
    ("name", "text"), [("tokens.json", "{}"), ("hermes.db", "this is no database " * 500)]
)
async def test_a_damaged_state_directory(tmp_path: Path, name: str, text: str) -> None:
    """D7: a damaged file is reported in one line that names it, and is not overwritten."""
    async with open_daemon(tmp_path) as daemon:
        state_dir = daemon.state_dir
    for path in state_dir.glob(f"{name}*"):
        path.unlink()
    file = state_dir / name
    file.touch(0o600)
    file.write_text(text)
    ended = await run_hermes(tmp_path, "serve", "--port", "0", "--state-dir", str(state_dir))
    assert ended.code == 1
    assert name in ended.line
    assert file.read_text() == text
