"""The questions: one line at the bottom that takes text, a key for each answer, and the list of keys.

Over a slow line keys come in bursts, and a question may come while somebody types: it is answered by what was meant
for it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen, ScreenResultType
from textual.timer import Timer
from textual.widgets import Input, Static

from seqtui.errors import SeqtuiError
from seqtui.safe_text import safe_text
from seqtui.tui.actions import ACTIONS, PANES, Action, Pane, key_sign

HANDS_OFF = 0.5
"""Seconds without a key after which a question that came by itself takes the next one for its answer."""


class Question(ModalScreen[ScreenResultType]):
    """What lies over the model until it is answered, by the first key that does: the next of a burst comes too late."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_current else AwaitComplete()


class Dialog(Question[ScreenResultType]):
    """A question in a box in the middle, the one thing in it."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        max-width: 100%;
        height: auto;
        background: $surface;
        border: round $surface-lighten-3;
        padding: 0 1;
    }
    """


class Line(Input):
    """A line of text in a question. Keys act in the order they come: a letter behind enter is no part of the answer.

    Textual does what a key is bound to when it has come up to the app, and by then the next letters are typed. What it
    calls there is called here; public are only the bindings, not that a node hands on what it cannot do.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "screen.accept", show=False)]

    async def on_key(self, event: events.Key) -> None:
        if self.screen.is_current and await self.app._check_bindings(event.key):
            event.stop()
            event.prevent_default()

    def insert_text_at_cursor(self, text: str) -> None:
        """What is typed, early or now: in place of what is selected."""
        if self.selection.is_empty:
            super().insert_text_at_cursor(text)
        else:
            self.replace(text, *self.selection)


class Proposal(Line):
    """One with a text that gives way to the first letter; not by the focus, which may come after that."""

    def on_mount(self) -> None:
        self.select_all()


class Ask(Question[str | None]):
    """One line of text, checked as it is typed; None when it is cancelled."""

    DEFAULT_CSS = """
    Ask { align: left bottom; }
    #ask { height: auto; background: $surface; }
    #ask-remark { color: $foreground-muted; padding: 0 1; height: auto; min-height: 1; max-height: 4; }
    #ask Horizontal { height: 1; padding: 0 1; }
    #ask-question { width: auto; color: $text-primary; }
    #ask Input { width: 1fr; background: $surface; }
    """

    def __init__(
        self,
        question: str,
        answer: str,
        check: Callable[[str], object],
        note: Callable[[str], str] = lambda _: "",
        is_proposal: bool = False,
    ) -> None:
        """`check` raises SeqtuiError, whose sentence is shown, while the text will not do.

        `note` says what is to be known of one that will. An answer that `is_proposal` gives way to the first letter.
        """
        super().__init__()
        self.question = question
        self.answer = answer
        self.check = check
        self.note = note
        self.is_proposal = is_proposal

    def compose(self) -> ComposeResult:
        with Vertical(id="ask"):
            yield Static(id="ask-remark", markup=False)
            with Horizontal():
                yield Static(self.question, id="ask-question", markup=False)
                yield self.line()

    def line(self) -> Line:
        """What is typed into."""
        return (Proposal if self.is_proposal else Line)(self.answer, compact=True, select_on_focus=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))  # at once: over a slow line the next letters are here already

    def remark(self, text: str) -> str:
        """What is wrong with the text; nothing when it will do."""
        try:
            self.check(text)
        except SeqtuiError as error:
            return safe_text(f"{error.message}. {error.hint}".rstrip(". "), limit=2000)
        return ""

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one("#ask-remark", Static).update(self.remark_shown(event.value))

    def remark_shown(self, text: str) -> Content:
        """What stands above the line."""
        if remark := self.remark(text):
            return Content(remark).stylize("$text-error")
        if note := self.note(text):
            return Content(safe_text(note)).stylize("$text-warning")
        return Content("enter accept   escape cancel")

    def action_accept(self) -> None:
        answer = self.query_one(Line).value
        if not self.remark(answer):
            self.dismiss(answer)


class Choose(Question[str | None]):
    """A question with a key for each answer; None when it is cancelled."""

    DEFAULT_CSS = """
    Choose { align: left bottom; }
    #choose { height: auto; max-height: 100%; background: $surface; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", show=False)]

    def __init__(
        self, question: str, choices: Mapping[str, str], has_cancel: bool = True, is_unexpected: bool = False
    ) -> None:
        """`choices` says what each key means; without `has_cancel` one of them must be taken.

        One that `is_unexpected`, since no key has just asked for it, shows its keys and hears them once the hands rest.
        """
        super().__init__()
        self.question = question
        self.choices = choices
        self.has_cancel = has_cancel
        self._rest: Timer | None = None
        self.is_heard = not is_unexpected
        """Whether a key is an answer."""

    def on_mount(self) -> None:
        if not self.is_heard:
            self._rest = self.set_timer(HANDS_OFF, self._hear)

    def _hear(self) -> None:
        self.is_heard = True
        self.query_one("#choose", Static).update(self._words())

    def action_cancel(self) -> None:
        if self.has_cancel and self.is_heard:
            self.dismiss(None)

    def compose(self) -> ComposeResult:
        yield Static(self._words(), id="choose")

    def _words(self) -> Content:
        """The question, and its keys in the last line, which stays empty before they are heard."""
        keys = [Content.assemble((key, "bold $text-primary"), f" {word}") for key, word in self.choices.items()]
        if self.has_cancel:
            keys.append(Content.assemble(("escape", "bold $text-primary"), " cancel"))
        lines = [Content(safe_text(line)) for line in self.question.split("\n")]
        return Content("\n").join([*lines, Content("   ").join(keys) if self.is_heard else Content(" ")])

    def on_key(self, event: events.Key) -> None:
        """The answer; a key too early is none."""
        if self._rest is not None and not self.is_heard:
            self._rest.reset()
        elif event.key in self.choices:
            self.dismiss(event.key)
        else:
            return
        event.stop()


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


class Help(Dialog[None]):
    """The keys that hold where the focus is; letters typed filter them."""

    DEFAULT_CSS = """
    #help { width: 72; height: 90%; }
    #help Input { background: $surface; margin-bottom: 1; }
    #help-foot { color: $foreground-muted; height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
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
        actions = [action for action in ACTIONS if action.holds_in(pane) and _matches(action, wanted)]
        if actions:
            lines += [Content(PANES[pane]).stylize("bold"), *map(_key_line, actions), Content("")]
    return Content("\n").join(lines) if lines else Content(f"no key for {safe_text(wanted)}")


def _matches(action: Action, wanted: str) -> bool:
    text = " ".join((*map(key_sign, action.keys), action.words, action.id))
    return all(word in text.casefold() or word in text for word in wanted.split())


def _key_line(action: Action) -> Content:
    keys = "  ".join(map(key_sign, action.keys))
    return Content.assemble("  ", (f"{keys:<12}", "bold $text-primary"), action.words)
