"""One line for each figure: what was measured, what it is held against, the target.

A figure alone says nothing on a machine that others use at the same time.  So each
one is a ratio to something that was measured in the same run, or a size.  Nothing
here fails: a bench that asserts is a test of the weather.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import quantiles

from attrs import frozen

HEADINGS = ("figure", "ours", "against", "ratio", "target", "")


@frozen
class Figure:
    """One measurement.

    `ours` and `peer` are in `unit`.  With a peer the target is for `ours / peer`,
    without one for `ours` itself.  `at_least` turns the target round.
    """

    what: str
    ours: float
    unit: str
    target: float
    peer: float | None = None
    peer_name: str = ""
    at_least: bool = False

    @property
    def judged(self) -> float:
        """The number that the target is for."""
        return self.ours if self.peer is None else self.ours / self.peer

    @property
    def reached(self) -> bool:
        """Whether the target was reached in this run."""
        return self.judged >= self.target if self.at_least else self.judged <= self.target


def lines(figures: Sequence[Figure]) -> list[str]:
    """A table of figures, as lines of text."""
    rows = [HEADINGS, *(_cells(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of 100 do not exceed; needs two values or more."""
    return quantiles(values, n=100)[percent - 1]


def _cells(figure: Figure) -> tuple[str, ...]:
    bound = "at least" if figure.at_least else "at most"
    if figure.peer is None:
        against, ratio = "-", "-"
        target = f"{bound} {figure.target:g} {figure.unit}"
    else:
        against = f"{_number(figure.peer)} {figure.unit} ({figure.peer_name})"
        ratio = f"{figure.judged:.2f}"
        target = f"{bound} {figure.target:g}"
    ours = f"{_number(figure.ours)} {figure.unit}"
    return figure.what, ours, against, ratio, target, "" if figure.reached else "missed"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
