"""How long the event loop stands still at the most, while torch's process starts and while a large tensor is measured.

A pause is what a key pressed just then would have waited before anyone heard it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import files
from benchmarks.comparison import Figures, Goal, Measure, Row
from benchmarks.keys import AT_REST, FRAME
from benchmarks.terminal import ScreenSize, Terminal

WIDE = ScreenSize(200, 60)
"""The detail stands beside the table: it follows the cursor and shows what is measured."""
WARMING_UP, MEASURING = "warming up", "1 GB"
TAB, RUN = b"3", b"R"
OVER = "a pass"
"""What stands in the run tab once a run is over, and not before."""
LARGE = "fc2.weight"
WATCHED = str(Path(__file__).with_name("watched.py"))


@contextmanager
def two_watched(folder: Path) -> Iterator[Sequence[Measure]]:
    """A small model that is run for the first time, and the cursor on a tensor of 1 GB."""
    yield (
        partial(_warming_up, folder / "pauses", files.SMALL),
        partial(_measuring, folder / "pauses", files.gigabyte(folder)),
        lambda: FRAME,
    )


def _warming_up(log: Path, file: str | Path) -> Figures:
    with Terminal((sys.executable, WATCHED, str(log), str(file)), WIDE) as terminal:
        terminal.wait_for(("layers", "parameters"))
        terminal.settle(AT_REST)
        terminal.press(TAB)
        terminal.settle(AT_REST)
        before = log.stat().st_size
        terminal.press(RUN)
        terminal.wait_for((OVER,))
        terminal.settle(AT_REST)
        return {WARMING_UP: longest(log, before)}


def _measuring(log: Path, file: Path) -> Figures:
    with Terminal((sys.executable, WATCHED, str(log), str(file), LARGE), WIDE) as terminal:
        terminal.wait_for(("layers", "parameters", "std"))
        before = log.stat().st_size
        terminal.settle(4 * AT_REST)
        return {MEASURING: longest(log, before)}


def longest(log: Path, before: int) -> float:
    """The longest pause in seconds that was written down after so many bytes, the last line left out if it is cut."""
    lines = log.read_text(encoding="utf-8")[before:].rpartition("\n")[0].splitlines()
    return max(map(float, lines), default=0.0)


ROWS = (
    Row(
        "loop.gap",
        tuple(
            Goal("60 Hz frame", limit, figure, is_of_all)
            for figure in (WARMING_UP, MEASURING)
            for limit, is_of_all in ((1, False), (3, True))
        ),
        two_watched,
    ),
)
