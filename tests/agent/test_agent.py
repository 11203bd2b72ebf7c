from __future__ import annotations

import gc
import weakref
from itertools import pairwise

import pytest
import trio
from support.models import Pause, ScriptedModels, calls, says
from support.turn_io import KeptTurnIO

from hermes.agent.agent import Blueprint, ChatAgent
from hermes.agent.history import History
from hermes.agent.prompt import render
from hermes.errors import HandleClosed
from hermes.ports.agent import TurnInput
from hermes.ports.model import Runtime
from hermes.ports.tools import Tool


async def resident(
    models: ScriptedModels, *tools: Tool, history: History | None = None
) -> ChatAgent:
    blueprint = Blueprint("sig", "m", render("sys", tools), tools, "", 10)
    handle = await models.open(Runtime("p", "m", "u"))
    return ChatAgent(blueprint, handle, History() if history is None else history)


async def take(agent: ChatAgent, text: str, reasoning: str | None = None) -> KeptTurnIO:
    """One turn, whose messages are kept afterwards."""
    io = KeptTurnIO()
    await agent.turn(TurnInput(text, "u", "a", reasoning), io)
    agent.keep(io.recorded)
    return io


async def test_requests_grow_by_appending(echo: Tool) -> None:
    """L6: each request of a conversation begins with the very bytes of the one before."""
    models = ScriptedModels(calls("echo"), says("one"), calls("echo"), says("two"), says("three"))
    agent = await resident(models, echo)
    for text in ("a", "b", "c"):
        await take(agent, text)
    assert len(models.requests) == 5
    for before, after in pairwise(models.requests):
        assert list(after.messages[: len(before.messages)]) == list(before.messages)
        assert after.tools == before.tools


async def test_call_ids_of_earlier_turns(echo: Tool) -> None:
    """A call id that an earlier turn used is made another one, so that clients tell them apart."""
    models = ScriptedModels(calls("echo"), says("one"), calls("echo"), says("two"))
    agent = await resident(models, echo)
    await take(agent, "a")
    assert list((await take(agent, "b")).journal) == ["c1_2"]


async def test_a_turn_keeps_nothing_of_its_own() -> None:
    """L8, L7: a message's reasoning is in its own turn only, and the prompt is untouched."""
    models = ScriptedModels(says("one"), says("two"))
    agent = await resident(models)
    await take(agent, "a", reasoning="high")
    await take(agent, "b")
    assert [request.reasoning for request in models.requests] == ["high", None]
    assert models.requests[0].messages[0] == models.requests[1].messages[0]


async def test_counts_from_zero_in_every_turn(echo: Tool) -> None:
    """A3: every turn begins its count of model calls anew."""
    models = ScriptedModels(calls("echo"), says("one"), says("two"))
    agent = await resident(models, echo)
    assert [(await take(agent, "a")).model_calls, (await take(agent, "b")).model_calls] == [2, 1]


async def test_one_turn_at_a_time(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A second turn at the same time is refused, and harms neither the first nor the next."""
    models = ScriptedModels([Pause(5), *says("one")], says("two"))
    agent = await resident(models)
    nursery.start_soon(take, agent, "a")
    await trio.testing.wait_all_tasks_blocked()
    assert agent.requests == 1
    with pytest.raises(RuntimeError):
        await take(agent, "b")
    await trio.sleep(10)
    assert agent.requests == 0
    assert (await take(agent, "c")).answer == "two"


async def test_release() -> None:
    """R1: a released agent has closed its handle, dropped its memory, and raises when used."""
    models, history = ScriptedModels(says("one")), History()
    gone = weakref.ref(history)
    agent = await resident(models, history=history)
    del history
    await take(agent, "a")
    assert gone() is not None
    assert agent.messages == 2
    await agent.aclose()
    await agent.aclose()
    gc.collect()
    assert gone() is None
    assert models.open_handles == 0
    with pytest.raises(HandleClosed):
        await take(agent, "b")
    agent.keep([b"{}"])
    assert agent.messages == 0


async def test_kill(nursery: trio.Nursery, autojump_clock: trio.testing.MockClock) -> None:
    """R1: a killed agent cuts its request in flight and is closed at once."""
    models = ScriptedModels([Pause(1000)])
    agent = await resident(models)
    ended = trio.Event()

    async def turn() -> None:
        with pytest.raises(HandleClosed):
            await take(agent, "a")
        ended.set()

    nursery.start_soon(turn)
    await trio.testing.wait_all_tasks_blocked()
    agent.kill()
    assert models.open_handles == 0
    await ended.wait()
