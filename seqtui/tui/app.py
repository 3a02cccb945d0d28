"""SeqtuiApp: what is the same on every screen: looks, quitting, the shell, signals."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.command import Provider
from textual.worker import WorkerFailed

from seqtui.errors import UsageError
from seqtui.tui.actions import bindings
from seqtui.tui.driver import TerminalDriver
from seqtui.tui.model_screen import ModelScreen
from seqtui.tui.workers import begin
from seqtui.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.driver import Driver

    from seqtui.tui.branches import Branches
    from seqtui.tui.terminal import Terminal

DEFAULT_THEME = "textual-dark"
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
"""Those that end the program, with exit code 128 and their number."""


def _palette() -> type[Provider]:
    """The palette's provider, imported when it is first opened."""
    from seqtui.tui.palette import Commands

    return Commands


class SeqtuiApp(App[int]):
    """One model on the screen."""

    TITLE = "seqtui"
    CSS_PATH = "seqtui.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}

    def __init__(
        self,
        workspace: Workspace,
        select: str = "",
        theme: str = "",
        branches: Branches | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        """`select` is the layer or tensor to start on. Raises UsageError for a theme that there is not.

        `branches` are those of the model, where they have been made already, and `terminal` whoever has it so far.
        """
        super().__init__(driver_class=TerminalDriver)
        self.workspace = workspace
        workspace.wants_journal = True
        self.select = select
        self.branches = branches
        self.terminal = terminal
        self.popped = 0.0
        """When a screen was last taken from over another, by the clock of events."""
        self.failure: BaseException | None = None
        """What ended the app, where that was our own fault."""
        if theme and theme not in self.available_themes:
            known = ", ".join(self.available_themes)
            raise UsageError(f"there is no theme {theme}", hint=f"Themes are {known}.")
        self.theme = theme or DEFAULT_THEME

    def get_default_screen(self) -> ModelScreen:
        return ModelScreen(self.workspace, self.select, self.branches)

    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: tuple[int, int] | None) -> Driver:
        """Textual's own, which hears of whoever has the terminal so far."""
        driver = super()._build_driver(headless, inline, mouse, size)
        if isinstance(driver, TerminalDriver):
            driver.first = self.terminal
        return driver

    def on_load(self) -> None:
        """Hear signals before the screen is taken, so that none can leave it taken."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.exit, None, 128 + number)

    def on_mount(self) -> None:
        self.app_resume_signal.subscribe(self, lambda _: self.call_later(self._redraw))

    async def on_event(self, event: events.Event) -> None:
        """Each key, but those from before a sleep: of a ctrl+z held down, the second would be one more."""
        driver = self._driver
        is_old = isinstance(driver, TerminalDriver) and event.time < driver.awake_since
        if not (is_old and isinstance(event, events.Key)):
            await super().on_event(event)

    def on_unmount(self) -> None:
        """Python waits for every thread before it leaves: none may wait for torch."""
        self.workspace.end_torch()

    def _handle_exception(self, error: Exception) -> None:
        """Keep the first failure for whoever runs the app; from here on Textual closes the screen.

        What fails while the app leaves fails because the screen goes away under it, and ends nothing any more.
        """
        if self._exit:
            return
        if self.failure is None:
            self.failure = error.error if isinstance(error, WorkerFailed) else error
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """Textual would print a traceback with all locals, which hold text from files; ours goes into a report."""
        self._close_messages_no_wait()

    def _redraw(self) -> None:
        """All of it: after `fg` the terminal shows what the shell left there."""
        self.screen.refresh(layout=True)
        self.refresh(layout=True)

    async def on_model_screen_opened(self, message: ModelScreen.Opened) -> None:
        """Another model on the screen; the one before is closed."""
        before, self.workspace = self.workspace, message.workspace
        self.workspace.wants_journal = True
        self.workspace.set_mode(before.view.mode)
        if not self.screen._result_callbacks:
            self.screen._push_result_callback(self.screen, None)  # Textual pops one, which its first screen lacks
        await self.switch_screen(ModelScreen(self.workspace))
        before.close()

    def action_help(self) -> None:
        from seqtui.tui.prompts import Help

        if isinstance(self.screen, ModelScreen):
            self.push_screen(Help(self.screen.panes_with_keys))

    def pop_screen(self) -> AwaitComplete:
        self.popped = monotonic()
        return super().pop_screen()

    def on_key(self, event: events.Key) -> None:
        """Forget a key that came before the last question was answered: it was meant for nobody else.

        And type a letter that was typed ahead into the question that an earlier key has asked meanwhile. Over a slow
        line keys come in bursts, and each goes to whoever had the focus when it came. What a field is asked for while
        it has the focus it takes itself: a letter that comes here was meant for it and went astray.
        """
        if event.time < self.popped:
            event.prevent_default()
            return
        insert = getattr(self.focused, "insert_text_at_cursor", None)  # only an Input has it
        if event.is_printable and event.character and insert is not None:
            event.prevent_default()
            insert(event.character)

    async def action_command_palette(self) -> None:  # type: ignore[override]  # an action may be awaited
        from seqtui.tui.palette import Palette

        if isinstance(self.screen, ModelScreen):
            await self.push_screen(Palette(id="--command-palette"))

    async def action_palette(self) -> None:
        await self.action_command_palette()

    async def action_theme(self) -> None:
        from textual.theme import ThemeProvider

        from seqtui.tui.palette import Palette

        await self.push_screen(Palette(providers=[ThemeProvider], placeholder="Search for themes…"))

    def action_suspend(self) -> None:
        self.action_suspend_process()

    async def action_quit(self) -> None:
        """Close what lies over the model, else leave."""
        if isinstance(self.screen, ModelScreen):
            await self.action_quit_now()
        else:
            self.screen.dismiss(None)

    async def action_quit_now(self) -> None:
        """Leave, after a save that is under way; where there are edits that are not saved, ask what becomes of them."""
        if any(screen.quits_when_saved() for screen in self.screen_stack if isinstance(screen, ModelScreen)):
            return
        if not self.workspace.is_changed:
            self.exit()
            return
        from seqtui.tui.prompts import Choose

        if any(isinstance(screen, Choose) for screen in self.screen_stack):
            return
        choices = {"s": "save", "d": "discard"}
        await self.push_screen(Choose("The model has edits that are not saved.", choices), self._leave)

    def _leave(self, choice: str | None) -> None:
        if choice == "d":
            self.workspace.forget()
            self.exit()
        elif choice == "s":
            for screen in self.screen_stack:
                if isinstance(screen, ModelScreen):
                    begin(self, partial(screen.editor.saver.ask, and_quit=True))
