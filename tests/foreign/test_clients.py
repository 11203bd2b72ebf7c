"""Released clients, unmodified, against a daemon that is a process of its own.

They differ in language, event loop, websocket and way to bring the token, so what
holds for both is the protocol and no accident of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from attrs import frozen
from support.foreign import (
    NPM_CLIENT,
    ClientKind,
    ForeignClient,
    PacedModel,
    ends,
    model_daemon,
    numbers,
    said,
)
from support.process import LiveDaemon
from support.provider import RawProvider, serve_provider

KEY = "foreign:1"


@frozen
class Scene:
    """A daemon, the model behind it and one client that is connected to it."""

    daemon: LiveDaemon
    model: PacedModel
    client: ForeignClient


@asynccontextmanager
async def scene(kind: ClientKind, folder: Path) -> AsyncIterator[Scene]:
    model = PacedModel()
    async with trio.open_nursery() as nursery:
        provider: RawProvider = await nursery.start(serve_provider, model)
        async with model_daemon(folder, provider.base_url) as daemon, kind.run() as client:
            await client.connect(daemon)
            yield Scene(daemon, model, client)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("way", ["closed", "killed"])
async def test_a_dropped_client_resumes(kind: ClientKind, way: str, tmp_path: Path) -> None:
    """D4: a client that drops in mid-turn and resumes gets exactly the updates it missed."""
    async with (
        scene(kind, tmp_path) as play,
        play.daemon.connect() as watcher,
        kind.run() as second,
    ):
        first, model = play.client, play.model
        session = await first.new(KEY)
        assert await watcher.new(KEY) == session
        await first.begin_prompt(session, "count slowly")
        model.say("one ", "two ")
        await first.until_said("one two ")
        await (first.program.call("drop") if way == "closed" else first.program.kill())
        model.say("three ", "four ")
        await watcher.until(lambda: watcher.text(session) == "one two three four ")

        await second.connect(play.daemon)
        facts = await second.resume(session, after=numbers(first.updates)[-1])
        assert facts["state"] == "running"
        await second.until_said("three four ")
        model.say("five")
        model.finish()
        await second.program.until(lambda: ends(second.updates) == 1)
        await watcher.until(lambda: ends(watcher.updates) == 1)

        seen = numbers(first.updates) + numbers(second.updates)
        assert seen == list(range(1, seen[-1] + 1))
        assert said(second.updates) == "three four five"
        assert numbers(watcher.updates) == seen


async def test_a_resume_of_everything_is_told_all(kind: ClientKind, tmp_path: Path) -> None:
    """D4: a resume after number 0 brings a turn that is over, the user's words included."""
    async with scene(kind, tmp_path) as play, kind.run() as second:
        first = play.client
        session = await first.new(KEY)
        prompt = await first.begin_prompt(session, "be brief")
        play.model.say("yes")
        play.model.finish()
        assert await first.stop_reason(prompt) == "end_turn"

        await second.connect(play.daemon)
        facts = await second.resume(session, after=0)
        assert facts["state"] == "idle"
        await second.program.until(lambda: ends(second.updates) == 1)
        assert numbers(second.updates) == numbers(first.updates)
        assert numbers(second.updates) == list(range(1, facts["lastSeq"] + 1))
        asked = [
            update["update"]["content"]["text"]
            for update in second.updates
            if update["update"]["sessionUpdate"] == "user_message_chunk"
        ]
        assert (asked, said(second.updates)) == (["be brief"], "yes")


async def test_a_turn_is_cancelled(kind: ClientKind, tmp_path: Path) -> None:
    """D1: `session/cancel` answers the prompt with `cancelled`, and the next turn is whole."""
    async with scene(kind, tmp_path) as play:
        await _cancelled(play, "cancel")


@pytest.mark.usefixtures("npm")
async def test_one_prompt_is_cancelled(tmp_path: Path) -> None:
    """D1: the npm client's own abort signal, `$/cancel_request`, cancels its prompt."""
    async with scene(NPM_CLIENT, tmp_path) as play:
        await _cancelled(play, "cancelPrompt")


async def _cancelled(play: Scene, how: str) -> None:
    client = play.client
    session = await client.new(KEY)
    prompt = await client.begin_prompt(session, "never stop")
    play.model.say("la ")
    await client.until_said("la ")
    await client.program.call(
        how, **({"session": session} if how == "cancel" else {"prompt": prompt})
    )
    assert await client.stop_reason(prompt) == "cancelled"
    assert ends(client.updates) == 1

    prompt = await client.begin_prompt(session, "and now")
    play.model.say("done")
    play.model.finish()
    assert await client.stop_reason(prompt) == "end_turn"
    assert said(client.updates) == "la done"
    assert numbers(client.updates) == list(range(1, numbers(client.updates)[-1] + 1))
    assert ends(client.updates) == 2
