from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from support.power_cut import PowerCutDisk
from support.unsynced import UnsyncedDisk


@pytest.fixture(scope="module")
def unsynced() -> Iterator[None]:
    """The file system that never syncs is there."""
    disk = UnsyncedDisk()
    yield
    disk.unregister()


@pytest.fixture
def disk() -> Iterator[PowerCutDisk]:
    """The file system whose power can be cut; what is there already is out of `gc`'s way."""
    gc.collect()
    gc.freeze()
    disk = PowerCutDisk()
    yield disk
    disk.unregister()
    gc.unfreeze()
