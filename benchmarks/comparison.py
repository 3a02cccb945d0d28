"""A row of the table: what is measured, against what, and the ratio that is hoped for.

Everything of a row is measured in turns, A B C A B C, and a ratio is taken within a turn, so that a machine that is
busy for a while slows both sides of it. Clocks decide nothing here: they are printed. Only a `Check` holds or does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

Figures = Mapping[str, float]
"""Name -> seconds or bytes, of one measurement."""
Measure = Callable[[], Figures]
Unit = Literal["s", "B"]

OURS = "seqtui"
"""The figure that goals are about, where they name no other."""


class Goal(NamedTuple):
    """One figure is to be at most so many times another."""

    yardstick: str
    limit: float
    figure: str = OURS
    is_of_all: bool = False
    """Whether every turn is held to it, not the median of them."""


class Line(NamedTuple):
    """What is printed of one goal."""

    row: str
    seqtui: str
    yardstick: str
    ratio: float | None
    """The median over all turns; None where there is none."""
    lowest: float | None
    highest: float | None
    goal: str
    is_met: bool | None
    """None where it could not be measured."""


@dataclass(frozen=True, slots=True)
class Row:
    """Figures measured in turns, and their goals."""

    name: str
    goals: tuple[Goal, ...]
    prepare: Callable[[Path], AbstractContextManager[Sequence[Measure]]]
    """Makes ready in a folder what is measured, and gives one measurement for each side. One whose program is not
    installed is left out."""
    unit: Unit = "s"

    def run(self, folder: Path, turns: int) -> Iterator[Line]:
        """Measure so many turns, then give a line a goal."""
        with self.prepare(folder) as measures:
            # each turn begins with another side: what a heavy peer leaves behind must not always fall on the same one
            starts = [turn % len(measures) for turn in range(turns)]
            figures = [_turn([*measures[start:], *measures[:start]]) for start in starts]
        for goal in self.goals:
            yield self._line(goal, figures)

    def _line(self, goal: Goal, figures: Sequence[Figures]) -> Line:
        limit = f"{'all ' if goal.is_of_all else ''}<= {goal.limit:g}"
        if goal.yardstick not in figures[0]:
            return Line(self.name, "", f"{goal.yardstick} is not installed", None, None, None, limit, None)
        ours, theirs = ([turn[name] for turn in figures] for name in (goal.figure, goal.yardstick))
        ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
        words = "" if goal.figure == OURS else f"{goal.figure} "
        return Line(
            self.name,
            f"{words}{quantity(median(ours), self.unit)}",
            f"{goal.yardstick} {quantity(median(theirs), self.unit)}",
            median(ratios),
            min(ratios),
            max(ratios),
            limit,
            (max if goal.is_of_all else median)(ratios) <= goal.limit,
        )


@dataclass(frozen=True, slots=True)
class Check:
    """Something that holds or does not, whatever the clock says."""

    name: str
    goal: str
    faults: Callable[[Path], Sequence[str]]
    """What speaks against it, measured with files in a folder; empty when it holds."""

    def run(self, folder: Path, turns: int) -> Iterator[Line]:  # noqa: ARG002 - run as a row is
        """One line, measured once."""
        faults = self.faults(folder)
        yield Line(self.name, ", ".join(faults) or "none", "", None, None, None, self.goal, not faults)


def _turn(measures: Iterable[Measure]) -> Figures:
    return {name: value for measure in measures for name, value in measure().items()}


def quantity(value: float, unit: Unit) -> str:
    """Three digits: `231 ms`, `4.2 s`, `61.3 MB`."""
    if unit == "B":
        return f"{value / 1e6:.3g} MB"
    scale, words = next((row for row in ((1.0, "s"), (1e-3, "ms")) if value >= row[0]), (1e-6, "µs"))
    return f"{value / scale:.3g} {words}"


def line_words(line: Line) -> str:
    """`row | seqtui | yardstick | ratio (min..max) | goal | met`."""
    ratio = "" if line.ratio is None else f"{line.ratio:.3g} ({line.lowest:.3g}..{line.highest:.3g})"
    met = {True: "met", False: "MISSED", None: "skipped"}[line.is_met]
    return " | ".join((line.row, line.seqtui, line.yardstick, ratio, line.goal, met))
