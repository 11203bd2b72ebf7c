"""The state's plain facts: what it is called, whether it is busy, how much waits."""

from __future__ import annotations

import pytest
from attrs import evolve
from support.session_parts import RecordingSink

from hermes.actors.session.messages import Offer
from hermes.actors.session.state import Phase, State, Waiting


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        (Phase.IDLE, "idle"),
        (Phase.BUILDING, "starting"),
        (Phase.RUNNING, "running"),
        (Phase.ENDING, "running"),
        (Phase.RELEASING, "releasing"),
        (Phase.CLOSING, "closing"),
        (Phase.GONE, "dormant"),
    ],
)
def test_names(phase: Phase, name: str) -> None:
    """Each phase has the name that protocol.md gives it."""
    assert State(phase=phase).name == name


def test_the_first_name_that_applies() -> None:
    """Closing comes before quarantined, quarantined before suspended, suspended before the rest."""
    state = State(phase=Phase.RUNNING, suspended=True)
    assert state.name == "suspended"
    state = evolve(state, quarantined=True)
    assert state.name == "quarantined"
    assert evolve(state, phase=Phase.CLOSING).name == "closing"


def test_depth_counts_what_waits() -> None:
    """K2: accepted prompts and those on their way to the disk wait; the running one does not."""
    offer = Offer("x", b"{}", RecordingSink())
    state = State(queue=(Waiting(2, "b"), Waiting(3, "c")), current=Waiting(1, "a"))
    assert state.depth == 2
    assert evolve(state, accepting=(offer,)).depth == 3
    assert state.busy


def test_known_ids() -> None:
    """D5: the ids of all prompts without an end are known, wherever they are."""
    state = State(
        queue=(Waiting(2, "b", "queued"), Waiting(3, "c")),
        current=Waiting(1, "a", "current"),
        accepting=(Offer("x", b"{}", RecordingSink(), "accepting"),),
    )
    assert state.knows == {"queued", "current", "accepting"}
    assert [prompt.number for prompt in state.unanswered] == [1, 2, 3]
