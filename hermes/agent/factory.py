"""Builds agents for the configuration of today, and says which signature they should have.

The signature is asked for at every message, so it is remembered for each recipe
that is in force; a recipe is told from another by identity, and the daemon makes
a new one only where its configuration changed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from attrs import field, frozen

from hermes.agent.agent import Blueprint, ChatAgent
from hermes.agent.history import History
from hermes.agent.prompt import Prompt, frozen_prompt, render, same_content
from hermes.agent.signature import SignatureInput, signature
from hermes.ports.agent import Agent
from hermes.ports.model import Models, Runtime
from hermes.ports.store import Conversation, FreezePrompt, LoadConversation, SessionRow, Store
from hermes.ports.tools import Toolbox

_log = logging.getLogger(__name__)

# Recipes in force times users; past it a signature costs some 20 us again.
_REMEMBERED = 256


@frozen(eq=False)
class Recipe:
    """How an agent is to be built today; made anew where the configuration changes.

    `system` is the system text, `ephemeral` is appended to it and never stored.
    `model_calls` is the limit in one turn.  `counted` are the configuration values
    that count in the signature, by dotted path, plain JSON data; the generation of
    the tools is added to them.
    """

    runtime: Runtime
    system: str
    ephemeral: str = ""
    toolsets: tuple[str, ...] = ()
    model_calls: int = 90
    cache_keys: Mapping[str, str] | None = None
    counted: Mapping[str, object] = field(factory=dict)


class ChatAgentFactory:
    """Builds a `ChatAgent` for a session; it implements the `AgentFactory` port.

    `recipe` gives today's recipe for a session: the same object as long as nothing
    changed.
    """

    def __init__(
        self,
        models: Models,
        toolbox: Toolbox,
        store: Store,
        recipe: Callable[[SessionRow], Recipe],
    ) -> None:
        self._models = models
        self._toolbox = toolbox
        self._store = store
        self._recipe = recipe
        self._sign = lru_cache(_REMEMBERED)(_sign)

    def signature(self, session: SessionRow) -> str:
        """The signature that the session's agent should have now."""
        return self._sign(self._recipe(session), self._toolbox.generation, session.owner)

    async def build(self, session: SessionRow) -> Agent:
        """Build an agent.

        The frozen prompt of the conversation is taken as it is, unless today's says
        something else; then that one is frozen in its place (row L6).

        Raises:
            ModelError: the model cannot be used.
            StoreError: the conversation cannot be read, or the prompt not be frozen.

        **Cancellation**: nothing is left open; a prompt may have been frozen.
        """
        # Recipe, tools and signature are of one moment: nothing awaits between them.
        recipe = self._recipe(session)
        tools = self._toolbox.select(recipe.toolsets)
        signed = self._sign(recipe, self._toolbox.generation, session.owner)
        conversation = await self._store.run(LoadConversation(session.id, session.conversation))
        prompt = await self._freeze(session, conversation, render(recipe.system, tools))
        blueprint = Blueprint(
            signature=signed,
            model=recipe.runtime.model,
            prompt=prompt,
            tools=tools,
            ephemeral=recipe.ephemeral,
            model_calls=recipe.model_calls,
        )
        history = History(conversation.messages)
        # The handle comes last, so that nothing can fail once it is open.
        return ChatAgent(blueprint, await self._models.open(recipe.runtime), history)

    async def _freeze(
        self, session: SessionRow, conversation: Conversation, rendered: Prompt
    ) -> Prompt:
        kept = frozen_prompt(conversation)
        if kept is not None and same_content(kept, rendered):
            return kept
        await self._store.run(
            FreezePrompt(session.id, session.conversation, rendered.system, rendered.tools)
        )
        if kept is not None:
            _log.info("session %s: the prompt or its tools changed, frozen anew", session.id)
        return rendered


def _sign(recipe: Recipe, generation: int, user: str) -> str:
    runtime = recipe.runtime
    return signature(
        SignatureInput(
            model=runtime.model,
            provider=runtime.provider,
            base_url=runtime.base_url,
            api_mode=runtime.api_mode,
            toolsets=recipe.toolsets,
            ephemeral=recipe.ephemeral,
            credential=runtime.credential,
            user=user,
            cache_keys=recipe.cache_keys,
            counted={**recipe.counted, "tools.generation": generation},
        )
    )
