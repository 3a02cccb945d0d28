"""Measures what seqtui costs and prints a line for each goal; BENCHMARKS.md says what the rows mean.

python benchmarks/run.py [--quick] [--row NAME ...] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks import keys, loop, opening, saving, shapes
from benchmarks.comparison import Check, Line, Row, line_words

TURNS, QUICK_TURNS = 7, 3

ROWS: tuple[Row | Check, ...] = (*opening.ROWS, *keys.ROWS, *loop.ROWS, *shapes.ROWS, *saving.ROWS)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table. 1 where a check does not hold; a goal that a clock misses is printed and no failure."""
    options = _parser().parse_args(argv)
    chosen = [row for row in ROWS if any(fnmatchcase(row.name, wanted) for wanted in options.row)]
    if not chosen:
        sys.stderr.write(f"no row is called {' or '.join(options.row)}; there are {', '.join(_names())}\n")
        return 2
    lines = []
    for line in measured(chosen, QUICK_TURNS if options.quick else TURNS):
        lines.append(line)
        if not options.json:
            print(line_words(line), flush=True)
    if options.json:
        print(json.dumps([line._asdict() for line in lines], indent=2, ensure_ascii=False))
    checks = {row.name for row in chosen if isinstance(row, Check)}
    return int(any(line.row in checks and not line.is_met for line in lines))


def measured(rows: Sequence[Row | Check], turns: int) -> Iterator[Line]:
    """The lines of some rows, each as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix="seqtui-benchmarks-") as folder:
        for row in rows:
            yield from row.run(Path(folder), turns)


def _names() -> list[str]:
    return [row.name for row in ROWS]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Measure seqtui against peers and limits.")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_TURNS} turns instead of {TURNS}")
    parser.add_argument("--row", nargs="+", default=["*"], metavar="NAME", help=f"some of {', '.join(_names())}")
    parser.add_argument("--json", action="store_true", help="a JSON document on stdout")
    return parser


if __name__ == "__main__":
    sys.exit(main())
