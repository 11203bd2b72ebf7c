from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial

import pytest
import trio
from attrs import evolve
from support.models import Pause, Script, ScriptedModels, calls, says
from support.scripted import ScriptedResource
from support.turn_io import KeptTurnIO

from hermes.agent.history import History
from hermes.agent.prompt import render
from hermes.agent.turn import (
    CALL_CUT,
    CUT,
    MAX_RESULT_BYTES,
    MAYBE_RUN,
    NOT_RUN,
    RESTARTED,
    RESTARTED_HARMLESS,
    Turn,
    TurnPlan,
)
from hermes.errors import ProviderUnavailable, StoreFull, StreamTruncated
from hermes.messages.updates import (
    TEXT_LIMIT,
    TextChunk,
    ThoughtChunk,
    ToolCallChanged,
    ToolCallStarted,
)
from hermes.ports.agent import TurnInput
from hermes.ports.model import Finished, Runtime, TextDelta, ThoughtDelta, ToolCallDelta
from hermes.ports.store import ToolRow
from hermes.ports.tools import Tool, ToolContext

INPUT = TurnInput("hello", "u1", "a1")


async def plan(models: ScriptedModels, *tools: Tool, limit: int = 10) -> TurnPlan:
    prompt = render("sys", tools)
    handle = await models.open(Runtime("p", "m", "u"))
    named = {tool.name: tool for tool in tools}
    return TurnPlan(handle, prompt.system, prompt.tools, named, History(), limit)


async def run(
    script: Sequence[Script], *tools: Tool, turn: TurnInput = INPUT, limit: int = 10
) -> tuple[str, KeptTurnIO, ScriptedModels]:
    models, io = ScriptedModels(*script), KeptTurnIO()
    reason = await Turn(await plan(models, *tools, limit=limit), turn, io).run()
    return reason, io, models


def assert_paired(messages: Sequence[dict[str, object]]) -> None:
    """Every call has one result right after it, before anything else is said."""
    waiting: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        made = message.get("tool_calls", [])
        assert isinstance(made, list)
        waiting = [call["id"] for call in made]
    assert not waiting


async def test_plain_answer() -> None:
    """A turn without tools records the message and the answer, and shows it while it streams."""
    reason, io, models = await run([says("Hel", "lo")])
    assert reason == "end_turn"
    assert io.updates == [TextChunk("a1", "Hel"), TextChunk("a1", "lo")]
    assert io.messages == [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "Hello"},
    ]
    assert json.loads(models.requests[0].messages[0]) == {"role": "system", "content": "sys"}
    assert len(io.signs) == 3


async def test_tool_loop(echo: Tool) -> None:
    """D3: a tool call's start is journaled before it is shown and run, its end before shown."""
    reason, io, models = await run([calls("echo", '{"text":"hi"}'), says("done")], echo)
    assert reason == "end_turn"
    assert io.steps == [
        "journaled echo",
        "ToolCallStarted",
        "journaled end",
        "ToolCallChanged",
        "TextChunk",
    ]
    assert io.journal == {"c1": "hi"}
    assert io.updates[0] == ToolCallStarted("c1", "echo", "echo", "other", {"text": "hi"})
    assert io.updates[1] == ToolCallChanged("c1", "completed", "hi")
    assert json.loads(models.requests[1].messages[-1])["content"] == "hi"
    assert_paired(io.messages)
    assert "echo: busy" in io.signs
    assert "echo ended" in io.signs


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "end_turn"), ("length", "max_tokens"), ("content_filter", "refusal")],
)
async def test_stop_reasons(finish: str, reason: str) -> None:
    """The provider's finish reason becomes ACP's stop reason."""
    assert (await run([says("x", finish=finish)]))[0] == reason


async def test_cut_call_does_not_run(echo: Tool) -> None:
    """A call in an answer that reached its length limit is not run, and the history says so."""
    script: Script = [[ToolCallDelta(0, "c1", "echo", "{}"), Finished("length")]]
    reason, io, _ = await run([script], echo)
    assert reason == "max_tokens"
    assert io.journal == {}
    assert io.messages[-1]["content"] == CALL_CUT


async def test_limit_of_model_calls(echo: Tool) -> None:
    """A3: model calls are counted in each turn, and the limit ends it with its own reason."""
    reason, io, models = await run(
        [calls("echo", call_id=f"c{n}") for n in range(3)], echo, limit=3
    )
    assert reason == "max_turn_requests"
    assert io.model_calls == len(models.requests) == 3
    assert_paired(io.messages)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("echo", '{"text":"bad"}', "error: text must be good"),
        ("echo", '{"text":"broken"}', "error: the tool failed: ZeroDivisionError"),
        ("echo", "{", "error: the arguments are not JSON"),
        ("nothing", "{}", "error: there is no tool 'nothing'"),
    ],
    ids=["bad argument", "broken tool", "not JSON", "unknown tool"],
)
async def test_failures_are_told(name: str, arguments: str, told: str, echo: Tool) -> None:
    """A tool's failure is told to the model and to the user, and never ends the turn."""
    reason, io, _ = await run([calls(name, arguments), says("sorry")], echo)
    assert reason == "end_turn"
    assert io.messages[2]["content"].startswith(told)
    assert "Traceback" not in io.messages[2]["content"]
    assert [u.status for u in io.updates if isinstance(u, ToolCallChanged)] == ["failed"]
    assert_paired(io.messages)


async def test_resources_of_the_session(echo: Tool) -> None:
    """R8: a tool reaches the session's resources; one that is not there is told to the model."""

    async def use(arguments: Mapping[str, object], context: ToolContext) -> str:
        resource = await context.resource(str(arguments["kind"]))
        return type(resource).__name__

    tool = evolve(echo, name="use", run=use)
    models, io = ScriptedModels(), KeptTurnIO()
    models.then(calls("use", '{"kind":"shell"}'), calls("use", '{"kind":"none"}'), says("ok"))
    io.resources["shell"] = ScriptedResource("shell", [])
    await Turn(await plan(models, tool), INPUT, io).run()
    told = [message["content"] for message in io.messages if message["role"] == "tool"]
    assert told == ["ScriptedResource", "error: the tool failed: KeyError: 'none'"]


async def test_same_id_again(echo: Tool) -> None:
    """A call id that comes twice in a turn is made another one, since the journal has one each."""
    _, io, _ = await run([calls("echo"), calls("echo"), says("done")], echo)
    assert list(io.journal) == ["c1", "c1_2"]
    assert_paired(io.messages)


async def test_large_texts_are_split_and_cut(echo: Tool) -> None:
    """An update's text stays within its limit, a tool's result within its own, with a count."""
    _, io, _ = await run([says("ä" * TEXT_LIMIT)])
    assert [len(u.text.encode()) for u in io.updates if isinstance(u, TextChunk)] == [
        TEXT_LIMIT
    ] * 2
    arguments = json.dumps({"text": "x" * (MAX_RESULT_BYTES + 7)})
    _, io, _ = await run([calls("echo", arguments), says("done")], echo)
    assert io.messages[2]["content"].endswith("7 bytes cut")
    changed = next(u for u in io.updates if isinstance(u, ToolCallChanged))
    assert changed.text is not None
    assert len(changed.text) < TEXT_LIMIT + 100


async def test_thoughts_are_shown_and_not_kept() -> None:
    """Thoughts are shown as such and are not a part of the history."""
    script: Script = [[ThoughtDelta("hm"), TextDelta("yes"), Finished("stop")]]
    _, io, _ = await run([script])
    assert io.updates == [ThoughtChunk("a1", "hm"), TextChunk("a1", "yes")]
    assert io.messages[-1]["content"] == "yes"


@pytest.mark.parametrize("error", [ProviderUnavailable("gone"), None])
async def test_stream_that_breaks(error: ProviderUnavailable | None) -> None:
    """A stream that breaks leaves what was said, marked as cut, and its error goes on."""
    script: Script = [[TextDelta("half an")], *([error] if error else [])]
    io = KeptTurnIO()
    turn = Turn(await plan(ScriptedModels(script)), INPUT, io)
    with pytest.raises(type(error) if error else StreamTruncated):
        await turn.run()
    assert io.messages[-1]["content"] == f"half an\n{CUT}"


async def test_cancelled_while_streaming(autojump_clock: trio.testing.MockClock) -> None:
    """A4: a turn cancelled in mid-stream records what was said, and cuts its request."""
    models, io = ScriptedModels([[TextDelta("half")], Pause(100)]), KeptTurnIO()
    turn = Turn(await plan(models), INPUT, io)
    with trio.move_on_after(1) as scope:
        await turn.run()
    assert scope.cancelled_caught
    assert io.messages[-1]["content"] == f"half\n{CUT}"
    assert models.in_flight == 0


async def test_cancelled_while_a_tool_runs(
    echo: Tool, autojump_clock: trio.testing.MockClock
) -> None:
    """A cancel in the middle of tool calls gives each its result, and tells the user."""
    script: Script = [
        [ToolCallDelta(n, f"c{n}", "echo", json.dumps({"text": text}))]
        for n, text in enumerate(["fine", "slow", "late"])
    ]
    models, io = ScriptedModels([*script, [Finished("tool_calls")]]), KeptTurnIO()
    turn = Turn(await plan(models, echo), INPUT, io)
    with trio.move_on_after(1):
        await turn.run()
    assert [m["content"] for m in io.messages[2:]] == ["fine", MAYBE_RUN, NOT_RUN]
    assert_paired(io.messages)
    assert io.journal == {"c0": "fine", "c1": None}
    assert io.updates[-1] == ToolCallChanged("c1", "failed", MAYBE_RUN)


async def test_cancelled_anywhere(echo: Tool) -> None:
    """K5: a cancel at any checkpoint of a turn leaves calls and results together."""
    checkpoint = 0
    while True:
        models, io = ScriptedModels(calls("echo", '{"text":"x"}'), says("a", "b")), KeptTurnIO()
        turn = Turn(await plan(models, echo), INPUT, io)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(cancel_after, checkpoint, scope))
                await turn.run()
                nursery.cancel_scope.cancel()
        assert_paired(io.messages)
        assert io.messages[0]["role"] == "user"
        assert models.in_flight == 0
        if not scope.cancel_called:
            break
        checkpoint += 1
    assert checkpoint > 8


async def cancel_after(checkpoints: int, scope: trio.CancelScope) -> None:
    for _ in range(checkpoints):
        await trio.lowlevel.checkpoint()
    scope.cancel()


async def test_journal_that_fails(echo: Tool) -> None:
    """D3: a call whose start is not on disk is not run, and ends the turn with the error."""
    models, io = ScriptedModels(calls("echo", '{"text":"hi"}')), KeptTurnIO()
    io.journal_error = StoreFull("no space")
    turn = Turn(await plan(models, echo), INPUT, io)
    with pytest.raises(StoreFull):
        await turn.run()
    assert io.messages[-1]["content"] == NOT_RUN
    assert io.updates == []
    assert_paired(io.messages)


async def test_interrupted_by_a_restart(echo: Tool) -> None:
    """D3: calls of an attempt that a crash cut are told to the model and not run again."""
    rows = (
        ToolRow("c1", "echo", '{"text":"one"}', "one"),
        ToolRow("c2", "echo", "{}", None),
        ToolRow("c3", "again", "{}", None),
    )
    again = evolve(echo, name="again", idempotent=True)
    turn = evolve(INPUT, interrupted_tools=rows)
    _, io, models = await run([calls("echo"), says("I see")], echo, again, turn=turn)
    told = [json.loads(m)["content"] for m in models.requests[0].messages[3:]]
    assert told == ["one", f"echo {RESTARTED}", f"again {RESTARTED_HARMLESS}"]
    assert list(io.journal) == ["c1_2"]
    assert io.updates[:2] == [
        ToolCallChanged("c2", "failed", RESTARTED),
        ToolCallChanged("c3", "failed", RESTARTED),
    ]
    assert_paired(io.messages)
