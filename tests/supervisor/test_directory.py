"""The address book: whoever sends need not know whether a session lives."""

from __future__ import annotations

import pytest
import trio
from support.session_parts import RecordingClient, RecordingSink
from support.sessions import Town, open_town
from trio.testing import wait_all_tasks_blocked

from hermes.actors import MailboxFull
from hermes.actors.session import messages as msg
from hermes.actors.session import notices
from hermes.actors.session.content import dump_content
from hermes.errors import UnknownSession
from hermes.supervisor.directory import BURST


def prompt(town: Town, session: str, text: str) -> RecordingSink:
    """Send a prompt."""
    sink = RecordingSink()
    town.directory.tell(session, msg.Offer(text, dump_content(text), sink))
    return sink


async def test_a_message_wakes(autojump_clock: object) -> None:
    """R9, B12: a message to a dormant session starts its actor; two start it once."""
    async with open_town() as town:
        session = await town.make("ses_1")
        assert not town.directory.live
        first, second = prompt(town, session, "hello"), prompt(town, session, "hello")
        assert town.directory.live == (session,)
        await trio.sleep(1)
        assert first.fates == second.fates == ["end_turn"]
        assert len(town.factory.built) == 1


async def test_looking_does_not_wake(autojump_clock: object) -> None:
    """B12: a message for live sessions only is not sent to a dormant one."""
    async with open_town() as town:
        session = await town.make("ses_1")
        assert not town.directory.tell_live(session, msg.Inspect())
        assert town.directory.live == ()


async def test_dormant_again(autojump_clock: object) -> None:
    """B12: once nothing needs it the actor goes, and that is told."""
    async with open_town() as town:
        session = await town.make("ses_1")
        sink = prompt(town, session, "hello")
        await trio.sleep(1)
        town.directory.tell(session, msg.Detach(sink.client))
        town.directory.tell(session, msg.Release("test"))
        await trio.sleep(1)
        assert town.directory.live == ()
        assert town.ended[-1] == session


async def test_a_message_meets_an_actor_on_its_way_out(autojump_clock: object) -> None:
    """R6, R9: what comes while an actor closes is for the next one, and no two live at once."""
    async with open_town(delay=0.01) as town:
        session = await town.make("ses_1")
        before = prompt(town, session, "slow 9 hello")
        await trio.sleep(1)
        close = msg.Close("test")
        town.directory.tell(session, close)
        after = [prompt(town, session, f"count to {number}") for number in range(1, 4)]
        await close.reply.wait()
        await trio.sleep(5)
        assert before.fates == ["cancelled"]
        assert [sink.fates for sink in after] == [["end_turn"]] * 3
        assert town.directory.live == (session,)
        built = [notice for notice in town.told if isinstance(notice, notices.Built)]
        assert len(built) == 2


async def test_an_unknown_session(autojump_clock: object) -> None:
    """Who speaks to a session that is not on disk is told, and no actor stays."""
    async with open_town() as town:
        sink = prompt(town, "ses_none", "hello")
        attach = msg.Attach(RecordingClient())
        town.directory.tell("ses_none", attach)
        with pytest.raises(UnknownSession):
            await attach.reply.wait()
        (fate,) = sink.fates
        assert isinstance(fate, UnknownSession)
        await wait_all_tasks_blocked()
        assert town.directory.live == ()


async def test_a_burst_is_bounded(autojump_clock: object) -> None:
    """K2: more offers at once than may ever wait are refused to their sender's face."""
    async with open_town() as town:
        session = await town.make("ses_1")
        capacity = 3 + BURST
        sinks = [prompt(town, session, "hello") for _ in range(capacity)]
        with pytest.raises(MailboxFull):
            prompt(town, session, "hello")
        await trio.sleep(10)
        assert all(len(sink.fates) == 1 for sink in sinks)
        assert [sink.fates for sink in sinks[:4]] == [["end_turn"]] * 4


async def test_a_crash_loop(autojump_clock: object) -> None:
    """K4: an actor that crashes whenever it starts is left alone after the sixth crash."""
    async with open_town() as town:
        session = await town.make("ses_1")
        town.factory.crashes = 1_000_000
        client = RecordingClient()
        town.directory.tell(session, msg.Attach(client))
        await trio.sleep(1)
        prompts = [prompt(town, session, "hello") for _ in range(20)]
        await trio.sleep(1)
        assert 1_000_000 - town.factory.crashes <= 6
        town.factory.crashes = 0
        town.directory.tell(session, msg.Suspend(False))
        await trio.sleep(1)
        assert all(len(sink.fates) == 1 for sink in prompts)


async def test_bury(autojump_clock: object) -> None:
    """A session that is deleted is closed first; what comes meanwhile is told it is unknown."""
    async with open_town(delay=0.01) as town:
        session = await town.make("ses_1")
        running = prompt(town, session, "slow 9 hello")
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(town.directory.bury, session)
            await wait_all_tasks_blocked()
            with pytest.raises(UnknownSession):
                prompt(town, session, "hello")
        assert running.fates == ["cancelled"]
        assert town.directory.live == ()
        late = prompt(town, session, "hello")
        await trio.sleep(1)
        (fate,) = late.fates
        assert isinstance(fate, UnknownSession)
