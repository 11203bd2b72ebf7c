"""The mailbox alone: one reader, plain messages, no actor."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from support.virtual import run_virtual
from trio.testing import wait_all_tasks_blocked

from hermes.actors import ActorClosed, Ask, Mailbox, MailboxFull

Question = Ask[str]


def drain(mailbox: Mailbox[str]) -> list[str]:
    """Everything that waits, in the order in which the reader gets it."""
    taken = []
    while not mailbox.empty:
        taken.append(mailbox.get_nowait())
    return taken


def test_order_and_lanes() -> None:
    """K1: each lane keeps its order, and control overtakes all work that waits."""
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put_nowait("work 1")
    mailbox.put_nowait("work 2")
    mailbox.control("control 1")
    mailbox.control("control 2")
    assert drain(mailbox) == ["control 1", "control 2", "work 1", "work 2"]


def test_full_lane_raises() -> None:
    """K2: `put_nowait` raises where the work lane is full, and queues nothing."""
    mailbox: Mailbox[int] = Mailbox(2)
    mailbox.put_nowait(1)
    mailbox.put_nowait(2)
    with pytest.raises(MailboxFull) as caught:
        mailbox.put_nowait(3)
    assert caught.value.capacity == 2
    assert mailbox.depth == 2


def test_control_is_never_refused() -> None:
    """K2: a full work lane refuses no control message."""
    mailbox: Mailbox[str] = Mailbox(1)
    mailbox.put_nowait("work")
    for number in range(1000):
        mailbox.control(f"control {number}")
    assert mailbox.get_nowait() == "control 0"
    assert mailbox.depth == 1


def test_a_lane_holds_something() -> None:
    """A mailbox with no room at all is a mistake that is told at once."""
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(0)


def test_work_is_not_taken_unasked() -> None:
    """A reader that asks for control only gets no work."""
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put_nowait("work")
    with pytest.raises(trio.WouldBlock):
        mailbox.get_nowait(work=False)
    mailbox.control("control")
    assert mailbox.get_nowait(work=False) == "control"


async def test_put_waits_in_order() -> None:
    """K2: senders that wait for room are served in the order in which they came."""
    mailbox: Mailbox[int] = Mailbox(1)
    await mailbox.put(0)
    async with trio.open_nursery() as nursery:
        for number in range(1, 5):
            nursery.start_soon(mailbox.put, number)
            await wait_all_tasks_blocked()
        assert [await mailbox.get() for _ in range(5)] == [0, 1, 2, 3, 4]


async def test_nobody_jumps_the_queue() -> None:
    """K2: `put_nowait` does not overtake a sender that waits for room."""
    mailbox: Mailbox[str] = Mailbox(1)
    await mailbox.put("first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "waiting")
        await wait_all_tasks_blocked()
        mailbox.get_nowait()
        with pytest.raises(MailboxFull):
            mailbox.put_nowait("late")
        assert mailbox.get_nowait() == "waiting"


async def test_a_cancelled_put_sends_nothing() -> None:
    """K2: a sender that is cancelled while it waits has sent nothing, and frees its place."""
    mailbox: Mailbox[str] = Mailbox(1)
    await mailbox.put("first")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.put("cancelled before")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.put, "cancelled while waiting")
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert drain(mailbox) == ["first"]


async def test_cancel_in_the_tick_of_admission() -> None:
    """K2: a cancel that comes with the room loses no message: it is sent, and `put` says so."""
    mailbox: Mailbox[str] = Mailbox(1)
    await mailbox.put("first")
    sent = []

    async def send() -> None:
        await mailbox.put("second")
        sent.append("second")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        mailbox.get_nowait()
        nursery.cancel_scope.cancel()
    assert drain(mailbox) == sent == ["second"]


async def test_close_returns_what_is_left() -> None:
    """K2: a close hands back every message that was not handled, control first, once."""
    mailbox: Mailbox[str] = Mailbox()
    mailbox.put_nowait("work")
    mailbox.control("control")
    assert mailbox.close("gone") == ["control", "work"]
    assert mailbox.close("again") == []
    assert mailbox.closed == "gone"
    for send in (mailbox.put_nowait, mailbox.control):
        with pytest.raises(ActorClosed, match="gone"):
            send("late")


async def test_close_tells_who_waits_for_room() -> None:
    """K2: a sender that waits for room is told that the actor is gone."""
    mailbox: Mailbox[str] = Mailbox(1)
    await mailbox.put("first")
    reasons = []

    async def send() -> None:
        with pytest.raises(ActorClosed) as caught:
            await mailbox.put("second")
        reasons.append(caught.value.reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert mailbox.close("crashed") == ["first"]
    assert reasons == ["crashed"]


async def test_close_fails_every_open_question() -> None:
    """K3: queued and taken asks fail at once; an answered or disowned one is left alone."""
    mailbox: Mailbox[Question] = Mailbox()
    taken, answered, disowned, queued = Question(), Question(), Question(), Question()
    for question in (taken, answered, disowned, queued):
        mailbox.put_nowait(question)
    for _ in range(3):
        mailbox.get_nowait()
    answered.reply.set("yes")
    mailbox.disown(disowned)
    assert mailbox.close("crashed") == [queued]
    for question in (taken, queued):
        with pytest.raises(ActorClosed, match="crashed"):
            await question.reply.wait()
    assert await answered.reply.wait() == "yes"
    assert not disowned.reply.done


async def test_one_reader() -> None:
    """A second reader is a mistake that is told at once."""
    mailbox: Mailbox[str] = Mailbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.get)
        await wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.get()
        mailbox.put_nowait("message")


async def test_a_cancelled_get_takes_nothing() -> None:
    """A reader that is cancelled while it waits has taken no message."""
    mailbox: Mailbox[str] = Mailbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.get)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    mailbox.put_nowait("message")
    assert await mailbox.get() == "message"


async def test_a_reader_of_control_sleeps_through_work() -> None:
    """K1: work does not wake a reader that takes control only; control does."""
    mailbox: Mailbox[str] = Mailbox()
    got = []

    async def read() -> None:
        got.append(await mailbox.get(work=False))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await wait_all_tasks_blocked()
        mailbox.put_nowait("work")
        await wait_all_tasks_blocked()
        assert got == []
        mailbox.control("control")
    assert got == ["control"]


def test_withdraw() -> None:
    """Work that is taken back leaves the rest in order, and control untouched."""
    mailbox: Mailbox[str] = Mailbox()
    for word in ("keep 1", "drop 1", "keep 2", "drop 2"):
        mailbox.put_nowait(word)
    mailbox.control("drop control")
    assert mailbox.withdraw(lambda word: word.startswith("drop")) == ["drop 1", "drop 2"]
    assert drain(mailbox) == ["drop control", "keep 1", "keep 2"]


class MailboxAgainstLists(RuleBasedStateMachine):
    """K1, K2: the mailbox against two plain lists."""

    CAPACITY = 3

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: Mailbox[int] = Mailbox(self.CAPACITY)
        self.urgent: list[int] = []
        self.work: list[int] = []
        self.count = 0

    def fresh(self) -> int:
        """A message that was never sent before."""
        self.count += 1
        return self.count

    @rule()
    def control(self) -> None:
        """Control is never refused."""
        self.urgent.append(self.fresh())
        self.mailbox.control(self.urgent[-1])

    @rule()
    def put(self) -> None:
        """Work is refused exactly where the lane is full."""
        message = self.fresh()
        try:
            self.mailbox.put_nowait(message)
        except MailboxFull:
            assert len(self.work) == self.CAPACITY
        else:
            self.work.append(message)
            assert len(self.work) <= self.CAPACITY

    @rule(work=st.booleans())
    def get(self, work: bool) -> None:
        """Control first, each lane in order."""
        lane = self.urgent or (self.work if work else [])
        if lane:
            assert self.mailbox.get_nowait(work=work) == lane.pop(0)
        else:
            with pytest.raises(trio.WouldBlock):
                self.mailbox.get_nowait(work=work)

    @rule(parity=st.integers(0, 1))
    def withdraw(self, parity: int) -> None:
        """Every second one."""
        wanted = [message for message in self.work if message % 2 == parity]
        assert self.mailbox.withdraw(lambda message: message % 2 == parity) == wanted
        self.work = [message for message in self.work if message % 2 != parity]

    @precondition(lambda self: self.count > 5)
    @rule()
    def close(self) -> None:
        """A close hands back what is left; then there is a new mailbox."""
        assert self.mailbox.close("over") == self.urgent + self.work
        self.mailbox, self.urgent, self.work = Mailbox(self.CAPACITY), [], []

    @invariant()
    def counted(self) -> None:
        """The depth is that of the work lane."""
        assert self.mailbox.depth == len(self.work)
        assert self.mailbox.empty == (not self.urgent and not self.work)


TestMailboxAgainstLists = MailboxAgainstLists.TestCase


@given(
    capacity=st.integers(1, 3),
    senders=st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 4), st.none() | st.integers(0, 6)), max_size=6
    ),
    pauses=st.lists(st.integers(0, 3), max_size=8),
)
def test_nothing_is_lost_or_doubled(
    capacity: int, senders: list[tuple[int, int, int | None]], pauses: list[int]
) -> None:
    """K1, K2: whoever sends, waits and is cancelled when: what `put` said was sent arrives,
    once, in its sender's order; the rest was never sent.
    """

    async def main() -> None:
        mailbox: Mailbox[tuple[int, int]] = Mailbox(capacity)
        sent: list[tuple[int, int]] = []
        got: list[tuple[int, int]] = []

        async def send(name: int, start: int, count: int, patience: int | None) -> None:
            await trio.sleep(start)
            with trio.CancelScope() as scope:
                if patience is not None:
                    scope.deadline = trio.current_time() + patience
                for number in range(count):
                    await mailbox.put((name, number))
                    sent.append((name, number))

        async def read() -> None:
            for pause in pauses:
                got.append(await mailbox.get())
                await trio.sleep(pause)

        async with trio.open_nursery() as nursery:
            for name, (start, count, patience) in enumerate(senders):
                nursery.start_soon(send, name, start, count, patience)
            nursery.start_soon(read)
            await trio.sleep(100)
            nursery.cancel_scope.cancel()
        left = mailbox.close("over")
        arrived = got + left
        assert sorted(arrived) == sorted(sent)
        for name in range(len(senders)):
            numbers = [number for sender, number in arrived if sender == name]
            assert numbers == list(range(len(numbers)))

    run_virtual(main)
