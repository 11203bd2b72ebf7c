"""Agent factories around the real one: one that remembers its agents, one that crashes actors."""

from __future__ import annotations

import weakref

from attrs import define, field

from hermes.agent.factory import ChatAgentFactory, Recipe
from hermes.ports.agent import Agent, AgentFactory
from hermes.ports.model import Models
from hermes.ports.store import SessionRow, Store
from hermes.ports.tools import Toolbox


@define(eq=False)
class SpiedFactory:
    """Builds real agents and keeps a weak reference to each.

    `crashes` is how often from now on `signature`, which the actor's loop calls for
    every message, raises; only for the session `victim`, where that is set.
    """

    crashes: int = 0
    victim: str | None = None
    built: list[weakref.ref[Agent]] = field(factory=list)
    _inner: list[AgentFactory] = field(factory=list)

    def __call__(
        self, models: Models, toolbox: Toolbox, store: Store, recipe: Recipe
    ) -> AgentFactory:
        """Be the factory of a runtime: pass it as `factory`."""
        self._inner.append(ChatAgentFactory(models, toolbox, store, lambda _: recipe))
        return self

    def signature(self, session: SessionRow) -> str:
        """The real one's, unless a crash is due."""
        if self.crashes and self.victim in (None, session.id):
            self.crashes -= 1
            raise RuntimeError("a planted crash")
        return self._inner[-1].signature(session)

    async def build(self, session: SessionRow) -> Agent:
        """Build a real agent."""
        agent = await self._inner[-1].build(session)
        self.built.append(weakref.ref(agent))
        return agent
