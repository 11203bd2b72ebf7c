from __future__ import annotations

import json
from itertools import pairwise

import pytest
from attrs import evolve
from support.models import ScriptedModels, calls, says
from support.turn_io import KeptTurnIO

from hermes.adapters.store import SqliteStore
from hermes.agent.factory import ChatAgentFactory, Recipe
from hermes.errors import ProviderRejected
from hermes.ports.agent import TurnInput
from hermes.ports.model import Runtime, Secret
from hermes.ports.store import (
    AcceptPrompt,
    EndPrompt,
    LoadConversation,
    PromptState,
    SessionRow,
)
from hermes.ports.tools import Tool
from hermes.tools.registry import Registry

RUNTIME = Runtime("p", "m", "http://h/v1", credential=Secret("s"))


class Bench:
    """A factory whose recipe a test may change."""

    def __init__(self, store: SqliteStore, echo: Tool) -> None:
        self.store = store
        self.models = ScriptedModels()
        self.registry = Registry(always=["test"])
        self.registry.register(echo)
        self.recipe = Recipe(RUNTIME, "sys")
        self.factory = ChatAgentFactory(
            self.models, self.registry, store, lambda session: self.recipe
        )

    async def turn(self, session: SessionRow) -> None:
        """Build an agent, run one turn, keep it on disk, release the agent."""
        agent, io = await self.factory.build(session), KeptTurnIO()
        await agent.turn(TurnInput("hi", "u", "a"), io)
        accepted = await self.store.run(AcceptPrompt(session.id, None, b"{}", 0.0))
        state, messages = PromptState.ANSWERED, tuple(io.recorded)
        await self.store.run(
            EndPrompt(session.id, accepted.row.number, state, b"{}", messages=messages)
        )
        await agent.aclose()


@pytest.fixture
def bench(store: SqliteStore, echo: Tool) -> Bench:
    """A factory over the real store."""
    return Bench(store, echo)


async def test_rebuilt_agent_goes_on_to_the_byte(bench: Bench, session: SessionRow) -> None:
    """L6: requests across a release and a rebuild begin with the same bytes."""
    bench.models.then(calls("echo"), says("one"), calls("echo"), says("two"))
    await bench.turn(session)
    bench.recipe = Recipe(evolve(RUNTIME, model="n"), "sys")
    await bench.turn(session)
    requests = bench.models.requests
    for before, after in pairwise(requests):
        assert list(after.messages[: len(before.messages)]) == list(before.messages)
        assert after.tools == before.tools
    assert bench.models.open_handles == 0


async def test_prompt_changes_where_it_really_differs(bench: Bench, session: SessionRow) -> None:
    """L6: a new generation with the same tools keeps the frozen bytes, a new text replaces them."""
    load = LoadConversation(session.id, 1)
    await (await bench.factory.build(session)).aclose()
    first = await bench.store.run(load)
    assert first.system is not None
    bench.registry.replace("test", bench.registry.select(()))
    await (await bench.factory.build(session)).aclose()
    assert await bench.store.run(load) == first
    bench.recipe = Recipe(RUNTIME, "other")
    await (await bench.factory.build(session)).aclose()
    changed = await bench.store.run(load)
    assert changed.system is not None
    assert json.loads(changed.system)["content"] == "other"


async def test_ephemeral_is_sent_and_not_stored(bench: Bench, session: SessionRow) -> None:
    """L6: the ephemeral prompt is in the system message that is sent, never in the one on disk."""
    bench.recipe = Recipe(RUNTIME, "sys", ephemeral="be brief")
    bench.models.then(says("ok"))
    await bench.turn(session)
    sent = json.loads(bench.models.requests[0].messages[0])
    assert sent["content"] == "sys\n\nbe brief"
    stored = await bench.store.run(LoadConversation(session.id, 1))
    assert stored.system is not None
    assert b"be brief" not in stored.system


async def test_generation_counts(bench: Bench, session: SessionRow, echo: Tool) -> None:
    """S7: a new generation of the registry gives another signature, asking twice the same."""
    before = bench.factory.signature(session)
    assert bench.factory.signature(session) == before
    bench.registry.register(evolve(echo, name="echo2"))
    after = bench.factory.signature(session)
    assert after != before
    agent = await bench.factory.build(session)
    assert agent.signature == after
    await agent.aclose()


async def test_user_counts(bench: Bench, session: SessionRow) -> None:
    """S9: another user of a session gives another signature."""
    other = evolve(session, owner="bob")
    assert bench.factory.signature(other) != bench.factory.signature(session)


async def test_recipe_counts(bench: Bench, session: SessionRow) -> None:
    """S2: a recipe with other toolsets, or other counted values, gives another signature."""
    signed = {bench.factory.signature(session)}
    for recipe in (
        Recipe(RUNTIME, "sys", toolsets=("web",)),
        Recipe(RUNTIME, "sys", counted={"model.context_length": 5}),
        Recipe(evolve(RUNTIME, credential=Secret("t")), "sys"),
    ):
        bench.recipe = recipe
        signed.add(bench.factory.signature(session))
    assert len(signed) == 4


async def test_model_that_cannot_be_used(bench: Bench, session: SessionRow) -> None:
    """R1: where the model cannot be opened the error comes through and nothing is open."""
    bench.models.open_error = ProviderRejected("no credential")
    with pytest.raises(ProviderRejected):
        await bench.factory.build(session)
    assert bench.models.open_handles == 0
