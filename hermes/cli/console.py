"""The terminal behind a seam, so that a conversation is tested without one.

Standard input is read with `os.read` in a thread.  Readiness of the descriptor
was tried instead: epoll refuses plain files and /dev/null.  A thread blocked in
`sys.stdin.readline` was tried too: it holds the lock of Python's buffer, and an
interpreter that exits meanwhile aborts.  A thread in `os.read` holds nothing, so
it is simply abandoned when the conversation ends.  It costs that the line after
the last one may be eaten, when nobody reads any more.  Output goes through a
thread as well: `hermes serve --chat` shares its loop with the daemon, and a
terminal that is paused must not stop that.
"""

from __future__ import annotations

import codecs
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol, TextIO

import trio

from hermes.cli.exits import WrongUsage, unwrapped

READ_BYTES = 65_536

# A prompt travels in one frame, and the daemon takes no larger one.
MAX_INPUT_BYTES = 1_048_576


class Console(Protocol):
    """Where a conversation is read and written."""

    @property
    def interactive(self) -> bool:
        """Whether a person types, or a pipe holds one prompt."""
        ...

    @property
    def colour(self) -> bool:
        """Whether dim text can be shown."""
        ...

    async def read_line(self, prompt: str) -> str | None:
        """Ask for a line; None at the end of the input.

        **Cancellation**: what was typed is there for the next call.
        """
        ...

    async def read_all(self) -> str:
        """All of the input."""
        ...

    async def write(self, text: str) -> None:
        """Write to standard output, at once."""
        ...

    async def error(self, line: str) -> None:
        """Write one line to standard error, after `hermes: `."""
        ...

    async def wait_interrupt(self) -> None:
        """Wait for the next Ctrl-C."""
        ...


class Terminal:
    """The console of real descriptors; made by `open_terminal`."""

    def __init__(
        self,
        stdin: int,
        stdout: int,
        stderr: int,
        signals: AsyncIterator[int],
        *,
        interactive: bool,
    ) -> None:
        self.interactive = interactive
        self.colour = interactive and os.isatty(stdout)
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._signals = signals
        # No buffer: the reader is one line ahead, the kernel keeps the rest.
        self._typed, self._lines = trio.open_memory_channel[str](0)

    async def read_line(self, prompt: str) -> str | None:
        """Ask for a line; None at the end of the input."""
        await self.write(prompt)
        try:
            return await self._lines.receive()
        except trio.EndOfChannel:
            return None

    async def read_all(self) -> str:
        """All of the input.

        Raises:
            WrongUsage: it is more than fits in one prompt.
        """
        data = bytearray()
        while block := await self._read():
            data += block
            if len(data) > MAX_INPUT_BYTES:
                raise WrongUsage(
                    f"standard input has more than {MAX_INPUT_BYTES} bytes: "
                    "put them in a file and name the file in the prompt"
                )
        return data.decode(errors="replace")

    async def write(self, text: str) -> None:
        """Write to standard output, at once."""
        await self._write(self._stdout, text)

    async def error(self, line: str) -> None:
        """Write one line to standard error, after `hermes: `."""
        await self._write(self._stderr, f"hermes: {line}\n")

    async def wait_interrupt(self) -> None:
        """Wait for the next Ctrl-C; one that came while nobody waited counts."""
        await anext(self._signals)

    async def feed_lines(self) -> None:
        """Read standard input line by line to its end; run by `open_terminal`."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        async with self._typed:
            while block := await self._read():
                *lines, rest = (rest + decoder.decode(block)).split("\n")
                for line in lines:
                    await self._typed.send(line)
            if rest:
                await self._typed.send(rest)

    async def _read(self) -> bytes:
        return await trio.to_thread.run_sync(
            os.read, self._stdin, READ_BYTES, abandon_on_cancel=True
        )

    async def _write(self, descriptor: int, text: str) -> None:
        if text:
            data = text.encode(errors="replace")
            await trio.to_thread.run_sync(_write_all, descriptor, data, abandon_on_cancel=True)


@asynccontextmanager
async def open_terminal(
    stdin: TextIO, stdout: TextIO, stderr: TextIO, *, interactive: bool
) -> AsyncIterator[Terminal]:
    """The console of three files that have descriptors; takes Ctrl-C over while it is open.

    **Resources**: the files stay open.  It must be opened in the main thread.
    """
    stdout.flush()
    stderr.flush()
    try:
        with trio.open_signal_receiver(signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                terminal = Terminal(
                    stdin.fileno(),
                    stdout.fileno(),
                    stderr.fileno(),
                    signals,
                    interactive=interactive,
                )
                if interactive:
                    nursery.start_soon(terminal.feed_lines)
                yield terminal
                nursery.cancel_scope.cancel()
    except io.UnsupportedOperation as error:
        raise WrongUsage("standard input and output must be files, pipes or terminals") from error
    except BaseExceptionGroup as group:
        raise unwrapped(group) from group.__cause__


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
