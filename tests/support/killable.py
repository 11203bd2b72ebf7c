"""A real process that dies by SIGKILL at a chosen point of a turn, and what comes after it.

`python -m support.killable ROOT EXECUTOR TIMES` kills a daemon at its first point,
restarts it on the same store, then does the same for its second point, and so on,
until a run ends without having been killed: every point once, none sampled.  With
TIMES 2 the first life always dies in its second tool call, and it is the restart that
is killed at each of its points, and restarted again.  Each point leaves a line of JSON
on standard output: its name, what the repeated prompts answered after the restart, and
what was wrong.

Each life is a fork of one process in which everything is imported already: a fresh
interpreter for each would cost a second.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import trio
from support.after_kill import AfterKill
from support.evidence import Disk, Frame, last_number, numbered, read_disk
from support.kill_points import KillableStream, KillPoints, frames_of
from support.runtime import open_runtime, validator
from support.unsynced import NAME as UNSYNCED
from support.unsynced import UnsyncedDisk
from support.wire import RpcFailed, WireClient
from trio.testing import MockClock

from hermes.adapters.store import STORE_NAME, InlineExecutor, ThreadExecutor, open_file
from hermes.ports.tools import Tool, ToolContext

Story = Callable[[WireClient, WireClient], Awaitable[None]]

KEY = "cli:killed"

#: Two rounds with a call each, and a prompt that waits behind.
PROMPTS = {"one": 'call mark {"n": 1}\nthen\ncall mark {"n": 2}', "two": "count to 3"}

IN_TOOL = "after running the tool"

#: Virtual seconds of a commit: time in which other tasks go on.
COMMIT_SECONDS = 0.001

#: More points than any of these lives has: an endless enumeration is a fault.
MOST_POINTS = 1000


def mark_tool(trace: Path, points: KillPoints) -> Tool:
    """A tool that leaves a line outside at each run, so that a second run shows."""

    async def run(arguments: Mapping[str, object], context: ToolContext) -> str:
        points.reach("before running the tool")
        with trace.open("a") as file:
            file.write(json.dumps(arguments) + "\n")
        points.reach(IN_TOOL)
        await trio.lowlevel.checkpoint()
        return f"marked {arguments['n']}"

    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    return Tool("mark", "Leave a mark.", schema, "marks", run)


class Life:
    """One life of a daemon on the state in `folder`; `number` counts its lives."""

    def __init__(self, folder: Path, number: int, executor: str, kill_at: int | None) -> None:
        self._folder = folder
        self._number = number
        self._inline = executor == "inline"
        self._points = KillPoints(folder / f"points-{number}", kill_at)
        self._connections = 0

    def run(self, story: Story) -> None:
        """Live through a story that is told by two clients."""
        clock = MockClock(autojump_threshold=0) if self._inline else None
        trio.run(self._live, story, clock=clock)

    async def _live(self, story: Story) -> None:
        inline = InlineExecutor(lambda: COMMIT_SECONDS)
        async with (
            open_runtime(
                seed=self._number * 2,
                connection=open_file(self._folder / STORE_NAME, vfs=UNSYNCED),
                executor=inline if self._inline else ThreadExecutor(),
                observe=self._points.reach,
                wire=self._wire,
                tools=[mark_tool(self._folder / "trace", self._points)],
                toolsets=("marks",),
            ) as runtime,
            runtime.client() as client,
            runtime.client() as other,
        ):
            await story(client, other)

    def _wire(self, stream: trio.abc.Stream) -> trio.abc.Stream:
        self._connections += 1
        name = f"sent-{self._number}-{self._connections}"
        return KillableStream(stream, self._points, self._folder / name)


async def first_story(client: WireClient, other: WireClient) -> None:
    """A turn with two tool calls, a prompt that waits behind it, and somebody who watches."""
    session = await client.new(KEY)
    assert await other.new(KEY) == session
    prompts = [await client.begin_prompt(session, text, id=name) for name, text in PROMPTS.items()]
    for prompt in prompts:
        await client.answer(prompt)


class Return:
    """The client that comes back after a kill with what it has, and asks once more."""

    def __init__(self, folder: Path) -> None:
        self._told = sent_frames(folder)
        self._before = disk_of(folder)
        self._after_seq = last_number(sent_frames(folder, connection=1))
        self.answers: dict[str, str | int] = {}
        self._resumed: list[Frame] = []
        self._loaded: list[Frame] = []

    async def story(self, client: WireClient, other: WireClient) -> None:
        """Resume, repeat the prompts, and let somebody else load all there is."""
        known = [frame["result"] for frame in self._told if "sessionId" in frame.get("result", {})]
        if known:
            session = known[0]["sessionId"]
            meta = {"hermes": {"afterSeq": self._after_seq}}
            await client.call("session/resume", _attach(session) | {"_meta": meta})
        else:
            session = await client.new(KEY)
        for name, text in PROMPTS.items():
            try:
                self.answers[name] = await client.prompt(session, text, id=name)
            except RpcFailed as failed:
                self.answers[name] = failed.code
        await other.call("session/load", _attach(session))
        self._resumed, self._loaded = numbered(client.frames), numbered(other.frames)

    def verdict(self, folder: Path) -> list[str]:
        """What is wrong after it."""
        trace = folder / "trace"
        lines = trace.read_text().splitlines() if trace.exists() else []
        return AfterKill(
            told=self._told,
            before=self._before,
            after=disk_of(folder),
            resumed_after=self._after_seq,
            resumed=self._resumed,
            loaded=self._loaded,
            answers=self.answers,
            runs=Counter(lines),
        ).faults()


def _attach(session: str) -> Frame:
    return {"sessionId": session, "cwd": "/", "mcpServers": []}


def sent_frames(folder: Path, connection: int | None = None) -> list[Frame]:
    """All frames that the daemon's lives sent, or those of each life's n-th connection."""
    files = sorted(folder.glob(f"sent-*-{connection or '*'}"))
    return [frame for file in files for frame in frames_of(file.read_bytes())]


def disk_of(folder: Path) -> Disk:
    """What a killed daemon left, read from a copy: reading would mend the original."""
    copy = folder / "copy"
    copy.mkdir()
    for name in (STORE_NAME, STORE_NAME + "-wal"):
        if (folder / name).exists():
            shutil.copy(folder / name, copy / name)
    connection = open_file(copy / STORE_NAME, vfs=UNSYNCED)
    try:
        return read_disk(connection)
    finally:
        connection.close()
        shutil.rmtree(copy)


def killed(run: Callable[[], object]) -> bool:
    """Run something in a fork; whether SIGKILL ended it.

    Raises:
        RuntimeError: it failed; its traceback is on standard error.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run()
            status = 0
        except BaseException:  # noqa: BLE001 - the boundary of a process
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a life ended with status {status}")
    return status != 0


class Enumeration:
    """Goes through all points of a life, in the folder `root`."""

    def __init__(self, root: Path, executor: str) -> None:
        self._root = root
        self._executor = executor

    def kill_once(self) -> None:
        """Kill the first life at each of its points."""
        for n in range(1, MOST_POINTS):
            folder = self._folder(n)
            if not self._live(folder, 1, first_story, n):
                return
            self._examine(folder, 2, n)
        raise RuntimeError("the enumeration does not end")

    def kill_twice(self) -> None:
        """Kill the first life in its second tool call, the second at each of its points."""
        counted = self._folder(0)
        self._live(counted, 1, first_story, None)
        names = (counted / "points-1").read_text().splitlines()
        fixed = names.index(IN_TOOL, names.index(IN_TOOL) + 1) + 1
        for n in range(1, MOST_POINTS):
            folder = self._folder(n)
            self._live(folder, 1, first_story, fixed)
            if not self._live(folder, 2, Return(folder).story, n):
                return
            self._examine(folder, 3, n)
        raise RuntimeError("the enumeration does not end")

    def _folder(self, n: int) -> Path:
        folder = self._root / f"{n:03d}"
        folder.mkdir(mode=0o700)
        return folder

    def _live(self, folder: Path, number: int, story: Story, kill_at: int | None) -> bool:
        return killed(lambda: Life(folder, number, self._executor, kill_at).run(story))

    def _examine(self, folder: Path, number: int, n: int) -> None:
        """Restart after the last kill, and print what is wrong."""

        def examine() -> None:
            back = Return(folder)
            Life(folder, number, self._executor, None).run(back.story)
            points = (folder / f"points-{number - 1}").read_text().splitlines()
            faults = back.verdict(folder)
            print(json.dumps({"point": points[-1], "answers": back.answers, "faults": faults}))

        killed(examine)
        shutil.rmtree(folder)


def main(root: str, executor: str, times: str) -> None:
    """Go through all points."""
    validator()
    disk = UnsyncedDisk()
    # What is frozen is not copied for each fork by a collection in it.
    gc.collect()
    gc.freeze()
    enumeration = Enumeration(Path(root), executor)
    if times == "2":
        enumeration.kill_twice()
    else:
        enumeration.kill_once()
    disk.unregister()


if __name__ == "__main__":
    main(*sys.argv[1:])
