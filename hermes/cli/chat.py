"""`hermes chat`: a conversation in the terminal; starts a daemon where none runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import trio
from attrs import frozen

from hermes.cli.background import serve_command, start_daemon
from hermes.cli.console import open_terminal
from hermes.cli.conversation import talk
from hermes.cli.discovery import DaemonPlace, find_daemon, read_token
from hermes.cli.exits import NoDaemon
from hermes.config import prepare_state_dir

ACP_PATH = "/acp"
DEFAULT_KEY = "cli:default"


@frozen
class ChatOptions:
    """What `hermes chat` was told; `config` is None where no file was named."""

    state_dir: Path
    config: Path | None
    key: str = DEFAULT_KEY


async def chat(
    options: ChatOptions,
    environ: Mapping[str, str],
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
) -> int:
    """Find or start the daemon of the state directory, and converse with it.

    Returns the exit code; errors are as in `converse`.
    """
    daemon = await running_daemon(options, environ)
    url, token = daemon.url(ACP_PATH), read_token(options.state_dir, "session")
    return await converse(
        url,
        token,
        options.key,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        interactive=stdin.isatty(),
    )


async def converse(
    url: str,
    token: str,
    key: str,
    *,
    stdin: TextIO,
    stdout: TextIO,
    stderr: TextIO,
    interactive: bool,
) -> int:
    """Hold a conversation with a daemon that listens; returns the exit code.

    The three files need descriptors.  Ctrl-C is the conversation's until it ends.

    Raises:
        HermesError: the one line for standard error; `exits.code_of` has its code.

    **Cancellation**: the connection closes; the session and its turn go on.
    """
    async with open_terminal(stdin, stdout, stderr, interactive=interactive) as console:
        return await talk(url, token, key, os.getcwd(), console)


async def running_daemon(options: ChatOptions, environ: Mapping[str, str]) -> DaemonPlace:
    """The daemon of the state directory, started in the background where none listens.

    Raises:
        CommandFailed: it could not be started.
        StartError: the state directory cannot be used.
    """
    try:
        daemon = find_daemon(options.state_dir)
        await _probe(daemon)
    except NoDaemon:
        prepare_state_dir(options.state_dir)
        command = serve_command(options.state_dir, options.config)
        await start_daemon(command, options.state_dir, environ)
        daemon = find_daemon(options.state_dir)
    return daemon


async def _probe(daemon: DaemonPlace) -> None:
    """Look whether something listens there, before standard input is read.

    Raises:
        NoDaemon: nothing does.
    """
    try:
        stream = await trio.open_tcp_stream(daemon.host, daemon.port)
    except OSError as error:
        raise NoDaemon(f"nothing listens at {daemon.url(ACP_PATH)}") from error
    await stream.aclose()
