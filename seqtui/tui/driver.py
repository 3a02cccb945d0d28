"""Textual's driver, made to outlive its terminal: a dropped line must end the program, not leave it waiting unseen.

Textual writes from a thread behind a queue of 30 texts. When the terminal is gone that thread dies of its first failed
write, and whoever writes after that waits for room in the queue for ever.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
import selectors
import signal
import sys
import termios
from codecs import getincrementaldecoder
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from textual import events
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size

from seqtui.tui.terminal import TAKE_SCREEN, Terminal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from textual.app import App


HIDE_CURSOR = "\x1b[?25l"
AT_ONCE = 4096
"""Bytes that are read at once."""
PATIENCE = 0.1
"""Seconds of silence after which the reader looks whether it is to end."""


class TerminalDriver(LinuxDriver):
    """The terminal that the program was started on."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.first: Terminal | None = None
        """Whoever has taken the terminal already; None once it is ours."""
        self._settings: list[Any] = []
        """Of the line, while it is ours; none before it is."""
        self.awake_since = 0.0
        """When the last sleep ended, by the clock of events. What was typed before it began is forgotten."""
        terminal = sys.__stderr__
        if terminal is not None:
            self._file = io.TextIOWrapper(
                io.BufferedWriter(_UntilGone(terminal.fileno(), "w", closefd=False)), terminal.encoding, terminal.errors
            )

    def start_application_mode(self) -> None:
        """Take the terminal over from whoever has it, and remember its settings as they were found.

        Textual acts in the handlers of signals, which may come while it writes: it would wait for ever for a lock that
        it holds itself. In the loop nothing else is under way.
        """
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's, which has no annotations
        first, self.first = self.first, None
        if first is not None and first.is_taken:
            self.attrs_before = first.hand_over()
        if self._key_thread is None or not self._key_thread.is_alive():
            return  # the terminal is somebody else's: the program was started, or woken, in the background
        with suppress(termios.error):
            self._settings = termios.tcgetattr(self.fileno)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, self._follow_terminal)
        loop.add_signal_handler(signal.SIGTSTP, self._sigtstp_application)
        loop.add_signal_handler(signal.SIGCONT, self._sigcont_application)
        asyncio.run_coroutine_threadsafe(self._tell_size_again(), loop)

    def _follow_terminal(self) -> None:
        """Draw all again at the size that the terminal has now.

        One that got smaller has lost what it showed, even if it has its old size again before anybody asks.
        """
        self._tell_size()
        self._app.refresh()

    def _sigtstp_application(self, *_: object) -> None:
        """Sleep, once for all that asked for it before it was awake again."""
        if not (self._auto_restart and self._must_signal_resume):
            super()._sigtstp_application()  # comes back when the program is awake again
            self.awake_since = monotonic()

    def _sigcont_application(self, *_: object) -> None:
        """Take the terminal again after a sleep; after one that was not our own (SIGSTOP) it is ours still.

        Textual would take it a second time on top of the first: two readers of the same keys, and the settings that
        it found the second time, its own, given back in the end. A line that drops sends this signal as well.
        """
        if self._must_signal_resume or not self._settings:
            super()._sigcont_application()
        elif self._auto_restart:  # it is not lent to an editor
            self._take_back()
            self._app.refresh()

    def _take_back(self) -> None:
        """Set what a shell may have changed while the program was stopped."""
        with suppress(termios.error):  # nobody is there any more
            termios.tcsetattr(self.fileno, termios.TCSANOW, self._settings)
        self.write(HIDE_CURSOR)
        self._enable_bracketed_paste()
        self._enable_mouse_support()
        self._disable_line_wrap()

    def _tell_size(self) -> None:
        """Tell the app how large the terminal is now.

        Textual does so in the signal's own handler: a signal that comes there is told first, and the size before it
        last, where it stays.
        """
        if not self._in_band_window_resize:
            size = Size(*self._get_terminal_size())
            self._app.post_message(events.Resize(size, size))

    async def _tell_size_again(self) -> None:
        """After all that Textual has told so far: its tasks are done in their order."""
        self._tell_size()

    def run_input_thread(self) -> None:
        """Read keys. All that comes at once is understood before any of it is heard, and so is older than its effects.

        Textual hands over each key as it finds it, and the next may be found only after the first has done its work.
        """
        parser = XTermParser(self._debug)
        decode = getincrementaldecoder("utf-8")().decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                text = ""
                if selector.select(PATIENCE):
                    data = self._read()
                    if not data:
                        self._app.call_later(self._app.exit, None, 128 + signal.SIGHUP)
                        return
                    text = decode(data)
                for message in [*(parser.feed(text) if text else ()), *parser.tick()]:
                    self.process_message(message)

    def _read(self) -> bytes:
        """What has come; nothing where the line has dropped."""
        try:
            return os.read(self.fileno, AT_ONCE)
        except OSError:
            return b""

    def write(self, data: str) -> None:
        """To take the alternate screen twice would blank it: what is on it stays until it is drawn over."""
        if data != TAKE_SCREEN or self.first is None or not self.first.is_taken:
            super().write(data)


class _UntilGone(io.FileIO):
    """A terminal's bytes; what is written after the line has dropped goes nowhere."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes
