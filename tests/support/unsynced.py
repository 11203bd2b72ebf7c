"""A file system that never syncs, for tests of kills.

A killed process loses nothing that it has written, synced or not: leaving the syncs
out changes nothing that such a test can see, and takes two thirds of its time away.
"""

from __future__ import annotations

import apsw

NAME = "unsynced"


class UnsyncedFile(apsw.VFSFile):
    """A file whose syncs do nothing."""

    def xSync(self, flags: int) -> None:
        """Leave it to the system."""


class UnsyncedDisk(apsw.VFS):
    """The default file system, without its syncs; it is registered under `NAME`."""

    def __init__(self) -> None:
        super().__init__(NAME, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> UnsyncedFile:
        """Open a file of the default file system."""
        return UnsyncedFile("", name, flags)
