"""Tab 6: every layer that does not fit, with the edits that would mend it, and what else is noted of the model."""

from __future__ import annotations

from itertools import islice
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Static

from seqtui.model.edit import Edit
from seqtui.model.problems import fixes
from seqtui.rows import SIGNS, Row
from seqtui.safe_text import safe_text
from seqtui.tui.actions import bindings
from seqtui.tui.movement import Movement
from seqtui.view import View

SHOWN = 200
"""Problems that are listed; the rest is counted. One often makes many, and mending it mends them."""


class Listed(NamedTuple):
    """A problem and its ways out."""

    path: str
    message: str
    fixes: tuple[Edit, ...]
    """Best first."""


class ProblemsTab(Movement, VerticalScroll, can_focus=True):
    """The problems of a model, with a cursor of its own."""

    DEFAULT_CSS = """
    ProblemsTab { height: 1fr; scrollbar-size-vertical: 1; }
    ProblemsTab > Static { width: 1fr; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement", "problems")]

    cursor: reactive[int] = reactive(0, repaint=False)

    class Chosen(Message):
        """Enter on a problem."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class FixWanted(Message):
        """An edit that would mend the problem under the cursor."""

        def __init__(self, edit: Edit) -> None:
            super().__init__()
            self.edit = edit

    def __init__(self) -> None:
        super().__init__()
        self._view: View | None = None
        self._path = ""
        self._listed: list[Listed] = []

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def look_at(self, view: View, row: Row) -> None:
        """Show a model's problems, with the cursor on that of a row's layer when the row has one and is another."""
        if view is not self._view:
            self._view = view
            self._listed = listed(view)
        if row.path != self._path:
            self._path = row.path
            paths = [problem.path for problem in self._listed]
            self.cursor = paths.index(row.path) if row.path in paths else self.cursor
        self.cursor = min(self.cursor, max(len(self._listed) - 1, 0))
        self._write()

    def on_mount(self) -> None:
        self._write()

    def on_resize(self) -> None:
        self._write()

    def watch_has_focus(self, _has_focus: bool) -> None:
        super().watch_has_focus(_has_focus)
        self._write()

    def watch_cursor(self) -> None:
        self._write()

    def _write(self) -> None:
        """The list, scrolled so that the problem under the cursor is in sight, its fixes too."""
        if self._view is None or not self.is_mounted:
            return
        width = max(self.size.width, 1)
        blocks = [self._block(problem, place == self.cursor) for place, problem in enumerate(self._listed)]
        self.query_one(Static).update(Content("\n").join([*blocks, *_remarks(self._view)]))
        above = sum(block.get_height({}, width) for block in blocks[: self.cursor])
        here = blocks[self.cursor].get_height({}, width) if blocks else 0
        self.scroll_to_region(Region(0, above, width, here), animate=False)

    def _block(self, problem: Listed, is_here: bool) -> Content:
        look = "bold on $primary-muted" if is_here and self.has_focus else "bold" if is_here else ""
        head = Content(f" {SIGNS['problem']} {safe_text(problem.message)} ").stylize("$text-error").stylize(look)
        lines = [Content.assemble("     ", safe_text(edit_words(edit), limit=2000)) for edit in problem.fixes]
        if lines:
            lines[0] = Content.assemble("   ", ("! ", "bold $text-primary"), lines[0].plain.strip())
        return Content("\n").join([head, *lines])

    # Keys

    def move_rows(self, rows: int) -> None:
        if self._listed:
            self.cursor = max(0, min(self.cursor + rows, len(self._listed) - 1))
        else:
            self.scroll_relative(y=max(-self.page_rows(), min(rows, self.page_rows())), animate=False)

    def page_rows(self) -> int:
        return self.size.height

    def action_left(self) -> None:
        """Sentences are wrapped: nothing stands to the left."""

    def action_right(self) -> None:
        """Nor to the right."""

    def action_problem_open(self) -> None:
        """To the layer."""
        if self._listed:
            self.post_message(self.Chosen(self._listed[self.cursor].path))

    def action_problem_fix(self) -> None:
        """The first fix of the one under the cursor."""
        if not self._listed:
            sentence = "There is no problem to fix."
        elif not self._listed[self.cursor].fixes:
            sentence = "No edit is known that fixes this one."
        else:
            self.post_message(self.FixWanted(self._listed[self.cursor].fixes[0]))
            return
        self.app.clear_notifications()
        self.notify(sentence, severity="warning", markup=False)


def listed(view: View) -> list[Listed]:
    """The first problems of a model, in its order."""
    problems = islice(view.inference.problems.items(), SHOWN)
    return [Listed(path, problem.message, tuple(fixes(view.model, view.inference, path))) for path, problem in problems]


def edit_words(edit: Edit) -> str:
    """An edit in one line, several one after the other."""
    return "; ".join(str(edit).splitlines())


def _remarks(view: View) -> list[Content]:
    """What stands below the problems, or instead of them."""
    count, lines = len(view.inference.problems), []
    if count > SHOWN:
        lines.append(Content(f" and {count - SHOWN:,} more"))
    if not count:
        lines.append(Content(f" {no_problems(view)}"))
    if view.opened.notes:
        lines += [Content(""), Content(" notes").stylize("bold")]
        lines += [Content(f"   {safe_text(note)}").stylize("$text-warning") for note in view.opened.notes]
    return lines


def no_problems(view: View) -> str:
    """Why none are listed."""
    if not view.model.is_sequential:
        return "Shapes are not followed: the file does not say how its layers are connected."
    if not view.model.inputs:
        return "Shapes are not followed: no input shape is known yet."
    return "No problems: every shape fits."
