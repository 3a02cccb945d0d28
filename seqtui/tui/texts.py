"""What stands on the first screen, as pieces of text, without Textual: the widgets and the first frame both write it.

A piece says what it is written in by name; `chrome.py` and `layer_table.py` know Textual's styles of these names, and
`first_frame.py` the colours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import PurePath
from typing import Literal, NamedTuple

from seqtui.model.spec import Deferred
from seqtui.rows import SIGNS, Cells, Row, cells, rows_below
from seqtui.safe_text import safe_text
from seqtui.table import Column, Layout, columns_for, fit, fitting, tree_label, widest
from seqtui.tui.actions import ACTIONS, Pane, key_sign
from seqtui.tui.branches import Branches
from seqtui.view import View
from seqtui.words import bytes_words, cell_width, count_words, plural, shape_words

Ink = Literal["", "bold", "header", "quiet", "problem", "match", "key", "tab", "tab-in-sight"]
"""What a piece is written in; "" is the text colour of what it is written on."""

WIDE = 100
"""Columns from which the detail stands beside the table."""
SAMPLE = 400
"""Rows whose texts decide the widths of the columns: the first, folded or not, so that folding moves none."""
TABLE_PANES: tuple[Pane, ...] = ("table", "everywhere", "app", "movement")
"""The parts of the table of actions that hold on the layer table."""
FIRST_KEYS = (
    *("open.row", "cancel", "help", "quit", "add", "edit"),
    *("run.cancel", "run.maps", "run.input", "run.backward", "run.passes"),
    *("toggle", "search", "command"),
)
"""Ids of the actions that a narrow line of keys keeps."""
TAB_WORDS = {1: "Layer", 2: "Weights", 3: "Run", 4: "Code", 6: "Problems"}
"""The tabs of the detail by the key that shows them."""
NAME_CELLS = 12
"""Cells of the detail's title that the name under the cursor keeps beside the words of all tabs."""


class Piece(NamedTuple):
    """Some text of one line."""

    text: str
    ink: Ink = ""


# The lines around the table


def spread(left: Sequence[Piece], right: Sequence[Piece], width: int) -> list[Piece]:
    """Both in one line of `width` cells, a blank cell before and after; the left gives way."""
    taken = cells_in(right)
    room = width - 2 - taken - (2 if taken else 0)
    if room < 1:
        return cut([Piece(" "), *right], width) if taken else []
    left = cut(left, room)
    return [Piece(" "), *left, Piece(" " * (width - 2 - cells_in(left) - taken)), *right]


def title_line(view: View, width: int, torch: str = "") -> list[Piece]:
    """The file, how it is looked at and run, and what `torch`'s process does."""
    model, opened = view.model, view.opened
    shapes = ", ".join(shape_words(item.shape) for item in model.inputs)
    dtypes = {item.dtype for item in model.inputs} - {"float32"}
    words = ["in " + " ".join([shapes, *sorted(dtypes)])] if shapes else []
    words.append(view.mode.words if model.is_sequential else f"{opened.format}, tensors only")
    words += [torch] if torch else []
    right = "   ".join(words)
    changed = " +" if view.is_changed else " (read-only)" if view.is_read_only else ""
    path = safe_text(opened.path or view.title) + changed
    if cell_width(path) + cell_width(right) + 4 > width:
        path = safe_text(PurePath(opened.path).name or view.title) + changed
    return spread([Piece(path, "bold")], [Piece(right)], width)


def totals_line(view: View, path: str, width: int) -> list[Piece]:
    """Totals of the model, and the problem of the layer at `path`, else the first, else how many notes there are."""
    total, problems = view.inference.total, view.inference.problems
    words = [f"{total.num_params:,} parameters" if total.num_params else "no parameters"]
    words.append(bytes_words(view.num_bytes))
    if total.macs:
        words.append(f"{count_words(total.macs)} multiply-adds")
    left = [Piece(" · ".join(words))]
    if problems:
        problem = problems.get(path) or next(iter(problems.values()))
        sentence = [Piece(f"{SIGNS['problem']} {safe_text(problem.message)}", "problem")]
        short = [Piece(f"{SIGNS['problem']} {plural(len(problems), 'problem')}", "problem")]
        fits = cells_in(left) + cells_in(sentence) + 4 <= width
        return spread(left, sentence, width) if fits else spread(sentence, short, width)
    notes, by_torch = len(view.opened.notes), view.inference.num_torchs
    remarks = [f"{plural(by_torch, 'shape')} by torch *"] if by_torch else []
    remarks += [plural(notes, "note")] if notes else []
    quiet = "no problems" if view.model.is_sequential else ""
    return spread(left, [Piece(" · ".join(remarks) or quiet)], width)


def key_line(panes: Sequence[Pane], useless: Collection[str], width: int) -> list[Piece]:
    """The keys that matter where the focus is; `useless` are ids of actions that would do nothing there."""
    held = [(place, action) for place, pane in enumerate(panes) for action in ACTIONS if action.holds_in(pane)]
    order = {name: place for place, name in enumerate(FIRST_KEYS)}
    held.sort(key=lambda item: (order.get(item[1].id, len(order)), item[0]))
    shown = [action for _, action in held if action.short and action.id not in useless]
    pieces: list[Piece] = []
    room = width - 1
    for action in shown:
        sign = key_sign(action.keys[0])
        room -= cell_width(f"{sign} {action.short}   ")
        if room < -3:
            break
        gap = "   " if pieces else " "
        pieces += [Piece(gap), Piece(sign, "key"), Piece(f" {action.short}", "quiet")]
    return pieces


def useless_keys(is_on_table: bool, is_wide: bool, has_shapes: bool, is_torch_busy: bool = False) -> frozenset[str]:
    """Ids of actions that would do nothing on the model's screen as it is now."""
    needs_shapes = dict.fromkeys(("input", "run", "mode", "device"), not has_shapes)
    facts = {"cancel": is_on_table, "zoom": not is_wide, "run.cancel": not is_torch_busy, **needs_shapes}
    return frozenset(name for name, is_useless in facts.items() if is_useless)


def detail_title(name: str, tab: int, width: int) -> list[Piece]:
    """What is under the cursor, and the tabs: the number of each and its words, the one in sight marked."""
    tabs = _tabs(tab, TAB_WORDS)
    if cells_in(tabs) + NAME_CELLS > width:
        tabs = _tabs(tab, {tab: TAB_WORDS[tab]})
    return spread([Piece(safe_text(name), "bold")], tabs, width)


def _tabs(in_sight: int, words: dict[int, str]) -> list[Piece]:
    pieces: list[Piece] = []
    for number in TAB_WORDS:
        text = f" {number} {words[number]} " if number in words else f" {number} "
        pieces.append(Piece(text, "tab-in-sight" if number == in_sight else "tab"))
    return pieces


def cells_in(pieces: Iterable[Piece]) -> int:
    """How many cells they take in one line."""
    return sum(cell_width(piece.text) for piece in pieces)


def cut(pieces: Sequence[Piece], room: int) -> list[Piece]:
    """As much of the pieces as there is room for; what is cut ends in an ellipsis."""
    kept: list[Piece] = []
    for piece in pieces:
        width = cell_width(piece.text)
        if width > room:
            kept.append(Piece(fit(piece.text, room), piece.ink))
            break
        kept.append(piece)
        room -= width
    return kept


# The table


class TableText(NamedTuple):
    """The rows of a model as the layer table writes them."""

    view: View
    branches: Branches

    def sample(self, width: int) -> tuple[int, ...]:
        """Cells that each column needs for a sample of the model's rows, in a table of `width` cells."""
        first = islice(rows_below(self.branches.root, _is_made), SAMPLE)
        return self._needed([self.branches.root, *first], width)

    def layout(self, sample: Sequence[int], in_sight: Sequence[Row], width: int) -> Layout:
        """The columns at a width, from what a sample of the model's rows needs, and what is in sight."""
        needed = tuple(map(max, sample, self._needed(in_sight, width)))
        return fitting(self._columns(width), needed, width - 2)  # blank cells on either side

    def header(self, table: Layout) -> list[Piece]:
        """The titles of the columns."""
        return [Piece(" "), Piece("".join(table.line([column.title for column in table.columns])), "header")]

    def row(
        self, row: Row, table: Layout, is_cursor: bool = False, is_marked: bool = False, needle: str = ""
    ) -> list[Piece]:
        """A row's sign and columns; what is under the cursor is all written in full strength."""
        shown = self._cells(row)
        quiet: Ink = "" if is_cursor else "quiet"
        inks: dict[str, Ink] = {"kind": quiet, "macs": quiet, "memory": quiet}
        if shown.state == "problem":
            inks["label"] = inks["output"] = "problem"
        elif shown.state == "off" or row.tensor:
            inks["label"] = inks["output"] = quiet
        texts = table.line(self._texts(row, shown, table.columns))
        sign = "▌" if is_marked else "›" if is_cursor else " "
        pieces = [Piece(sign, "match" if is_marked or is_cursor else "")]
        for column, text in zip(table.columns, texts, strict=True):
            piece = Piece(text, inks.get(column.field, ""))
            pieces += _marked(piece, needle) if needle and column.field == "label" else [piece]
        return pieces

    def _columns(self, width: int) -> tuple[Column, ...]:
        return columns_for(width - 2, self.view.model.is_sequential)

    def _needed(self, rows: Iterable[Row], width: int) -> tuple[int, ...]:
        """Cells that each column needs for the texts of rows.

        A problem's sentence takes what room there is, and moves no column when it comes and goes.
        """
        columns = self._columns(width)
        return widest(columns, (self._texts(row, self._cells(row).without_problem(), columns) for row in rows))

    def _cells(self, row: Row) -> Cells:
        title = "" if row.depth else self.view.title  # taken from a path: dear, and the model's own row alone shows it
        return cells(row, self.view.inference, title, self.view.mode.is_training, self.branches.sharers)

    def _texts(self, row: Row, shown: Cells, columns: tuple[Column, ...]) -> list[str]:
        label = tree_label(row, shown, self.branches.is_open(row))
        return [label, *(str(getattr(shown, column.field)) for column in columns[1:])]


def _is_made(row: Row) -> bool:
    """Whether to look under a row costs nothing."""
    return not isinstance(row.layer.layers, Deferred) or row.layer.layers.is_made


def _marked(label: Piece, needle: str) -> list[Piece]:
    """A label with what is searched for marked."""
    at = label.text.casefold().find(needle.casefold())
    if at < 0:
        return [label]
    end = at + len(needle)
    return [Piece(label.text[:at], label.ink), Piece(label.text[at:end], "match"), Piece(label.text[end:], label.ink)]
