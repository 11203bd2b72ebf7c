"""Row D6: no space, a failing sync; and row D7, a corrupt file, a second daemon."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import trio
from attrs import define
from support.cut_story import Story, faults, tell
from support.evidence import acknowledged, read_disk
from support.power_cut import NAME, PowerCutDisk, cuts, dropped, put
from support.runtime import open_runtime
from support.told import Told
from support.virtual import run_virtual
from support.wire import RpcFailed

from hermes.adapters.store import STORE_NAME, open_file
from hermes.errors import StoreError

STORE_FULL = -31004


def make_full(disk: PowerCutDisk, failing: bool) -> None:
    disk.full = failing


def fail_syncs(disk: PowerCutDisk, failing: bool) -> None:
    disk.failing = failing


Fault = Callable[[PowerCutDisk, bool], None]


def cut_now(disk: PowerCutDisk, folder: Path) -> Path:
    """The files that a power cut would leave now."""
    *_, (_, image) = cuts(disk.events)
    folder.mkdir()
    put(image(dropped), folder)
    return folder / STORE_NAME


async def test_no_space_for_a_prompt(
    autojump_clock: object, disk: PowerCutDisk, tmp_path: Path
) -> None:
    """D6: without space a prompt is refused as store full, and with space again it is taken."""
    connection = open_file(tmp_path / STORE_NAME, vfs=NAME)
    async with open_runtime(connection=connection) as runtime, runtime.client() as client:
        session = await client.new("cli:one")
        assert await client.prompt(session, "count to 3", id="before") == "end_turn"
        disk.full = True
        with pytest.raises(RpcFailed) as failed:
            await client.prompt(session, "count to 3", id="while")
        assert failed.value.code == STORE_FULL
        assert failed.value.message == "store full"
        disk.full = False
        assert await client.prompt(session, "count to 3", id="while") == "end_turn"
        assert acknowledged(client.frames) == ["before", "while"]


@pytest.mark.parametrize("fault", [make_full, fail_syncs])
async def test_a_disk_that_fails_in_a_turn(
    autojump_clock: object, disk: PowerCutDisk, tmp_path: Path, fault: Fault
) -> None:
    """D6: where a turn cannot be kept the daemon stops and says why, and what was
    acknowledged is answered by the next one.
    """
    told = Told(lambda: len(disk.events))
    connection = open_file(tmp_path / STORE_NAME, vfs=NAME)
    with pytest.RaisesGroup(StoreError, flatten_subgroups=True) as stopped:
        async with (
            open_runtime(connection=connection, wire=told.wire) as runtime,
            runtime.client() as client,
        ):
            session = await client.new("cli:one")
            await client.begin_prompt(session, "slow 1 count to 5", id="cut")
            await client.until(lambda: bool(client.text(session)))
            fault(disk, True)
            await client.until(lambda: client.closed)
            with trio.fail_after(60):
                await runtime.daemon.ended.wait()
            await trio.sleep(1)
    assert "store" in str(stopped.value.exceptions[0])
    fault(disk, False)
    frames = told.until(len(disk.events))
    assert acknowledged(frames) == ["cut"]
    again = open_file(cut_now(disk, tmp_path / "cut"))
    assert read_disk(again).states["cut"] == "running"
    async with open_runtime(connection=again, seed=9, boot_id="2") as runtime:
        async with runtime.client() as client:
            assert await client.prompt(session, "slow 1 count to 5", id="cut") == "end_turn"


async def test_nothing_is_acknowledged_after_a_lost_sync(
    autojump_clock: object, disk: PowerCutDisk, tmp_path: Path
) -> None:
    """D6: a sync that failed refuses its prompts and stops the daemon, since what the system
    forgot in it would take with it whatever was acknowledged later.
    """
    told = Told(lambda: len(disk.events))
    path = tmp_path / STORE_NAME
    with pytest.RaisesGroup(StoreError, flatten_subgroups=True) as stopped:
        async with (
            open_runtime(connection=open_file(path, vfs=NAME), wire=told.wire) as runtime,
            runtime.client() as client,
            runtime.client() as other,
        ):
            session, second = await client.new("cli:one"), await other.new("cli:two")
            await client.begin_prompt(session, "slow 1 count to 5", id="long")
            await client.until(lambda: "3" in client.text(session))
            disk.failing = True
            refused = await other.begin_prompt(second, "hello", id="refused")
            await other.until(lambda: other.answered(refused))
            disk.failing = False
            with pytest.raises(RpcFailed) as failed:
                await other.answer(refused)
            assert failed.value.code == STORE_FULL
            with trio.fail_after(60):
                await runtime.daemon.ended.wait()
            assert not runtime.store.statistics().queued
    assert "cannot be written" in str(stopped.value.exceptions[0])
    told_before = told.until(len(disk.events))
    assert acknowledged(told_before) == ["long"]
    async with open_runtime(connection=open_file(path, vfs=NAME), seed=9, wire=told.wire) as again:
        async with again.client() as client:
            assert await client.prompt(second, "hello", id="taken") == "end_turn"
            after = read_disk(open_file(cut_now(disk, tmp_path / "cut")))
    assert after.integrity == "ok"
    assert set(after.prompts) == {"long", "taken"}


@define
class Once:
    """Lets a disk fail at its n-th write or sync; with `lasting`, from then on."""

    disk: PowerCutDisk
    what: str
    n: int
    lasting: bool = False
    count: int = 0

    def __call__(self, what: str) -> None:
        """Be asked."""
        self.count += what == self.what
        now = self.count >= self.n if self.lasting else self.count == self.n and what == self.what
        self.disk.full = now and self.what == "write"
        self.disk.failing = now and self.what == "sync"


# apsw 3.53 says so of a fault that SQLite passes over, in a checkpoint by itself.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize(
    ("what", "lasting"), [("sync", False), ("sync", True), ("write", False), ("write", True)]
)
def test_a_fault_at_any_write_or_sync(
    disk: PowerCutDisk, unsynced: None, tmp_path: Path, what: str, lasting: bool
) -> None:
    """D6: whichever sync fails and wherever the space ends, what is acknowledged survives the
    power cut that follows, and what stops the daemon is a failure of the store.
    """
    found = {}
    for n in count(1):
        # What the story before left open closes now, and not in the midst of the next
        # one, whose events it would mix up with its own.
        gc.collect()
        disk.events.clear()
        story = Story(disk, Told(lambda: len(disk.events)))
        folder = tmp_path / str(n)
        folder.mkdir()
        disk.asked = fault = Once(disk, what, n, lasting)
        wrong = stopped_by(story, folder)
        disk.asked = unasked
        disk.full = disk.failing = False
        if fault.count < n:
            break
        *_, (last, image) = cuts(disk.events)
        after = tmp_path / f"{n}-after"
        after.mkdir()
        put(image(dropped), after)
        wrong.extend(faults(story, last, after))
        if wrong:
            found[n] = wrong
    assert n > 20
    assert found == {}


def unasked(what: str) -> None:
    """No fault."""


def stopped_by(story: Story, folder: Path) -> list[str]:
    """What ended the story's daemon, or kept it from its start, and is no fault of the store."""
    try:
        run_virtual(partial(tell, story, folder))
    except BaseException as error:  # noqa: BLE001 - the boundary of a daemon
        return [repr(leaf) for leaf in leaves(error) if not isinstance(leaf, StoreError)]
    return []


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions in a group of groups."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]
