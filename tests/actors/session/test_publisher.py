"""The way of updates: numbered, written, sent."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from support.session_parts import HeldStore, RecordingClient
from trio.testing import wait_all_tasks_blocked

from hermes.actors.session.publisher import RESERVE, UNWRITTEN, Publisher
from hermes.errors import StoreFull
from hermes.messages.updates import TextChunk, Title, TurnEnded
from hermes.ports.store import AppendUpdates, EndPrompt, PromptState


def chunk(text: str = "x") -> TextChunk:
    """A delta of one message."""
    return TextChunk("msg_1", text)


def publisher(
    store: HeldStore, last_seq: int = 0, reserved: int = 0, failed: list[Exception] | None = None
) -> Publisher:
    """A publisher of a session."""
    fatal = failed.append if failed is not None else _unexpected
    return Publisher("ses_1", store, last_seq, reserved, fatal)


def _unexpected(error: Exception) -> None:
    raise AssertionError("the store did not fail") from error


def test_number_then_write_then_send() -> None:
    """D1: an update is numbered, then written, then sent, and not one step earlier."""
    log: list[str] = []
    store, client = HeldStore(log), RecordingClient(log)
    way = publisher(store)
    way.attach(client)
    way.emit(Title("one"))
    assert (log, way.last_sent) == (["write AppendUpdates"], 0)
    store.commit()
    assert log == ["write AppendUpdates", "committed", "sent 1-1"]
    assert way.last_sent == 1


def test_what_comes_meanwhile_shares_a_commit() -> None:
    """D1: while a batch is with the store the next one forms; many updates, few commits."""
    store, client = HeldStore(), RecordingClient()
    way = publisher(store)
    way.attach(client)
    for _ in range(100):
        way.emit(chunk())
    (first,) = store.commit()
    (second,) = store.commit()
    assert isinstance(first, AppendUpdates)
    assert isinstance(second, AppendUpdates)
    assert [(row.first_seq, row.seq) for row in (*first.updates, *second.updates)] == [
        (1, 1), (2, 100),
    ]  # fmt: skip
    assert store.waiting == []
    assert client.numbers == list(range(1, 101))


def test_numbers_are_reserved_before_they_are_sent() -> None:
    """D4: the commit of the first number of a block reserves the block, synced; the others not."""
    store = HeldStore()
    way = publisher(store, last_seq=7, reserved=7)
    seen = []
    for _ in range(RESERVE + 2):
        way.emit(Title("t"))
        (written,) = store.commit()
        assert isinstance(written, AppendUpdates)
        if written.reserve is not None:
            assert written.sync
            seen.append((written.updates[0].first_seq, written.reserve))
    assert seen == [(8, 8 + RESERVE), (9 + RESERVE, 9 + 2 * RESERVE)]


def test_a_commit_takes_along_what_waits() -> None:
    """D1: the end of a turn and all its updates are one commit; it is told after they are sent."""
    log: list[str] = []
    store, client = HeldStore(log), RecordingClient(log)
    way = publisher(store)
    way.attach(client)
    way.emit(chunk("a"))
    way.emit(chunk("b"))

    def make(rows: object, reserve: int | None) -> EndPrompt:
        assert isinstance(rows, list)
        return EndPrompt("ses_1", 1, PromptState.ANSWERED, b"{}", updates=rows, reserve=reserve)

    way.commit(make, lambda _: log.append("answered"), TurnEnded("end_turn"))
    way.emit(Title("later"))
    store.commit()
    told = [line for line in log if line.startswith(("sent", "answered"))]
    assert told == ["sent 1-1", "sent 2-2", "sent 3-3", "answered"]
    store.commit()
    assert client.numbers == [1, 2, 3, 4]


def test_attach_and_detach() -> None:
    """D4: a client gets everything above `last_sent` at its attach, once, until its detach."""
    store, early, late = HeldStore(), RecordingClient(), RecordingClient()
    way = publisher(store)
    way.attach(early)
    way.attach(early)
    way.emit(Title("one"))
    store.commit()
    way.emit(Title("two"))
    assert way.last_sent == 1
    way.attach(late)
    store.commit()
    way.detach(early)
    way.detach(early)
    way.emit(Title("three"))
    store.commit()
    assert (early.numbers, late.numbers) == ([1, 2], [2, 3])


def test_flush_keeps_the_order() -> None:
    """D4: what waits at the end of an actor is with the store before its successor asks it."""
    store, client = HeldStore(), RecordingClient()
    way = publisher(store)
    way.attach(client)
    way.emit(Title("one"))
    way.emit(Title("two"))
    way.emit(Title("three"))
    way.flush()
    assert store.log == ["write AppendUpdates", "write AppendUpdates"]
    store.commit()
    assert client.numbers == [1, 2, 3]


def test_a_store_that_fails() -> None:
    """D1, D6: what could not be written is not sent, and the daemon is told."""
    failed: list[Exception] = []
    store, client = HeldStore(), RecordingClient()
    way = publisher(store, failed=failed)
    way.attach(client)
    way.emit(Title("one"))
    error = StoreFull("full")
    store.fail(error)
    assert failed == [error]
    assert client.updates == []
    assert way.last_sent == 0


async def test_a_fast_model_waits_for_the_disk() -> None:
    """K2: a turn that says more than the disk takes is made to wait, and goes on after it."""
    store = HeldStore()
    way = publisher(store)
    said = []

    async def say() -> None:
        for number in range(3 * UNWRITTEN):
            way.emit(Title(str(number)))
            await way.room()
            said.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        await wait_all_tasks_blocked()
        assert len(said) <= UNWRITTEN
        while store.waiting:
            store.commit()
            await wait_all_tasks_blocked()
    assert len(said) == 3 * UNWRITTEN


@given(
    st.lists(
        st.tuples(st.sampled_from(["chunk", "title", "end", "commit", "attach"]), st.integers(1, 5))
    )
)
def test_no_gap_and_no_repeat(history: list[tuple[str, int]]) -> None:
    """D4: whatever is emitted, committed and attached when, each client gets every number above
    the one at its attach, in order, once, and never one that is not reserved on disk.
    """
    store = HeldStore()
    way = publisher(store)
    clients: list[tuple[int, RecordingClient]] = []

    def commit() -> None:
        for operation in store.commit():
            assert isinstance(operation, AppendUpdates | EndPrompt)
            written.extend((row.first_seq, row.seq) for row in operation.updates)
            if operation.reserve is not None:
                assert operation.sync
                reserved.append(operation.reserve)

    written: list[tuple[int, int]] = []
    reserved = [0]
    for kind, count in history:
        if kind == "chunk":
            way.emit(*[chunk()] * count)
        elif kind == "title":
            way.emit(Title("t"))
        elif kind == "end":
            way.commit(
                lambda rows, reserve: EndPrompt(
                    "ses_1", 1, PromptState.ANSWERED, b"{}", updates=rows, reserve=reserve
                ),
                lambda _: None,
                TurnEnded("end_turn"),
            )
        elif kind == "attach":
            client = RecordingClient()
            way.attach(client)
            clients.append((way.last_sent, client))
        else:
            commit()
            assert way.last_sent <= reserved[-1]
    while store.waiting:
        commit()
    numbers = [number for first, last in written for number in range(first, last + 1)]
    assert numbers == list(range(1, len(numbers) + 1))
    for after, client in clients:
        assert client.numbers == numbers[after:]
