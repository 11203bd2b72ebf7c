"""Params of the `/control` methods, as attrs classes, with the rules of the wire.

A null counts as absent, except in `configure`, where it lifts a limit; there UNSET
says that a limit stays as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

import cattrs
from attrs import field, frozen

from hermes.messages.jsonrpc import invalid_params, method_not_found
from hermes.messages.structure import (
    UNSET,
    Expected,
    Unset,
    at_least,
    between,
    first_problem,
    make_converter,
)

DEFAULT_PAGE = 100
MAX_PAGE = 1000  # protocol.md; a page of them is some 400 KB, well under a frame


class SessionState(enum.StrEnum):
    """What a session is doing; of those that apply it is the first."""

    CLOSING = "closing"
    QUARANTINED = "quarantined"
    SUSPENDED = "suspended"
    RELEASING = "releasing"
    WAITING = "waiting"
    RUNNING = "running"
    QUEUED = "queued"
    STARTING = "starting"
    IDLE = "idle"
    DORMANT = "dormant"


class EventKind(enum.StrEnum):
    """What happened, in an `event` notification."""

    SESSION_STARTED = "session_started"
    PROMPT = "prompt"
    TURN_STARTED = "turn_started"
    TURN_ENDED = "turn_ended"
    TOOL = "tool"
    RELEASED = "released"
    BUSY = "busy"
    REBUILT = "rebuilt"
    FALLBACK = "fallback"
    RESTORED = "restored"
    RECOVERED = "recovered"
    RESTARTED = "restarted"
    QUARANTINED = "quarantined"
    CLOSED = "closed"
    WARNING = "warning"


@frozen
class NoParams:
    """Methods that take none."""


@frozen
class ConfigureParams:
    """`supervisor/configure`: None lifts a limit, UNSET leaves it; times in seconds."""

    cap: int | Unset | None = field(default=UNSET, validator=at_least(0))
    idle_ttl: float | Unset | None = field(default=UNSET, validator=at_least(0))
    inactivity_limit: float | Unset | None = field(default=UNSET, validator=at_least(0))


@frozen
class SweepParams:
    """`supervisor/sweep`: seconds of idleness; None is the time-to-live, 0 asks all."""

    older_than: float | None = field(default=None, validator=at_least(0))


@frozen
class TimeoutParams:
    """`supervisor/drain` and `supervisor/shutdown`; seconds, None is the configured time."""

    timeout: float | None = field(default=None, validator=at_least(0))


@frozen
class ListParams:
    """`sessions/list`."""

    state: SessionState | None = None
    limit: int = field(default=DEFAULT_PAGE, validator=between(1, MAX_PAGE))
    cursor: str | None = None


@frozen
class SessionParams:
    """Methods on one session, named by its id or its key."""

    session: str


@frozen
class CloseParams:
    """`sessions/close`; `reason` is kept for people to read."""

    session: str
    reason: str | None = None


@frozen
class StopTaskParams:
    """`background/stop`."""

    task: str


@frozen
class SubscribeParams:
    """`events/subscribe`; None is all sessions, or all kinds."""

    session: str | None = None
    kinds: tuple[EventKind, ...] | None = None


ControlParams = (
    NoParams
    | ConfigureParams
    | SweepParams
    | TimeoutParams
    | ListParams
    | SessionParams
    | CloseParams
    | StopTaskParams
    | SubscribeParams
)

CONTROL_METHODS: Mapping[str, type[Any]] = {
    "supervisor/status": NoParams,
    "supervisor/configure": ConfigureParams,
    "supervisor/sweep": SweepParams,
    "supervisor/reload": NoParams,
    "supervisor/drain": TimeoutParams,
    "supervisor/resume": NoParams,
    "supervisor/shutdown": TimeoutParams,
    "sessions/list": ListParams,
    "sessions/inspect": SessionParams,
    "sessions/release": SessionParams,
    "sessions/close": CloseParams,
    "sessions/interrupt": SessionParams,
    "sessions/suspend": SessionParams,
    "sessions/resume": SessionParams,
    "background/list": NoParams,
    "background/stop": StopTaskParams,
    "events/subscribe": SubscribeParams,
    "events/unsubscribe": NoParams,
}

_CONVERTER = make_converter()


def structure_control(method: str, params: Mapping[str, object] | None) -> ControlParams:
    """The params of a `/control` method as its class; absent params count as `{}`.

    Raises:
        RpcError: -32601 for a method that is not in `CONTROL_METHODS`, -32602 with
            the path of the first problem.
    """
    kind = CONTROL_METHODS.get(method)
    if kind is None:
        raise method_not_found(method)
    members = dict(params or {})
    if kind is not ConfigureParams:
        members = {name: value for name, value in members.items() if value is not None}
    try:
        value: ControlParams = _CONVERTER.structure(members, kind)
    except (cattrs.BaseValidationError, Expected) as error:
        raise invalid_params(*first_problem(error)) from None
    return value
