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

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from textual.app import App


class TerminalDriver(LinuxDriver):
    """The terminal that the program was started on."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        terminal = sys.__stderr__
        if terminal is not None:
            self._file = io.TextIOWrapper(
                io.BufferedWriter(_UntilGone(terminal.fileno(), "w", closefd=False)), terminal.encoding, terminal.errors
            )


class _UntilGone(io.FileIO):
    """A terminal's bytes; what is written after the line has dropped goes nowhere."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return memoryview(data).nbytes
