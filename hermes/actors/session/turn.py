"""A running turn: the world as its agent sees it, and its inactivity clock.

A turn that the watchdog stops for its silence fails with the reason (row A4),
unlike one that is cancelled from outside.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

import trio
from attrs import frozen

from hermes.actors.session.activity import Activity, begin
from hermes.actors.session.notices import Notify, ToolCalled
from hermes.actors.session.publisher import Publisher
from hermes.actors.session.state import Waiting
from hermes.actors.session.watchdog import Watchdog
from hermes.errors import TurnFailed
from hermes.messages.updates import TurnRestarted, Update, UserMessage, split_text
from hermes.ports.agent import Agent, TurnEnd, TurnInput
from hermes.ports.client import SessionClient
from hermes.ports.resource import TaskResource
from hermes.ports.store import BeginTurn, EndTool, StartTool, Store, ToolRow, ToolsOf
from hermes.ports.world import World


@frozen
class TurnSeams:
    """What a turn reaches the world through.

    `inactivity` gives today's limit in seconds, None for none; `reasoning` the
    effort of a prompt that names none; `watchdog` stops silent turns; `slots` bounds
    the turns of the whole daemon, None for no bound.
    """

    store: Store
    world: World
    notify: Notify
    resource: Callable[[str], Awaitable[TaskResource]]
    inactivity: Callable[[], float | None]
    reasoning: Callable[[], str | None]
    watchdog: Watchdog
    slots: trio.Semaphore | None = None


class Turn:
    """One turn of one session: the `TurnIO` of its agent.

    Args:
        session: the session's id.
        prompt: what it answers.
        publisher: the way of its updates.
        seams: its world.
        cached: whether the agent has served before.
        interrupted: the clock of the turn that this one interrupts.
    """

    def __init__(
        self,
        session: str,
        prompt: Waiting,
        publisher: Publisher,
        seams: TurnSeams,
        *,
        cached: bool,
        interrupted: Activity | None,
    ) -> None:
        self.prompt = prompt
        self.activity = begin(seams.world.now(), cached=cached, interrupted=interrupted)
        self.messages: list[bytes] = []
        self.queued = False
        self._session = session
        self._publisher = publisher
        self._seams = seams
        self.taken: list[int] = []
        self._steers: list[Waiting] = []
        self._tools: dict[str, str] = {}

    @property
    def last_alive(self) -> float:
        """Its last sign of life, for the watchdog."""
        return self.activity.last

    # -- the session's side ---------------------------------------------------

    async def run(self, agent: Agent) -> str:
        """Run it; returns the stop reason.

        Raises:
            TurnFailed: it showed no sign of life for too long.
            ModelError: the provider gave no whole answer.
        """
        slots = self._seams.slots
        if slots is None:
            return await self._run(agent)
        self.queued = True
        async with slots:
            self.queued = False
            return await self._run(agent)

    def steer(self, prompt: Waiting) -> None:
        """Have the model told when the tool call in progress is over."""
        self._steers.append(prompt)

    def unsteer(self, number: int) -> None:
        """Take a prompt back, if the model was not told yet."""
        self._steers = [prompt for prompt in self._steers if prompt.number != number]

    async def _run(self, agent: Agent) -> str:
        message_id = self._seams.world.new_id("msg")
        tools = await self._begin(message_id)
        end: TurnEnd | None = None
        with self._seams.watchdog.watching(self):
            end = await agent.turn(
                TurnInput(
                    text=self.prompt.text,
                    message_id=message_id,
                    answer_id=self._seams.world.new_id("msg"),
                    reasoning=self.prompt.reasoning or self._seams.reasoning(),
                    interrupted_tools=tools,
                ),
                self,
            )
        if end is None:
            raise self._silent()
        return end.stop_reason

    async def _begin(self, message_id: str) -> Sequence[ToolRow]:
        """Write that the turn runs, with the user's message, before anything else of it."""
        prompt = self.prompt
        restarted = prompt.attempts > 0
        user = _user_messages(prompt, message_id)
        self._publisher.commit(
            lambda rows, reserve: BeginTurn(self._session, prompt.number, rows, reserve),
            lambda _: None,
            *([TurnRestarted(prompt.client_id)] if restarted else user),
            sender=_sender(prompt),
        )
        if not restarted:
            return []
        return await self._seams.store.run(ToolsOf(self._session, prompt.number))

    def _silent(self) -> TurnFailed:
        limit = self._seams.inactivity() or 0.0
        text = f"the turn was stopped: no sign of life for {limit:g} s after: {self.activity.what}"
        self.record(json.dumps({"role": "assistant", "content": f"[{text}]"}).encode())
        return TurnFailed(text, reason="inactivity", retryable=True)

    # -- the agent's side -----------------------------------------------------

    async def emit(self, *updates: Update) -> None:
        """See `TurnIO.emit`."""
        self._publisher.emit(*updates)
        await self._publisher.room()

    def alive(self, what: str) -> None:
        """See `TurnIO.alive`."""
        self.activity = self.activity.alive(self._seams.world.now(), what)

    def model_called(self) -> int:
        """See `TurnIO.model_called`."""
        self.activity = self.activity.model_called()
        return self.activity.model_calls

    def record(self, message: bytes) -> None:
        """See `TurnIO.record`."""
        self.messages.append(message)

    def steered(self) -> Sequence[str]:
        """See `TurnIO.steered`."""
        steers, self._steers = self._steers, []
        for prompt in steers:
            self.taken.append(prompt.number)
            updates = _user_messages(prompt, self._seams.world.new_id("msg"))
            self._publisher.emit(*updates, sender=_sender(prompt))
        return [prompt.text for prompt in steers]

    async def tool_started(self, call_id: str, name: str, arguments: str) -> None:
        """See `TurnIO.tool_started`."""
        at = self._seams.world.wall()
        model_calls = self.activity.model_calls
        await self._seams.store.run(
            StartTool(self._session, self.prompt.number, call_id, name, arguments, at, model_calls)
        )
        self._tools[call_id] = name
        self._seams.notify(ToolCalled(self._session, call_id, name, "started"))

    async def tool_ended(self, call_id: str, result: str) -> None:
        """See `TurnIO.tool_ended`."""
        at = self._seams.world.wall()
        await self._seams.store.run(EndTool(self._session, self.prompt.number, call_id, result, at))
        name = self._tools.pop(call_id, "")
        self._seams.notify(ToolCalled(self._session, call_id, name, "ended"))

    async def resource(self, kind: str) -> TaskResource:
        """See `TurnIO.resource`."""
        return await self._seams.resource(kind)


def _user_messages(prompt: Waiting, message_id: str) -> list[Update]:
    """What a user said, in pieces that fit a frame."""
    return [
        UserMessage(piece, message_id, prompt.client_id, first=not place)
        for place, piece in enumerate(split_text(prompt.text) or [""])
    ]


def _sender(prompt: Waiting) -> SessionClient | None:
    return prompt.sinks[0].client if prompt.sinks else None
