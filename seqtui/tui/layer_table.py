"""LayerTable: the tree with aligned columns, drawn line by line, so that a million rows cost what a thousand cost."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from seqtui.rows import Row
from seqtui.table import Layout
from seqtui.tui.actions import bindings
from seqtui.tui.branches import Branches
from seqtui.tui.inked import InkedLines
from seqtui.tui.marks import Marks
from seqtui.tui.movement import Movement
from seqtui.tui.search import Index, Place
from seqtui.tui.texts import TableText
from seqtui.tui.toasts import tell
from seqtui.view import View


class LayerTable(Movement, InkedLines, can_focus=True):
    """The layers of a model; its first row is the model."""

    LOOKS = "layer-table"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement", "table")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "layer-table--header",
        "layer-table--cursor",
        "layer-table--quiet",
        "layer-table--problem",
        "layer-table--match",
    }

    view: reactive[View | None] = reactive(None)
    cursor: reactive[int] = reactive(0, repaint=False)
    needle: reactive[str] = reactive("")
    """What is searched for: marked wherever it stands."""

    class Highlighted(Message):
        """The cursor rests on another row."""

        def __init__(self, row: Row) -> None:
            super().__init__()
            self.row = row

    class Chosen(Message):
        """A row is to be looked into: by enter, by a second click, or straight at its weights."""

        def __init__(self, row: Row, tab: int = 1) -> None:
            super().__init__()
            self.row = row
            self.tab = tab

    def __init__(self, view: View, branches: Branches | None = None) -> None:
        """`branches` are those of the view's model, where somebody has made them already."""
        super().__init__()
        self.branches = branches or Branches(view.model)
        self.index = Index(self.branches.all_rows())
        self._layout: Layout | None = None
        self._sample: tuple[int, ...] = ()
        self.marks = Marks()
        """The layers that the next edit is about."""
        self.set_reactive(LayerTable.view, view)

    @property
    def row(self) -> Row:
        """The row under the cursor."""
        return self.branches.rows[self.cursor]

    # What the widget is made of

    def watch_view(self, old: View | None, new: View | None) -> None:
        if old is None or new is None:
            return
        before = self.branches
        if old.model.root is not new.model.root:
            place = Place.of(self.row)
            self.branches = Branches(new.model, before)
            self.index = Index(self.branches.all_rows())
            here = self._still_at(place) or self.branches.reveal(*place)
            if here is None:  # gone: of another file the first row, else what stands there now
                here = min(self.cursor, len(self.branches.rows) - 1) if old.opened is new.opened else 0
            self.set_reactive(LayerTable.cursor, here)
            self.marks = self.marks.after(old.model, new.model)
        if old.opened is new.opened or before.is_like(self.branches):
            self._folded()  # what is only saved moves no column
        else:
            self._rearrange()
        self._scroll_to_cursor()
        self.post_message(self.Highlighted(self.row))

    def _still_at(self, place: Place) -> int | None:
        """The row under the cursor if it is still that, as mostly after an edit: to look for it takes a while."""
        is_still = self.cursor < len(self.branches.rows) and Place.of(self.row) == place
        return self.cursor if is_still else None

    def watch_cursor(self, old: int, new: int) -> None:
        self._scroll_to_cursor()
        top = self.scroll_offset.y - 1
        if self.marks.has_range:
            self.marks.reach(self.branches.rows, new)
            self.refresh()
        self.refresh(Region(0, old - top, self.size.width, 1), Region(0, new - top, self.size.width, 1))
        self.post_message(self.Highlighted(self.row))

    def on_resize(self) -> None:
        self._rearrange()
        self._scroll_to_cursor()

    def _rearrange(self) -> None:
        """Lay out again: other rows, other texts or another width."""
        self._sample = ()
        self._folded()

    def _scroll_to_cursor(self) -> None:
        height = self.size.height - 1  # the header stands still
        top = self.scroll_offset.y
        if height > 0 and not top <= self.cursor < top + height:
            y = self.cursor if self.cursor < top else self.cursor - height + 1
            self.scroll_to(y=y, animate=False, immediate=True)

    # Drawing

    @property
    def _text(self) -> TableText:
        assert self.view is not None  # there is a view from the first frame on
        return TableText(self.view, self.branches)

    def columns(self) -> Layout:
        """The columns at this width, from a sample of the model's rows and what is in sight."""
        if self._layout is None:
            width, top = self.size.width, self.scroll_offset.y
            self._sample = self._sample or self._text.sample(width)
            self._layout = self._text.layout(self._sample, self.branches.rows[top : top + self.size.height], width)
        return self._layout

    def render_line(self, y: int) -> Strip:
        index = self.scroll_offset.y + y - 1
        if y == 0:
            return self.inked(self._text.header(self.columns()))
        if index >= len(self.branches.rows):
            return self.inked(())
        row, is_cursor = self.branches.rows[index], index == self.cursor
        pieces = self._text.row(row, self.columns(), is_cursor, row in self.marks, self.needle)
        return self.inked(pieces, is_cursor)

    # Keys

    def move_rows(self, rows: int) -> None:
        self.cursor = max(0, min(self.cursor + rows, len(self.branches.rows) - 1))

    def page_rows(self) -> int:
        return self.size.height - 1

    def action_left(self) -> None:
        """Collapse, or go to the row that this one stands under."""
        if self.branches.is_open(self.row):
            self.branches.close(self.cursor)
            self._folded()
        else:
            self.cursor = self.branches.parent(self.cursor)

    def action_right(self) -> None:
        """Expand, or go to the first row below."""
        if not self.row.can_open:
            return
        if self.branches.is_open(self.row):
            self.cursor += 1
        else:
            self.branches.open(self.cursor)
            self._folded()

    def action_open_row(self) -> None:
        self.post_message(self.Chosen(self.row))

    def action_weights(self) -> None:
        self.post_message(self.Chosen(self.row, tab=2))

    def marked(self) -> tuple[str, ...]:
        """The marked layers in the order of the rows."""
        if not self.marks:
            return ()
        self.marks.end()
        return tuple(row.path for row in self.branches.rows if row in self.marks)

    def action_mark(self) -> None:
        """Mark the layer, or take its mark off, and go down."""
        if self.row.tensor is None and self.row.path:
            self.marks.paths ^= {self.row.path}
        self.refresh()
        self.move_rows(1)

    def action_range(self) -> None:
        """Begin a range of marks, or end it here."""
        if self.marks.has_range:
            self.marks.end()
        else:
            self.marks.begin(self.row)
            tell(self, "A range of marks: move to its other end; v ends it, escape forgets it.")
        self.refresh()

    def action_mark_all(self) -> None:
        """Mark all layers that match the search, or without one take marks off and mark the others."""
        layers = [row.path for row in self.branches.rows if row.path and row.tensor is None]
        if self.needle:
            needle = self.needle.casefold()
            self.marks.paths |= {path for path in layers if needle in path.rpartition(".")[2].casefold()}
        else:
            self.marks = Marks(set(layers) - self.marks.paths)
        self.refresh()

    def clear_marks(self) -> bool:
        """Take all marks off; whether there were any."""
        had_any, self.marks = bool(self.marks), Marks()
        self.refresh()
        return had_any

    def action_expand_all(self) -> None:
        self._set_all(is_open=True)

    def action_collapse_all(self) -> None:
        self._set_all(is_open=False)

    def _set_all(self, is_open: bool) -> None:
        path = self.row.path
        self.branches.set_all(is_open)
        here = path if is_open else path.split(".")[0]
        self._folded()
        self.go_to(here)

    def go_to(self, path: str, is_tensor: bool | None = None) -> None:
        """Put the cursor on a layer or a tensor, opening what hides it; on the model where there is no such path.

        `is_tensor` decides where both are called the same.
        """
        index = self.branches.reveal(path, is_tensor) or 0
        self._folded()
        self.cursor = index

    def _folded(self) -> None:
        """Draw again: other rows, whose names need more room further in."""
        self._layout = None
        self.hold(len(self.branches.rows) + 1)

    def on_click(self, event: events.Click) -> None:
        """One click moves the cursor, on the fold sign it folds; a second on the same row opens it."""
        index = self.scroll_offset.y + event.y - 1
        if not 0 <= index < len(self.branches.rows) or event.y == 0:
            return
        row = self.branches.rows[index]
        fold_at = 1 + 2 * row.depth
        if event.chain == 2 and index == self.cursor:
            self.post_message(self.Chosen(row))
        self.cursor = index
        if fold_at <= event.x < fold_at + 2 and row.can_open:
            (self.branches.close if self.branches.is_open(row) else self.branches.open)(index)
            self._folded()
