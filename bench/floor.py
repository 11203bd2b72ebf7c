"""The floors: what the libraries cost by themselves, with nothing of ours around them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import httpx

#: A request of the size that a first turn sends.
BODY = json.dumps(
    {
        "model": "mock",
        "messages": [
            {"role": "system", "content": "You are an agent hosted by Hermes. " * 8},
            {"role": "user", "content": "Say fifty words."},
        ],
        "stream": True,
    }
).encode()
HEADERS = {"Content-Type": "application/json"}

#: Bytes of a bare commit's row: a prompt or the end of a turn.
ROW = b"x" * 300


def bare_client() -> httpx.AsyncClient:
    """An HTTP client on Trio, with no limit on its sockets.

    **Resources**: the caller closes it.
    """
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=None), trust_env=False)


async def bare_stream(client: httpx.AsyncClient, base_url: str) -> None:
    """Read one reply of the mock to its end and throw it away."""
    url = f"{base_url}/chat/completions"
    async with client.stream("POST", url, content=BODY, headers=HEADERS) as response:
        async for _ in response.aiter_bytes():
            pass


class BareDisk:
    """A WAL database that is synced at each commit, as the store's is."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def commit(self) -> None:
        """Write one row, synced."""
        self._connection.execute("INSERT INTO rows (body) VALUES (?)", (ROW,))


@contextmanager
def open_disk(folder: Path) -> Iterator[BareDisk]:
    """A bare database in that folder."""
    connection = apsw.Connection(str(folder / "bare.db"))
    try:
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, body BLOB)")
        yield BareDisk(connection)
    finally:
        connection.close()
