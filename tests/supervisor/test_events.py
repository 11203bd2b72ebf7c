"""Events: numbered, in order, to everyone who listens."""

from __future__ import annotations

from hermes.supervisor.events import Event, Events


def test_numbered_for_everyone() -> None:
    """Each listener gets every event from when it came, with one numbering for all."""
    events = Events(lambda: 12.5)
    first: list[Event] = []
    second: list[Event] = []
    events.listen(first.append)
    events.publish("prompt", "ses_1")
    events.listen(second.append)
    events.publish("warning", message="hot")
    assert [event.seq for event in first] == [1, 2]
    assert second == [Event(2, 12.5, "warning", None, {"message": "hot"})]
    assert first[1] is second[0]


def test_a_listener_may_stop() -> None:
    """Who has stopped listening gets nothing more, and stopping twice is harmless."""
    events = Events(lambda: 0.0)
    seen: list[Event] = []
    stop = events.listen(seen.append)
    stop()
    stop()
    events.publish("prompt")
    assert seen == []


def test_a_listener_may_stop_in_the_middle() -> None:
    """A listener that stops itself while an event is given disturbs no other."""
    events = Events(lambda: 0.0)
    seen: list[str] = []

    def once(event: Event) -> None:
        seen.append("once")
        stop()

    stop = events.listen(once)
    events.listen(lambda event: seen.append("always"))
    events.publish("a")
    events.publish("b")
    assert seen == ["once", "always", "always"]
