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
from seqtui.tui.movement import Scrolling
from seqtui.tui.toasts import warn
from seqtui.view import View

SHOWN = 200
"""Problems that are listed; the rest is counted. One often makes many, and mending it mends them."""


class Listed(NamedTuple):
    """A problem and its ways out."""

    path: str
    message: str
    fixes: tuple[Edit, ...]
    """Best first."""


class Choice(NamedTuple):
    """What the cursor can rest on: a problem, or one of its ways out."""

    problem: Listed
    fix: Edit | None = None

    @property
    def best(self) -> Edit | None:
        """The fix itself, or the first of the problem; None where none is known."""
        return self.fix or next(iter(self.problem.fixes), None)


class ProblemsTab(VerticalScroll, Scrolling, can_focus=True):
    """The problems of a model, each followed by its fixes, with a cursor of its own."""

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
        """An edit that mends a problem: the one under the cursor, or the first of the problem there."""

        def __init__(self, edit: Edit) -> None:
            super().__init__()
            self.edit = edit

    def __init__(self) -> None:
        super().__init__()
        self._view: View | None = None
        self._path = ""
        self._choices: list[Choice] = []

    def compose(self) -> ComposeResult:
        yield Static(markup=False)

    def look_at(self, view: View, row: Row) -> None:
        """Show a model's problems, with the cursor on that of a row's layer when the row has one and is another."""
        if view is not self._view:
            self._view = view
            self._list([choice for problem in listed(view) for choice in choices(problem)])
        if row.path != self._path:
            self._path = row.path
            paths = [choice.problem.path for choice in self._choices]
            self.cursor = paths.index(row.path) if row.path in paths else self.cursor
        self._write()

    def _list(self, choices: list[Choice]) -> None:
        """Others to choose from: the cursor stays where it can, else goes to the problem that took the place."""
        here = self._choices[self.cursor] if self._choices else None
        passed = sum(choice.fix is None for choice in self._choices[: self.cursor + 1])
        self._choices = choices
        if here in choices:
            self.cursor = choices.index(here)
            return
        heads = [place for place, choice in enumerate(choices) if choice.fix is None]
        self.cursor = heads[:passed][-1] if heads and passed else 0

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
        """The list, scrolled so that what is under the cursor is in sight."""
        if self._view is None or not self.is_mounted:
            return
        width = max(self.size.width, 1)
        rows = [self._row(choice, place == self.cursor) for place, choice in enumerate(self._choices)]
        self.query_one(Static).update(Content("\n").join([*rows, *_remarks(self._view)]))
        above = sum(row.get_height({}, width) for row in rows[: self.cursor])
        here = rows[self.cursor].get_height({}, width) if rows else 0
        self.scroll_to_region(Region(0, above, width, here), animate=False)

    def _row(self, choice: Choice, is_here: bool) -> Content:
        """A sentence, or a fix further in; the key is shown at the fix that it would apply."""
        problem, fix = choice
        sign = "›" if is_here else " "
        if fix is None:
            row = Content(f"{sign}{SIGNS['problem']} {safe_text(problem.message)} ").stylize("$text-error")
        else:
            applies = fix is self._choices[self.cursor].best
            key = ("! ", "bold $text-primary") if applies else ("  ", "")
            row = Content.assemble(f"{sign}  ", key, f"{safe_text(edit_words(fix), limit=2000)} ")
        return row.stylize("bold on $primary-muted" if is_here and self.has_focus else "bold" if is_here else "")

    # Keys

    def move_rows(self, rows: int) -> None:
        if self._choices:
            self.cursor = max(0, min(self.cursor + rows, len(self._choices) - 1))
        else:
            super().move_rows(rows)

    def action_problem_open(self) -> None:
        """On a problem to its layer; a fix is applied."""
        if not self._choices:
            return
        problem, fix = self._choices[self.cursor]
        self.post_message(self.Chosen(problem.path) if fix is None else self.FixWanted(fix))

    def action_problem_fix(self) -> None:
        """The fix under the cursor, or the first of the problem there."""
        fix = self._choices[self.cursor].best if self._choices else None
        if fix is not None:
            self.post_message(self.FixWanted(fix))
            return
        warn(self, "No edit is known that fixes this one." if self._choices else "There is no problem to fix.")


def choices(problem: Listed) -> list[Choice]:
    """The problem itself, and each of its fixes."""
    return [Choice(problem), *(Choice(problem, fix) for fix in problem.fixes)]


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
