"""The command line against a real daemon: one prompt through a pipe, and an operator's look."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import trio
from support.process import ROOT, STOP_SECONDS, open_daemon, run_command, run_hermes

from hermes.adapters.offline.server import serve_offline

OFFLINE = "I am the offline model of Hermes"


async def test_chat_through_a_pipe(tmp_path: Path) -> None:
    """`hermes chat` with a pipe: one prompt in, the answer alone on stdout, exit code 0."""
    async with open_daemon(tmp_path) as daemon:
        state = str(daemon.state_dir)
        words = ("chat", "--state-dir", state, "--session", "cli:pipe")
        first = await run_hermes(tmp_path, *words, stdin="count to 5\n")
        assert (first.code, first.out, first.err) == (0, "1 2 3 4 5\n", "")
        second = await run_hermes(tmp_path, *words, stdin="how many messages\n")
        assert second.code == 0
        listed = await daemon.call("sessions/list")
        assert [(row["key"], row["turns"]) for row in listed["sessions"]] == [("cli:pipe", 2)]


async def test_a_failed_turn_through_a_pipe(tmp_path: Path) -> None:
    """A turn that fails is one line on stderr and exit code 1."""
    async with open_daemon(tmp_path) as daemon:
        words = ("chat", "--state-dir", str(daemon.state_dir))
        failed = await run_hermes(tmp_path, *words, stdin="fail 400\n")
        assert (failed.code, failed.out) == (1, "")
        assert "turn failed" in failed.line


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="pidfds are Linux's")
async def test_chat_starts_a_daemon(tmp_path: Path) -> None:
    """`hermes chat` starts a daemon where none runs, which outlives it until it is shut down."""
    state_dir = tmp_path / "s"
    env = {"HERMES_SERVER__PORT": "0"}
    words = ("chat", "--state-dir", str(state_dir))
    chat = await run_hermes(tmp_path, *words, stdin="hello\n", env=env)
    assert chat.code == 0
    assert OFFLINE in chat.out
    daemon = os.pidfd_open(json.loads((state_dir / "daemon.json").read_text())["pid"])
    try:
        status = await run_hermes(
            tmp_path, "ctl", "status", "--json", "--state-dir", str(state_dir)
        )
        assert json.loads(status.out)["turns"]["completed"] == 1
        await run_hermes(tmp_path, "ctl", "shutdown", "--state-dir", str(state_dir))
        with trio.fail_after(STOP_SECONDS):
            await trio.lowlevel.wait_readable(daemon)
    finally:
        os.close(daemon)
    assert not (state_dir / "daemon.json").exists()


async def test_serve_with_a_chat(tmp_path: Path) -> None:
    """`hermes serve --chat` with a pipe answers that one prompt on stdout and exits 0."""
    words = ("serve", "--chat", "--port", "0", "--state-dir", str(tmp_path / "s"))
    ended = await run_hermes(tmp_path, *words, stdin="count to 3\n")
    assert (ended.code, ended.out) == (0, "1 2 3\n")
    assert not (tmp_path / "s" / "daemon.json").exists()


async def test_ctl(tmp_path: Path) -> None:
    """`hermes ctl` looks, changes and releases, as a table or as JSON on one line."""
    async with open_daemon(tmp_path) as daemon, daemon.connect() as client:
        session = await client.new("cli:look", str(tmp_path))
        await client.prompt(session, "hello")

        async def ctl(*words: str) -> str:
            ended = await run_hermes(tmp_path, "ctl", *words, "--state-dir", str(daemon.state_dir))
            assert (ended.code, ended.err) == (0, "")
            return ended.out

        status = json.loads(await ctl("status", "--json"))
        assert (status["pid"], status["sessions"]["resident"]) == (daemon.process.pid, 1)
        assert "cli:look" in await ctl("sessions")
        assert json.loads(await ctl("set", "cap=7", "--json"))["cap"] == 7
        assert json.loads(await ctl("release", "cli:look", "--json")) == {"result": "released"}
        unknown = await run_hermes(
            tmp_path, "ctl", "inspect", "cli:never", "--state-dir", str(daemon.state_dir)
        )
        assert (unknown.code, unknown.out) == (1, "")
        assert "cli:never" in unknown.line


async def test_a_model_of_ones_own(tmp_path: Path) -> None:
    """With OPENAI_API_KEY and a model in the file, the same chat talks to that model."""
    async with trio.open_nursery() as nursery:
        provider = await nursery.start(serve_offline)
        config = tmp_path / "hermes.toml"
        config.write_text(
            "[model]\n"
            'provider = "openai"\n'
            'name = "gpt-of-the-test"\n'
            f'base_url = "{provider.base_url}"\n'
            'api_key_env = "OPENAI_API_KEY"\n'
        )
        env = {"OPENAI_API_KEY": provider.credential.value}
        async with open_daemon(tmp_path, "--config", str(config), env=env) as daemon:
            words = ("chat", "--state-dir", str(daemon.state_dir), "--session", "cli:own")
            chat = await run_hermes(tmp_path, *words, stdin="count to 4\n")
            assert (chat.code, chat.out) == (0, "1 2 3 4\n")
            seen = await daemon.call("sessions/inspect", session="cli:own")
            assert seen["model"] == "gpt-of-the-test"
            assert list((await daemon.call("supervisor/status"))["pools"]) == ["openai"]
            assert provider.credential.value not in "\n".join(daemon.lines)
        env["OPENAI_API_KEY"] = "a wrong key"
        async with open_daemon(tmp_path, "--config", str(config), env=env) as daemon:
            refused = await run_hermes(tmp_path, *words, stdin="count to 4\n")
            assert (refused.code, refused.out) == (1, "")
            assert "401" in refused.line
            assert "a wrong key" not in refused.err
        nursery.cancel_scope.cancel()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
async def test_make_run(tmp_path: Path) -> None:
    """`make -s run` hands stdin and stdout to the chat untouched, once it is set up."""
    # The set-up itself needs an index of packages; .ci/run and a fresh clone prove that.
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "requirements", copy / "requirements")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, copy / name)
    binary = copy / ".venv" / "bin" / "hermes"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m hermes "$@"\n')
    binary.chmod(0o755)
    (copy / ".venv" / "run.stamp").touch()
    ended = await run_command(
        ["make", "-s", "run", "ARGS=--port 0"], tmp_path, stdin="hello\n", cwd=copy
    )
    assert ended.code == 0, ended.err
    assert ended.out.startswith(OFFLINE)
    assert ended.out.count("\n") == 1
