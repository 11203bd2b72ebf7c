"""The scratch folder: the one task resource that needs no other program.

It is a real folder of a session, made when a turn first asks for it, kept over a
release, and removed when the session is closed.  File systems block, so all of
it runs in a thread, behind a seam: a thread in virtual time would be jumped over.
A client never names a path: the folder is named by the task id, which is checked.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

import trio
from attrs import frozen

from hermes.errors import ResourceUnavailable
from hermes.ports.resource import Rung, TaskResource
from hermes.ports.tools import ToolError

T = TypeVar("T")

SCRATCH = "scratch"

# A note, a script, a page of data; anything larger would not fit in a tool's result anyway.
MAX_FILE_BYTES = 1_048_576

# With the size of a file this bounds a session's folder at 256 MiB.
MAX_FILES = 256

_TASK_ID = re.compile(r"[a-z]{1,32}_[0-9a-f]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class InThread(Protocol):
    """Where blocking calls run.

    **Cancellation**: the call may go on to its end, and its result is dropped.
    """

    def __call__(self, run: Callable[[], T], /) -> Awaitable[T]:
        """Run `run` and return what it returns; its exceptions come through."""
        ...


async def in_thread(run: Callable[[], T], /) -> T:
    """Run off the loop; a cancel does not wait for a disk that hangs."""
    return await trio.to_thread.run_sync(run, abandon_on_cancel=True)


class Scratch:
    """The scratch folder of one session, a `TaskResource`.

    **Resources**: `stop` or `kill` removes the folder and all that is in it.
    """

    def __init__(self, folder: Path, run: InThread = in_thread) -> None:
        self.folder = folder
        self._run = run
        self._turn = trio.Lock()

    async def serve(self, ready: Callable[[], None]) -> None:
        """Make the folder, or take up the one that a killed daemon left.

        Raises:
            ResourceUnavailable: it cannot be made.
        """
        try:
            await self._run(partial(_make, self.folder))
        except OSError as error:
            raise ResourceUnavailable(f"no scratch folder: {error.strerror}") from error
        ready()
        await trio.sleep_forever()

    async def stop(self) -> None:
        """Remove the folder.

        Raises:
            OSError: something in it cannot be removed.
        """
        await self._run(partial(_remove, self.folder))

    def kill(self) -> None:
        """Remove what can be removed, on the spot."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def write(self, name: str, text: str) -> None:
        """Write a file whole, or leave it as it was.

        Raises:
            ToolError: a name or a size that is not taken, or the folder is full.

        **Cancellation**: the file is as it was, or is written a moment later.
        """
        body = text.encode(errors="replace")
        if len(body) > MAX_FILE_BYTES:
            raise ToolError(f"the text has {len(body)} bytes: at most {MAX_FILE_BYTES} fit")
        await self._do(partial(_write, self.folder, _checked(name), body))

    async def read(self, name: str) -> str:
        """The text of a file.

        Raises:
            ToolError: no such file, or one that is not ours to read.
        """
        body = await self._do(partial(_read, self.folder, _checked(name)))
        return body.decode(errors="replace")

    async def entries(self) -> Sequence[Entry]:
        """The files, by name.

        Raises:
            ToolError: the folder is gone.
        """
        return await self._do(partial(_entries, self.folder))

    async def _do(self, run: Callable[[], T]) -> T:
        """One file operation at a time, so that the count of files is true."""
        async with self._turn:
            try:
                return await self._run(run)
            except FileNotFoundError as error:
                raise ToolError("there is no such file in the scratch folder") from error
            except OSError as error:
                raise ToolError(f"the scratch folder cannot do that: {error.strerror}") from error


@frozen
class Entry:
    """One file and its size in bytes."""

    name: str
    size: int


class ScratchKind:
    """How to make the scratch folder of a session, below `root`.

    `root` must be a folder that only this user can write to.
    """

    def __init__(self, root: Path, run: InThread = in_thread) -> None:
        self._root = root
        self._run = run

    @property
    def rung(self) -> Rung:
        """The folder goes after everything that might still write to it."""
        return Rung.SCRATCH

    def make(self, task_id: str) -> TaskResource:
        """The resource of the session with that task id; nothing is on disk yet.

        Raises:
            ValueError: this is not a task id of ours.
        """
        if not _TASK_ID.fullmatch(task_id):
            raise ValueError(f"{task_id!r} is not a task id")
        return Scratch(self._root / task_id, self._run)


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ToolError(
            "a name is 1 to 100 letters, digits, dots, _ and -, and does not begin with a dot"
        )
    return name


def _make(folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise
        folder.chmod(0o700)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        if folder.exists():
            raise


def _write(folder: Path, name: str, body: bytes) -> None:
    names = {entry.name for entry in _entries(folder)}
    if name not in names and len(names) >= MAX_FILES:
        raise ToolError(f"the scratch folder holds {MAX_FILES} files already")
    # A name of its own for each write: one that was cancelled may still be at work.
    unfinished = folder / f".{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(body)
        os.replace(unfinished, folder / name)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _read(folder: Path, name: str) -> bytes:
    # Another tool may have put something here: no link is followed, no pipe waited for.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(folder / name, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ToolError(f"{name} is not a file")
        body = file.read(MAX_FILE_BYTES + 1)
    if len(body) > MAX_FILE_BYTES:
        raise ToolError(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    return body


def _entries(folder: Path) -> Sequence[Entry]:
    with os.scandir(folder) as found:
        files = [entry for entry in found if entry.is_file(follow_symlinks=False)]
        return sorted(
            (
                Entry(entry.name, entry.stat(follow_symlinks=False).st_size)
                for entry in files
                if _NAME.fullmatch(entry.name)
            ),
            key=lambda entry: entry.name,
        )
