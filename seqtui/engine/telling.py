"""How often a process says how far it is: the newest of many steps, now and then, and late rather than never."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition
from time import monotonic

from seqtui.engine.requests import Progress

PAUSE = 0.1
"""Seconds between two steps that are told, at the least."""


class Teller:
    """Says stages at once, and of the steps in them the newest."""

    def __init__(self, say: Callable[[Progress], None]) -> None:
        """`say` is called by one thread at a time, which may be another than that which tells."""
        self._say = say
        self._told = Condition()
        """Held by whoever reads or changes what stands below."""
        self._newest: Progress | None = None
        """Not said so far."""
        self._said = 0.0

    def stage(self, progress: Progress) -> None:
        """Say where something else begins."""
        with self._told:
            self._newest = progress
            self._say_newest()

    def step(self, progress: Progress) -> None:
        """Say how far that is, unless something newer comes before it is time."""
        with self._told:
            is_awaited = self._newest is None
            self._newest = progress
            if self._wait() <= 0:
                self._say_newest()
            elif is_awaited:
                self._told.notify()

    def fall_silent(self) -> None:
        """Say nothing more until something new is told."""
        with self._told:
            self._newest = None

    def say_late(self) -> None:
        """Say each step in its time that nothing newer came after, for ever: for a thread of its own.

        It is to be started early: a thread that is started where memory is short may never come to say that it runs,
        and whoever starts it waits for that.
        """
        with self._told:
            while True:
                self._told.wait_for(lambda: self._newest is not None)
                if (wait := self._wait()) > 0:
                    self._told.wait(wait)
                else:
                    self._say_newest()

    def _wait(self) -> float:
        """Seconds until the next step may be told."""
        return self._said + PAUSE - monotonic()

    def _say_newest(self) -> None:
        progress, self._newest = self._newest, None
        if progress is not None:
            self._said = monotonic()
            self._say(progress)
