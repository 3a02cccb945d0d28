"""ValueGrid: the numbers of any tensor, slice by slice, reading no more than the rows and columns in sight."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from seqtui.errors import SeqtuiError
from seqtui.formats.tensor_source import TensorSource
from seqtui.safe_text import safe_text
from seqtui.tui.actions import bindings
from seqtui.tui.movement import Movement
from seqtui.weights.window import grid_shape, read_window, slice_count, slice_of, slice_position

if TYPE_CHECKING:
    from seqtui.weights.window import Cell

CELL = 10
"""Terminal cells a number takes, the blank before it included."""


class ValueGrid(Movement, Widget, can_focus=True):
    """A cursor over the last two dimensions of a tensor; the others are a stack of slices."""

    DEFAULT_CSS = """
    ValueGrid { height: 1fr; min-height: 3; }
    ValueGrid > .value-grid--header { color: $foreground-muted; }
    ValueGrid > .value-grid--cursor { background: $surface-lighten-2; }
    ValueGrid:focus > .value-grid--cursor { background: $primary-muted; color: $foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"value-grid--header", "value-grid--cursor"}

    where: reactive[tuple[TensorSource, str] | None] = reactive(None)
    slice_index: reactive[int] = reactive(0)
    row: reactive[int] = reactive(0)
    column: reactive[int] = reactive(0)

    class Moved(Message):
        """The cursor stands on another element, or on one of another tensor."""

    def __init__(self) -> None:
        super().__init__()
        self._top_left = (0, 0)
        """The row and the column in the corner."""
        self._window: tuple[tuple[int, ...], list[list[Cell]]] | None = None
        """The last numbers read, and what for."""
        self._failure = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's; of none the empty grid's."""
        return self.where[0].tensors[self.where[1]].shape if self.where else (0, 0)

    @property
    def position(self) -> tuple[int, ...]:
        """The element under the cursor, an index for each dimension."""
        inner = (self.row, self.column)[2 - min(len(self.shape), 2) :]
        return (*slice_position(self.shape, self.slice_index), *inner)

    def value(self) -> Cell | None:
        """The number under the cursor; None in an empty tensor and where it cannot be read."""
        top, left = self._top_left
        cells = self._cells()
        row, column = self.row - top, self.column - left
        return cells[row][column] if 0 <= row < len(cells) and 0 <= column < len(cells[row]) else None

    # State

    def watch_where(self) -> None:
        self._window = None
        self._failure = ""
        self.set_reactive(ValueGrid.slice_index, 0)
        self.set_reactive(ValueGrid.row, 0)
        self.set_reactive(ValueGrid.column, 0)
        self._follow()

    def watch_row(self) -> None:
        self._follow()

    def watch_column(self) -> None:
        self._follow()

    def watch_slice_index(self) -> None:
        self._follow()

    def on_resize(self) -> None:
        self._follow()

    def _follow(self) -> None:
        """Bring the cursor into sight."""
        top, left = self._top_left
        top = min(max(top, self.row - self.page_rows() + 1), self.row)
        left = min(max(left, self.column - self._page_columns() + 1), self.column)
        self._top_left = (top, left)
        self.refresh()
        self.post_message(self.Moved())

    # Drawing

    def _gutter(self) -> int:
        """Cells for the row numbers."""
        return max(len(str(max(grid_shape(self.shape)[0] - 1, 0))) + 2, 5)

    def _page_columns(self) -> int:
        return max((self.size.width - self._gutter()) // CELL, 1)

    def page_rows(self) -> int:
        return max(self.size.height - 1, 1)

    def _cells(self) -> list[list[Cell]]:
        """The numbers in sight, read once for each place."""
        if self.where is None or self._failure or not slice_count(self.shape):
            return []
        top, left = self._top_left
        rows, columns = range(top, top + self.page_rows()), range(left, left + self._page_columns())
        place = (self.slice_index, top, left, rows.stop, columns.stop)
        if self._window is None or self._window[0] != place:
            try:
                cells = read_window(*self.where, self.slice_index, rows, columns)
            except SeqtuiError as error:
                self._failure = safe_text(error.message)
                return []
            self._window = (place, cells)
        return self._window[1]

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        top, left = self._top_left
        gutter, cells = self._gutter(), self._cells()
        quiet = base + Style(color=self.get_component_rich_style("value-grid--header").color)
        if self._failure:
            lines = wrap(self._failure, max(width - 2, 1))
            return Strip([Segment(f" {lines[y]}" if y < len(lines) else "", quiet)]).adjust_cell_length(width, base)
        if y == 0:
            shown = len(cells[0]) if cells else 0
            numbers = "".join(f"{left + i:>{CELL}}" for i in range(shown)) or "  no elements"
            return Strip([Segment(" " * gutter + numbers, quiet)]).adjust_cell_length(width, base)
        if y > len(cells):
            return Strip.blank(width, base)
        segments = [Segment(f"{top + y - 1:>{gutter - 1}} ", quiet)]
        cursor = self.get_component_rich_style("value-grid--cursor")
        for column, value in enumerate(cells[y - 1], start=left):
            is_cursor = self.row == top + y - 1 and self.column == column
            segments.append(Segment(f"{cell_text(value):>{CELL}}", cursor if is_cursor else base))
        return Strip(segments).adjust_cell_length(width, base)

    # Keys

    def move_rows(self, rows: int) -> None:
        self.row = max(0, min(self.row + rows, grid_shape(self.shape)[0] - 1))

    def action_left(self) -> None:
        self.column = max(self.column - 1, 0)

    def action_right(self) -> None:
        self.column = max(min(self.column + 1, grid_shape(self.shape)[1] - 1), 0)

    def step_slice(self, step: int) -> None:
        """Show the next slice, or the one before, round the end."""
        self.slice_index = (self.slice_index + step) % max(slice_count(self.shape), 1)

    def go_to(self, position: tuple[int, ...]) -> None:
        """Put the cursor on an element; `position` has one index in range for each dimension."""
        self.slice_index = slice_of(self.shape, position)
        self.row, self.column = (0, 0, *position)[-2:]

    def on_click(self, event: events.Click) -> None:
        top, left = self._top_left
        cells = self._cells()
        row, column = event.y - 1, (event.x - self._gutter()) // CELL
        if 0 <= row < len(cells) and 0 <= column < len(cells[row]):
            self.row, self.column = top + row, left + column


def cell_text(value: Cell) -> str:
    """A number in at most nine cells, the most digits that fit: `-0.2041`, `-1234.568`, `3.1e-05`, `nan`."""
    if isinstance(value, complex):
        texts = [f"{value.real:.{digits}g}{value.imag:+.{digits}g}j" for digits in (3, 2, 1)]
    elif isinstance(value, bool) or not math.isfinite(value):
        texts = [str(value)]
    elif isinstance(value, int):
        texts = [str(value), f"{value:.2e}", f"{value:.1e}"]
    elif value == 0 or 1e-3 <= abs(value) < 1e5:
        texts = [f"{value:.4f}", f"{value:.3f}", f"{value:.2f}"]
    else:
        texts = [f"{value:.2e}", f"{value:.1e}", f"{value:.0e}"]
    return next((text for text in texts if len(text) < CELL), "…")
