from __future__ import annotations

from typing import Any

from hermes.cli.transcript import Transcript


def update(kind: str, hermes: Any = None, **rest: Any) -> dict[str, Any]:
    return {"update": {"sessionUpdate": kind, **rest}, "_meta": {"hermes": hermes or {}}}


def chunk(text: str, kind: str = "agent_message_chunk", message: str = "m") -> dict[str, Any]:
    return update(kind, content={"type": "text", "text": text}, messageId=message)


def shown(transcript: Transcript, *updates: dict[str, Any]) -> str:
    return "".join(map(transcript.render, updates)) + transcript.end_line()


def test_a_tool_call_is_one_line() -> None:
    """A tool call and its end are one line, also where something came between."""
    call = update("tool_call", toolCallId="1", title="echo")
    done = update("tool_call_update", toolCallId="1", status="completed", title="echo")
    assert shown(Transcript(True), chunk("a"), call, done) == "a\n[tool echo ... done]\n"
    text = shown(Transcript(True), call, chunk("a"), done)
    assert text == "[tool echo ...\na\n[tool echo ... done]\n"


def test_thoughts_are_dim_where_that_can_be_shown() -> None:
    """Thoughts are dim in colour, plain without, and never in a pipe."""
    thought = chunk("hm", "agent_thought_chunk")
    assert shown(Transcript(True, colour=True), thought, chunk("a")) == "\x1b[2mhm\x1b[0m\na\n"
    assert shown(Transcript(True), thought, chunk("a")) == "hm\na\n"
    assert shown(Transcript(False), thought, chunk("a")) == "a\n"


def test_a_terminal_gets_no_control_characters() -> None:
    """What a model says cannot rewrite the screen, and a pipe gets it byte for byte."""
    assert shown(Transcript(True), chunk("a\x1b[2Jb\tc\r\n")) == "a[2Jb\tc\n"
    assert shown(Transcript(False), chunk("a\x1b[2Jb\r\n")) == "a\x1b[2Jb\r\n"


def test_a_pipe_gets_its_own_turn_only() -> None:
    """What another client's turn says is not the answer to the prompt in the pipe."""
    transcript = Transcript(False)
    transcript.attached("running")
    started = update("session_info_update", {"turn": "started"})
    theirs = chunk("hi", "user_message_chunk")
    assert shown(transcript, chunk("1"), started, chunk("2"), theirs, chunk("3")) == "2\n"


def test_a_command_answered_between_turns_is_the_answer() -> None:
    """Chunks with no turn around them, such as a command's answer, reach a pipe."""
    transcript = Transcript(False)
    transcript.attached("idle")
    assert shown(transcript, chunk("help")) == "help\n"


def test_malformed_updates_are_nothing() -> None:
    """An update of an unknown kind, or of a wrong shape, shows nothing."""
    assert (
        shown(Transcript(True), {}, {"update": 3}, update("new_kind"), update("tool_call_update"))
        == ""
    )


def test_a_queue_is_told() -> None:
    """A prompt that waits says how many are before it."""
    accepted = update("session_info_update", {"accepted": {"position": 2}})
    assert shown(Transcript(True), accepted) == "[waiting: 2 before this one]\n"
