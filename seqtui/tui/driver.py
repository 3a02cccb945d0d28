"""Textual's driver, made to outlive its terminal: a line that drops must end the program, not leave it waiting.

Textual writes from a thread behind a queue of 30. When the terminal is gone that thread dies of its first failed write,
and whoever writes after that waits for room in the queue for ever.
"""

from __future__ import annotations

import os
from typing import IO

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.geometry import Size


class TerminalDriver(LinuxDriver):
    """The terminal that the program was started on."""

    def __init__(
        self, app: App[object], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file = _UntilGone(self._file)
