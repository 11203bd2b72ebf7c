"""The entry of the command line: flags in, one of four exit codes out.

argparse prints two lines for a wrong flag; ours is one line like every other
error.  Commands are imported when they run, so that `hermes ctl` does not pay
for the daemon.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import trio

import hermes
from hermes.cli.exits import ExitCode, WrongUsage, code_of, unwrapped
from hermes.errors import HermesError

CODES = "exit codes: 0 done, 1 failed, 2 wrong usage, 3 no daemon to talk to"

Command = Callable[[argparse.Namespace], int]


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line, given to whoever called it."""

    def error(self, message: str) -> NoReturn:
        """Raise WrongUsage, which says where the help is."""
        raise WrongUsage(f"{' '.join(message.split())}; see: {self.prog} --help")


#: The highest TCP port.
MAX_PORT = 65_535


def _port(text: str) -> int:
    """A TCP port; argparse tells what is wrong with another text."""
    port = int(text)
    if not 0 <= port <= MAX_PORT:
        raise argparse.ArgumentTypeError(f"a port is 0 to {MAX_PORT}, not {port}")
    return port


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never raises for a failure."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    try:
        arguments = parse(words)
        command: Command = arguments.command
        code = command(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as done:  # --help and --version have printed
        return int(done.code or 0)
    except BaseException as error:
        if debug and not isinstance(error, KeyboardInterrupt):
            raise
        return _failed(unwrapped(error))


def _failed(error: BaseException) -> int:
    """Say in one line what went wrong; returns the exit code."""
    match error:
        case HermesError():
            text = str(error)
        case KeyboardInterrupt():
            text = "interrupted"
        case BrokenPipeError():
            # Whoever read our output has left (`| head`); nothing more can be flushed there.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.FAILED
        case OSError():
            text = f"{error}; run it again with --debug to see where"
        case Exception():
            kind = type(error).__name__
            text = f"unexpected {kind}: {error}; run it again with --debug and report it"
        case _:
            raise error
    print("hermes: " + " ".join(text.split()), file=sys.stderr)
    return code_of(error)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Parse a command line; `command` in the result runs it.

    Raises:
        WrongUsage: it makes no sense.
        SystemExit: `--help` or `--version` was printed.
    """
    parser = make_parser()
    arguments, rest = parser.parse_known_args(words)
    # argparse takes a run of positionals only once: in `inspect --json KEY` the KEY is left over.
    flags = [word for word in rest if word.startswith("-")]
    if rest and (flags or not hasattr(arguments, "words")):
        parser.error(f"unrecognized arguments: {' '.join(flags or rest)}")
    if rest:
        arguments.words = [*arguments.words, *rest]
    return arguments


def make_parser() -> argparse.ArgumentParser:
    """The parser of every command."""
    parser = OneLineParser(
        prog="hermes", description="An actor-model runtime for LLM agents.", epilog=CODES
    )
    parser.add_argument("--version", action="version", version=f"hermes {hermes.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="name")
    common = _common()
    _add_serve(commands, common)
    _add_chat(commands, common)
    _add_ctl(commands, common)
    config = commands.add_parser(
        "config",
        parents=[common],
        epilog=CODES,
        help="show every setting with its value, source and help",
        description="Show every setting in force: its value, where it comes from, what it does.",
    )
    config.set_defaults(command=_config)
    return parser


def _common() -> OneLineParser:
    common = OneLineParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="configuration file (or HERMES_CONFIG)")
    common.add_argument("--state-dir", metavar="DIR", help="state directory (or HERMES_STATE_DIR)")
    common.add_argument("--debug", action="store_true", help="show a traceback on failure")
    return common


def _add_serve(commands: argparse._SubParsersAction[OneLineParser], common: OneLineParser) -> None:
    parser = commands.add_parser(
        "serve",
        parents=[common],
        epilog=CODES,
        help="run the daemon in the foreground",
        description="Run the daemon in the foreground; one line on stderr says when it listens.",
    )
    parser.add_argument("--host", metavar="H", help="address to listen on (127.0.0.1)")
    parser.add_argument(
        "--port", metavar="P", type=_port, help="TCP port (8765); 0 takes a free one"
    )
    parser.add_argument(
        "--chat",
        action="store_true",
        help="chat in this terminal; with a pipe on stdin, answer that one prompt and stop",
    )
    parser.set_defaults(command=_serve)


def _add_chat(commands: argparse._SubParsersAction[OneLineParser], common: OneLineParser) -> None:
    from hermes.cli.chat import DEFAULT_KEY

    parser = commands.add_parser(
        "chat",
        parents=[common],
        epilog=CODES,
        help="talk to a session in the terminal",
        description="Talk to a session; a daemon is started where none runs. With a pipe on "
        "stdin: one prompt, the answer on stdout. Ctrl-C stops a turn, Ctrl-D or /quit leaves.",
    )
    parser.add_argument("--session", metavar="KEY", default=DEFAULT_KEY, help="(%(default)s)")
    parser.set_defaults(command=_chat)


def _add_ctl(commands: argparse._SubParsersAction[OneLineParser], common: OneLineParser) -> None:
    from hermes.cli.ctl import NAMES

    width = max(map(len, NAMES))
    lines = [
        f"  {name.ljust(width)}  {'KEY' if entry.key else '   '}  {entry.help}"
        for name, entry in NAMES.items()
    ]
    parser = commands.add_parser(
        "ctl",
        parents=[common],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="methods:\n" + "\n".join(lines) + "\n\n" + CODES,
        help="look after a running daemon",
        description="Call a method of the daemon's control endpoint: a name from the list below,\n"
        "or any method with a slash. Values are JSON where they read as JSON; none is null.",
    )
    parser.add_argument("method", metavar="METHOD", help="what to do")
    parser.add_argument("words", metavar="KEY | key=value", nargs="*", help="its parameters")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on one line")
    parser.set_defaults(command=_ctl)


def _state_dir(arguments: argparse.Namespace) -> Path:
    from hermes.config import find_state_dir

    return find_state_dir(arguments.state_dir, os.environ, Path.home())


def _serve(arguments: argparse.Namespace) -> int:
    from hermes.cli.serve import serve
    from hermes.config import find_config

    return serve(
        _state_dir(arguments),
        find_config(arguments.config, os.environ, Path.home()),
        {"server.host": arguments.host, "server.port": arguments.port},
        os.environ,
        chat=arguments.chat,
    )


def _chat(arguments: argparse.Namespace) -> int:
    from hermes.cli.chat import ChatOptions, chat
    from hermes.config import find_config

    place = find_config(arguments.config, os.environ, Path.home())
    options = ChatOptions(
        state_dir=_state_dir(arguments),
        config=place.path if place.required else None,
        key=arguments.session,
    )

    async def run() -> int:
        return await chat(
            options, os.environ, stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr
        )

    return trio.run(run)


def _ctl(arguments: argparse.Namespace) -> int:
    from hermes.cli.ctl import control, parse_call

    call = parse_call(arguments.method, arguments.words)

    async def run() -> int:
        return await control(
            _state_dir(arguments), call, as_json=arguments.json, out=_print_at_once
        )

    return trio.run(run)


def _config(arguments: argparse.Namespace) -> int:
    from hermes.cli.table import table
    from hermes.config import describe, find_config, load_settings

    place = find_config(arguments.config, os.environ, Path.home())
    loaded = load_settings(flags={}, environ=os.environ, path=place.path, required=place.required)
    entries = describe(loaded)
    rows = [(entry.key, entry.value, entry.source, entry.help) for entry in entries]
    print(table(("key", "value", "source", "help"), rows))
    return ExitCode.DONE


def _print_at_once(text: str) -> None:
    print(text, flush=True)
