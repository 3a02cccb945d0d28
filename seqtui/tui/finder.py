"""Finder: what `/`, `n`, `N` and `{`, `}` do. The screen owns one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from seqtui.tui.prompts import SearchLine
from seqtui.tui.search import Place, next_of
from seqtui.tui.workers import begin

if TYPE_CHECKING:
    from seqtui.tui.actions import Deeds
    from seqtui.tui.model_screen import ModelScreen

AT_ONCE = 0.01
"""Seconds that the event loop may be kept."""
GROUP = "search"
"""Of the one worker that may be reading names."""


class Finder:
    """A search in the layer table, from where it began."""

    def __init__(self, screen: ModelScreen) -> None:
        self.screen = screen
        self.table = screen.table
        self.start = Place.of(self.table.row)

    async def ask(self) -> None:
        """Show the line that is searched for, as it is typed."""
        self.start = Place.of(self.table.row)
        self.screen.remove_class("-detail", "-zoom-detail")
        self.screen.add_class("-searching")
        line = SearchLine()
        await self.screen.mount(line)
        self.screen.set_focus(line.query_one("Input"))  # at once: over a slow line the next letters are here already

    def look_for(self, needle: str) -> None:
        """Go to the first match after where the search began."""
        self.table.needle = needle
        self._find(needle, self.start, 1)

    async def end(self, is_kept: bool) -> None:
        """Take the line away; the cursor stays at the match, or goes back to where the search began."""
        self.screen.remove_class("-searching")
        await self.screen.query(SearchLine).remove()
        self.table.focus()
        needle = self.table.needle
        if not is_kept:
            self.screen.workers.cancel_group(self.screen, GROUP)
            self.table.needle = ""
            self.table.go_to(*self.start)
        elif needle and not self.table.index.find(needle, self.start, 1):
            self.screen.warn(f"Nothing matches {needle}.")

    def to_match(self, step: int) -> None:
        """Go to the next match of the last search, or the one before."""
        if self.table.needle:
            self._find(self.table.needle, Place.of(self.table.row), step)
        else:
            self.screen.warn("Search with / first.")

    def to_problem(self, step: int) -> None:
        """Go to the next layer that does not fit, or the one before."""
        inference = self.screen.workspace.view.inference
        paths = list(inference.problems)
        if paths:
            self.table.go_to(next_of(paths, list(inference.infos), self.table.row.path, step))
        else:
            self.screen.tell("No problems: every shape fits.")

    def _find(self, needle: str, start: Place, step: int) -> None:
        """Go to the next match now, or as soon as all names are known."""
        self.screen.workers.cancel_group(self.screen, GROUP)
        if self.table.index.go_on(AT_ONCE):
            self._go_to_match(needle, start, step)
        else:
            begin(self.screen, partial(self._find_later, needle, start, step), exclusive=True, group=GROUP)

    async def _find_later(self, needle: str, start: Place, step: int) -> None:
        self.screen.tell("Reading all names …")
        while not self.table.index.go_on(AT_ONCE):
            await asyncio.sleep(0)
        self._go_to_match(needle, start, step)

    def _go_to_match(self, needle: str, start: Place, step: int) -> None:
        found = self.table.index.find(needle, start, step)
        typing = self.screen.query(SearchLine)
        typing.set_class(bool(needle) and found is None, "-nothing")
        if found is not None or typing:
            self.table.go_to(*(found or start))
        else:
            self.screen.warn(f"Nothing matches {needle}.")


DEEDS: Deeds = {
    "search": lambda screen: screen.finder.ask(),
    "search.next": lambda screen: screen.finder.to_match(1),
    "search.prev": lambda screen: screen.finder.to_match(-1),
    "problem.next": lambda screen: screen.finder.to_problem(1),
    "problem.prev": lambda screen: screen.finder.to_problem(-1),
}
