"""`hermes ctl`: every method of `/control` from a shell, and friendly names for most.

The friendly names are one table.  Anything with a slash goes to the daemon as it
is, so that a method added there needs nothing here.
"""

from __future__ import annotations

import difflib
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import trio
from attrs import field, frozen

from hermes.cli.discovery import find_daemon, read_token
from hermes.cli.exits import ExitCode, WrongUsage
from hermes.cli.rpc import ConnectionLost, Rpc, open_rpc, refuse_all
from hermes.cli.table import cell, moment, printable, render, table
from hermes.messages.jsonrpc import Notification, Request
from hermes.messages.strict_json import InvalidJson, decode, encode

CONTROL_PATH = "/control"
SUBSCRIBE = "events/subscribe"

SESSION_COLUMNS = (
    "key", "state", "resident", "busy", "mailboxDepth", "idle", "turns", "model", "createdAt",
)  # fmt: skip


@frozen
class FriendlyName:
    """A method by its short name; `session` is whether a KEY may follow, or must."""

    method: str
    help: str
    key: bool = False
    needs_key: bool = False


def _of_session(method: str, text: str) -> FriendlyName:
    return FriendlyName(method, text, key=True, needs_key=True)


NAMES: Mapping[str, FriendlyName] = MappingProxyType(
    {
        "status": FriendlyName("supervisor/status", "the daemon at a glance"),
        "sessions": FriendlyName("sessions/list", "all sessions (state=, limit=, cursor=)"),
        "inspect": _of_session("sessions/inspect", "one session in full"),
        "release": _of_session("sessions/release", "drop its agent, keep its resources"),
        "close": _of_session("sessions/close", "end it and its resources (reason=)"),
        "interrupt": _of_session("sessions/interrupt", "stop its turn"),
        "suspend": _of_session("sessions/suspend", "let it take no prompts"),
        "resume": FriendlyName(
            "sessions/resume", "let it take prompts again; without KEY, after a drain", key=True
        ),
        "set": FriendlyName("supervisor/configure", "change limits: cap=64 idleTtl=600 cap=none"),
        "sweep": FriendlyName("supervisor/sweep", "release idle agents (olderThan=SECONDS)"),
        "drain": FriendlyName("supervisor/drain", "take no prompts, wait for turns (timeout=)"),
        "reload": FriendlyName("supervisor/reload", "read the configuration again"),
        "shutdown": FriendlyName("supervisor/shutdown", "drain and stop the daemon (timeout=)"),
        "events": FriendlyName(SUBSCRIBE, "follow what happens, until Ctrl-C (kinds=)", key=True),
    }
)


@frozen
class Call:
    """What to ask of the daemon."""

    method: str
    params: Mapping[str, object] = field(factory=dict)


def parse_call(name: str, words: Sequence[str]) -> Call:
    """The call that a command line means.

    Raises:
        WrongUsage: an unknown name, a word that is no `key=value`, a KEY missing or too much.
    """
    if "/" in name:
        return Call(name, dict(_pair(word) for word in words))
    friendly = NAMES.get(name)
    if friendly is None:
        near = difflib.get_close_matches(name, NAMES, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise WrongUsage(f"unknown method {printable(name)}; {hint}see: hermes ctl --help")
    # A session key holds no "=", which no key pattern of protocol.md allows.
    keys = [word for word in words if "=" not in word]
    if len(keys) > (1 if friendly.key else 0):
        raise WrongUsage(
            f"{name}: unexpected {printable(keys[-1])}; parameters are written key=value"
        )
    if friendly.needs_key and not keys:
        raise WrongUsage(
            f"{name} needs the KEY of a session: hermes ctl {name} KEY; see: hermes ctl sessions"
        )
    params = dict(_pair(word) for word in words if "=" in word)
    if keys:
        params["session"] = keys[0]
    elif name == "resume":
        return Call("supervisor/resume", params)
    return Call(friendly.method, params)


def parse_value(text: str) -> object:
    """A value of the command line: JSON where it reads as that, `none` for null, else a string."""
    if text.lower() == "none":
        return None
    try:
        return decode(text)
    except InvalidJson:
        return text


def _pair(word: str) -> tuple[str, object]:
    name, equals, text = word.partition("=")
    if not name or not equals:
        raise WrongUsage(f"expected key=value and got {printable(word)}; see: hermes ctl --help")
    return name, parse_value(text)


def shown(call: Call, result: Mapping[str, object], *, as_json: bool) -> str:
    """A result as it is printed."""
    if as_json:
        return encode(result)
    sessions = result.get("sessions")
    if call.method != "sessions/list" or not isinstance(sessions, list):
        return render(result)
    rows = [row for row in sessions if isinstance(row, Mapping)]
    text = table(
        ["waiting" if name == "mailboxDepth" else name for name in SESSION_COLUMNS],
        ([cell(name, row.get(name)) for name in SESSION_COLUMNS] for row in rows),
    )
    cursor = result.get("nextCursor")
    more = f"\nmore: hermes ctl sessions cursor={cursor}" if cursor is not None else ""
    return text + more if rows else "no sessions"


def shown_event(params: Mapping[str, object], *, as_json: bool) -> str:
    """An event as one line."""
    if as_json:
        return encode(params)
    at, data = params.get("at"), params.get("data")
    when = moment(at) if isinstance(at, int | float) else "-"
    words = [when, cell("", params.get("kind")), cell("", params.get("session"))]
    return "  ".join([*words, encode(data)] if data else words)


async def control(
    state_dir: Path, call: Call, *, as_json: bool, out: Callable[[str], None]
) -> ExitCode:
    """Make one call to the daemon of the state directory, or follow its events.

    `out` is given each line (or table) to print.

    Raises:
        NoDaemon: none runs.
        RpcFailed, CommandFailed: the one line for standard error.
    """
    url = find_daemon(state_dir).url(CONTROL_PATH)
    token = read_token(state_dir, "operator")

    async def receive(rpc: Rpc, incoming: Request | Notification) -> None:
        if isinstance(incoming, Notification) and incoming.method == "event":
            out(shown_event(incoming.params or {}, as_json=as_json))
        else:
            await refuse_all(rpc, incoming)

    async with open_rpc(url, token, receive) as rpc:
        if call.method == SUBSCRIBE:
            return await _follow(rpc, call)
        result = await rpc.call(call.method, call.params)
    out(shown(call, result, as_json=as_json))
    return ExitCode.DONE


async def _follow(rpc: Rpc, call: Call) -> ExitCode:
    """Events until Ctrl-C, which is the way to end it and no failure.

    Raises:
        ConnectionLost: the daemon ended it.
    """
    lost: list[ConnectionLost] = []
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        await rpc.call(call.method, call.params)
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                lost.append(await rpc.wait_lost())
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await anext(signals)
            nursery.cancel_scope.cancel()
    if lost:
        raise lost[0]
    return ExitCode.DONE
