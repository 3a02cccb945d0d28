"""The three lines around the panes: whose model this is, what it comes to, and which keys there are."""

from __future__ import annotations

from collections.abc import Iterable

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from seqtui.rows import Row
from seqtui.tui.actions import Pane
from seqtui.tui.texts import TABLE_PANES, Ink, Piece, key_line, title_line, totals_line
from seqtui.view import View

INKS: dict[Ink, str] = {
    "bold": "bold",
    "quiet": "$foreground-muted",
    "problem": "$text-error",
    "key": "bold $text-primary",
    "tab": "$foreground-muted",
    "tab-in-sight": "bold $text-primary on $primary-muted",
}
"""As Textual's styles. What is not here is written as the widget is."""


def content(pieces: Iterable[Piece]) -> Content:
    """Pieces of text as a widget shows them."""
    return Content.assemble(*((text, INKS.get(ink, "")) for text, ink in pieces))


class Line(Widget):
    """One line of text."""

    DEFAULT_CSS = "Line { height: 1; }"


class TitleLine(Line):
    """The file, how it is looked at and run, and what torch's process does."""

    view: reactive[View | None] = reactive(None)
    torch: reactive[str] = reactive("")

    def render(self) -> Content:
        return content(title_line(self.view, self.size.width, self.torch) if self.view else ())


class TotalsLine(Line):
    """Totals of the model, and the problem under the cursor, else the first, else how many notes there are."""

    view: reactive[View | None] = reactive(None)
    row: reactive[Row | None] = reactive(None, repaint=False)

    def watch_row(self) -> None:
        if self.view is not None and len(self.view.inference.problems) > 1:  # another of them may be shown now
            self.refresh()

    def render(self) -> Content:
        if self.view is None:
            return Content("")
        return content(totals_line(self.view, self.row.path if self.row else "", self.size.width))


class KeyLine(Line):
    """The keys that matter where the focus is."""

    panes: reactive[tuple[Pane, ...]] = reactive(TABLE_PANES)
    useless: reactive[frozenset[str]] = reactive(frozenset({"cancel", "zoom"}))
    """Ids of actions that would do nothing here."""

    def render(self) -> Content:
        return content(key_line(self.panes, self.useless, self.size.width))
