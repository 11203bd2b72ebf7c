"""tell and ask, against a buffered Trio memory channel whose messages carry a reply."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from attrs import define, field

from bench.mock import Mock
from bench.report import Figure
from hermes.actors import DEFAULT_CAPACITY, Actor, Ask, Ref, open_actor

#: Messages in a round, long enough for a clock, and rounds: the best one counts.
MESSAGES = 20_000
ROUNDS = 7

#: Tells between two checkpoints: the actor may be a burst behind, so two must fit.
BURST = DEFAULT_CAPACITY // 2


@define(eq=False)
class Double(Ask[int]):
    """A question."""

    number: int


Message = int | Double


class Counter(Actor[Message]):
    """Adds what it is told and doubles what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    async def receive(self, message: Message) -> None:
        """Add, or answer."""
        if isinstance(message, Double):
            message.reply.set(message.number * 2)
        else:
            self.total += message


@define(eq=False)
class Letter:
    """A message of the peer, with the place of its answer."""

    number: int
    answered: trio.Event = field(factory=trio.Event)
    answer: int = 0


async def measure_mailbox(mock: Mock, folder: Path) -> list[Figure]:
    """Microseconds of a tell, an ask, and a round trip of the peer."""
    del mock, folder  # no daemon here
    tells, asks, peers = [], [], []
    send, receive = trio.open_memory_channel[Letter](DEFAULT_CAPACITY)
    async with open_actor(Counter()) as counter, trio.open_nursery() as nursery:
        nursery.start_soon(_serve, receive)
        for _ in range(ROUNDS):
            peers.append(await _timed(lambda: _write(send)))
            tells.append(await _timed(lambda: _tell(counter)))
            asks.append(await _timed(lambda: _ask(counter)))
        nursery.cancel_scope.cancel()
    name = "memory channel with a reply"
    return [
        Figure("tell", min(tells), "us", 0.2, min(peers), name),
        Figure("ask", min(asks), "us", 1, min(peers), name),
    ]


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    """Microseconds for each message."""
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) / MESSAGES * 1e6


async def _tell(counter: Ref[Message]) -> None:
    for _ in range(MESSAGES // BURST):
        for _ in range(BURST):
            counter.tell(1)
        await trio.lowlevel.checkpoint()


async def _ask(counter: Ref[Message]) -> None:
    for number in range(MESSAGES):
        await counter.ask(Double(number))


async def _write(send: trio.MemorySendChannel[Letter]) -> None:
    for number in range(MESSAGES):
        letter = Letter(number)
        await send.send(letter)
        await letter.answered.wait()


async def _serve(receive: trio.MemoryReceiveChannel[Letter]) -> None:
    async for letter in receive:
        letter.answer = letter.number * 2
        letter.answered.set()
