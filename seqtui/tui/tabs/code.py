"""Tab 4: the model as Python, with the line of the layer under the cursor marked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from textwrap import wrap
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from seqtui.errors import UsageError
from seqtui.formats.source_code import NET, source_code
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tree import joined
from seqtui.rows import Row
from seqtui.safe_text import safe_text
from seqtui.tui.actions import bindings
from seqtui.tui.movement import Scrolling
from seqtui.tui.toasts import tell, warn
from seqtui.view import View
from seqtui.words import bytes_words, cell_width, plural

STEP = 8
"""Cells that a key scrolls sideways."""
MARGIN = 1
"""Blank cells before each line."""

TOKEN = re.compile(
    r"""(?P<comment>\#.*)
    |(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
    |(?P<word>\b(?:from|import|True|False|None)\b)
    |(?P<layer>\bnn\.\w+)
    |(?P<number>\b\d[\d_]*(?:\.\d*)?(?:e[+-]?\d+)?)""",
    re.VERBOSE,
)
"""What stands out in a line. `source_code` ends every text, bracket of arguments and comment in the line it begins."""


class CodeTab(ScrollView, Scrolling, can_focus=True):
    """Lines of code, of which those in sight are drawn; or the sentence why there are none."""

    DEFAULT_CSS = """
    CodeTab { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    CodeTab > .code-tab--comment { color: $foreground-muted; }
    CodeTab > .code-tab--text { color: $text-success; }
    CodeTab > .code-tab--word { color: $text-secondary; }
    CodeTab > .code-tab--layer { color: $text-primary; }
    CodeTab > .code-tab--number { color: $text-warning; }
    CodeTab > .code-tab--cursor { background: $surface-lighten-1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement", "code")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"code-tab--{name}" for name in ("comment", "text", "word", "layer", "number", "cursor"))
    }

    def __init__(self) -> None:
        super().__init__()
        self.code = ""
        """The code as it is copied; empty where there is none."""
        self._refusal = ""
        self._model: ModelSpec | None = None
        self._lines: list[str] = []
        self._places: dict[str, int] = {}
        self._marked: int | None = None

    def look_at(self, view: View, row: Row) -> None:
        """Show a model's code with the line of a row's layer."""
        if view.model is not self._model:
            self._model = view.model
            self._read(view.model)
        marked = self._place_of(row) if self._lines else None
        if marked != self._marked:
            self._marked = marked
            self._scroll_to_mark()
        self.refresh()

    def on_resize(self) -> None:
        self.call_after_refresh(self._scroll_to_mark)  # only then is it known how far there is to scroll

    def _read(self, model: ModelSpec) -> None:
        self.code, self._refusal, self._places = "", "", {}
        try:
            self.code = source_code(model)
        except UsageError as error:
            self._refusal = safe_text(f"{error.message}. {error.hint}")
        self._lines = [safe_text(line, limit=len(line)) for line in self.code.splitlines()]
        if self._lines:
            first = next(number for number, line in enumerate(self._lines) if line.startswith(f"{NET} = "))
            self._places = line_numbers(model.root, first)
        self.virtual_size = Size(MARGIN + max(map(cell_width, self._lines), default=0), len(self._lines))

    def _place_of(self, row: Row) -> int | None:
        """The line of a layer, or of the one around it that has a line: inside what is off there are none."""
        path = row.path
        while path and path not in self._places:
            path = path.rpartition(".")[0]
        return self._places.get(path)

    def _scroll_to_mark(self) -> None:
        """Bring the marked line into sight, with no more movement than that takes."""
        if self._marked is None:
            return
        top, height = self.scroll_offset.y, max(self.size.height, 1)
        if not top <= self._marked < top + height:
            self.scroll_to(y=self._marked - height // 2, animate=False)

    # Drawing

    def render_line(self, y: int) -> Strip:
        width, base = self.size.width, self.rich_style
        if self._refusal:
            lines = wrap(self._refusal, max(width - 2 * MARGIN, 1))
            return Strip([Segment(f" {lines[y]}" if y < len(lines) else "", base)]).adjust_cell_length(width, base)
        number = y + self.scroll_offset.y
        if number >= len(self._lines):
            return Strip.blank(width, base)
        if number == self._marked:
            base += self.get_component_rich_style("code-tab--cursor", partial=True)
        strip = Strip([Segment(" " * MARGIN, base), *self._segments(self._lines[number], base)])
        return strip.crop_extend(self.scroll_offset.x, self.scroll_offset.x + width, base)

    def _segments(self, line: str, base: Style) -> Iterator[Segment]:
        """A line in its colours."""
        end = 0
        for token in TOKEN.finditer(line):
            yield Segment(line[end : token.start()], base)
            style = self.get_component_rich_style(f"code-tab--{token.lastgroup}", partial=True)
            yield Segment(token[0], base + style)
            end = token.end()
        yield Segment(line[end:], base)

    # Keys

    def action_left(self) -> None:
        self.scroll_relative(x=-STEP, animate=False)

    def action_right(self) -> None:
        self.scroll_relative(x=STEP, animate=False)

    def action_copy_code(self) -> None:
        """Send the code to the terminal's clipboard; whether it takes it, no terminal says."""
        if self._refusal:
            warn(self, self._refusal)
            return
        self.app.copy_to_clipboard(self.code)
        size = bytes_words(len(self.code.encode()))
        lines = plural(len(self._lines), "line")
        tell(self, f"The code was sent to the terminal's clipboard: {lines}, {size}.")


def line_numbers(root: LayerSpec, first: int) -> dict[str, int]:
    """The line of each layer in the code by its path, where that of the network itself is `first`."""
    places: dict[str, int] = {}
    numbers = count(first)

    def walk(path: str, layer: LayerSpec) -> None:
        places[path] = next(numbers)
        inside = [child for child in layer.layers if child.is_called] if layer.enabled else []
        for child in inside:
            walk(joined(path, child.name), child)
        if inside:
            next(numbers)  # the brackets that close

    walk("", root)
    return places
