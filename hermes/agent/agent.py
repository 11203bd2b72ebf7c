"""The agent of one session: a model handle, a frozen prompt, a history, one turn at a time."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from hermes.agent.history import History
from hermes.agent.prompt import Prompt, with_ephemeral
from hermes.agent.turn import Turn, TurnPlan
from hermes.errors import HandleClosed
from hermes.ports.agent import TurnEnd, TurnInput, TurnIO
from hermes.ports.model import ModelHandle
from hermes.ports.tools import Tool


@frozen
class Blueprint:
    """What an agent is built from, besides its handle and its history.

    `ephemeral` is appended to the system message of each request and never stored.
    `model_calls` is the limit in one turn.
    """

    signature: str
    model: str
    prompt: Prompt
    tools: Sequence[Tool]
    ephemeral: str
    model_calls: int


class ChatAgent:
    """A resident agent; it implements the `Agent` port.

    **Resources**: it owns the handle, and gives it back in `aclose` or `kill`.
    """

    def __init__(self, blueprint: Blueprint, handle: ModelHandle, history: History) -> None:
        self._blueprint = blueprint
        self._handle = handle
        self._history: History | None = history
        self._tools = {tool.name: tool for tool in blueprint.tools}
        self._system = with_ephemeral(blueprint.prompt.system, blueprint.ephemeral)
        self._in_turn = False

    @property
    def signature(self) -> str:
        """The signature that it was built for."""
        return self._blueprint.signature

    @property
    def model(self) -> str:
        """The name of the model it talks to."""
        return self._blueprint.model

    @property
    def requests(self) -> int:
        """How many model requests are under way."""
        return self._handle.in_flight

    @property
    def prompt_hash(self) -> str:
        """The hash of the frozen prompt's content."""
        return self._blueprint.prompt.content_hash

    @property
    def messages(self) -> int:
        """How many messages its history has; 0 once it was given back."""
        return len(self._history.messages) if self._history is not None else 0

    async def turn(self, turn: TurnInput, io: TurnIO) -> TurnEnd:
        """Run one turn.

        Nothing of it is history before `keep` is called.

        Raises:
            ModelError: the provider gave no whole answer.
            StoreError: a tool call could not be journaled, so it was not run.
            HandleClosed: the agent was given back.
            RuntimeError: a turn is running already.

        **Cancellation**: what was said so far is recorded, and tool calls without
        an end are recorded as interrupted.
        """
        if self._history is None:
            raise HandleClosed("this agent was released: build another one")
        if self._in_turn:
            raise RuntimeError("an agent runs one turn at a time")
        plan = TurnPlan(
            handle=self._handle,
            system=self._system,
            tool_schemas=self._blueprint.prompt.tools,
            tools=self._tools,
            history=self._history,
            model_calls=self._blueprint.model_calls,
        )
        self._in_turn = True
        try:
            return TurnEnd(await Turn(plan, turn, io).run(), self.model)
        finally:
            self._in_turn = False

    def keep(self, messages: Sequence[bytes]) -> None:
        """These messages of a turn are on disk now: they are history.

        A released agent has no history; then it does nothing.
        """
        if self._history is not None:
            self._history.extend(messages)

    async def aclose(self) -> None:
        """Give the model handle back and drop the history; idempotent (row R1).

        **Cancellation**: the history is dropped and the agent cannot be used any
        more; the handle may still be open, and `aclose` may be called again.
        """
        self._history = None
        await self._handle.aclose()

    def kill(self) -> None:
        """The same at once and synchronously."""
        self._history = None
        self._handle.kill()
