"""Whom to release, against a plain oracle and over random histories."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermes.supervisor.registry import Registry
from hermes.supervisor.residency import Limits, Resident, idle_for, plan

residents = st.lists(
    st.builds(
        Resident,
        session=st.uuids().map(str),
        busy=st.booleans(),
        releasing=st.booleans(),
        last_activity=st.none() | st.floats(0, 1000),
    ),
    max_size=12,
    unique_by=lambda one: one.session,
)
limits = st.builds(Limits, st.none() | st.integers(0, 12), st.none() | st.floats(0, 1000))


def oracle(
    there: list[Resident], bounds: Limits, now: float
) -> tuple[list[str], list[str], int, int]:
    """The rows B1, B3, B4 and B7, word by word: asked for the cap, asked for idleness, how many
    were passed over, how many there are too many.
    """
    candidates = [one for one in there if not one.releasing]
    too_many = 0
    while bounds.cap is not None and len(candidates) - too_many > bounds.cap:
        too_many += 1
    window, rest = candidates[:too_many], candidates[too_many:]
    over = [one.session for one in window if not one.busy]
    old = []
    for one in rest:
        if bounds.idle_ttl is None or one.busy or one.last_activity is None:
            continue
        if one.last_activity + bounds.idle_ttl <= now:
            old.append(one.session)
    return over, old, sum(one.busy for one in window), too_many


@given(residents, limits, st.floats(0, 3000))
def test_against_the_oracle(there: list[Resident], bounds: Limits, now: float) -> None:
    """B1, B3, B4, B7, B8: exactly those that the rows name are asked, in order."""
    due = plan(there, bounds, now)
    assert (list(due.over_cap), list(due.expired), due.mid_turn, due.excess) == oracle(
        there, bounds, now
    )


@given(residents, limits, st.floats(0, 3000))
def test_nobody_is_asked_in_vain(there: list[Resident], bounds: Limits, now: float) -> None:
    """B3, B5: nobody busy or asked already is asked, nobody twice, and never more than it takes
    to come down to the cap.
    """
    due = plan(there, bounds, now)
    asked = [*due.over_cap, *due.expired]
    assert len(set(asked)) == len(asked)
    free = {one.session for one in there if not one.busy and not one.releasing}
    assert set(asked) <= free
    staying = sum(1 for one in there if not one.releasing)
    if bounds.cap is not None:
        assert staying - len(due.over_cap) >= min(staying, bounds.cap)


def test_the_window() -> None:
    """B3: a busy one in the window is passed over, and no newer one taken in its place."""
    there = [Resident("old", busy=True), Resident("middle"), Resident("new")]
    due = plan(there, Limits(cap=1), 0)
    assert due.over_cap == ("middle",)
    assert due.mid_turn == 1


def test_the_warning() -> None:
    """B4: where the window is not empty after asking, the warning says `mid-turn` and counts."""
    there = [Resident("a", busy=True), Resident("b", busy=True), Resident("c")]
    warning = plan(there, Limits(cap=1), 0).warning
    assert warning is not None
    assert "mid-turn" in warning
    assert warning.count("2") == 2
    assert plan(there, Limits(cap=3), 0).warning is None


def test_zero_is_an_activity() -> None:
    """B7: an activity at clock reading 0.0 counts, none at all is left alone, fresh ones stay."""
    there = [
        Resident("zero", last_activity=0.0),
        Resident("none"),
        Resident("new", last_activity=9),
    ]
    assert plan(there, Limits(None, 10), 10).expired == ("zero",)
    assert plan(there, Limits(None, 10), 9.9).expired == ()


def test_no_limits() -> None:
    """B8: without a cap and a time-to-live nobody is asked."""
    there = [Resident(str(number), last_activity=0.0) for number in range(200)]
    assert plan(there, Limits(None, None), 1e9).over_cap == ()
    assert plan(there, Limits(None, None), 1e9).expired == ()


@given(st.floats(0, 1e7), st.floats(0, 1e5))
def test_the_timer_finds_somebody(last: float, ttl: float) -> None:
    """B7, B12: at the very moment for which the timer is set, the agent has expired."""
    assert idle_for([Resident("a", last_activity=last)], ttl, last + ttl) == ("a",)


steps = st.lists(
    st.tuples(
        st.sampled_from(["prompt", "end", "configure", "pass"]),
        st.integers(0, 7),
        st.none() | st.integers(0, 4),
    ),
    max_size=60,
)


@given(steps)
def test_over_random_histories(history: list[tuple[str, int, int | None]]) -> None:
    """B1, B2, B5: whatever happened, once all turns are over those who stay are the `cap` most
    recently used, and nobody was released in mid-turn.
    """
    registry, now = Registry(), 0.0
    bounds = Limits(cap=2, idle_ttl=None)
    order: list[str] = []
    running: set[str] = set()

    def look() -> None:
        for name in plan(registry.residents(), bounds, now).over_cap:
            assert name not in running
            registry.asked(name)
            registry.released(name)

    def end(name: str) -> None:
        if name in running:
            running.discard(name)
            registry.ended(name, now)
            look()

    for kind, number, cap in history:
        name = f"session {number}"
        now += 1
        if kind == "prompt" and name not in running:
            registry.touched(name)
            order = [*(other for other in order if other != name), name]
            registry.began(name)
            registry.built(name)
            running.add(name)
        elif kind == "end":
            end(name)
        elif kind == "configure":
            bounds = Limits(cap=cap, idle_ttl=None)
        look()
    for name in sorted(running):
        end(name)
    staying = [one.session for one in registry.residents()]
    assert staying == [name for name in order if name in staying]
    if bounds.cap is not None:
        assert len(staying) <= bounds.cap
    if all(kind != "configure" for kind, _, _ in history):
        assert staying == order[-2:]
