"""Textual's driver, made to outlive its terminal: a dropped line must end the program, not leave it waiting unseen.

Textual writes from a thread behind a queue of 30 texts. When the terminal is gone that thread dies of its first failed
write, and whoever writes after that waits for room in the queue for ever.
"""

from __future__ import annotations

import errno
import io
import sys
from typing import TYPE_CHECKING

from textual.drivers.linux_driver import LinuxDriver

from seqtui.tui.terminal import TAKE_SCREEN, Terminal

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from textual.app import App


class TerminalDriver(LinuxDriver):
    """The terminal that the program was started on."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self.first: Terminal | None = None
        """Whoever has taken the terminal already; None once it is ours."""
        terminal = sys.__stderr__
        if terminal is not None:
            self._file = io.TextIOWrapper(
                io.BufferedWriter(_UntilGone(terminal.fileno(), "w", closefd=False)), terminal.encoding, terminal.errors
            )

    def start_application_mode(self) -> None:
        """Take the terminal over from whoever has it, and remember its settings as they were found."""
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's, which has no annotations
        first, self.first = self.first, None
        if first is not None and first.is_taken:
            self.attrs_before = first.hand_over()

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
