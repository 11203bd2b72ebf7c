"""What a session actor is given: every one of its dependencies, named (row K7)."""

from __future__ import annotations

from collections.abc import Callable

import trio
from attrs import field, frozen

from hermes.actors import Deadline
from hermes.actors.session.messages import Attach, Committed, Message, Offer
from hermes.actors.session.notices import Notify
from hermes.actors.session.state import Waiting
from hermes.actors.session.watchdog import Watchdog
from hermes.ports.agent import AgentFactory
from hermes.ports.client import SessionClient
from hermes.ports.resource import ResourceKinds
from hermes.ports.store import Store
from hermes.ports.world import World

Post = Callable[[Message], None]


def _never() -> bool:
    return False


def _none() -> str | None:
    return None


class Gauge:
    """A number that every session adds to: here, the prompts that wait."""

    def __init__(self) -> None:
        self.value = 0

    def add(self, delta: int) -> None:
        """Change it."""
        self.value += delta


@frozen
class SessionSeams:
    """The world of every session of a daemon.

    Args:
        fatal: told when the store fails underneath; the daemon cannot go on.
        reroute: takes a message for a session whose actor has gone meanwhile.
        capacity: prompts that may wait in one session.
        watchdog: stops turns that are silent for too long.
        inactivity: today's limit of silence in a turn, in seconds; None for none.
        held: whether the daemon drains, so that no turn may begin.
        reasoning: today's reasoning effort, for prompts that name none.
        slots: bounds the turns of the whole daemon; None for no bound.
        gauge: the prompts that wait in all sessions together.
    """

    store: Store
    world: World
    agents: AgentFactory
    kinds: ResourceKinds
    deadline: Deadline
    notify: Notify
    fatal: Callable[[Exception], None]
    reroute: Callable[[str, Message], None]
    capacity: int
    watchdog: Watchdog
    inactivity: Callable[[], float | None]
    held: Callable[[], bool] = _never
    reasoning: Callable[[], str | None] = _none
    slots: trio.Semaphore | None = None
    gauge: Gauge = field(factory=Gauge)


@frozen(eq=False)
class Carried:
    """What one actor of a session leaves to the next.

    `messages` were not handled; `prompts` are accepted and have an end to come,
    with those who wait for it; `clients` stay attached.
    """

    messages: tuple[Message, ...] = ()
    prompts: tuple[Waiting, ...] = ()
    clients: tuple[SessionClient, ...] = ()
    crash: Exception | None = None
    quarantine: bool = False
    suspended: bool = False

    @property
    def nonempty(self) -> bool:
        """Whether the session has reason to live on at once."""
        wanted = any(isinstance(message, Offer | Attach | Committed) for message in self.messages)
        return bool(wanted or self.prompts or self.clients)
