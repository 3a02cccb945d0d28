"""What a run gave as lines of text, for `seqtui run` and for the run tab: values in, pieces out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from seqtui.engine.requests import EXPLODING, VANISHING, LayerRun, RunResult, Verdict
from seqtui.model.tree import joined
from seqtui.rows import SIGNS
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, Style
from seqtui.table import GAP, Column, Layout, layout
from seqtui.words import (
    NONE,
    bytes_words,
    cell_width,
    count_words,
    flow,
    number_words,
    output_words,
    plural,
    shape_words,
    share_words,
    time_words,
)

BETWEEN = f" {NONE} "
"""Stands between two facts of one line."""
BAR_WIDTH = 8
"""Cells of the longest bar."""
SHOWN_SAMPLES = 10
"""Samples of the output that have a line."""
SHOWN_VALUES = 20
"""Values that one line of the output has at most."""

LAYER = Column("layer", "Layer", least=10)
OUTPUT = Column("output", "Output", least=8)
TIME = Column("time", "Time", is_number=True)
MEAN = Column("mean", "Mean", is_number=True)
STD = Column("std", "Std", is_number=True)
MIN = Column("min", "Min", is_number=True)
MAX = Column("max", "Max", is_number=True)
ZEROS = Column("zeros", "Zeros", is_number=True)
NOT_FINITE = Column("not_finite", "NaN, Inf", is_number=True)
SPREAD = Column("spread", "Spread", is_number=True)
BAR = Column("bar", "", least=BAR_WIDTH)

GIVEN_UP = (MIN, MAX, STD, OUTPUT, TIME, MEAN, ZEROS, BAR)
"""Columns in the order in which they are left out where there is no room."""

CELLS: Mapping[Column, Callable[[LayerRun, RunResult], str]] = {
    LAYER: lambda layer, result: layer_words(layer, result),
    OUTPUT: lambda layer, _: shape_words(layer.output),
    TIME: lambda layer, _: time_words(layer.seconds),
    MEAN: lambda layer, _: number_words(layer.mean),
    STD: lambda layer, _: number_words(layer.std),
    MIN: lambda layer, _: number_words(layer.min),
    MAX: lambda layer, _: number_words(layer.max),
    ZEROS: lambda layer, _: zeros_words(layer),
    NOT_FINITE: lambda layer, _: count_words(layer.nan + layer.inf),
    SPREAD: lambda layer, _: number_words(layer.spread),
    BAR: lambda layer, result: spread_bar(layer, result),
}
"""What stands in a layer's row."""

GRADIENT_COLUMNS = (
    Column("parameter", "Parameter", least=12),
    Column("norm", "Gradient norm", is_number=True),
    Column("verdict", "", least=10),
)
VERDICTS: Mapping[Verdict, str] = {"": "", "none": "no gradient", "vanishing": "vanishing", "exploding": "exploding"}


class RunTable(NamedTuple):
    """The layers of a run as cells, with the columns that have something to say and fit."""

    layout: Layout
    rows: tuple[tuple[str, ...], ...]
    """One for each layer of the result, nothing padded."""


def run_lines(result: RunResult, width: int | None = None) -> list[list[Piece]]:
    """How it was run, a line a layer, what is wrong, the gradients, and what came out.

    Without a `width` in cells no text is cut.
    """
    parts = [
        [[Piece(fact_line)] for fact_line in flow(run_facts(result), width, BETWEEN)],
        layer_lines(result, width),
        finding_lines(result),
        gradient_lines(result, width),
        output_lines(result, width),
    ]
    lines = [line for part in parts if part for line in [[], *part]]
    return lines[1:]


def run_facts(result: RunResult) -> list[str]:
    """What was fed, where and how it was run, and what that took."""
    facts = [f"fed {safe_text(result.fed)}", result.device, result.dtype, "train" if result.is_training else "eval"]
    facts.append("1 pass" if result.passes == 1 else f"{result.passes:,} passes")
    if result.num_new:
        facts.append(f"{plural(result.num_new, 'tensor')} made anew")
    if result.off:
        facts.append(f"{plural(len(result.off), 'layer')} off {SIGNS['off']}")
    if result.seconds is not None:
        facts.append(f"{time_words(result.seconds)} a pass")
    if result.peak_bytes is not None:
        facts.append(f"at most {bytes_words(result.peak_bytes)}")
    return facts


# Layers


def run_table(result: RunResult, width: int | None = None) -> RunTable:
    """The layers as a table. Spread stands in it after several passes, NaN and Inf where there are any."""
    columns = [LAYER, OUTPUT, TIME, MEAN, STD, MIN, MAX, ZEROS]
    if any(layer.nan or layer.inf for layer in result.layers):
        columns.append(NOT_FINITE)
    if result.passes > 1:
        columns += [SPREAD, BAR]
    cells = {column: [CELLS[column](layer, result) for layer in result.layers] for column in columns}
    for column in GIVEN_UP:
        if width is not None and column in columns and _least_width(columns, cells) > width:
            columns.remove(column)
    rows = tuple(zip(*(cells[column] for column in columns), strict=True))
    return RunTable(layout(tuple(columns), rows, width), rows)


def _least_width(columns: Sequence[Column], cells: Mapping[Column, Sequence[str]]) -> int:
    """Cells that columns take where words are cut as far as they may be."""
    widths = []
    for column in columns:
        wanted = max(map(cell_width, (column.title, *cells[column])))
        widths.append(wanted if column.is_number else min(wanted, column.least))
    return sum(widths) + GAP * (len(columns) - 1)


def layer_lines(result: RunResult, width: int | None = None) -> list[list[Piece]]:
    """The table under its heading; a layer that gave birth to NaN or Inf is red."""
    table = run_table(result, width)
    lines = [_heading(table.layout)]
    for layer, row in zip(result.layers, table.rows, strict=True):
        style: Style = "red" if layer.is_nan_born else ""
        lines.append([Piece(text, style) for text in table.layout.line(row)])
    return lines


def layer_words(layer: LayerRun, result: RunResult) -> str:
    """A layer's name, moved in by its depth, where some were off behind the sign of those."""
    name = f"{'  ' * layer.path.count('.')}{safe_text(layer.path.rpartition('.')[2])}"
    sign = SIGNS["off" if layer.path in result.off else "plain"]
    return f"{sign} {name}" if result.off else name


def zeros_words(layer: LayerRun) -> str:
    """The share of zeros in what came out."""
    count = math.prod(layer.output)
    return share_words(layer.zeros / count) if count and layer.mean is not None else NONE


def spread_bar(layer: LayerRun, result: RunResult) -> str:
    """The spread of a layer beside the largest of all layers; one that is not zero has a bar."""
    largest = max((each.spread or 0 for each in result.layers), default=0)
    return "■" * math.ceil((layer.spread or 0) / largest * BAR_WIDTH) if largest and math.isfinite(largest) else ""


def finding_lines(result: RunResult) -> list[list[Piece]]:
    """What is wrong with the input, a line for each layer where NaN or Inf is born, and for each with dead units."""
    lines: list[list[Piece]] = []
    if result.given_nan or result.given_inf:
        lines.append([Piece(f"! the input holds {_not_finite(result.given_nan, result.given_inf)}", "red")])
    for layer in result.layers:
        path = safe_text(layer.path)
        if layer.is_nan_born:
            lines.append([Piece(f"! {path}: {_not_finite(layer.nan, layer.inf)} came out, none went in", "red")])
    for layer in result.layers:
        if layer.dead and layer.units is not None:
            samples = "the one sample" if layer.output[0] == 1 else f"all {layer.output[0]:,} samples"
            dead = f"{layer.dead:,} of {plural(layer.units, 'unit')} gave zero for {samples}"
            lines.append([Piece(f"{safe_text(layer.path)}: {dead}")])
    return lines


def _not_finite(nan: int, inf: int) -> str:
    """`2 NaN and 1 Inf`."""
    return " and ".join(f"{count:,} {word}" for count, word in ((nan, "NaN"), (inf, "Inf")) if count)


# Gradients

ABOUT_GRADIENTS = (
    "of (output * r).sum(), r standard normal",
    f"vanishing: root mean square below {VANISHING:g} an element",
    f"exploding: above {EXPLODING:,.0f}, or no number",
)
"""Which gradients these are, and what is said of them."""


def gradient_lines(result: RunResult, width: int | None = None) -> list[list[Piece]]:
    """The norm of each parameter's gradient, what is to be said of it, and of what it is; why there are none; nothing
    without a backward pass.
    """
    rows = [
        (safe_text(joined(layer.path, name)), number_words(gradient.norm), VERDICTS[gradient.verdict])
        for layer in result.layers
        for name, gradient in layer.gradients.items()
    ]
    if not rows:
        why = "meta has no numbers" if result.device == "meta" else "no parameter learns"
        return [[Piece(f"no gradients: {why}", "dim")]] if result.with_backward else []
    table = layout(GRADIENT_COLUMNS, rows, width)
    lines = [[Piece(text, "red" if row[-1] else "") for text in table.line(row)] for row in rows]
    return [_heading(table), *lines, *([Piece(line, "dim")] for line in flow(ABOUT_GRADIENTS, width, BETWEEN))]


# What came out


def output_lines(result: RunResult, width: int | None = None) -> list[list[Piece]]:
    """The output: its shape, and its first rows, each along the last dimension with its place and its argmax."""
    about = f"{output_words(result.output)} {result.output_dtype}".strip()
    lines = [[Piece("Output", "bold"), Piece(f"  {about}")]]
    if result.values:
        lines += [[Piece(line)] for line in _value_lines(result, width)]
    if result.argmax_changed is not None:
        share = share_words(result.argmax_changed)
        changed = f"the argmax of a sample is not its usual one in {share} of its passes"
        words = changed if result.argmax_changed else "the argmax is the same in every pass"
        lines += [[Piece(line)] for line in flow(words.split(), width, " ")]
    return lines


def _value_lines(result: RunResult, width: int | None) -> Iterator[str]:
    """`sample 0  argmax 3  0.1 …` for the first rows, in as many lines as they need, and how many there are more."""
    size = result.output[-1] if result.output else 1
    count = math.prod(result.output[:-1])
    shown = min(count, SHOWN_SAMPLES, math.ceil(len(result.values) / size))
    labels = [_label(result, number) for number in range(shown)]
    rows = [result.values[number * size : (number + 1) * size][:SHOWN_VALUES] for number in range(shown)]
    texts = [[number_words(value) for value in row] for row in rows]
    cell = max(len(text) for row in texts for text in row)
    edge = max(map(len, labels))
    for label, row in zip(labels, texts, strict=True):
        room = len(row) if width is None else max((width - edge - 1) // (cell + 1), 1)
        for start in range(0, len(row), room):
            line = (label if start == 0 else "").ljust(edge)
            line += " ".join(f"{text:>{cell}}" for text in row[start : start + room])
            yield f"{line} …" if start + room >= len(row) < size else line
    if count > shown:
        yield f"and {count - shown:,} more"


def _label(result: RunResult, number: int) -> str:
    """What stands before a row of the output: `sample 0  argmax 3  `, with more dimensions `0, 4  argmax 3  `."""
    parts, dims = [], result.output[:-1]
    if len(dims) == 1:
        parts.append(f"sample {number}")
    elif dims:
        widths = [len(str(min(size, SHOWN_SAMPLES) - 1)) for size in dims]
        places = [number // math.prod(dims[axis + 1 :]) % size for axis, size in enumerate(dims)]
        parts.append(", ".join(f"{place:>{width}}" for place, width in zip(places, widths, strict=True)))
    if result.argmax:
        widest = len(str(max(result.argmax[:SHOWN_SAMPLES])))
        parts.append(f"argmax {result.argmax[number]:>{widest}}")
    return "".join(f"{part}  " for part in parts)


def _heading(table: Layout) -> list[Piece]:
    return [Piece(text, "bold") for text in table.line([column.title for column in table.columns])]
