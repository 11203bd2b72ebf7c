from __future__ import annotations

from hermes.actors import StepReport
from hermes.actors.session.inspection import Inspection, Marked, TurnInspection
from hermes.adapters.websocket import views
from hermes.ports.store import SessionRow
from hermes.supervisor.residency import Limits

#: protocol.md, `sessions/list` and what `sessions/inspect` has besides.
ROW = {
    "id", "key", "state", "resident", "busy", "mailboxDepth", "idle", "turns", "lastSeq", "model",
    "fallback", "createdAt",
}  # fmt: skip
MORE = {
    "signature", "promptHash", "messages", "tokens", "cacheRead", "resources", "children",
    "clients", "turn", "modelRequests", "lastRelease", "lastRebuild",
}  # fmt: skip


def seen(**more: object) -> Inspection:
    """A session, as it is seen."""
    facts: dict[str, object] = {
        "id": "ses_1",
        "key": "cli:a",
        "owner": "local",
        "state": "idle",
        "resident": True,
        "busy": False,
        "mailbox_depth": 0,
        "idle": 1.5,
        "turns": 2,
        "last_seq": 7,
        "created_at": 9.0,
        **more,
    }
    return Inspection(**facts)  # type: ignore[arg-type]


def test_every_field_of_a_row_is_named() -> None:
    """Results name every field, null where it does not apply."""
    assert set(views.row(seen())) == ROW
    assert views.row(seen(idle=None))["idle"] is None


def test_every_field_of_an_inspection_is_named() -> None:
    """An inspection is a row and more, null where it does not apply."""
    view = views.inspection(seen())
    assert set(view) == ROW | MORE
    assert (view["turn"], view["lastRelease"], view["lastRebuild"]) == (None, None, None)


def test_a_running_turn_and_the_past() -> None:
    """A turn, the last release and the last rebuild are told with their causes."""
    view = views.inspection(
        seen(
            turn=TurnInspection(1.0, 2, "thinking", 0.5, 3),
            last_release=Marked("cap", 4.0),
            last_rebuild=Marked("configuration", 5.0),
        )
    )
    turn = view["turn"]
    assert isinstance(turn, dict)
    assert {"age", "depth", "activity", "modelCalls"} <= set(turn)
    assert view["lastRelease"] == {"cause": "cap", "at": 4.0}
    assert view["lastRebuild"] == {"reason": "configuration", "at": 5.0}


def row(**more: bool) -> SessionRow:
    return SessionRow("ses_1", "cli:a", "local", "/", "task_1", 9.0, "con_1", **more)  # type: ignore[arg-type]


def test_the_state_of_a_dormant_session() -> None:
    """The first of quarantined, suspended and dormant that applies is its state."""
    assert views.dormant(row()).state == "dormant"
    assert views.dormant(row(suspended=True)).state == "suspended"
    assert views.dormant(row(suspended=True, quarantined=True)).state == "quarantined"


def test_limits() -> None:
    """A limit that is lifted is null."""
    assert views.limits(Limits(None, 3.0), None) == {
        "cap": None, "idleTtl": 3.0, "inactivityLimit": None,
    }  # fmt: skip


def test_the_steps_of_a_close() -> None:
    """R3: each step is told with its time and its outcome."""
    report = StepReport("turn", 0.1, "done")
    assert views.steps([report]) == [{"step": "turn", "seconds": 0.1, "outcome": "done"}]
