from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.offline.rules import (
    INTRODUCTION,
    MAX_COUNT,
    RULES,
    Call,
    Delay,
    Empty,
    Fail,
    Garble,
    Stall,
    Step,
    Text,
    Thought,
    Truncate,
    help_text,
    steps_for,
)

DOCS = Path(__file__).parents[3] / "docs" / "offline-model.md"
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("ls", "cat")]


def user(prompt: object) -> dict[str, object]:
    return {"role": "user", "content": prompt}


def ask(prompt: object, *later: dict[str, object]) -> list[Step]:
    return steps_for({"messages": [user(prompt), *later], "tools": TOOLS})


def said(steps: list[Step]) -> str:
    return "".join(step.text for step in steps if isinstance(step, Text))


def calls(*calls: Call) -> dict[str, object]:
    return {
        "role": "assistant",
        "tool_calls": [
            {"id": call.call_id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in calls
        ],
    }


def result(call_id: str, content: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_echo() -> None:
    """What fits no rule is echoed in word chunks, with a word on what answers."""
    steps = ask("hello  big\nworld")
    assert said(steps) == f"{INTRODUCTION} You said: hello  big\nworld"
    assert Text("hello  ") in steps


def test_parts() -> None:
    """A prompt may be a list of parts; those without text are left out."""
    parts = [{"type": "text", "text": "a "}, {"type": "image_url"}, {"type": "text", "text": "b"}]
    assert said(ask(parts)).endswith("You said: a b")


def test_last_user_message_decides() -> None:
    """Only the last message of the user counts, whatever came before it."""
    assert (
        said(ask("count to 3", {"role": "assistant", "content": "1"}, user("count to 2"))) == "1 2"
    )


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("count to 3", "1 2 3"),
        ("  COUNT TO 1 ", "1"),
        ("repeat 3 ha", "ha ha ha"),
        ("how many messages?", "There is 1 message."),
        ("system", "There is no system message."),
        ("count to 0", f"I count from 1 to at most {MAX_COUNT}."),
        (f"count to {'9' * 5000}", f"I count from 1 to at most {MAX_COUNT}."),
        (f"repeat {MAX_COUNT + 1} x", f"I repeat a word 1 to {MAX_COUNT} times."),
        ("help", help_text()),
    ],
)
def test_text_rules(prompt: str, text: str) -> None:
    """Each rule that answers in text gives exactly that text."""
    assert said(ask(prompt)) == text


def test_count_to_the_bound() -> None:
    """The highest count is one chunk for each number."""
    assert len(ask(f"count to {MAX_COUNT}")) == MAX_COUNT


@pytest.mark.parametrize(
    ("prompt", "last"),
    [
        ("truncate", Truncate()),
        ("stall", Stall()),
        ("empty", Empty()),
        ("garble", Garble()),
        ("fail 503", Fail(503, "the offline model was told to fail with 503")),
        ("fail 429 after 2.5", Fail(429, "the offline model was told to fail with 429", 2.5)),
    ],
)
def test_faults(prompt: str, last: Step) -> None:
    """Each fault can be asked for, and is the last step."""
    assert ask(prompt)[-1] == last


def test_fail_with_a_success() -> None:
    """A status that is no failure is talked about, not sent."""
    assert said(ask("fail 200")).startswith("I fail")


def test_slow() -> None:
    """Slow waits before each chunk of the reply to the rest of the prompt."""
    assert ask("slow 0.5 count to 2") == [Delay(0.5), Text("1"), Delay(0.5), Text(" 2")]
    assert ask("slow 1 call ls {}")[0] == Delay(1.0)


@pytest.mark.parametrize("prompt", ["slow 1 slow 1 x", "slow 99999 x", "slow 1.2.3 x"])
def test_slow_within_bounds(prompt: str) -> None:
    """A delay that is no number, too long, or nested is explained, not waited for."""
    assert said(ask(prompt)).startswith("I wait")


def test_think() -> None:
    """Reasoning comes before the answer."""
    steps = ask("think twice now")
    assert steps[:2] == [Thought("twice "), Thought("now")]
    assert said(steps) == "I thought: twice now"


def test_system_message() -> None:
    """The start of the system message can be seen."""
    system: dict[str, object] = {"role": "system", "content": "s" * 300}
    assert said(steps_for({"messages": [system, user("system")]})) == "s" * 200


def test_rounds_of_calls() -> None:
    """Lines are calls of one reply, `then` begins a round, and at the end the results are told."""
    prompt = 'call ls {"a": 1}\ncall cat\nthen\ncall ls {}'
    first = [Call("call_1_0", "ls", '{"a": 1}'), Call("call_1_1", "cat", "{}")]
    assert ask(prompt) == first
    later = [calls(*first), result("call_1_0", "one"), result("call_1_1", "two")]
    second = Call("call_4_0", "ls", "{}")
    assert ask(prompt, *later) == [second]
    later += [calls(second), result("call_4_0", "three")]
    assert said(ask(prompt, *later)) == (
        "The tool ls said: one\nThe tool cat said: two\nThe tool ls said: three"
    )


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("call rm {}", "I cannot call rm: the tools that are offered are: ls, cat."),
        ("call ls {]", "The arguments of ls are not a JSON object: {]"),
        ("call ls [1]", "The arguments of ls are not a JSON object: [1]"),
        (
            "call ls\nplease",
            "I do not understand the line 'please': write call TOOL {json}, or then.",
        ),
    ],
)
def test_calls_that_cannot_be(prompt: str, text: str) -> None:
    """A call that cannot be made is explained in text."""
    assert said(ask(prompt)) == text


def test_no_tools() -> None:
    """Where no tool is offered, none is called."""
    assert said(steps_for({"messages": [user("call ls {}")]})).endswith("are: none.")


@pytest.mark.parametrize("messages", [None, {}, [1], [], [{"role": "assistant", "content": "x"}]])
def test_bad_requests(messages: object) -> None:
    """A request with nothing to answer is refused with 400."""
    [step] = steps_for({"messages": messages})
    assert isinstance(step, Fail)
    assert step.status == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "text", "tool_calls", "id", "function", "name"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.lists(JSON, max_size=4), st.text(), JSON)
def test_any_request_has_an_answer(before: list[object], prompt: str, tools: object) -> None:
    """Whatever JSON a request is, there is at least one step and never a crash."""
    call: list[object] = [{"role": "user", "content": "call ls"}, *before]
    for messages in ([*before, user(prompt)], call, before):
        assert steps_for({"messages": messages, "tools": tools})


def test_rules_are_documented() -> None:
    """The page for users has a row for each rule, with the words that `help` has."""
    page = DOCS.read_text(encoding="utf-8")
    for rule in RULES:
        assert (
            f"| `{rule.usage}` | {rule.says} |" in page or f"| {rule.usage} | {rule.says} |" in page
        )
        assert rule.says in help_text()
    assert json.dumps(INTRODUCTION)[1:-1] in page
