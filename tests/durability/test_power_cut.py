"""The power is cut between any two writes of a story; see `support.power_cut`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest
from support.cut_story import KEY, PROMPTS, Story, faults, mark_tool, tell
from support.evidence import Frame, last_number
from support.power_cut import Keep, PowerCutDisk, cuts, dropped, put, some, torn, whole
from support.runtime import open_runtime
from support.told import Told
from support.unsynced import NAME as UNSYNCED
from support.virtual import run_virtual
from support.wire import RpcFailed

from hermes.adapters.store import STORE_NAME, open_file


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """One run from a fresh store to an orderly end."""
    disk = PowerCutDisk()
    story = Story(disk, Told(lambda: len(disk.events)))
    run_virtual(partial(tell, story, tmp_path_factory.mktemp("story")))
    assert story.refused == []
    yield story
    disk.unregister()


VARIANTS: Mapping[str, Callable[[int], Keep]] = {
    "dropped": lambda count: dropped,
    "kept": lambda count: whole,
    "some": some,
    "torn": torn,
    "torn otherwise": lambda count: torn(-count - 1),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cut_between_any_two_writes(
    story: Story, unsynced: None, tmp_path: Path, variant: str
) -> None:
    """D1, D4, D7: whatever of the unsynced reaches the disk, nothing acknowledged is lost,
    no number is given again, and nothing is corrupt.
    """
    found = {}
    for count, image in cuts(story.disk.events):
        folder = tmp_path / "cut"
        folder.mkdir()
        put(image(VARIANTS[variant](count)), folder)
        wrong = list(faults(story, count, folder))
        if wrong:
            found[count] = wrong
        shutil.rmtree(folder)
    assert found == {}


async def come_back(story: Story, count: int, folder: Path) -> list[str]:
    """What is wrong for the client that comes back when the power is there again."""
    found: list[str] = []
    told = story.told.until(count)
    seen, ran = last_number(told), story.ran(count)
    known = {
        frame["result"]["sessionId"] for frame in told if "sessionId" in frame.get("result", {})
    }
    async with (
        open_runtime(
            seed=1000,
            boot_id="another boot",
            connection=open_file(folder / STORE_NAME, vfs=UNSYNCED),
            tools=[mark_tool(ran.append)],
            toolsets=("marks",),
        ) as runtime,
        runtime.client() as client,
    ):
        session = known.pop() if known else await client.new(KEY)
        attach: Frame = {"sessionId": session, "cwd": "/", "mcpServers": []}
        try:
            meta = {"hermes": {"afterSeq": seen}}
            await client.call("session/resume", attach | {"_meta": meta})
        except RpcFailed as failed:
            if failed.code != -31005 or failed.data["firstSeq"] <= seen + 1:
                found.append(f"resume above {seen}: {failed.code} {failed.data}")
        for name, text in PROMPTS.items():
            reason = await client.prompt(session, text, id=name)
            if reason != "end_turn":
                found.append(f"{name} answered {reason}")
        new = client.numbers(session)
        if any(first <= seen for first, _ in new):
            found.append(f"{new} came after {seen}")
        found.extend(f"call {n} ran twice" for n in set(ran) if ran.count(n) > 1)
    return found


def test_a_restart_after_a_cut(story: Story, unsynced: None, tmp_path: Path) -> None:
    """D1 to D4: after a cut between any two writes every prompt is answered once, no call
    runs twice, and numbers go on above all that were sent.
    """
    found = {}
    for count, image in cuts(story.disk.events):
        folder = tmp_path / "cut"
        folder.mkdir()
        put(image(dropped), folder)
        wrong = run_virtual(partial(come_back, story, count, folder))
        if wrong:
            found[count] = wrong
        shutil.rmtree(folder)
    assert found == {}
