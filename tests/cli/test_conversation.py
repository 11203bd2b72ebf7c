from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
import trio

from hermes.cli.conversation import choice, talk
from hermes.cli.exits import CommandFailed, NoDaemon, WrongUsage
from hermes.cli.rpc import ConnectionLost, RpcFailed

OPTIONS = [
    {"optionId": "a", "name": "always", "kind": "allow_always"},
    {"optionId": "o", "name": "once", "kind": "allow_once"},
    {"optionId": "r", "name": "no", "kind": "reject_once"},
]


async def test_a_person_sees_the_stream(daemon: Any, make_console: Callable[..., Any]) -> None:
    """Each line of a person is a prompt to the session of the key, and its answer is shown."""
    console = make_console(["hello", "  ", "/quit", "never"])
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert console.text == "> You said: hello\n> > "
    assert daemon.methods() == ["initialize", "session/new", "session/prompt"]
    params = daemon.seen[1]["params"]
    assert params["_meta"] == {"hermes": {"key": "cli:x"}}
    assert params["cwd"] == "/tmp"


async def test_a_pipe_is_one_prompt(daemon: Any, make_console: Callable[..., Any]) -> None:
    """All of a pipe is one prompt, and its answer with a newline is all of the output."""
    console = make_console(["two", "lines\n"], interactive=False)
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert console.text == "You said: two\nlines\n"
    assert console.errors == []


async def test_an_empty_pipe_is_wrong_usage(daemon: Any, make_console: Callable[..., Any]) -> None:
    """An empty pipe is told before anything is sent."""
    with pytest.raises(WrongUsage, match="empty"):
        await talk(daemon.url, "ses", "cli:x", "/tmp", make_console([" "], interactive=False))
    assert daemon.seen == []


async def test_a_failed_turn_fails_the_pipe(
    daemon: Any, make_console: Callable[..., Any], refusal: Callable[..., Exception]
) -> None:
    """A turn that failed reaches the caller as the daemon's error, after what was said."""

    async def fail(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        await fake.say("half")
        raise refusal(-31006, "turn failed", {"provider": "offline", "status": 500})

    daemon.scripts["session/prompt"] = fail
    console = make_console(["x"], interactive=False)
    with pytest.raises(RpcFailed) as caught:
        await talk(daemon.url, "ses", "cli:x", "/tmp", console)
    assert str(caught.value) == "turn failed (provider offline, status 500)"
    assert console.text == "half\n"


async def test_a_failed_turn_leaves_a_person_in_the_chat(
    daemon: Any, make_console: Callable[..., Any], refusal: Callable[..., Exception]
) -> None:
    """A person whose turn failed is told, and can type the next prompt."""

    async def fail(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise refusal(-31002, "mailbox full", {"retryAfterSeconds": 2})

    daemon.scripts["session/prompt"] = fail
    console = make_console(["x", "y"])
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert console.errors == ["mailbox full (retryAfterSeconds 2)"] * 2


async def test_another_stop_reason_is_told(daemon: Any, make_console: Callable[..., Any]) -> None:
    """A stop reason that is not the ordinary one is told on standard error."""

    async def cut(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"stopReason": "max_tokens"}

    daemon.scripts["session/prompt"] = cut
    console = make_console(["x"], interactive=False)
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert "limit of tokens" in console.errors[0]


async def test_ctrl_c_stops_the_turn(daemon: Any, make_console: Callable[..., Any]) -> None:
    """Ctrl-C sends session/cancel, and the chat goes on once the turn has stopped."""

    async def slow(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        console.interrupt()
        await fake.cancelled.wait()
        return {"stopReason": "cancelled"}

    daemon.scripts["session/prompt"] = slow
    console = make_console(["x"])
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert daemon.methods()[-1] == "session/cancel"
    assert daemon.seen[-1]["params"] == {"sessionId": "s1"}
    assert console.errors == ["the turn was cancelled"]
    assert console.text.count("> ") == 2


async def test_a_second_ctrl_c_leaves(daemon: Any, make_console: Callable[..., Any]) -> None:
    """A second Ctrl-C leaves a turn that does not stop."""

    async def stuck(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        console.interrupt()
        await fake.cancelled.wait()
        console.interrupt()
        await trio.sleep_forever()
        raise AssertionError

    daemon.scripts["session/prompt"] = stuck
    console = make_console(["x", "never sent"])
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert console.lines == ["never sent"]


async def test_ctrl_c_at_the_prompt_leaves(daemon: Any, make_console: Callable[..., Any]) -> None:
    """Ctrl-C where no turn runs leaves the chat."""
    console = make_console()

    async def read_line(prompt: str) -> str | None:
        console.interrupt()
        await trio.sleep_forever()
        raise AssertionError

    console_type = type("Waiting", (type(console),), {"read_line": lambda _, p: read_line(p)})
    console = console_type()
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert daemon.methods() == ["initialize", "session/new"]


@pytest.mark.parametrize(
    ("line", "interactive", "option"),
    [("y", True, "o"), ("", True, "r"), ("yes please", True, "r"), ("y", False, "r")],
)
async def test_an_approval_is_asked(
    daemon: Any, make_console: Callable[..., Any], line: str, interactive: bool, option: str
) -> None:
    """Z10: only a clear yes of a person allows a call, and a pipe never does."""

    async def asks(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        question = {"sessionId": "s1", "toolCall": {"title": "rm"}, "options": OPTIONS}
        await fake.send({"id": 0, "method": "session/request_permission", "params": question})
        await fake.arrived.wait()
        return {"stopReason": "end_turn"}

    daemon.scripts["session/prompt"] = asks
    console = make_console(["x", line] if interactive else ["x"], interactive=interactive)
    assert await talk(daemon.url, "ses", "cli:x", "/tmp", console) == 0
    assert daemon.seen[-1]["result"] == {"outcome": {"outcome": "selected", "optionId": option}}
    assert ("allow rm? [y/N]" in console.text) is interactive


async def test_a_lost_daemon_is_told(daemon: Any, make_console: Callable[..., Any]) -> None:
    """A daemon that goes away in a turn ends the chat with an error that says so."""

    async def leave(fake: Any, params: Mapping[str, Any]) -> Mapping[str, Any]:
        await fake.websocket.aclose(1001, "shutting down")
        return {}

    daemon.scripts["session/prompt"] = leave
    with pytest.raises(ConnectionLost, match=r"1001, shutting down"):
        await talk(daemon.url, "ses", "cli:x", "/tmp", make_console(["x"]))


async def test_a_wrong_token_is_told(daemon: Any, make_console: Callable[..., Any]) -> None:
    """Z2: a token that the daemon refuses is one clear error."""
    with pytest.raises(CommandFailed, match="token"):
        await talk(daemon.url, "wrong", "cli:x", "/tmp", make_console(["x"]))


async def test_nothing_listens(make_console: Callable[..., Any]) -> None:
    """Where nothing listens the error says how to start a daemon."""
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{taken.getsockname()[1]}/acp"
        with pytest.raises(NoDaemon, match="hermes serve"):
            await talk(url, "ses", "cli:x", "/tmp", make_console(["x"]))


def test_no_fitting_option_selects_nothing() -> None:
    """A request without an option of the wished kind is answered as cancelled."""
    assert choice({"options": "?"}, "allow") == {"outcome": {"outcome": "cancelled"}}
    assert choice({"options": OPTIONS[:1]}, "reject") == {"outcome": {"outcome": "cancelled"}}
    picked = choice({"options": OPTIONS[:1]}, "allow")
    assert picked == {"outcome": {"outcome": "selected", "optionId": "a"}}


async def test_something_else_listens(
    make_console: Callable[..., Any], nursery: trio.Nursery
) -> None:
    """A port where something else listens is told as that."""

    async def hello(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await stream.aclose()

    listeners = await nursery.start(partial(trio.serve_tcp, hello, 0, host="127.0.0.1"))
    url = f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}/acp"
    with pytest.raises(CommandFailed, match=r"no Hermes daemon \(HTTP 200\)"):
        await talk(url, "ses", "cli:x", "/tmp", make_console(["x"]))
