"""Restart intensity as plain data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermes.actors import Intensity


def crash(times: list[float]) -> Intensity:
    """An actor that crashed at these times."""
    intensity = Intensity()
    for at in times:
        intensity = intensity.crashed(at)
    return intensity


def test_five_are_forgiven() -> None:
    """K4: five crashes at once are forgiven, the sixth is not."""
    assert not crash([0.0] * 5).exceeded
    assert crash([0.0] * 6).exceeded


def test_the_window_slides() -> None:
    """K4: crashes that are 10 s old no longer count."""
    assert crash([0, 1, 2, 3, 4, 9.9]).exceeded
    assert not crash([0, 1, 2, 3, 4, 10]).exceeded


def test_what_may_be_forgotten() -> None:
    """K4: once its last crash is 10 s old nothing of an actor has to be kept."""
    assert not Intensity().counts(0)
    assert crash([0, 1]).counts(10.9)
    assert not crash([0, 1]).counts(11)


@given(st.lists(st.floats(0, 5), max_size=40))
def test_against_counting(gaps: list[float]) -> None:
    """K4: exceeded exactly where more than 5 crashes fall into the last 10 s."""
    times: list[float] = []
    for gap in gaps:
        times.append((times[-1] if times else 0.0) + gap)
        recent = [at for at in times if times[-1] - at < 10]
        assert crash(times).exceeded == (len(recent) > 5)
