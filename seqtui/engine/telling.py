"""How often a process says how far it is: the newest of many steps, now and then, and late rather than never."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, Timer
from time import monotonic

from seqtui.engine.requests import Progress

PAUSE = 0.1
"""Seconds between two steps that are told, at the least."""


class Teller:
    """Says stages at once, and of the steps in them the newest."""

    def __init__(self, say: Callable[[Progress], None]) -> None:
        """`say` is called by one thread at a time, which may be another than that which tells."""
        self._say = say
        self._guard = Lock()
        self._newest: Progress | None = None
        """Not said so far."""
        self._said = 0.0
        self._timer: Timer | None = None

    def stage(self, progress: Progress) -> None:
        """Say where something else begins."""
        with self._guard:
            self._newest = progress
            self._say_newest()

    def step(self, progress: Progress) -> None:
        """Say how far that is, unless something newer comes before it is time."""
        with self._guard:
            self._newest = progress
            wait = self._said + PAUSE - monotonic()
            if wait <= 0:
                self._say_newest()
            elif self._timer is None:
                self._timer = Timer(wait, self._say_late)
                self._timer.daemon = True
                self._timer.start()

    def fall_silent(self) -> None:
        """Say nothing more until something new is told."""
        with self._guard:
            self._newest = None

    def _say_late(self) -> None:
        with self._guard:
            self._timer = None
            self._say_newest()

    def _say_newest(self) -> None:
        progress, self._newest = self._newest, None
        if progress is not None:
            self._said = monotonic()
            self._say(progress)
