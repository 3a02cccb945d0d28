"""The terminal from the first frame on until Textual has it: what was found there is put back, however that ends.

A second of importing lies in between at the worst, in which keys are typed, signals come, and things go wrong.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
from collections.abc import Callable
from types import FrameType
from typing import Any

TAKE_SCREEN = "\x1b[?1049h"
TAKE = f"{TAKE_SCREEN}\x1b[?25l\x1b[?7l"
"""The alternate screen, no cursor, and no line that runs over into the next."""
GIVE_BACK = "\x1b[?7h\x1b[?1049l\x1b[?25h"
SIGNALS = (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM)
"""Those that would end the program where it stands; SIGINT raises KeyboardInterrupt."""

Settings = list[Any]
"""Of the line, as `termios` has them."""


class Terminal:
    """The terminal that the program was started on."""

    def __init__(self) -> None:
        self._keys, self._screen = sys.__stdin__, sys.__stderr__  # as Textual has them
        self._settings: Settings | None = None
        """As they were found; None while nothing is to be put back."""
        self._handlers: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    @property
    def is_taken(self) -> bool:
        """Whether what is on it is ours to remove."""
        return self._settings is not None

    def take(self, frame: str) -> None:
        """Show a frame and keep what is typed for Textual. Nothing happens where the terminal is not ours to change."""
        if self._keys is None or self._screen is None or not _is_in_foreground(self._keys.fileno()):
            return
        with contextlib.suppress(termios.error, OSError):
            settings = termios.tcgetattr(self._keys.fileno())
            self._handlers = {number: signal.signal(number, self._end) for number in SIGNALS}
            self._settings = settings
            termios.tcsetattr(self._keys.fileno(), termios.TCSANOW, _settings_for_keys(settings))
            self._write(TAKE + frame)

    def hand_over(self) -> Settings | None:
        """Leave the terminal as it is to somebody who puts these settings back."""
        settings, self._settings = self._settings, None
        return settings

    def give_back(self) -> None:
        """As it was found; nothing happens where it was never taken, or handed over."""
        settings = self.hand_over()
        if settings is None or self._keys is None:
            return
        with contextlib.suppress(termios.error, OSError):  # a dropped line has nothing to be put back
            termios.tcsetattr(self._keys.fileno(), termios.TCSANOW, settings)
            self._write(GIVE_BACK)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _write(self, text: str) -> None:
        assert self._screen is not None  # or nothing would have been taken
        self._screen.write(text)
        self._screen.flush()

    def _end(self, number: int, _: FrameType | None) -> None:
        """Leave at once: an exception could be lost in whatever is being imported."""
        self.give_back()
        os._exit(128 + number)


def _is_in_foreground(descriptor: int) -> bool:
    """Whether the terminal listens to us: to a program in the background the line is not to be changed."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:  # not the terminal that controls us: no shell hands it to and fro
        return True


def _settings_for_keys(settings: Settings) -> Settings:
    """Every key is a byte that waits for Textual, with no echo; ctrl+c and ctrl+\\ still end the program.

    Source: `LinuxDriver.start_application_mode`, but for those two. ctrl+z waits too, until there is who hears it.
    """
    iflag, oflag, cflag, lflag, ispeed, ospeed, characters = settings
    iflag &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    lflag &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
    characters = list(characters)
    characters[termios.VMIN] = 1
    characters[termios.VSUSP] = b"\0"  # none
    return [iflag, oflag, cflag, lflag, ispeed, ospeed, characters]
