"""The store port over SQLite; `SqliteStore` is the face, `open_file` makes its connection."""

from hermes.adapters.store.connection import STORE_NAME, open_file, open_memory
from hermes.adapters.store.executor import Executor, InlineExecutor, ThreadExecutor
from hermes.adapters.store.lock import StateLock
from hermes.adapters.store.sqlite import SqliteStore, StoreStatistics

__all__ = [
    "STORE_NAME",
    "Executor",
    "InlineExecutor",
    "SqliteStore",
    "StateLock",
    "StoreStatistics",
    "ThreadExecutor",
    "open_file",
    "open_memory",
]
