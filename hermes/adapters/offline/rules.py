"""What the offline model answers, decided purely: a request in, a list of steps out.

It is what a fresh machine talks to, and what the tests provoke every fault with, so
its rules are few, documented (docs/offline-model.md, and the prompt `help`) and kept
in one table, `RULES`.  The last message of the user decides; nothing is remembered
between requests, since the request carries the whole history.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

# More chunks than this in one reply test nothing that fewer do not.
MAX_COUNT = 10_000
# An hour outlasts every time-out that a test of slowness could be about.
MAX_DELAY = 3_600.0
# A tool's result is quoted for a person to read.
MAX_QUOTE_CHARS = 4_000
MAX_SYSTEM_CHARS = 200

INTRODUCTION = "I am the offline model of Hermes: no network, only rules."

Message = Mapping[str, object]


@frozen
class Text:
    """A chunk of the answer."""

    text: str


@frozen
class Thought:
    """A chunk of reasoning."""

    text: str


@frozen
class Call:
    """A tool call; `arguments` is the JSON text as the user wrote it."""

    call_id: str
    name: str
    arguments: str


@frozen
class Delay:
    """Wait that many seconds."""

    seconds: float


@frozen
class Fail:
    """Answer with an HTTP status and an error body; always the only step."""

    status: int
    message: str
    retry_after: float | None = None


@frozen
class Stall:
    """Say nothing more, until the client leaves."""


@frozen
class Truncate:
    """End the stream here, with no finish reason."""


@frozen
class Garble:
    """Send an event that is not JSON."""


@frozen
class Empty:
    """Answer 200 with no event at all; always the only step."""


Step = Text | Thought | Call | Delay | Fail | Stall | Truncate | Garble | Empty


@frozen
class Chat:
    """What counts of a request: its messages, and the names of the tools it offers."""

    messages: Sequence[Message]
    tools: Sequence[str]

    @property
    def last_user(self) -> int | None:
        """The position of the user's last message; None where there is none."""
        users = [i for i, message in enumerate(self.messages) if message.get("role") == "user"]
        return users[-1] if users else None


@frozen
class Rule:
    """One row of the table: when the `pattern` fits the whole prompt, `reply` answers.

    `usage` and `says` are for people.
    """

    usage: str
    says: str
    pattern: re.Pattern[str]
    reply: Callable[[re.Match[str], Chat], list[Step]]


def steps_for(request: Mapping[str, object]) -> list[Step]:
    """The steps of the reply to a parsed chat request."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not all(isinstance(item, dict) for item in messages):
        return [Fail(400, "messages must be a list of objects")]
    chat = Chat(messages, _offered(request))
    if chat.last_user is None:
        return [Fail(400, "there is no message of the user to answer")]
    return _reply(text_of(messages[chat.last_user]).strip(), chat)


def text_of(message: Message) -> str:
    """The text of a message, whether its content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part["text"] for part in content if isinstance(part, dict) and "text" in part]
    return "".join(part for part in parts if isinstance(part, str))


def help_text() -> str:
    """The rules, one on each line."""
    width = max(len(rule.usage) for rule in RULES)
    lines = [f"{rule.usage.ljust(width)}  {rule.says}" for rule in RULES]
    return "\n".join([INTRODUCTION + " These are the rules:", *lines])


def _reply(prompt: str, chat: Chat) -> list[Step]:
    for rule in RULES:
        match = rule.pattern.fullmatch(prompt)
        if match is not None:
            return rule.reply(match, chat)
    return _words(f"{INTRODUCTION} You said: {prompt}")


def _words(text: str) -> list[Step]:
    """One chunk for each word, with the white space that follows it."""
    return [Text(word) for word in re.findall(r"\s*\S+\s*", text)]


# -- the replies -----------------------------------------------------------------


def _help(match: re.Match[str], chat: Chat) -> list[Step]:
    return [Text(line) for line in help_text().splitlines(keepends=True)]


def _count(match: re.Match[str], chat: Chat) -> list[Step]:
    last = _bounded_count(match["n"])
    if last is None:
        return _words(f"I count from 1 to at most {MAX_COUNT}.")
    return [Text(str(number) if number == 1 else f" {number}") for number in range(1, last + 1)]


def _repeat(match: re.Match[str], chat: Chat) -> list[Step]:
    times = _bounded_count(match["n"])
    if times is None:
        return _words(f"I repeat a word 1 to {MAX_COUNT} times.")
    word = match["word"]
    return [Text(word), *[Text(f" {word}")] * (times - 1)]


def _slow(match: re.Match[str], chat: Chat) -> list[Step]:
    seconds = _seconds(match["seconds"])
    rest = match["rest"].strip()
    if seconds is None or rest.lower().startswith("slow "):
        return _words(f"I wait 0 to {MAX_DELAY:g} seconds before each chunk, and only once slow.")
    steps: list[Step] = []
    for step in _reply(rest, chat):
        steps += [Delay(seconds), step]
    return steps


def _think(match: re.Match[str], chat: Chat) -> list[Step]:
    thoughts = [Thought(step.text) for step in _words(match["text"]) if isinstance(step, Text)]
    return [*thoughts, *_words(f"I thought: {match['text']}")]


def _fail(match: re.Match[str], chat: Chat) -> list[Step]:
    status = int(match["status"])
    if status < 400:
        return _words("I fail with a status from 400 to 599.")
    retry_after = None if match["seconds"] is None else _seconds(match["seconds"])
    return [Fail(status, f"the offline model was told to fail with {status}", retry_after)]


def _truncate(match: re.Match[str], chat: Chat) -> list[Step]:
    return [*_words("This answer has no"), Truncate()]


def _stall(match: re.Match[str], chat: Chat) -> list[Step]:
    return [Text("And now nothing more"), Stall()]


def _empty(match: re.Match[str], chat: Chat) -> list[Step]:
    return [Empty()]


def _garble(match: re.Match[str], chat: Chat) -> list[Step]:
    return [Text("This answer goes wrong: "), Garble()]


def _how_many(match: re.Match[str], chat: Chat) -> list[Step]:
    count = len(chat.messages)
    return _words(f"There {'is' if count == 1 else 'are'} {count} message{'s' * (count != 1)}.")


def _system(match: re.Match[str], chat: Chat) -> list[Step]:
    for message in chat.messages:
        if message.get("role") == "system":
            return [Text(text_of(message)[:MAX_SYSTEM_CHARS])]
    return _words("There is no system message.")


def _call(match: re.Match[str], chat: Chat) -> list[Step]:
    rounds = _rounds(match[0])
    if isinstance(rounds, str):
        return _words(rounds)
    unknown = [name for calls in rounds for name, _ in calls if name not in chat.tools]
    if unknown:
        names = ", ".join(chat.tools) or "none"
        return _words(f"I cannot call {unknown[0]}: the tools that are offered are: {names}.")
    since = chat.messages[(chat.last_user or 0) + 1 :]
    done = sum(1 for message in since if message.get("tool_calls"))
    if done >= len(rounds):
        return _words("\n".join(_results(since)) or "The tools were called and said nothing.")
    # The count of messages makes the ids of one conversation differ.
    return [
        Call(f"call_{len(chat.messages)}_{index}", name, arguments)
        for index, (name, arguments) in enumerate(rounds[done])
    ]


def _rounds(prompt: str) -> list[list[tuple[str, str]]] | str:
    """The calls of each round as (name, arguments), or what is wrong with the prompt."""
    rounds: list[list[tuple[str, str]]] = [[]]
    for line in (line.strip() for line in prompt.splitlines()):
        if line.lower() == "then":
            rounds.append([])
            continue
        if not line:
            continue
        words = line.split(maxsplit=2)
        if len(words) < 2 or words[0].lower() != "call":
            return f"I do not understand the line {line!r}: write call TOOL {{json}}, or then."
        arguments = words[2] if len(words) > 2 else "{}"
        try:
            parsed: object = json.loads(arguments)
        except (ValueError, RecursionError):
            parsed = None
        if not isinstance(parsed, dict):
            return f"The arguments of {words[1]} are not a JSON object: {arguments}"
        rounds[-1].append((words[1], arguments))
    return [calls for calls in rounds if calls]


def _offered(request: Mapping[str, object]) -> list[str]:
    tools = request.get("tools")
    if not isinstance(tools, list):
        return []
    functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
    names = [function.get("name") for function in functions if isinstance(function, dict)]
    return [name for name in names if isinstance(name, str)]


def _results(since: Sequence[Message]) -> list[str]:
    """One line for each tool result since the last message of the user."""
    names: dict[object, object] = {}
    lines: list[str] = []
    for message in since:
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict) and isinstance(call.get("function"), dict):
                names[str(call.get("id"))] = call["function"].get("name")
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id")), "?")
            result = text_of(message)
            if len(result) > MAX_QUOTE_CHARS:
                result = result[:MAX_QUOTE_CHARS] + "..."
            lines.append(f"The tool {name} said: {result}")
    return lines


def _bounded_count(digits: str) -> int | None:
    # The length first: Python refuses to parse numbers of thousands of digits.
    number = int(digits) if len(digits) <= len(str(MAX_COUNT)) else 0
    return number if 1 <= number <= MAX_COUNT else None


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= MAX_DELAY else None


def _pattern(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL | re.ASCII)


RULES: tuple[Rule, ...] = (
    Rule("help", "lists these rules", _pattern(r"help"), _help),
    Rule(
        "count to N",
        f"1 2 3 ... N, one number a chunk, N at most {MAX_COUNT}",
        _pattern(r"count to (?P<n>\d+)"),
        _count,
    ),
    Rule(
        "repeat N WORD",
        f"the word N times, one a chunk, N at most {MAX_COUNT}",
        _pattern(r"repeat (?P<n>\d+) (?P<word>\S{1,100})"),
        _repeat,
    ),
    Rule(
        "slow SECONDS PROMPT",
        "the reply to PROMPT, with a wait before each chunk",
        _pattern(r"slow (?P<seconds>[\d.]+) (?P<rest>.+)"),
        _slow,
    ),
    Rule(
        "think TEXT",
        "reasons TEXT first, then answers",
        _pattern(r"think (?P<text>.+)"),
        _think,
    ),
    Rule(
        "call TOOL {json}",
        "calls that tool, then tells what it said; several lines are several calls at once,"
        " a line `then` begins the next round",
        _pattern(r"call\s.+"),
        _call,
    ),
    Rule(
        "how many messages",
        "how many messages the request carries",
        _pattern(r"how many messages\??"),
        _how_many,
    ),
    Rule(
        "system",
        f"the first {MAX_SYSTEM_CHARS} characters of the system message",
        _pattern(r"system"),
        _system,
    ),
    Rule(
        "fail STATUS [after SECONDS]",
        "answers with that HTTP status every time, and with Retry-After where asked",
        _pattern(r"fail (?P<status>[1-5]\d\d)( after (?P<seconds>[\d.]+))?"),
        _fail,
    ),
    Rule(
        "truncate",
        "some text, then the end of the stream with no finish reason",
        _pattern(r"truncate"),
        _truncate,
    ),
    Rule("stall", "one chunk, then nothing until the client leaves", _pattern(r"stall"), _stall),
    Rule("empty", "HTTP 200 and no event", _pattern(r"empty"), _empty),
    Rule("garble", "some text, then an event that is not JSON", _pattern(r"garble"), _garble),
    Rule("anything else", "says that it is offline, and echoes", _pattern(r"(?!)"), _help),
)
