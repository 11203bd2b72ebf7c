from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TextIO

import pytest
import trio

from hermes.cli.console import MAX_INPUT_BYTES, open_terminal
from hermes.cli.exits import WrongUsage

Pipes = tuple[TextIO, TextIO, TextIO, TextIO]


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    """What is typed, standard input, standard output, what is shown."""
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    with (
        open(write_in, "w") as typed,
        open(read_in) as stdin,
        open(write_out, "w") as stdout,
        open(read_out) as shown,
    ):
        yield typed, stdin, stdout, shown


@pytest.fixture
def zeros() -> Iterator[TextIO]:
    """An input without end."""
    with open("/dev/zero") as file:
        yield file


async def test_lines_of_a_person(pipes: Pipes) -> None:
    """Lines come one by one, the last without a newline too, then the end."""
    typed, stdin, stdout, shown = pipes
    typed.write("first\nsec\u00f6nd")
    typed.close()
    async with open_terminal(stdin, stdout, stdout, interactive=True) as terminal:
        assert [await terminal.read_line("> ") for _ in range(3)] == ["first", "sec\u00f6nd", None]
        await terminal.error("told")
    stdout.close()
    assert shown.read() == "> > > hermes: told\n"


async def test_a_cancelled_read_loses_nothing(pipes: Pipes) -> None:
    """A line that comes after a read was cancelled is there for the next read."""
    typed, stdin, stdout, _ = pipes
    async with open_terminal(stdin, stdout, stdout, interactive=True) as terminal:
        with trio.CancelScope() as scope:
            scope.cancel()
            await terminal.read_line("")
        typed.write("kept\n")
        typed.flush()
        assert await terminal.read_line("") == "kept"


async def test_a_pipe_is_read_whole(pipes: Pipes) -> None:
    """All of a pipe is one text, with bytes that are no UTF-8 replaced."""
    typed, stdin, stdout, _ = pipes
    typed.buffer.write(b"a\nb\xff")  # type: ignore[attr-defined,unused-ignore]
    typed.close()
    async with open_terminal(stdin, stdout, stdout, interactive=False) as terminal:
        assert await terminal.read_all() == "a\nb\ufffd"


async def test_a_pipe_without_end_is_refused(pipes: Pipes, zeros: TextIO) -> None:
    """More input than a prompt can hold is refused, and not read into memory."""
    _, _, stdout, _ = pipes
    async with open_terminal(zeros, stdout, stdout, interactive=False) as terminal:
        with pytest.raises(WrongUsage, match=str(MAX_INPUT_BYTES)):
            await terminal.read_all()
