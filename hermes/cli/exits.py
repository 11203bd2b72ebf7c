"""How a command ends: its exit code, and the errors that choose it.

Every error is one line that says what to do next.  The codes are a contract
with scripts (config.md), so they are here once and nowhere else as numbers.
"""

from __future__ import annotations

import enum

from hermes.errors import HermesError


class ExitCode(enum.IntEnum):
    """What the shell sees."""

    DONE = 0
    FAILED = 1
    WRONG_USAGE = 2
    NO_DAEMON = 3


class CommandFailed(HermesError):
    """The command could not do its work."""


class WrongUsage(HermesError):
    """The command was called in a way that it does not understand."""


class NoDaemon(HermesError):
    """There is no daemon to talk to."""


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error stands for."""
    match error:
        case WrongUsage():
            return ExitCode.WRONG_USAGE
        case NoDaemon():
            return ExitCode.NO_DAEMON
        case _:
            return ExitCode.FAILED


def unwrapped(error: BaseException) -> BaseException:
    """The error itself, where nurseries put groups around a single one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
