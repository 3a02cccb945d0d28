"""The questions: one line at the bottom that takes text, and the list of keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from seqtui.errors import SeqtuiError
from seqtui.safe_text import safe_text
from seqtui.tui.actions import ACTIONS, PANES, Action, Pane, key_sign


class Ask(ModalScreen[str | None]):
    """One line of text, checked as it is typed; None when it is cancelled."""

    DEFAULT_CSS = """
    Ask { align: left bottom; }
    #ask { height: 2; background: $surface; }
    #ask-remark { color: $foreground-muted; padding: 0 1; height: 1; }
    #ask Horizontal { height: 1; padding: 0 1; }
    #ask-question { width: auto; color: $text-primary; }
    #ask Input { width: 1fr; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(
        self, question: str, answer: str, check: Callable[[str], object], suggester: Suggester | None = None
    ) -> None:
        """`check` raises SeqtuiError, whose sentence is shown, while the text will not do."""
        super().__init__()
        self.suggester = suggester
        self.question = question
        self.answer = answer
        self.check = check

    def compose(self) -> ComposeResult:
        with Vertical(id="ask"):
            yield Static(id="ask-remark", markup=False)
            with Horizontal():
                yield Static(self.question, id="ask-question", markup=False)
                yield Input(self.answer, compact=True, select_on_focus=False, suggester=self.suggester)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))  # at once: over a slow line the next letters are here already

    def remark(self, text: str) -> str:
        """What is wrong with the text; nothing when it will do."""
        try:
            self.check(text)
        except SeqtuiError as error:
            return f"{error.line()}. {safe_text(error.hint)}".rstrip(". ")
        return ""

    def on_input_changed(self, event: Input.Changed) -> None:
        remark = self.remark(event.value)
        words = Content(remark).stylize("$text-error") if remark else Content("enter accept   escape cancel")
        self.query_one("#ask-remark", Static).update(words)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self.remark(event.value):
            self.dismiss(event.value)


class Choose(ModalScreen[str | None]):
    """A question with a key for each answer; None when it is cancelled."""

    DEFAULT_CSS = """
    Choose { align: left bottom; }
    #choose { height: auto; max-height: 100%; background: $surface; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    def __init__(self, question: str, choices: Mapping[str, str], has_cancel: bool = True) -> None:
        """`choices` says what each key means; without `has_cancel` one of them must be taken."""
        super().__init__()
        self.question = question
        self.choices = choices
        self.has_cancel = has_cancel

    def action_cancel(self) -> None:
        if self.has_cancel:
            self.dismiss(None)

    def compose(self) -> ComposeResult:
        keys = [Content.assemble((key, "bold $text-primary"), f" {word}") for key, word in self.choices.items()]
        if self.has_cancel:
            keys.append(Content.assemble(("escape", "bold $text-primary"), " cancel"))
        lines = [Content(safe_text(line)) for line in self.question.split("\n")]
        yield Static(Content("\n").join([*lines, Content("   ").join(keys)]), id="choose")

    def on_key(self, event: events.Key) -> None:
        if event.key in self.choices:
            event.stop()
            self.dismiss(event.key)


class SearchLine(Horizontal):
    """What is searched for, at the bottom, while the table follows every letter."""

    DEFAULT_CSS = """
    SearchLine { dock: bottom; height: 1; background: $surface; padding: 0 1; }
    SearchLine > Static { width: 1; color: $text-primary; }
    SearchLine.-nothing > Input { color: $text-error; }
    SearchLine > Input { width: 1fr; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "end(False)", show=False)]

    class Changed(Message):
        """Another letter."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Ended(Message):
        """Enter keeps the match, escape goes back to where the search began."""

        def __init__(self, is_kept: bool) -> None:
            super().__init__()
            self.is_kept = is_kept

    def compose(self) -> ComposeResult:
        yield Static("/", markup=False)
        yield Input(compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Changed(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_end(True)

    def action_end(self, is_kept: bool) -> None:
        self.post_message(self.Ended(is_kept))


class Help(ModalScreen[None]):
    """The keys that hold where the focus is; letters typed filter them."""

    DEFAULT_CSS = """
    Help { align: center middle; }
    #help {
        width: 72;
        max-width: 100%;
        height: 90%;
        background: $surface;
        border: round $surface-lighten-3;
        padding: 0 1;
    }
    #help Input { background: $surface; margin-bottom: 1; }
    #help-foot { color: $foreground-muted; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("down", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(10)", show=False),
        Binding("pageup", "scroll(-10)", show=False),
    ]

    def __init__(self, panes: tuple[Pane, ...]) -> None:
        super().__init__()
        self.panes = panes

    def compose(self) -> ComposeResult:
        with Vertical(id="help"):
            yield Input(placeholder="filter the keys", compact=True)
            with VerticalScroll(can_focus=False):
                yield Static(id="help-keys", markup=False)
            yield Static("escape close   up down scroll", id="help-foot", markup=False)

    def on_mount(self) -> None:
        self.query_one("#help-keys", Static).update(key_list(self.panes, ""))

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#help-keys", Static).update(key_list(self.panes, event.value))

    def action_scroll(self, lines: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)


def key_list(panes: tuple[Pane, ...], wanted: str) -> Content:
    """The actions of some panes under a heading each, those whose key or words hold what is wanted."""
    lines: list[Content] = []
    for pane in panes:
        actions = [action for action in ACTIONS if action.pane == pane and _matches(action, wanted)]
        if actions:
            lines += [Content(PANES[pane]).stylize("bold"), *map(_key_line, actions), Content("")]
    return Content("\n").join(lines) if lines else Content(f"no key for {safe_text(wanted)}")


def _matches(action: Action, wanted: str) -> bool:
    text = " ".join((*map(key_sign, action.keys), action.words, action.id))
    return all(word in text.casefold() or word in text for word in wanted.split())


def _key_line(action: Action) -> Content:
    keys = "  ".join(map(key_sign, action.keys))
    return Content.assemble("  ", (f"{keys:<12}", "bold $text-primary"), action.words)
