"""What an earlier session left: the question what becomes of it, which nobody has to answer now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from seqtui.errors import EditError
from seqtui.records import Record, told
from seqtui.safe_text import safe_text
from seqtui.tui.prompts import Choose
from seqtui.tui.workers import begin
from seqtui.words import plural

if TYPE_CHECKING:
    from textual.events import Key

    from seqtui.keeping import Began
    from seqtui.tui.model_screen import ModelScreen

SCROLLS = {"down": 1, "j": 1, "up": -1, "k": -1, "pagedown": 10, "pageup": -10}
"""Lines that a key scrolls the steps by."""
MOST_SEEN = 12
"""Steps that are surely in sight on a terminal of 24 lines."""
OTHER_KEYS = {"escape": ("l", "q"), "ctrl+q": ("q",)}
"""Keys that stand for the first of these answers that there is."""


class Recovery(Choose):
    """The steps of an earlier session, the last ones in sight, and the keys that say what becomes of them."""

    DEFAULT_CSS = """
    Recovery #steps { height: auto; max-height: 60%; background: $surface; padding: 0 1; }
    Recovery #steps Static { height: auto; }
    """

    def __init__(self, pending: Sequence[Record], new: Began | None) -> None:
        """`new` is what a model without a path began as: its steps may wait for another session of a new model."""
        what = f"An earlier session ended with {plural(len(pending), 'step')} unsaved"
        choices = {"r": "recover", "d": "discard", "q": "leave, keeping them"}
        if new is not None:
            what += f" of {new.name} (new)" if new.name else " of a new model"
            choices = {"r": "recover it here", "l": "later", "d": "discard", "q": "leave, keeping it"}
        scrolls = "; up and down scroll them" if len(pending) > MOST_SEEN else ""
        super().__init__(f"{what}{scrolls}.", choices, has_cancel=False, is_unexpected=True)
        self.pending = pending

    def compose(self) -> ComposeResult:
        lines = told(self.pending)
        width = len(str(len(lines)))
        text = "\n".join(f"{number:>{width}}  {safe_text(line)}" for number, line in enumerate(lines, 1))
        with VerticalScroll(id="steps", can_focus=False):
            yield Static(Content(text))
        yield from super().compose()

    def on_mount(self) -> None:
        super().on_mount()
        self.call_after_refresh(self.query_one("#steps").scroll_end, animate=False)

    def on_key(self, event: Key) -> None:
        """Textual lets the question itself hear the key after this."""
        if event.key in SCROLLS:
            self.query_one("#steps").scroll_relative(y=SCROLLS[event.key], animate=False)
            event.stop()
        answers = OTHER_KEYS.get(event.key, (event.key,))
        event.key = next((answer for answer in answers if answer in self.choices), event.key)


async def offer_recovery(screen: ModelScreen, pending: Sequence[Record]) -> None:
    """Ask what becomes of what an earlier session left, and do that; of several sessions one after the other."""
    workspace = screen.workspace

    def answered(choice: str | None) -> None:
        match choice:
            case "r":
                _recover(screen)
                return
            case "d":
                workspace.forget()
            case "l":
                workspace.leave_pending()
            case _:
                screen.app.exit()
                return
        begin(screen, screen.start_journal)

    new = None if workspace.opened.path else workspace.began
    await screen.app.push_screen(Recovery(pending, new), answered)


def _recover(screen: ModelScreen) -> None:
    """Do the steps again, and show the first layer, which may be one of another model than so far."""
    workspace = screen.workspace
    try:
        count = workspace.recover()
    except EditError as error:
        screen.warn(error.words())
    else:
        screen.tell(f"{plural(count, 'step')} recovered.")
    screen.show_model("" if workspace.opened.path else next((path for path, _ in workspace.model.walk()), ""))
