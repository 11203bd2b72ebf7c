from __future__ import annotations

import pytest

from hermes.cli.table import cell, duration, render, size, table


def test_columns_are_aligned() -> None:
    """A table has aligned columns and no blanks at the ends of its lines."""
    assert table(("key", "n"), [("a:1", "1"), ("b:22", "")]) == "KEY   N\na:1   1\nb:22"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.254, "0.25s"),
        (59.9, "59.9s"),
        (245, "4m05s"),
        (4800, "1h20m"),
        (273600, "3d04h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    """A duration is shown in the two units that matter."""
    assert duration(seconds) == text


def test_sizes() -> None:
    """Bytes are shown in the largest unit."""
    assert [size(100), size(2048), size(5 * 1024**3)] == ["100 B", "2 KiB", "5.0 GiB"]


def test_a_result_is_pairs_and_tables() -> None:
    """Objects within objects are dotted, lists of objects are tables, null is a dash."""
    text = render(
        {
            "cap": None,
            "sessions": {"live": 2},
            "pools": {},
            "steps": [{"step": "turn", "seconds": 0.5}, {"step": "actor", "outcome": "ok"}],
        }
    )
    assert text == (
        "cap            -\nsessions.live  2\npools          -\n\n"
        "STEP   SECONDS  OUTCOME\nturn   0.5s     -\nactor  -        ok"
    )


def test_an_empty_result_is_done() -> None:
    """A method without a result says that it is done."""
    assert render({}) == "done"


def test_cells_cannot_write_to_the_terminal() -> None:
    """What others wrote is escaped, and lists are one cell."""
    assert cell("model", "a\x1b\n") == "a\\x1b\\n"
    assert cell("released", ["a", "b"]) == "a, b"
    assert cell("released", []) == "-"
    assert cell("busy", True) == "yes"


def test_a_count_is_no_duration() -> None:
    """Durations are floats on the wire, so a count of the same name stays a count."""
    assert (cell("idle", 4.0), cell("idle", 4)) == ("4s", "4")
