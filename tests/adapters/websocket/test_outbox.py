from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hermes.adapters.websocket.outbox import MAX_BYTES, MAX_WAITING, Outbox
from hermes.messages.joined import Joined, single
from hermes.messages.updates import TextChunk, ThoughtChunk, Title, Update


class Overflows:
    """Counts what an outbox reports."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


async def taken(outbox: Outbox) -> list[Any]:
    """All that waits, decoded."""
    return [json.loads(frame) for frame in await outbox.take()]


def hermes(frame: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = frame["params"]["_meta"]["hermes"]
    return found


def chunk(seq: int, text: str, message: str = "m") -> Joined:
    return single(seq, TextChunk(message, text))


async def test_frames_keep_their_order() -> None:
    """K1: what was put first is sent first, joined or not."""
    outbox = Outbox(Overflows())
    outbox.put_frame('"a"')
    outbox.put_update("s", chunk(1, "x"), sender=True)
    outbox.put_update("s", chunk(2, "y"), sender=True)
    outbox.put_frame('"b"')
    outbox.put_update("s", chunk(3, "z"), sender=True)
    first, joined, second, last = await taken(outbox)
    assert (first, second) == ("a", "b")
    assert hermes(joined) == {"firstSeq": 1, "seq": 2}
    assert joined["params"]["update"]["content"]["text"] == "xy"
    assert hermes(last) == {"seq": 3}


async def test_take_waits_for_something(autojump_clock: object) -> None:
    """An empty outbox makes its writer wait; a cancelled take has taken nothing."""
    outbox = Outbox(Overflows())
    with trio.move_on_after(1) as scope:
        await outbox.take()
    assert scope.cancelled_caught
    outbox.put_frame('"a"')
    assert await taken(outbox) == ["a"]
    assert outbox.waiting == 0


async def test_deltas_of_others_are_not_joined() -> None:
    """Only chunks of one session, one message, one kind and one role are joined."""
    outbox = Outbox(Overflows())
    outbox.put_update("s", chunk(1, "a"), sender=True)
    outbox.put_update("t", chunk(2, "b"), sender=True)
    outbox.put_update("t", chunk(3, "c"), sender=False)
    outbox.put_update("t", chunk(4, "d", "n"), sender=False)
    outbox.put_update("t", single(5, ThoughtChunk("n", "e")), sender=False)
    outbox.put_update("t", single(6, Title("f")), sender=False)
    outbox.put_update("t", chunk(8, "g", "n"), sender=False)
    assert [hermes(frame)["seq"] for frame in await taken(outbox)] == [1, 2, 3, 4, 5, 6, 8]


UPDATES = st.lists(
    st.one_of(
        st.builds(TextChunk, st.sampled_from("mn"), st.text(max_size=5)),
        st.builds(ThoughtChunk, st.just("m"), st.text(max_size=5)),
        st.builds(Title, st.just("t")),
    ),
    max_size=40,
)


@given(UPDATES, st.integers(min_value=1, max_value=40))
def test_joining_loses_nothing(updates: list[Update], often: int) -> None:
    """D4: however often the writer comes by, it sends the same text under the same numbers."""
    outbox = Outbox(Overflows())
    frames: list[dict[str, Any]] = []

    async def run() -> None:
        for seq, update in enumerate(updates, 1):
            outbox.put_update("s", single(seq, update), sender=False)
            if seq % often == 0:
                frames.extend(await taken(outbox))
        if outbox.waiting:
            frames.extend(await taken(outbox))

    trio.run(run)
    numbers: list[int] = []
    texts: dict[tuple[str, str], str] = {}
    for frame in frames:
        meta, body = hermes(frame), frame["params"]["update"]
        numbers += range(meta.get("firstSeq", meta["seq"]), meta["seq"] + 1)
        if "content" in body:
            place = (body["sessionUpdate"], body["messageId"])
            texts[place] = texts.get(place, "") + body["content"]["text"]
    unjoined: dict[tuple[str, str], str] = {}
    for update in updates:
        if isinstance(update, TextChunk | ThoughtChunk):
            kind = "message" if isinstance(update, TextChunk) else "thought"
            place = (f"agent_{kind}_chunk", update.message_id)
            unjoined[place] = unjoined.get(place, "") + update.text
    assert numbers == list(range(1, len(updates) + 1))
    assert texts == unjoined


async def test_the_budget_of_messages() -> None:
    """A client past its budget of messages is given up once, and keeps no memory."""
    overflows = Overflows()
    outbox = Outbox(overflows)
    for _ in range(MAX_WAITING):
        outbox.put_frame("{}")
    assert overflows.count == 0
    for _ in range(3):
        outbox.put_frame("{}")
    assert overflows.count == 1
    assert outbox.waiting == 0
    assert await outbox.take() == []


@pytest.mark.parametrize("text", ["x" * 1024 * 1024, "\N{BLACK SQUARE}" * 350_000])
async def test_the_budget_of_bytes(text: str) -> None:
    """A client past its budget of bytes is given up, multi-byte text counted as bytes."""
    overflows = Overflows()
    outbox = Outbox(overflows)
    for _ in range(MAX_BYTES // len(text.encode()) + 1):
        outbox.put_frame(text)
    assert overflows.count == 1


async def test_the_budget_is_of_what_waits() -> None:
    """What was taken counts no more: a client that reads is never given up."""
    overflows = Overflows()
    outbox = Outbox(overflows)
    for _ in range(20):
        outbox.put_frame("x" * (MAX_BYTES - 1))
        await outbox.take()
    assert overflows.count == 0


async def test_a_closed_outbox() -> None:
    """A closed outbox takes nothing more; what waits can still be sent."""
    outbox = Outbox(Overflows())
    outbox.put_frame('"a"')
    outbox.close()
    outbox.put_frame('"b"')
    assert await taken(outbox) == ["a"]
    assert await outbox.take() == []
