"""Tab 2: one tensor: its statistics, its histogram, and every value."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from seqtui.errors import UsageError
from seqtui.model.tensors import Shape, TensorInfo
from seqtui.rows import Row, making_words, tensor_path
from seqtui.safe_text import safe_text
from seqtui.statistics_text import fitting_bars, histogram_lines, moments_facts, not_finite, spread_facts
from seqtui.tui.actions import bindings
from seqtui.tui.toasts import warn
from seqtui.tui.value_grid import ValueGrid
from seqtui.view import View
from seqtui.weights.window import slice_count
from seqtui.words import bytes_words, flow, plural, shape_words

if TYPE_CHECKING:
    from seqtui.weights.statistics import Statistics
    from seqtui.weights.window import Cell

BARS = (32, 64, 16)
"""Numbers of histogram bins to choose from, in turn; each divides the number that is measured."""


class WeightsTab(Vertical):
    """The tensor under the cursor; of a layer the first of its tensors."""

    DEFAULT_CSS = """
    WeightsTab { height: 1fr; padding: 0; }
    #weights-numbers { height: auto; max-height: 55%; padding: 0 1; margin-bottom: 1; }
    #weights-position { height: 1; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("weights")]

    statistics: reactive[Statistics | None] = reactive(None, repaint=False)
    bars: reactive[int] = reactive(BARS[0], repaint=False)
    is_log: reactive[bool] = reactive(False, repaint=False)

    def __init__(self) -> None:
        super().__init__()
        self.view: View | None = None
        self.row: Row | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="weights-numbers", markup=False)
        yield ValueGrid()
        yield Static(id="weights-position", markup=False)

    @property
    def tensor(self) -> TensorInfo | None:
        return tensor_of(self.row)

    def look_at(self, view: View, row: Row) -> None:
        """Show what a row of a model is about."""
        if (self.view, self.row) != (view, row):
            self.view, self.row = view, row
            self._point()

    def _point(self) -> None:
        if self.view is not None and self.is_mounted:
            tensor = self.tensor
            grid = self.query_one(ValueGrid)
            grid.where = self.view.where(tensor) if tensor else None
            grid.display = grid.where is not None
            self._write()

    def watch_statistics(self) -> None:
        self._write()

    def watch_bars(self) -> None:
        self._write()

    def watch_is_log(self) -> None:
        self._write()

    def on_mount(self) -> None:
        self._point()

    def on_resize(self) -> None:
        self._write()

    def _write(self) -> None:
        if not self.is_mounted or self.row is None:
            return
        width = max(self.size.width - 2, 1)
        self.query_one("#weights-numbers", Static).update(
            numbers(self.row, self.tensor, self.statistics, self.bars, self.is_log, width)
        )

    def on_value_grid_moved(self) -> None:
        grid, tensor = self.query_one(ValueGrid), self.tensor
        value = grid.value()
        words = Content("")
        if tensor is not None and value is not None:
            index = ", ".join(map(str, grid.position))
            words = Content.assemble((f"[{index}]", "bold"), f"  {value_text(value)}")
            slices = slice_count(tensor.shape)
            if slices > 1:
                words = Content.assemble(
                    words, (f"   ( )  slice {grid.slice_index + 1:,} of {slices:,}", "$foreground-muted")
                )
        self.query_one("#weights-position", Static).update(words)

    def action_bins(self) -> None:
        self.bars = BARS[(BARS.index(self.bars) + 1) % len(BARS)]

    def action_scale(self) -> None:
        self.is_log = not self.is_log

    def action_slice_next(self) -> None:
        self._step_slice(1)

    def action_slice_prev(self) -> None:
        self._step_slice(-1)

    def _step_slice(self, step: int) -> None:
        grid = self.query_one(ValueGrid)
        if slice_count(grid.shape) > 1:
            grid.step_slice(step)
        else:
            warn(self, "All of this tensor is in one slice.")

    async def action_goto(self) -> None:
        """Ask for an index, and go there."""
        from seqtui.tui.prompts import Ask

        grid = self.query_one(ValueGrid)
        where = ",".join(map(str, grid.position))
        if not grid.shape or not math.prod(grid.shape):
            warn(self, "There is one place in this tensor at most.")
            return
        await self.app.push_screen(Ask("index ", where, partial(parse_position, grid.shape)), self._go_to)

    def _go_to(self, answer: str | None) -> None:
        if answer is not None:
            grid = self.query_one(ValueGrid)
            grid.go_to(parse_position(grid.shape, answer))


def value_text(value: Cell) -> str:
    """A number with nine digits, all that a float32 holds."""
    return f"{value:.9g}" if isinstance(value, float | complex) else str(value)


def parse_position(shape: Shape, text: str) -> tuple[int, ...]:
    """`3,0,1,2`: an index for each dimension, negative ones from the end. Raises UsageError."""
    parts = [part.strip() for part in text.strip().strip("[]").split(",")]
    try:
        position = [int(part) for part in parts]
    except ValueError:
        raise UsageError(f"{text!r} is not a list of whole numbers") from None
    if len(position) != len(shape):
        raise UsageError(f"{len(shape)} numbers are needed, one a dimension of {shape_words(shape)}")
    for index, size in zip(position, shape, strict=True):
        if not -size <= index < size:
            raise UsageError(f"{index} is out of range in {shape_words(shape)}")
    return tuple(index % size for index, size in zip(position, shape, strict=True))


def _which(row: Row) -> str:
    """On a layer's row, that there are more tensors than the one shown."""
    count = len(row.layer.tensors)
    return f"   1 of {count}, the others below the layer" if row.tensor is None and count > 1 else ""


def tensor_of(row: Row | None) -> TensorInfo | None:
    """The tensor a row is about: its own, or the first of its layer's."""
    if row is None:
        return None
    return row.tensor or next(iter(row.layer.tensors), None)


def numbers(
    row: Row, tensor: TensorInfo | None, stats: Statistics | None, bars: int, is_log: bool, width: int
) -> Content:
    """What stands above the values: name, statistics, histogram."""
    if tensor is None:
        inside = plural(len(row.layer.layers), "layer")
        return Content(
            f"{safe_text(row.layer.name) or 'The model'} has no tensors of its own"
            + (f", but {inside}" if row.layer.layers else "")
        )
    head = Content.assemble(
        (safe_text(tensor_path(row, tensor)), "bold"),
        f"   {shape_words(tensor.shape)}  {safe_text(tensor.dtype)}  {bytes_words(tensor.nbytes)}",
        (_which(row), "$foreground-muted"),
    )
    if stats is None:
        words = making_words(tensor) or f"{math.prod(tensor.shape):,} values …"
        return Content("\n").join([head, Content(f"  {words}")])
    lines = [head]
    lines += [Content(f"  {line}") for line in flow(moments_facts(stats), width - 2)]
    bars = fitting_bars(stats, bars, width - 2)
    of_what = " of magnitudes" if tensor.dtype == "C64" else ""
    spread = [*spread_facts(stats), f"{'log' if is_log else 'linear'}, {bars} bins{of_what}"]
    lines += [Content(f"  {line}") for line in flow(spread, width - 2)]
    if stats.nan or stats.posinf or stats.neginf:
        lines.append(Content(f"  ! {not_finite(stats)}").stylize("$text-error"))
    lines.append(Content(""))
    for before, blocks, after in histogram_lines(stats, bars, is_log):
        lines.append(Content.assemble(f"  {before} ", (blocks, "$text-primary"), f" {after}"))
    return Content("\n").join([line.truncate(width) for line in lines])
