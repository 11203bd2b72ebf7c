from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from hermes.errors import ResourceUnavailable
from hermes.ports.resource import Rung
from hermes.ports.tools import ToolError
from hermes.tools.scratch import MAX_FILE_BYTES, MAX_FILES, Scratch, ScratchKind

T = TypeVar("T")


async def inline(run: Callable[[], T]) -> T:
    """Run on the loop, for tests in virtual time."""
    await trio.lowlevel.checkpoint()
    return run()


@pytest.fixture
async def scratch(tmp_path: Path, nursery: trio.Nursery) -> Scratch:
    """An open scratch folder."""
    scratch = Scratch(tmp_path / "scratch" / "task_1", inline)
    await open_in(nursery, scratch)
    return scratch


async def open_in(nursery: trio.Nursery, scratch: Scratch) -> None:
    ready = trio.Event()
    nursery.start_soon(scratch.serve, ready.set)
    await ready.wait()


async def test_private_folder_until_stopped(scratch: Scratch) -> None:
    """R3: the folder is private to its owner, and a stop removes it with all that is in it."""
    assert stat.S_IMODE(scratch.folder.stat().st_mode) == 0o700
    await scratch.write("a.txt", "hello")
    assert stat.S_IMODE((scratch.folder / "a.txt").stat().st_mode) == 0o600
    await scratch.stop()
    assert not scratch.folder.exists()
    with pytest.raises(ToolError):
        await scratch.write("a.txt", "again")


async def test_in_a_real_thread(tmp_path: Path, nursery: trio.Nursery) -> None:
    """R3: with the thread that the daemon uses a folder opens, takes a file and is removed."""
    scratch = Scratch(tmp_path / "task_2")
    await open_in(nursery, scratch)
    await scratch.write("a", "x")
    assert await scratch.read("a") == "x"
    await scratch.stop()
    assert not scratch.folder.exists()


async def test_killed_folder(scratch: Scratch) -> None:
    """R3: a kill removes the folder on the spot, and twice does no harm."""
    await scratch.write("a", "x")
    scratch.kill()
    scratch.kill()
    assert not scratch.folder.exists()
    await scratch.stop()


async def test_takes_up_what_was_left(scratch: Scratch, nursery: trio.Nursery) -> None:
    """D2: a folder that a killed daemon left is taken up with its files, private again."""
    await scratch.write("a", "x")
    scratch.folder.chmod(0o755)
    again = Scratch(scratch.folder, inline)
    await open_in(nursery, again)
    assert await again.read("a") == "x"
    assert stat.S_IMODE(again.folder.stat().st_mode) == 0o700


async def test_a_link_in_its_place(tmp_path: Path) -> None:
    """Z7: a link where the folder should be is refused, and not followed."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "task_3").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceUnavailable):
        await Scratch(tmp_path / "task_3", inline).serve(lambda: None)


@pytest.mark.parametrize(
    "task_id", ["", "..", "task_", "task_1/../2", "Task_1", "task_1\n", "/a_1"]
)
def test_task_ids(tmp_path: Path, task_id: str) -> None:
    """Z7: only a task id of ours names a folder."""
    kind = ScratchKind(tmp_path)
    assert kind.rung is Rung.SCRATCH
    with pytest.raises(ValueError, match="task id"):
        kind.make(task_id)
    made = kind.make("task_0af")
    assert isinstance(made, Scratch)
    assert made.folder == tmp_path / "task_0af"


@pytest.mark.parametrize("name", ["", ".", "..", ".a", "a/b", "../a", "a" * 101, "a\n", "ä", "a\0"])
async def test_names(scratch: Scratch, name: str) -> None:
    """Z7: a file's name is a plain one, never a path."""
    for attempt in (scratch.read(name), scratch.write(name, "x")):
        with pytest.raises(ToolError, match="a name is"):
            await attempt


async def test_links_and_pipes(scratch: Scratch, tmp_path: Path) -> None:
    """Z9: a link in the folder is neither read nor written through, a pipe is not waited for."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (scratch.folder / "link").symlink_to(secret)
    os.mkfifo(scratch.folder / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(ToolError):
            await scratch.read(name)
    await scratch.write("link", "mine")
    assert secret.read_text() == "secret"
    assert await scratch.read("link") == "mine"


async def test_limits(scratch: Scratch) -> None:
    """A file and the number of files are bounded, and replacing one is not a new one."""
    with pytest.raises(ToolError, match="at most"):
        await scratch.write("big", "ä" * MAX_FILE_BYTES)
    for number in range(MAX_FILES):
        (scratch.folder / f"f{number}").touch()
    with pytest.raises(ToolError, match="already"):
        await scratch.write("more", "x")
    await scratch.write("f0", "x")
    assert len(await scratch.entries()) == MAX_FILES
    (scratch.folder / "f1").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ToolError, match="larger"):
        await scratch.read("f1")
