"""InkedLines: pieces of text drawn line by line, each in what the widget's component class for its ink looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from seqtui.tui.texts import Piece


class InkedLines(ScrollView):
    """Lines to scroll over, one of which may lie under a cursor."""

    LOOKS: ClassVar[str]
    """What the names of its component classes begin with: `LOOKS--cursor`, and one for each ink."""

    def __init__(self) -> None:
        super().__init__()
        self._inks: dict[str, Style] = {}
        self.base = Style()
        """What an empty line looks like."""

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()

    def ink(self, part: str) -> Style:
        """How a part is written, whatever it is written on; of the cursor, what is written on it."""
        if part not in self._inks:
            style = self.get_component_rich_style(f"{self.LOOKS}--{part}")
            written = Style(color=style.color, bold=style.bold, underline=style.underline)
            self._inks[part] = Style(bgcolor=style.bgcolor) if part == "cursor" else written
        return self._inks[part]

    def render_lines(self, crop: Region) -> list[Strip]:
        self.base = self.rich_style  # looked up through all ancestors: once for all lines
        return super().render_lines(crop)

    def inked(self, pieces: Iterable[Piece], is_cursor: bool = False) -> Strip:
        """A whole line."""
        base = self.base + self.ink("cursor") if is_cursor else self.base
        segments = [Segment(text, base + self.ink(ink) if ink else base) for text, ink in pieces]
        return Strip(segments).adjust_cell_length(self.size.width, base)
