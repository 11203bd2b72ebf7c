"""The inactivity clock of a turn, as plain data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermes.actors.session.activity import Activity, begin


def test_a_fresh_turn_says_so() -> None:
    """A1: a fresh turn starts the clock anew, and says whether its agent is a reused one."""
    assert begin(5.0, cached=False) == Activity(5.0, 5.0, "starting new turn")
    assert begin(5.0, cached=True) == Activity(5.0, 5.0, "starting new turn (cached)")


def test_an_interruption_inherits() -> None:
    """A2: an interruption keeps the clock and the description until its own sign of life."""
    stuck = begin(0.0, cached=True).alive(10.0, "running terminal")
    turn = begin(500.0, cached=True, interrupted=stuck)
    assert (turn.silent(500.0), turn.what, turn.inherited) == (490.0, "running terminal", True)
    alive = turn.alive(501.0, "receiving from the model")
    assert (alive.silent(502.0), alive.what) == (1.0, "receiving from the model")
    assert not alive.inherited


def test_model_calls_begin_at_zero() -> None:
    """A3: model calls are counted from 0 in every turn, an interruption's too."""
    stuck = begin(0.0, cached=True).model_called().model_called()
    assert stuck.model_calls == 2
    assert begin(1.0, cached=True, interrupted=stuck).model_calls == 0


@given(st.lists(st.floats(0.1, 100), min_size=1, max_size=30), st.floats(0, 50))
def test_at_any_depth(gaps: list[float], last: float) -> None:
    """A2, A3: however often a stuck turn is interrupted, its silence only grows."""
    activity = begin(0.0, cached=False).alive(last, "stuck")
    now = last
    for depth, gap in enumerate(gaps, start=1):
        activity = begin(now := now + gap, cached=True, interrupted=activity.model_called())
        assert activity.silent(now) == now - last
        assert (activity.what, activity.depth, activity.model_calls) == ("stuck", depth, 0)
