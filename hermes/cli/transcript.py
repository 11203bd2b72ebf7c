"""What of a session's updates is shown, as text; pure, so a test needs no terminal.

Two ways of showing: to a person everything, control characters of the model
removed, since they could rewrite the screen; to a pipe the answer alone, byte for
byte, and nothing of a turn that another client started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import define

from hermes.cli.table import printable

DIM, NORMAL = "\x1b[2m", "\x1b[0m"

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# In these states the turn under way when we attach is someone else's.
_BUSY_STATES = frozenset({"running", "waiting", "queued"})


@define
class Transcript:
    """Turns updates into the text to write next.

    `interactive` is whether a person reads it, `colour` whether dim text can be
    shown.
    """

    interactive: bool
    colour: bool = False
    _at_start: bool = True
    _message: object = None
    _tool: object = None
    _foreign: bool = False

    def attached(self, state: object) -> None:
        """The state of the session when we attached to it."""
        self._foreign = state in _BUSY_STATES

    def render(self, params: Mapping[str, object]) -> str:
        """The text for one `session/update`; often empty."""
        update = _object(params.get("update"))
        meta = _hermes(params) | _hermes(update)
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                return self._answer(update)
            case "session_info_update":
                return self._turn(meta)
            case "user_message_chunk":
                self._foreign = True
                return self._note(f"(elsewhere) {_text(update)}")
            case "agent_thought_chunk":
                return self._thought(update)
            case "tool_call":
                return self._tool_call(update)
            case "tool_call_update":
                return self._tool_update(update)
            case _:
                return ""

    def end_line(self) -> str:
        """What brings the cursor to the start of a line."""
        self._tool = self._message = None
        return self._add("" if self._at_start else "\n")

    def _answer(self, update: Mapping[str, object]) -> str:
        text = _text(update)
        if not self.interactive and self._foreign:
            return ""
        message = ("answer", update.get("messageId"))
        start = self.end_line() if self._message != message else ""
        self._message = message
        return start + self._add(text if not self.interactive else _CONTROL.sub("", text))

    def _thought(self, update: Mapping[str, object]) -> str:
        if not self.interactive:
            return ""
        message = ("thought", update.get("messageId"))
        start = self.end_line() if self._message != message else ""
        self._message = message
        text = self._add(_CONTROL.sub("", _text(update)))
        return start + (f"{DIM}{text}{NORMAL}" if self.colour and text else text)

    def _turn(self, meta: Mapping[str, object]) -> str:
        turn, accepted = meta.get("turn"), _object(meta.get("accepted"))
        if turn in ("started", "restarted", "ended"):
            self._foreign = False
        if turn == "restarted":
            return self._note("the turn was cut and runs again")
        if isinstance(before := accepted.get("position"), int) and before > 0:
            return self._note(f"waiting: {before} before this one")
        return ""

    def _tool_call(self, update: Mapping[str, object]) -> str:
        if not self.interactive:
            return ""
        start = self.end_line()
        self._tool = update.get("toolCallId")
        name = printable(str(update.get("name") or update.get("title") or "tool"))
        return start + self._add(f"[tool {name} ...") + self._tool_update(update)

    def _tool_update(self, update: Mapping[str, object]) -> str:
        words = {"completed": "done", "failed": "failed"}
        word = words.get(str(update.get("status")))
        if not self.interactive or word is None:
            return ""
        if self._tool is not None and self._tool == update.get("toolCallId"):
            self._tool = None
            return self._add(f" {word}]\n")
        name = update.get("name") or update.get("title") or update.get("toolCallId")
        return self._note(f"tool {printable(str(name))} ... {word}")

    def _note(self, text: str) -> str:
        if not self.interactive:
            return ""
        return self.end_line() + self._add(f"[{printable(text)}]\n")

    def _add(self, text: str) -> str:
        if text:
            self._at_start = text.endswith("\n")
        return text


def _object(value: object) -> dict[str, object]:
    return dict(value) if isinstance(value, Mapping) else {}


def _hermes(value: Mapping[str, object]) -> dict[str, object]:
    return _object(_object(value.get("_meta")).get("hermes"))


def _text(update: Mapping[str, object]) -> str:
    content = _object(update.get("content"))
    kind = content.get("type")
    return str(content.get("text", "")) if kind == "text" else f"[{printable(str(kind))}]"
