from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from hermes.cli.ctl import Call, control, parse_call, parse_value
from hermes.cli.exits import NoDaemon, WrongUsage
from hermes.cli.rpc import ConnectionLost, RpcFailed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64), ("0.5", 0.5), ("true", True), ("null", None), ("none", None), ("None", None),
        ("idle", "idle"), ('"64"', "64"), ('["a"]', ["a"]), ("NaN", "NaN"), ("", ""),
    ],
)  # fmt: skip
def test_values_are_json_or_text(text: str, value: object) -> None:
    """A value is JSON where it reads as JSON, `none` is null, anything else a string."""
    assert parse_value(text) == value


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["status"], Call("supervisor/status")),
        (["sessions", "limit=5"], Call("sessions/list", {"limit": 5})),
        (["inspect", "12"], Call("sessions/inspect", {"session": "12"})),
        (["close", "a:b", "reason=old"],
         Call("sessions/close", {"session": "a:b", "reason": "old"})),
        (["set", "cap=none", "idleTtl=600"],
         Call("supervisor/configure", {"cap": None, "idleTtl": 600})),
        (["resume", "a:b"], Call("sessions/resume", {"session": "a:b"})),
        (["resume"], Call("supervisor/resume")),
        (["events"], Call("events/subscribe")),
        (["events", "a:b"], Call("events/subscribe", {"session": "a:b"})),
        (["background/stop", "task=bg_1"], Call("background/stop", {"task": "bg_1"})),
    ],
)  # fmt: skip
def test_friendly_names(words: Sequence[str], call: Call) -> None:
    """Every friendly name becomes its method, and a name with a slash goes as it is."""
    assert parse_call(words[0], words[1:]) == call


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["statu"], "did you mean status"),
        (["inspect"], "KEY"),
        (["inspect", "a", "b"], "unexpected b"),
        (["status", "x"], "key=value"),
        (["set", "=4"], "key=value"),
        (["a/b", "c"], "key=value"),
    ],
)
def test_wrong_usage_says_what_to_write(words: Sequence[str], hint: str) -> None:
    """A command line that makes no sense is refused with what to write instead."""
    with pytest.raises(WrongUsage, match=hint):
        parse_call(words[0], words[1:])


def answering(result: Mapping[str, Any]) -> Callable[..., Any]:
    async def script(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return result

    return script


async def test_a_result_for_people_and_for_programs(daemon: Any) -> None:
    """A result is a table for people, and with --json one line of JSON."""
    row = {"id": "1", "key": "a:b", "state": "idle", "resident": True, "idle": 65.0, "turns": 3}
    result = {"sessions": [row], "nextCursor": "c2"}
    daemon.scripts["sessions/list"] = answering(result)
    printed: list[str] = []
    call = parse_call("sessions", [])
    assert await control(daemon.state_dir, call, as_json=True, out=printed.append) == 0
    assert json.loads(printed[0]) == result
    await control(daemon.state_dir, call, as_json=False, out=printed.append)
    head, line, more = printed[1].splitlines()
    assert head.split()[:3] == ["KEY", "STATE", "RESIDENT"]
    assert line.split()[:6] == ["a:b", "idle", "yes", "-", "-", "1m05s"]
    assert more == "more: hermes ctl sessions cursor=c2"


async def test_an_error_of_the_daemon(daemon: Any, refusal: Callable[..., Exception]) -> None:
    """An error of the daemon reaches the caller with its data."""

    async def unknown(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise refusal(-32002, "unknown session", {"sessionId": "a:b"})

    daemon.scripts["sessions/release"] = unknown
    call = parse_call("release", ["a:b"])
    with pytest.raises(RpcFailed, match="unknown session"):
        await control(daemon.state_dir, call, as_json=False, out=print)


async def test_no_daemon(tmp_path: Path) -> None:
    """Without a daemon the error names the directory and the command that starts one."""
    with pytest.raises(NoDaemon, match=f"{tmp_path}.*hermes serve"):
        await control(tmp_path, Call("supervisor/status"), as_json=False, out=print)


async def test_events_until_ctrl_c(daemon: Any) -> None:
    """Events are printed as they come, and Ctrl-C ends that as done."""

    async def subscribe(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        event = {"seq": 1, "at": 0.0, "kind": "released", "session": "s", "data": {"cause": "cap"}}
        await fake.send({"method": "event", "params": event})
        return {}

    def out(text: str) -> None:
        printed.append(text)
        signal.raise_signal(signal.SIGINT)

    printed: list[str] = []
    daemon.scripts["events/subscribe"] = subscribe
    call = parse_call("events", [])
    assert await control(daemon.state_dir, call, as_json=False, out=out) == 0
    assert printed[0].endswith('released  s  {"cause":"cap"}')


async def test_events_of_a_daemon_that_stops(daemon: Any) -> None:
    """A daemon that closes the connection ends the events with an error."""

    async def subscribe(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        await fake.websocket.aclose(1001, "shutting down")
        return {}

    daemon.scripts["events/subscribe"] = subscribe
    with pytest.raises(ConnectionLost, match="shutting down"):
        await control(daemon.state_dir, Call("events/subscribe"), as_json=True, out=print)
