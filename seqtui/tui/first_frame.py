"""The first frame, drawn while Textual is still being imported: the very cells that Textual draws over it.

Standard library alone. Where it is not known how Textual will draw there is no first frame, and nothing jumps.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from colorsys import rgb_to_hls
from math import ceil
from typing import Literal, NamedTuple

from seqtui.tui.branches import Branches
from seqtui.tui.texts import (
    TABLE_PANES,
    WIDE,
    Ink,
    Piece,
    TableText,
    cells_in,
    cut,
    detail_title,
    key_line,
    title_line,
    totals_line,
    useless_keys,
)
from seqtui.view import View

Ground = Literal["background", "surface", "cursor"]
Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

LEAST_COLUMNS, LEAST_LINES = 24, 6
"""A smaller terminal waits for Textual, which knows what gives way."""
TABLE_LEAST = 62
"""Columns of the table beside the detail at the least, as in seqtui.tcss."""

GROUNDS: dict[Ground, tuple[Colour, Colour]] = {
    "background": ((224, 224, 224), (18, 18, 18)),
    "surface": ((225, 225, 225), (30, 30, 30)),
    "cursor": ((224, 224, 224), (12, 48, 76)),
}
"""Text colour and background, as Textual mixes them for seqtui.tcss in its theme textual-dark."""
QUIET, ACCENT, ERROR, BAR = (141, 141, 141), (87, 165, 226), (209, 126, 146), (62, 62, 62)
BARS = "▁▂▃▄▅▆▇ "
"""The last cell of a scrollbar's thumb: what of it is left to the track. Source: textual.scrollbar."""


class Look(NamedTuple):
    """How a piece is drawn."""

    colour: Colour | None = None
    """None for the text colour of the ground."""
    attributes: str = ""
    """In front of the colours of a control sequence."""
    ground: Ground | None = None
    """None for that of the line."""


LOOKS: dict[Ink, Look] = {
    "": Look(),
    "bold": Look(None, "1;"),
    "header": Look(QUIET),
    "quiet": Look(QUIET),
    "problem": Look(ERROR),
    "match": Look(ACCENT, "1;4;"),
    "key": Look(ACCENT, "1;"),
    "tab": Look(QUIET),
    "tab-in-sight": Look(ACCENT, "1;", "cursor"),
}


class Pen(NamedTuple):
    """What turns pieces into text for a terminal of some colours."""

    is_exact: bool
    """Whether it takes any colour; else the 256 of a palette."""
    is_grey: bool

    def line(self, pieces: Sequence[Piece], width: int, ground: Ground = "background") -> str:
        """A line of `width` cells."""
        pieces = cut(pieces, width)
        drawn, last = "", None
        for text, ink in (*pieces, Piece(" " * (width - cells_in(pieces)))):
            if text:
                drawn += text if ink == last else self._look(LOOKS[ink], ground) + text
                last = ink
        return drawn

    def cell(self, text: str, colour: Colour, ground: Colour) -> str:
        """Text in two colours of its own."""
        return f"\x1b[0;{self._number(38, colour)};{self._number(48, ground)}m{text}"

    def _look(self, look: Look, ground: Ground) -> str:
        colour, background = GROUNDS[look.ground or ground]
        return f"\x1b[0;{look.attributes}{self._number(38, look.colour or colour)};{self._number(48, background)}m"

    def _number(self, what: int, colour: Colour) -> str:
        """The colour as a control sequence names it, 38 for text and 48 for what it stands on."""
        if self.is_grey:
            colour = (grey(colour),) * 3
        return f"{what};2;{colour[0]};{colour[1]};{colour[2]}" if self.is_exact else f"{what};5;{of_256(colour)}"


def grey(colour: Colour) -> int:
    """How bright a colour is. Source: `textual.color.Color.monochrome`."""
    red, green, blue = colour
    return round(red * 0.2126 + green * 0.7152 + blue * 0.0722)


def of_256(colour: Colour) -> int:
    """The nearest of the 256 colours of a terminal. Source: `rich.color.Color.downgrade`."""
    _, lightness, saturation = rgb_to_hls(*(part / 255 for part in colour))
    if saturation < 0.15:
        step = round(lightness * 25)
        return {0: 16, 25: 231}.get(step, 231 + step)
    red, green, blue = (round(part / 95 if part < 95 else 1 + (part - 95) / 40) for part in colour)
    return 16 + 36 * red + 6 * green + blue


def pen_for(environment: Mapping[str, str]) -> Pen | None:
    """As Textual finds out what colours the terminal takes; None for the few whose 16 look as everybody likes them."""
    is_exact = environment.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit")
    if not is_exact and environment.get("TERM", "").strip().lower().rpartition("-")[2] not in ("256color", "kitty"):
        return None
    return Pen(is_exact, "NO_COLOR" in environment)


def first_frame(view: View, branches: Branches, environment: Mapping[str, str]) -> str:
    """What to write on a blank screen of the size of the terminal; empty where Textual has to be waited for."""
    columns, lines = shutil.get_terminal_size()
    pen = pen_for(environment)
    if pen is None or columns < LEAST_COLUMNS or lines < LEAST_LINES:
        return ""
    is_wide = columns >= WIDE
    useless = useless_keys(is_on_table=True, is_wide=is_wide, has_shapes=view.model.is_sequential)
    width = max(columns // 2, TABLE_LEAST) if is_wide else columns
    panes = _table(pen, TableText(view, branches), width, lines - 3)
    if is_wide:
        title = detail_title(view.title, 1, columns - width - 1)
        beside = [pen.line(line, columns - width - 1) for line in (title, *([[]] * (lines - 4)))]
        edge = pen.cell("▏", BAR, GROUNDS["background"][1])
        panes = [left + edge + right for left, right in zip(panes, beside, strict=True)]
    drawn = [
        pen.line(title_line(view, columns), columns, "surface"),
        *panes,
        pen.line(totals_line(view, "", columns), columns, "surface"),
        pen.line(key_line(TABLE_PANES, useless, columns), columns),
    ]
    return "".join(f"\x1b[{number};1H{line}" for number, line in enumerate(drawn, 1)) + "\x1b[0m"


def _table(pen: Pen, text: TableText, width: int, height: int) -> list[str]:
    """The lines of the table with its scrollbar, the cursor on the first row."""
    rows = text.branches.rows[:height]
    table = text.layout(text.sample(width), rows, width)
    lines = [pen.line(text.header(table), width - 1)]
    for index, row in enumerate(rows[: height - 1]):
        is_cursor = index == 0
        pieces = text.row(row, table, is_cursor=is_cursor)
        lines.append(pen.line(pieces, width - 1, "cursor" if is_cursor else "background"))
    lines += [pen.line([], width - 1)] * (height - len(lines))
    return [line + cell for line, cell in zip(lines, _scrollbar(pen, height, len(text.branches.rows) + 1), strict=True)]


def _scrollbar(pen: Pen, height: int, lines: int) -> list[str]:
    """The cells of a scrollbar at its top, for so many lines of which `height` are in sight."""
    track = GROUNDS["background"][1]
    if lines <= height:
        return [pen.cell(" ", BAR, track)] * height
    full, part = divmod(ceil(max(height * height / lines, 1) * len(BARS)), len(BARS))
    thumb = [pen.cell(" ", track, BAR)] * full + [pen.cell(BARS[-1 - part], track, BAR)] * (part > 0)
    return [*thumb, *[pen.cell(" ", BAR, track)] * (height - len(thumb))][:height]
