"""`hermes serve`: the daemon in the foreground, with a chat beside it where asked."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

import trio

from hermes.cli.chat import ACP_PATH, DEFAULT_KEY, converse
from hermes.cli.discovery import find_daemon, read_token
from hermes.cli.exits import ExitCode, unwrapped
from hermes.cli.rpc import ConnectionLost
from hermes.config import ConfigPlace, load_settings, prepare_state_dir
from hermes.daemon.main import DaemonOptions, run_daemon


def serve(
    state_dir: Path,
    config: ConfigPlace,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    *,
    chat: bool,
) -> int:
    """Run a daemon until it is told to stop; returns the exit code.

    `flags` are settings by their dotted keys.

    Raises:
        ConfigError, StartError: the one line for standard error.
    """
    loaded = load_settings(flags=flags, environ=environ, path=config.path, required=config.required)
    prepare_state_dir(state_dir)
    _log_to_stderr(logging.WARNING if chat else logging.INFO)
    options = DaemonOptions(state_dir=state_dir, loaded=loaded, environ=environ, chat=chat)
    return trio.run(_serve, options, state_dir, chat)


def _log_to_stderr(level: int) -> None:
    """Log for people; beside a chat only what they must know."""
    logging.basicConfig(
        stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for chatty in ("httpx", "httpcore", "openai", "trio-websocket"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


async def _serve(options: DaemonOptions, state_dir: Path, chat: bool) -> int:
    """The daemon; with a chat, it stops when the person leaves."""
    code = 0
    try:
        async with trio.open_nursery() as nursery:
            await nursery.start(run_daemon, options)
            if chat:
                code = await _chat(state_dir)
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise unwrapped(group) from group.__cause__
    return code


async def _chat(state_dir: Path) -> int:
    """The chat beside the daemon; a daemon that was told to stop ends it, which is no failure."""
    interactive = sys.stdin.isatty()
    try:
        return await converse(
            find_daemon(state_dir).url(ACP_PATH),
            read_token(state_dir, "session"),
            DEFAULT_KEY,
            stdin=sys.stdin,
            stdout=sys.stdout,
            stderr=sys.stderr,
            interactive=interactive,
        )
    except ConnectionLost:
        if not interactive:
            raise  # the prompt in the pipe was not answered
        return ExitCode.DONE
