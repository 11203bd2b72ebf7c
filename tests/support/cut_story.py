"""A story that a disk's power is cut in, and what the store must still know afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import trio
from attrs import define, field
from support.evidence import acknowledged, numbered, on_disk, read_disk, span
from support.power_cut import NAME, PowerCutDisk
from support.runtime import open_runtime
from support.told import Told
from support.unsynced import NAME as UNSYNCED
from support.wire import RpcFailed
from trio_websocket import ConnectionClosed

from hermes.adapters.store import STORE_NAME, open_file
from hermes.adapters.store.database import Database
from hermes.adapters.store.marks import prepare
from hermes.adapters.store.operations import perform
from hermes.ports.store import LoadSession
from hermes.ports.tools import Tool, ToolContext

KEY = "cli:cut"

# Two turns with tool calls and one with many deltas, one behind the other.
PROMPTS = {
    "one": 'call mark {"n": 1}\nthen\ncall mark {"n": 2}',
    "two": "slow 0.01 count to 40",
    "three": 'call mark {"n": 3}\ncall mark {"n": 4}',
}

# Pages in the log before a checkpoint: several fall into the story.
CHECKPOINT = 24


@define
class Story:
    """What was done with a disk, what clients were told meanwhile, which tools ran when.

    `refused` are the errors that the client got.
    """

    disk: PowerCutDisk
    told: Told
    runs: list[tuple[int, object]] = field(factory=list)
    refused: list[Exception] = field(factory=list)

    def ran(self, until: int) -> list[object]:
        """The tool calls that had run when that many events had happened."""
        return [n for at, n in self.runs if at <= until]


def mark_tool(ran: Callable[[object], None]) -> Tool:
    """A tool that notes that it ran."""

    async def run(arguments: Mapping[str, object], context: ToolContext) -> str:
        ran(arguments["n"])
        await trio.lowlevel.checkpoint()
        return "marked"

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return Tool("mark", "Leave a mark.", schema, "marks", run)


async def tell(story: Story, folder: Path) -> None:
    """Run from a fresh store to an orderly end; what a failing disk refuses is passed over."""
    connection = open_file(folder / STORE_NAME, vfs=NAME)
    connection.wal_autocheckpoint(CHECKPOINT)
    disk = story.disk
    async with (
        open_runtime(
            connection=connection,
            store_delay=lambda: 0.001,
            wire=story.told.wire,
            tools=[mark_tool(lambda n: story.runs.append((len(disk.events), n)))],
            toolsets=("marks",),
        ) as runtime,
        runtime.client() as client,
    ):
        try:
            session = await client.new(KEY)
            asked = [await client.begin_prompt(session, t, id=n) for n, t in PROMPTS.items()]
        except (RpcFailed, ConnectionError, ConnectionClosed) as error:
            story.refused.append(error)
            return
        for prompt in asked:
            try:
                await client.answer(prompt)
            except (RpcFailed, ConnectionError) as error:
                story.refused.append(error)


def faults(story: Story, count: int, folder: Path) -> Iterator[str]:
    """What a store that a cut left contradicts of what was told before it."""
    connection = open_file(folder / STORE_NAME, vfs=UNSYNCED)
    prepare(connection, "another boot")
    disk = read_disk(connection)
    frames = story.told.until(count)
    if disk.integrity != "ok":
        yield f"not whole: {disk.integrity}"
    for name in acknowledged(frames):
        if name not in disk.prompts:
            yield f"{name} was acknowledged and is lost"
    answers = [frame for frame in frames if "stopReason" in frame.get("result", {})]
    ended = [name for name, state in disk.states.items() if state == "answered"]
    if len(ended) < len(answers):
        yield f"{len(answers)} prompts were answered, {ended} are on disk"
    for n in story.ran(count):
        if f'{{"n": {n}}}' not in disk.calls:
            yield f"call {n} ran and its start is lost"
    for session in {params["sessionId"] for params in numbered(frames)}:
        row = perform(Database(connection), LoadSession(session))
        if row is None:
            yield "the session is lost"
            continue
        stored = {
            number for update in disk.updates for number in range(update.first_seq, update.seq + 1)
        }
        for params in numbered(frames):
            first, last = span(params)
            if stored.issuperset(range(first, last + 1)):
                if not on_disk(params, disk.updates):
                    yield f"{params} is on disk with other content"
            elif row.last_seq < last:
                yield f"number {last} was sent and will be given again"
    connection.close()
