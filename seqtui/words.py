"""Numbers, shapes and sizes as a person reads them, and how wide that is. Numbers stay numbers everywhere else."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

NONE = "·"
"""Shown where there is none."""
UNKNOWN = "unknown"

ASCII = str.maketrans(
    {
        "×": "x", "→": "->", "·": "-", "…": "~", "≈": "~", "●": "*", "○": "o", "❄": "F", "▸": "+", "▾": "-", "│": "|",
        "─": "-", "■": "#", "µ": "u",
        **{block: digit for digit, block in zip(" 12345678", " ▁▂▃▄▅▆▇█", strict=True) if block != " "},
    }
)  # fmt: skip
"""What `--plain` puts in place of our own signs."""

BLOCKS = " ▁▂▃▄▅▆▇█"

BYTE_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def shape_words(shape: Sequence[int]) -> str:
    """`1×16×30×30`; a tensor without dimensions is a `scalar`."""
    return "×".join(map(str, shape)) if shape else "scalar"


def output_words(output: Sequence[int] | Sequence[Sequence[int]] | None) -> str:
    """A shape, or for a tuple the first and how many more: `4×10×64 +2`."""
    if output is None:
        return UNKNOWN
    shapes = [part for part in output if not isinstance(part, int)]
    if not shapes:
        return shape_words([size for size in output if isinstance(size, int)])
    return f"{shape_words(shapes[0])} +{len(shapes) - 1}"


def count_words(count: int | None) -> str:
    """`9,216`; none for zero or None."""
    return f"{count:,}" if count else NONE


def bytes_words(size: int | None) -> str:
    """Bytes in decimal units with three digits: `247 kB`, `1.07 GB`; none for None."""
    if size is None:
        return NONE
    if size < 1000:
        return f"{size} B"
    for power, unit in enumerate(BYTE_UNITS, start=1):
        if 2 * size < 1999 * 1000**power:  # 999.5 of the unit, from where it would read as 1e+03
            return f"{size / 1000**power:.3g} {unit}"
    return f"over 999 {BYTE_UNITS[-1]}"


def number_words(value: float | None) -> str:
    """A statistic in at most nine cells: three significant digits, whole numbers whole."""
    if value is None:
        return NONE
    if value == 0 or (float(value).is_integer() and abs(value) < 1e6):
        return f"{value:.0f}"
    return f"{value:.3g}"


def share_words(share: float) -> str:
    """A share in whole per cent: `43%`; what is not quite none or all says so, `<1%`, `>99%`."""
    percent = round(100 * share)
    if percent in (0, 100) and share not in (0, 1):
        return "<1%" if percent == 0 else ">99%"
    return f"{percent}%"


def time_words(seconds: float | None) -> str:
    """A time in three digits: `12 µs`, `1.07 ms`, `3.4 s`; none for None."""
    if seconds is None:
        return NONE
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        if seconds * factor < 999.5:  # from where it would read as 1e+03
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s" if seconds < 999.5 else f"{seconds:,.0f} s"


def plural(count: int, noun: str) -> str:
    """`1 layer`, `13 layers`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def a(kind: str | None) -> str:
    """`a Conv2d`, `an Embedding`, `an LSTM`: as the names of torch's classes are spoken."""
    if not kind:
        return "a layer of no known kind"
    spelled_out = kind[:1] in "FHLMNRX" and kind[1:2].isupper()
    return f"{'an' if spelled_out or kind[:1] in 'AEIOU' else 'a'} {kind}"


def merged(counts: Sequence[int], bins: int) -> list[int]:
    """A histogram in fewer bins, a divisor of how many it has."""
    each = len(counts) // bins
    return [sum(counts[start : start + each]) for start in range(0, len(counts), each)] if each else list(counts)


def sparkline(counts: Sequence[int], bins: int) -> str:
    """A histogram as one line of blocks, its highest bin a full one; a bin that holds anything is never blank."""
    bars = merged(counts, bins)
    top = max(bars, default=0)
    return "".join(BLOCKS[math.ceil(count / top * 8)] for count in bars) if top else ""


def cell_width(text: str) -> int:
    """Terminal cells that a text takes. Source: Unicode Annex 11, wide and fullwidth two, marks none."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


@lru_cache
def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def flow(facts: Sequence[str], width: int | None, gap: str = "   ") -> list[str]:
    """Facts one after the other, in as many lines as they need at a width in cells; None for one line."""
    lines = [""]
    for fact in facts:
        longer = f"{lines[-1]}{gap}{fact}" if lines[-1] else fact
        if width is not None and lines[-1] and cell_width(longer) > width:
            lines.append(fact)
        else:
            lines[-1] = longer
    return lines
