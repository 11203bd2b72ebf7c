from __future__ import annotations

from hermes.adapters.websocket.throttle import ADDRESSES, FAILURES, WINDOW, Throttle


def failed(throttle: Throttle, address: str, *times: float) -> Throttle:
    """The throttle after failures at these times."""
    for time in times:
        throttle.failed(address, time)
    return throttle


def test_ten_failures_close() -> None:
    """The tenth failure within a minute closes an address, the ninth does not."""
    throttle = failed(Throttle(), "a", *range(FAILURES - 1))
    assert not throttle.closed("a", 10.0)
    assert failed(throttle, "a", 10.0).closed("a", 10.0)


def test_only_that_address_is_closed() -> None:
    """One address that fails does not close another."""
    throttle = failed(Throttle(), "a", *[0.0] * FAILURES)
    assert throttle.closed("a", 1.0)
    assert not throttle.closed("b", 1.0)


def test_it_opens_after_the_window() -> None:
    """A minute after the tenth-last failure the address may try again."""
    throttle = failed(Throttle(), "a", *range(FAILURES))
    assert throttle.closed("a", WINDOW - 0.1)
    assert not throttle.closed("a", WINDOW)


def test_the_window_slides() -> None:
    """Ten failures that are spread over more than a minute close nothing."""
    throttle = failed(Throttle(), "a", *(10.0 * count for count in range(FAILURES)))
    assert not throttle.closed("a", 90.0)


def test_memory_is_bounded() -> None:
    """The addresses that are remembered are bounded; who fails most recently stays."""
    throttle = failed(Throttle(), "old", *[0.0] * FAILURES)
    failed(throttle, "recent", *[0.0] * (FAILURES - 1))
    for number in range(ADDRESSES - 1):
        throttle.failed(f"address {number}", 1.0)
        throttle.failed("recent", 1.0)
    assert not throttle.closed("old", 1.0)
    assert throttle.closed("recent", 1.0)
