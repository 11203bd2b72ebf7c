from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

import hermes
from hermes.cli.main import main

ROOT = Path(hermes.__file__).parent.parent


async def run(*words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """The real command line in a process of its own."""
    done = await trio.run_process(
        [sys.executable, "-m", "hermes", *words],
        stdin=stdin, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    "words",
    [[], ["nope"], ["serve", "--port", "x"], ["ctl"], ["ctl", "statu"], ["ctl", "status", "--x"],
     ["chat", "extra"]],
)  # fmt: skip
def test_wrong_usage_is_2(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is one line that names the help, and exit code 2."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hermes: ")
    assert captured.err.endswith("--help\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("command", [[], ["serve"], ["chat"], ["ctl"], ["config"]])
def test_help_is_complete(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Every command has a help with the exit codes."""
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "exit codes: 0 done" in text
    assert ("--state-dir" in text) is bool(command)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`hermes --version` prints the version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hermes {hermes.__version__}\n"


def test_no_daemon_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a daemon `ctl` exits with 3 and says how to start one."""
    assert main(["ctl", "status", "--state-dir", str(tmp_path)]) == 3
    assert "start one with: hermes serve\n" in capsys.readouterr().err


def test_flags_between_the_words(tmp_path: Path) -> None:
    """A flag may stand anywhere among the words of `ctl`."""
    assert main(["ctl", "inspect", "--json", "a:b", "--state-dir", str(tmp_path)]) == 3


def test_a_broken_configuration_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken configuration is one line with its place, and exit code 1."""
    file = tmp_path / "hermes.toml"
    file.write_text("[limits]\ncpa = 3\n")
    assert main(["config", "--config", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"hermes: {file}:2: ")
    assert error.count("\n") == 1


def test_the_settings_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`hermes config` shows each key with value, source and help."""
    file = tmp_path / "hermes.toml"
    file.write_text("[limits]\ncap = 3\n")
    assert main(["config", "--config", str(file)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["limits.cap", "3", "file", "resident"] in [line[:4] for line in lines]


async def test_a_pipe_through_the_real_command(daemon: Any) -> None:
    """`hermes chat` with a pipe prints the answer alone and exits with 0."""
    place = ("--state-dir", str(daemon.state_dir))
    assert await run("chat", *place, stdin=b"hello\n") == (0, "You said: hello\n", "")
    code, out, err = await run("chat", *place, stdin=b"")
    assert (code, out) == (2, "")
    assert err.startswith("hermes: standard input is empty")


async def test_failures_through_the_real_command(
    daemon: Any, refusal: Callable[..., Exception]
) -> None:
    """An error of the daemon is one line on standard error and exit code 1."""

    async def fail(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise refusal(-31003, "draining")

    daemon.scripts |= {"session/prompt": fail, "supervisor/status": fail}
    place = ("--state-dir", str(daemon.state_dir))
    told = (1, "", "hermes: draining (-31003)\n")
    assert await run("chat", *place, stdin=b"x") == told
    assert await run("ctl", "status", *place) == told


def test_the_package_runs_as_a_module() -> None:
    """`python -m hermes` is the same command line."""
    done = subprocess.run(
        [sys.executable, "-m", "hermes", "--version"], capture_output=True, check=True, cwd=ROOT
    )
    assert done.stdout.decode() == f"hermes {hermes.__version__}\n"
