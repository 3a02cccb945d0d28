"""InkedLines: pieces of text drawn line by line, each in what the widget's component class for its ink looks like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from rich.segment import Segment
from rich.style import Style
from textual.cache import FIFOCache
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from seqtui.tui.texts import Piece

MOST_KEPT = 500
"""Strips that are kept: those of all lines in sight, most of them twice."""


class InkedLines(ScrollView):
    """Lines to scroll over, one of which may lie under a cursor. They have no border, no padding and no tint.

    Textual makes a strip anew whenever its line is to be drawn, and with it all that it keeps on strips: what it looks
    like in this theme, cut at other widgets, as bytes. Here a line that looks as it did is the same strip again.
    """

    LOOKS: ClassVar[str]
    """What the names of its component classes begin with: `LOOKS--cursor`, and one for each ink."""

    def __init__(self) -> None:
        super().__init__()
        self._inks: dict[str, Style] = {}
        self._lines_drawn: dict[int, Strip] = {}
        """By their place in sight; those that are to be drawn anew are missing."""
        self._width_drawn = 0
        self._is_stale = False
        """Whether some of them may look otherwise now."""
        self._strips: FIFOCache[tuple[int, Style, tuple[Segment, ...]], Strip] = FIFOCache(MOST_KEPT)
        self.base = Style()
        """What an empty line looks like."""

    def hold(self, lines: int) -> None:
        """There are so many lines from now on; draw those in sight."""
        size = Size(self.size.width, lines)
        if size != self.virtual_size:
            self.set_reactive(InkedLines.virtual_size, size)  # an assignment would lay out the whole screen
            self._scroll_update(size)
        self.refresh()

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()
        self.refresh()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Have these regions drawn anew; without any, all lines that do not look as they did."""
        if self._lines_drawn and repaint and not (regions or layout or recompose):
            if not self._is_stale:
                self._is_stale = True
                self.call_next(self._draw_changed)
            return self
        if not regions:
            self._lines_drawn.clear()
        for y in (y for region in regions for y in region.line_range):
            self._lines_drawn.pop(y, None)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def _draw_changed(self) -> None:
        """Have those lines drawn that are other strips now."""
        self._is_stale = False
        self.base = self.rich_style
        width, height = self.size
        drawn, self._lines_drawn = self._lines_drawn, {y: self.render_line(y) for y in range(height)}
        changed = [y for y, strip in self._lines_drawn.items() if strip is not drawn.get(y)]
        if changed:
            super().refresh(*(Region(0, y, width, 1) for y in changed))

    def render_lines(self, crop: Region) -> list[Strip]:
        """Only those that something was changed in."""
        if self._width_drawn != self.size.width:
            self._width_drawn = self.size.width
            self._lines_drawn.clear()
        self.base = self.rich_style  # looked up through all ancestors: once for all lines
        for y in crop.line_range:
            if y not in self._lines_drawn:
                self._lines_drawn[y] = self.render_line(y)
        strips = [self._lines_drawn[y].crop(*crop.column_span) for y in crop.line_range]
        _, background = self.background_colors
        for each in self.get_line_filters():
            strips = [strip.apply_filter(each, background) for strip in strips]
        return strips

    def ink(self, part: str) -> Style:
        """How a part is written, whatever it is written on; of the cursor, what is written on it."""
        if part not in self._inks:
            style = self.get_component_rich_style(f"{self.LOOKS}--{part}")
            written = Style(color=style.color, bold=style.bold, underline=style.underline)
            self._inks[part] = Style(bgcolor=style.bgcolor) if part == "cursor" else written
        return self._inks[part]

    def inked(self, pieces: Sequence[Piece], is_cursor: bool = False) -> Strip:
        """A whole line."""
        base = self.base + self.ink("cursor") if is_cursor else self.base
        segments = tuple(Segment(text, base + self.ink(ink) if ink else base) for text, ink in pieces)
        key = (self.size.width, base, segments)
        if key not in self._strips:
            self._strips[key] = Strip(segments).adjust_cell_length(self.size.width, base)
        return self._strips[key]
