"""The three lines around the panes: whose model this is, what it comes to, and which keys there are."""

from __future__ import annotations

from pathlib import PurePath
from typing import ClassVar

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from seqtui.rows import SIGNS, Row
from seqtui.safe_text import safe_text
from seqtui.table import cell_width
from seqtui.tui.actions import ACTIONS, Pane, key_sign
from seqtui.words import bytes_words, count_words, plural, shape_words
from seqtui.workspace import View


class Line(Widget):
    """One line of text with something at either end; the left gives way."""

    DEFAULT_CSS = "Line { height: 1; }"

    def spread(self, left: Content, right: Content) -> Content:
        """Both in one line, a blank cell before and after."""
        room = self.size.width - 2 - right.cell_length - (2 if right else 0)
        if room < 1:
            return Content.assemble(" ", right) if right else Content("")
        left = left.truncate(room, ellipsis=True)
        blank = " " * (self.size.width - 2 - left.cell_length - right.cell_length)
        return Content.assemble(" ", left, blank, right)


class TitleLine(Line):
    """The file, and how it is looked at."""

    view: reactive[View | None] = reactive(None)

    def render(self) -> Content:
        if self.view is None:
            return Content("")
        model, opened = self.view.model, self.view.opened
        shapes = ", ".join(shape_words(item.shape) for item in model.inputs)
        dtypes = {item.dtype for item in model.inputs} - {"float32"}
        words = ["in " + " ".join([shapes, *sorted(dtypes)])] if shapes else []
        words.append("eval · cpu" if model.is_sequential else f"{opened.format}, tensors only")
        right = Content("   ".join(words))
        changed = " +" if self.view.is_changed else ""
        path = safe_text(opened.path or "new model") + changed
        if cell_width(path) + right.cell_length + 4 > self.size.width:
            path = safe_text(PurePath(opened.path).name) + changed
        return self.spread(Content(path).stylize("bold"), right)


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
        total, problems = self.view.inference.total, self.view.inference.problems
        words = [f"{total.num_params:,} parameters" if total.num_params else "no parameters"]
        words.append(bytes_words(self.view.num_bytes))
        if total.macs:
            words.append(f"{count_words(total.macs)} multiply-adds")
        left = Content(" · ".join(words))
        if problems:
            here = problems.get(self.row.path) if self.row else None
            problem = here or next(iter(problems.values()))
            sentence = Content(f"{SIGNS['problem']} {safe_text(problem.message)}").stylize("$text-error")
            short = Content(f"{SIGNS['problem']} {plural(len(problems), 'problem')}").stylize("$text-error")
            fits = left.cell_length + sentence.cell_length + 4 <= self.size.width
            return self.spread(left, sentence) if fits else self.spread(sentence, short)
        notes = len(self.view.opened.notes)
        quiet = "no problems" if self.view.model.is_sequential else ""
        return self.spread(left, Content(plural(notes, "note") if notes else quiet))


class KeyLine(Line):
    """The keys that matter where the focus is."""

    FIRST: ClassVar[tuple[str, ...]] = (
        "open.row",
        "cancel",
        "help",
        "quit",
        "add",
        "edit",
        "toggle",
        "search",
        "command",
    )
    """Those that a narrow line keeps."""

    panes: reactive[tuple[Pane, ...]] = reactive(("table", "everywhere", "app"))
    useless: reactive[frozenset[str]] = reactive(frozenset({"cancel", "zoom"}))
    """Ids of actions that would do nothing here."""

    def render(self) -> Content:
        shown = [a for a in ACTIONS if a.short and a.pane in self.panes and a.id not in self.useless]
        order = {name: place for place, name in enumerate(self.FIRST)}
        shown.sort(key=lambda action: (order.get(action.id, len(order)), self.panes.index(action.pane)))
        parts: list[Content] = []
        room = self.size.width - 1
        for action in shown:
            room -= cell_width(f"{key_sign(action.keys[0])} {action.short}   ")
            if room < -3:
                break
            parts.append(Content.assemble((key_sign(action.keys[0]), "bold $text-primary"), f" {action.short}"))
        return Content(" ") + Content("   ").join(parts)
