"""A tensor's statistics as the lines that the weights tab and `seqtui weights` both show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from seqtui.words import BLOCKS, merged, number_words, plural

if TYPE_CHECKING:
    from seqtui.weights.statistics import Statistics

SHOWN_QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
BAR_LINES = 2
"""Lines that a histogram is high."""


def moments_facts(stats: Statistics) -> list[str]:
    """Count, mean, deviation, norm, zeros, and what is no finite number; `≈` before what only a sample gave."""
    about = "≈ " if stats.is_estimate else ""
    return [
        f"count {stats.count:,}",
        f"mean {about}{number_words(stats.mean)}",
        f"std {about}{number_words(stats.std)}",
        f"norm {about}{number_words(stats.norm)}",
        f"zeros {about}{stats.zeros:,}",
        f"NaN {about}{stats.nan:,}",
        f"Inf {about}{stats.posinf + stats.neginf:,}",
    ]


def spread_facts(stats: Statistics) -> list[str]:
    """The least, some quantiles, the greatest; `≈` before a quantile that is good to some digits."""
    if not stats.quantiles:
        return ["no finite value"] if stats.count else []
    about = "" if stats.quantiles_exact and not stats.is_estimate else "≈ "
    quantiles = [f"{100 * q:g}% {about}{number_words(stats.quantiles[q])}" for q in SHOWN_QUANTILES]
    return [f"min {number_words(stats.min)}", *quantiles, f"max {number_words(stats.max)}"]


def not_finite(stats: Statistics) -> str:
    """How many values are NaN or infinite, in words."""
    wrong = stats.nan + stats.posinf + stats.neginf
    return f"{plural(wrong, 'value')} of {stats.count:,} {'is' if wrong == 1 else 'are'} not finite"


def fitting_bars(stats: Statistics, bars: int, width: int) -> int:
    """So many bars, or half as many as often as it takes, that a line of the histogram takes at most `width` cells."""
    around = len(number_words(stats.min)) + len(number_words(stats.max)) + 2
    while bars > 8 and around + bars > width:
        bars //= 2
    return bars


def histogram_lines(stats: Statistics, bars: int, is_log: bool = False) -> list[tuple[str, str, str]]:
    """Bars between the least and the greatest value, as (before, blocks, after) a line, the highest bar full."""
    if stats.histogram is None:
        return []
    low, high = number_words(stats.min), number_words(stats.max)
    counts = merged(stats.histogram.counts, bars)
    heights = [math.log1p(count) if is_log else float(count) for count in counts]
    top = max(heights)
    steps = [math.ceil(each / top * 8 * BAR_LINES) for each in heights]
    lines = []
    for level in reversed(range(BAR_LINES)):
        blocks = "".join(BLOCKS[max(0, min(step - 8 * level, 8))] for step in steps)
        lines.append((" " * len(low), blocks, "") if level else (low, blocks, high))
    return lines
