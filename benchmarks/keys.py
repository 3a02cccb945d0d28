"""From a key to the frame that it draws: on a terminal, from writing the key to the last byte of the next frame.

So it holds all that a person waits for but the line between: reading the key, doing what it says, drawing, and the wait
for Textual's own clock, which draws sixty times a second and no oftener. What later frames add is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import files
from benchmarks.comparison import Figures, Goal, Measure, Row
from benchmarks.programs import seqtui
from benchmarks.terminal import ScreenSize, Terminal

DOWN, PAGE_DOWN, HOME, END, LEFT, RIGHT = b"\x1b[B", b"\x1b[6~", b"\x1b[H", b"\x1b[F", b"\x1b[D", b"\x1b[C"
"""What a terminal sends. Source: xterm's ctlseqs, "PC-Style Function Keys"."""

SIZES = {"key.rows": ScreenSize(80, 24), "key.rows.wide": ScreenSize(200, 60)}
"""By row. On the wide screen the detail stands beside the table, and every key draws it too."""
EXPAND_ALL = b"+"

ROUND = (DOWN, DOWN, PAGE_DOWN, PAGE_DOWN, END, HOME, LEFT, RIGHT)
"""Ends where it began, on the first row: `left` closes the whole model, `right` opens it again. Every key draws."""
ROUNDS = 25
"""200 keys."""
AT_REST = 1.0
"""Seconds without a byte after which the program has nothing more to do."""
MANY, FEW = 1_000_000, 1_000

FRAME = {"60 Hz frame": 1 / 60}


@contextmanager
def two_tables(folder: Path, size: ScreenSize) -> Iterator[Sequence[Measure]]:
    """A model of many rows and one of few, each open in a terminal with every branch open."""
    with _table(files.rows(folder, MANY), size) as many, _table(files.rows(folder, FEW), size) as few:
        yield (partial(_many, many), partial(_few, few), lambda: FRAME)


@contextmanager
def _table(file: Path, size: ScreenSize) -> Iterator[Terminal]:
    with Terminal(seqtui("open", file), size) as terminal:
        terminal.wait_for(("layers", "parameters"))
        terminal.settle(AT_REST)
        terminal.press(EXPAND_ALL)
        terminal.settle(AT_REST)
        yield terminal


def _many(terminal: Terminal) -> Figures:
    times = _times(terminal)
    return {"p99": p99(times), "median": median(times)}


def p99(times: Sequence[float]) -> float:
    """What one in a hundred takes longer than."""
    return sorted(times)[len(times) * 99 // 100 - 1]


def _few(terminal: Terminal) -> Figures:
    return {"1,000 rows": median(_times(terminal))}


def _times(terminal: Terminal) -> list[float]:
    """Seconds of every key."""
    return [terminal.press(key) for _ in range(ROUNDS) for key in ROUND]


GOALS = (Goal("60 Hz frame", 1, "p99"), Goal("1,000 rows", 1.2, "median"))

ROWS = tuple(Row(name, GOALS, partial(two_tables, size=size)) for name, size in SIZES.items())
