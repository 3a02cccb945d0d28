"""Columns of text: how wide each is drawn, and a cell cut and padded to its column. For screens and pipes alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seqtui.rows import SIGNS, Cells, Row
from seqtui.words import cell_width

GAP = 2
"""Blank cells between two columns."""


class Column(NamedTuple):
    """One column of the layer table."""

    field: str
    """The field of Cells."""
    title: str
    is_number: bool = False
    """Numbers stand right and are never cut."""
    least: int = 0
    """How narrow a column of words may get before others give way."""
    wanted: int = 0
    """How wide one may grow for texts that were not in the sample, where there is room."""


LABEL = Column("label", "Layer", least=14, wanted=24)
KIND = Column("kind", "Kind", least=8, wanted=24)
OUTPUT = Column("output", "Output", least=9, wanted=18)
PARAMS = Column("params", "Params", is_number=True)
MACS = Column("macs", "Multiply-adds", is_number=True)
MEMORY = Column("memory", "Memory", is_number=True)


class Layout(NamedTuple):
    """The columns that fit, and their widths in cells."""

    columns: tuple[Column, ...]
    widths: tuple[int, ...]

    def line(self, texts: Sequence[str]) -> list[str]:
        """Each text cut and padded to its column, the gap after it included."""
        pieces = [
            fit(text, width, right=column.is_number)
            for text, width, column in zip(texts, self.widths, self.columns, strict=True)
        ]
        return [piece + " " * GAP for piece in pieces[:-1]] + pieces[-1:]


def columns_for(width: int, has_shapes: bool = True) -> tuple[Column, ...]:
    """What a table of so many cells shows, with or without what follows from shapes; `Layer` alone at the least."""
    if not has_shapes:
        return (LABEL, KIND, PARAMS) if width >= 40 else columns_for(min(width, 30))
    if width >= 110:
        return (LABEL, KIND, OUTPUT, PARAMS, MACS, MEMORY)
    if width >= 48:
        return (LABEL, KIND, OUTPUT, PARAMS)
    if width >= 40:
        return (LABEL, OUTPUT, PARAMS)
    return (LABEL, PARAMS) if width >= 24 else (LABEL,)


def widest(columns: tuple[Column, ...], rows: Iterable[Sequence[str]]) -> tuple[int, ...]:
    """Cells that each column needs for its title and for the rows' texts."""
    texts = zip(*([column.title for column in columns], *rows), strict=True)
    return tuple(max(map(cell_width, column)) for column in texts)


def layout(columns: tuple[Column, ...], rows: Iterable[Sequence[str]], width: int | None) -> Layout:
    """The columns of a table whose rows have these texts, in so many cells; None for no limit."""
    needed = widest(columns, rows)
    return Layout(columns, needed) if width is None else fitting(columns, needed, width)


def fitting(columns: tuple[Column, ...], needed: Sequence[int], width: int) -> Layout:
    """Columns as wide as they need to be, or less where `width` cells are too few.

    What is short is taken from the other words before it is taken from the first column, the names. What is left over
    goes first to those that want it, then to all words in equal parts, up to four cells each, so that a wide screen
    does not tear a row apart.
    """
    widths = list(needed)
    words = [index for index, column in enumerate(columns) if not column.is_number]
    over = sum(widths) + GAP * (len(columns) - 1) - width
    while over > 0:
        # names last: what cannot be told apart is of no use
        widest = max(words[1:], key=lambda index: widths[index] - columns[index].least, default=words[0])
        if widths[widest] <= columns[widest].least:
            widest = max(words, key=lambda index: widths[index])
        if widths[widest] <= 1:
            break
        widths[widest] -= 1
        over -= 1
    left = max(-over, 0)
    for index in reversed(words):
        grown = min(max(columns[index].wanted - widths[index], 0), left)
        widths[index] += grown
        left -= grown
    for index in words:
        widths[index] += min(left // len(words), 4)
    return Layout(columns, tuple(widths))


def tree_label(row: Row, cells: Cells, is_open: bool) -> str:
    """The label with its indent, fold sign and state sign: `  ▸ ● conv1`; frozen under another sign: `! fc1 ❄`."""
    fold = ("▾" if is_open else "▸") if row.can_open else " "
    sign = "" if cells.state == "plain" else f"{SIGNS[cells.state]} "
    if row.tensor:
        return "  " * (row.depth + 1) + (sign or "  ") + cells.label
    frozen = f" {SIGNS['frozen']}" if cells.is_frozen and cells.state != "frozen" else ""
    return f"{'  ' * row.depth}{fold} {sign}{cells.label}{frozen}"


def fit(text: str, width: int, right: bool = False) -> str:
    """The text in exactly `width` cells: padded, or cut with an ellipsis."""
    size = cell_width(text)
    if size > width:
        kept, size = "", 0
        for character in text:
            size += cell_width(character)
            if size >= width:
                break
            kept += character
        text = f"{kept}…" if width > 0 else ""
        size = cell_width(text)
    pad = " " * (width - size)
    return pad + text if right else text + pad
