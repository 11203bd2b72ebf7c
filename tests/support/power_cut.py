"""A file system whose power can be cut: what was written and not synced is lost.

It passes everything on to the real one and writes down each write, truncation, sync
and deletion.  So a workload runs once, and afterwards the disk can be had as a cut
after any of its events would have left it, without running anything again.

What it takes for granted: a sync makes the whole file durable, a deletion is durable at
once, and of what is not synced any part may reach the disk, in any order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
from attrs import define, field, frozen

NAME = "power-cut"

#: What a disk writes whole or not at all, at its smallest.
SECTOR = 512


@frozen
class Write:
    """Bytes that were written into a file."""

    file: str
    offset: int
    data: bytes


@frozen
class Truncate:
    """A file was cut to `size` bytes."""

    file: str
    size: int


@frozen
class Sync:
    """All of a file is on the disk now."""

    file: str


@frozen
class LostSync:
    """A sync failed: the system forgets what it could not write, as Linux does.

    A later sync that succeeds does not write it either.
    """

    file: str


@frozen
class Delete:
    """A file is gone."""

    file: str


Event = Write | Truncate | Sync | LostSync | Delete
Unsynced = Write | Truncate
Keep = Callable[[Unsynced], Sequence[Unsynced]]


class RecordedFile(apsw.VFSFile):
    """A real file whose changes are written down."""

    def __init__(self, disk: PowerCutDisk, name: str | apsw.URIFilename | None, flags: list[int]):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._name = Path(path).name if path is not None else ""
        self._disk = disk
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write, if there is space."""
        self._disk.asked("write")
        if self._disk.full:
            raise apsw.FullError("no space left on the device")
        super().xWrite(data, offset)
        self._disk.happened(Write(self._name, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        """Cut the file short."""
        super().xTruncate(newsize)
        self._disk.happened(Truncate(self._name, newsize))

    def xSync(self, flags: int) -> None:
        """Sync; only the list of events knows that it happened, the disk is spared."""
        self._disk.asked("sync")
        if self._disk.failing:
            self._disk.happened(LostSync(self._name))
            raise apsw.IOError("the sync failed")
        self._disk.happened(Sync(self._name))


def _unasked(what: str) -> None:
    """Nobody wants to know."""


class PowerCutDisk(apsw.VFS):
    """The default file system, written down; it is registered under `NAME`.

    `full` lets every write fail for want of space, `failing` every sync.  `asked` is
    called with "write" or "sync" before each, and may set them.

    **Resources**: `unregister` it when its connections are closed.
    """

    def __init__(self) -> None:
        self.full = False
        self.failing = False
        self.asked: Callable[[str], None] = _unasked
        self.events: list[Event] = []
        super().__init__(NAME, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> RecordedFile:
        """Open a file that is watched."""
        return RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        """Delete a file."""
        super().xDelete(filename, syncdir)
        self.happened(Delete(Path(filename).name))

    def happened(self, event: Event) -> None:
        """Write an event down."""
        self.events.append(event)


@define
class _File:
    durable: bytearray = field(factory=bytearray)
    unsynced: list[Unsynced] = field(factory=list)

    def image(self, keep: Keep) -> bytes:
        content = bytearray(self.durable)
        for change in self.unsynced:
            for kept in keep(change):
                _apply(content, kept)
        return bytes(content)


def cuts(events: Sequence[Event]) -> Iterator[tuple[int, Callable[[Keep], Mapping[str, bytes]]]]:
    """The disk after a cut behind each number of events, from none to all.

    Gives that number, and a function that makes the files of it.
    """
    files: dict[str, _File] = {}

    def image(keep: Keep) -> Mapping[str, bytes]:
        return {name: file.image(keep) for name, file in files.items()}

    yield 0, image
    for count, event in enumerate(events, 1):
        file = files.setdefault(event.file, _File())
        match event:
            case Write() | Truncate():
                file.unsynced.append(event)
            case Sync():
                file.durable = bytearray(file.image(whole))
                file.unsynced.clear()
            case LostSync():
                file.unsynced.clear()
            case Delete():
                del files[event.file]
        yield count, image


def dropped(change: Unsynced) -> Sequence[Unsynced]:
    """Nothing that was not synced is there."""
    return ()


def whole(change: Unsynced) -> Sequence[Unsynced]:
    """All is there, as after a kill."""
    return (change,)


def some(seed: int) -> Keep:
    """Each write is there or not, as the dice fall."""
    dice = random.Random(seed)
    return lambda change: (change,) if dice.random() < 0.5 else ()


def torn(seed: int) -> Keep:
    """Each sector of each write is there or not, as the dice fall."""
    dice = random.Random(seed)

    def keep(change: Unsynced) -> Sequence[Unsynced]:
        if isinstance(change, Truncate):
            return (change,) if dice.random() < 0.5 else ()
        return [piece for piece in _sectors(change) if dice.random() < 0.5]

    return keep


def _sectors(write: Write) -> Iterator[Write]:
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Write(write.file, start, write.data[start - write.offset : stop - write.offset])
        start = stop


def _apply(content: bytearray, change: Unsynced) -> None:
    if isinstance(change, Truncate):
        del content[change.size :]
        return
    content.extend(bytes(max(change.offset - len(content), 0)))
    content[change.offset : change.offset + len(change.data)] = change.data


def put(image: Mapping[str, bytes], folder: Path) -> None:
    """Make a cut's files in an empty folder."""
    for name, content in image.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
