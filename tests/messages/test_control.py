from __future__ import annotations

from typing import Any

import pytest

from hermes.messages.control import (
    CONTROL_METHODS,
    CloseParams,
    ConfigureParams,
    ControlParams,
    EventKind,
    ListParams,
    NoParams,
    SessionParams,
    SessionState,
    StopTaskParams,
    SubscribeParams,
    SweepParams,
    TimeoutParams,
    structure_control,
)
from hermes.messages.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND, RpcError
from hermes.messages.structure import UNSET


@pytest.mark.parametrize(
    ("method", "params", "value"),
    [
        ("supervisor/status", None, NoParams()),
        ("supervisor/status", {}, NoParams()),
        ("supervisor/configure", None, ConfigureParams(UNSET, UNSET, UNSET)),
        ("supervisor/configure", {"cap": 0}, ConfigureParams(cap=0)),
        ("supervisor/configure", {"cap": None, "idleTtl": 5}, ConfigureParams(None, 5.0)),
        ("supervisor/configure", {"inactivityLimit": 0.5}, ConfigureParams(inactivity_limit=0.5)),
        ("supervisor/sweep", None, SweepParams(None)),
        ("supervisor/sweep", {"olderThan": 0}, SweepParams(0.0)),
        ("supervisor/sweep", {"olderThan": None}, SweepParams(None)),
        ("supervisor/drain", {"timeout": 1.5}, TimeoutParams(1.5)),
        ("sessions/list", {}, ListParams(None, 100, None)),
        ("sessions/list", {"limit": 1000, "state": "idle"}, ListParams(SessionState.IDLE, 1000)),
        ("sessions/list", {"limit": None, "state": None, "cursor": None}, ListParams()),
        ("sessions/inspect", {"session": "cli:a"}, SessionParams("cli:a")),
        ("sessions/release", {"session": "s"}, SessionParams("s")),
        ("sessions/close", {"session": "s"}, CloseParams("s", None)),
        ("sessions/close", {"session": "s", "reason": "old"}, CloseParams("s", "old")),
        ("background/stop", {"task": "bg_1"}, StopTaskParams("bg_1")),
        ("events/subscribe", {"kinds": ["tool"]}, SubscribeParams(None, (EventKind.TOOL,))),
    ],
)
def test_valid_params(method: str, params: dict[str, Any] | None, value: ControlParams) -> None:
    """B11: params of operators arrive; null is absent, but lifts a limit in configure."""
    assert structure_control(method, params) == value


@pytest.mark.parametrize(
    ("method", "params", "path"),
    [
        ("supervisor/status", {"verbose": True}, "verbose"),
        ("supervisor/configure", {"cap": -1}, "cap"),
        ("supervisor/configure", {"cap": 1.5}, "cap"),
        ("supervisor/configure", {"cap": True}, "cap"),
        ("supervisor/configure", {"cap": "none"}, "cap"),
        ("supervisor/configure", {"idleTtl": -0.1}, "idleTtl"),
        ("supervisor/configure", {"idleTtl": "1"}, "idleTtl"),
        ("supervisor/configure", {"idleTtl": False}, "idleTtl"),
        ("supervisor/configure", {"idleTtl": 10**400}, "idleTtl"),
        ("supervisor/configure", {"inactivityLimit": []}, "inactivityLimit"),
        ("supervisor/configure", {"idle_ttl": 1}, "idle_ttl"),
        ("supervisor/sweep", {"olderThan": -1}, "olderThan"),
        ("sessions/list", {"limit": 0}, "limit"),
        ("sessions/list", {"limit": 1001}, "limit"),
        ("sessions/list", {"limit": "5"}, "limit"),
        ("sessions/list", {"state": "asleep"}, "state"),
        ("sessions/inspect", None, "session"),
        ("sessions/inspect", {"session": None}, "session"),
        ("sessions/release", {"session": 5}, "session"),
        ("sessions/close", {"session": "s", "reason": 5}, "reason"),
        ("events/subscribe", {"kinds": ["tool", "x"]}, "kinds[1]"),
        ("events/subscribe", {"kinds": "tool"}, "kinds"),
    ],
)
def test_invalid_params(method: str, params: dict[str, Any] | None, path: str) -> None:
    """Wrong or missing params of operators get -32602 with the path."""
    with pytest.raises(RpcError) as caught:
        structure_control(method, params)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data is not None
    assert caught.value.data["path"] == path


def test_an_unknown_method() -> None:
    """A method that is not in the table gets -32601 with its name."""
    with pytest.raises(RpcError) as caught:
        structure_control("sessions/forget", {})
    assert caught.value.code == METHOD_NOT_FOUND
    assert caught.value.data == {"method": "sessions/forget"}


@pytest.mark.parametrize("method", CONTROL_METHODS)
def test_unknown_params_are_refused_everywhere(method: str) -> None:
    """No method ignores a property that it does not know."""
    params = {"session": "s", "task": "t", "surprise": 1}
    with pytest.raises(RpcError) as caught:
        structure_control(method, params)
    assert caught.value.code == INVALID_PARAMS
