"""What the supervisor knows of live sessions, as plain data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermes.supervisor.registry import Population, Registry


def names(registry: Registry) -> list[str]:
    """The residents, the least recently used first."""
    return [one.session for one in registry.residents()]


def test_a_message_makes_the_most_recently_used() -> None:
    """B2: residents are in the order of their last message, not of their building."""
    registry = Registry()
    for name in "abc":
        registry.touched(name)
        registry.built(name)
    registry.touched("a")
    assert names(registry) == ["b", "c", "a"]
    registry.built("b")
    assert names(registry) == ["b", "c", "a"]


def test_only_built_ones_are_resident() -> None:
    """B6: a session under construction is no resident, and is one once it is built."""
    registry = Registry()
    registry.touched("a")
    registry.began("a")
    assert registry.residents() == []
    assert registry.staying == 0
    registry.built("a")
    (resident,) = registry.residents()
    assert resident.busy
    assert registry.staying == 1


def test_the_oldest_idle() -> None:
    """B7, B12: the longest idle is known without looking at all; who is busy or asked is none."""
    registry = Registry()
    for at, name in enumerate("abc"):
        registry.began(name)
        registry.built(name)
        registry.ended(name, float(at))
    assert registry.oldest_idle == 0.0
    registry.began("a")
    assert registry.oldest_idle == 1.0
    registry.asked("b")
    assert registry.oldest_idle == 2.0
    registry.refused("b")
    registry.ended("a", 10.0)
    registry.released("c")
    assert registry.oldest_idle == 10.0


def test_a_refusal_means_busy() -> None:
    """B5: who answered busy is busy until its turn's end is told."""
    registry = Registry()
    registry.built("a")
    registry.asked("a")
    assert registry.staying == 0
    registry.refused("a")
    assert registry.staying == 1
    assert registry.residents()[0].busy
    registry.ended("a", 1.0)
    assert not registry.residents()[0].busy


def test_gone() -> None:
    """B12: nothing is kept of a session that has no actor, late news included."""
    registry = Registry()
    registry.touched("a")
    registry.built("a")
    registry.gone("a")
    registry.gone("a")
    registry.released("a")
    registry.refused("a")
    registry.ended("a", 1.0)
    assert registry.population == Population(0, 0, 0)
    assert registry.oldest_idle is None


calls = st.lists(
    st.tuples(
        st.sampled_from(
            ["touched", "built", "began", "ended", "asked", "refused", "released", "gone"]
        ),
        st.sampled_from("abcd"),
    ),
    max_size=60,
)


@given(calls)
def test_counts_agree(history: list[tuple[str, str]]) -> None:
    """B1, B12: the counters and the order of idleness are those that counting everyone gives."""
    registry = Registry()
    for now, (call, name) in enumerate(history):
        if call == "ended":
            registry.ended(name, float(now))
        elif call == "built":
            # An agent is built for a turn.
            registry.began(name)
            registry.built(name)
        else:
            getattr(registry, call)(name)
        there = registry.residents()
        assert registry.population.resident == len(there)
        idle = [
            one.last_activity
            for one in there
            if not one.busy and not one.releasing and one.last_activity is not None
        ]
        assert registry.oldest_idle == min(idle, default=None)
