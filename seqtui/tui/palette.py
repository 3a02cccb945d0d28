"""The command palette: every action, layer and tensor, found by letters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from seqtui.model.tensors import DTYPES
from seqtui.rows import Row
from seqtui.safe_text import safe_text
from seqtui.tui import fuzzy
from seqtui.tui.actions import ACTIONS, key_sign
from seqtui.tui.model_screen import ModelScreen

AT_ONCE = 200
"""Layers and tensors looked through in one go."""


class Palette(CommandPalette):
    """Textual's palette, which a second enter in the same burst of keys would dismiss twice."""

    def dismiss(self, result: None = None) -> AwaitComplete:
        if not self.is_current:
            return AwaitComplete()
        return super().dismiss(result)


class Commands(Provider):
    """Actions by their words, layers and tensors by their paths."""

    @property
    def model_screen(self) -> ModelScreen:
        assert isinstance(self.screen, ModelScreen)  # the palette is opened from nowhere else
        return self.screen

    async def discover(self) -> Hits:
        for action in ACTIONS:
            if action.pane != "movement":
                yield DiscoveryHit(
                    Content(action.words), partial(self.model_screen.do, action), help=_keys(action.keys)
                )

    async def search(self, query: str) -> Hits:
        async for hit in self._actions(query):
            yield hit
        matcher = self.matcher(query)
        for number, row in enumerate(self.model_screen.table.branches.all_rows()):
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)  # hear keys: another letter ends this search
            shown = safe_text(row.path)
            if (score := fuzzy.score(matcher, shown)) > 0:
                # a little below an action that matches as well
                yield Hit(
                    score * 0.9,
                    fuzzy.marked(matcher, shown),
                    partial(self.model_screen.table.go_to, row.path),
                    shown,
                    _about(row),
                )

    async def _actions(self, query: str) -> AsyncIterator[Hit]:
        matcher = self.matcher(query)
        for action in ACTIONS:
            text = f"{action.short}: {action.words}" if action.short else action.words
            if (score := fuzzy.score(matcher, text)) > 0:
                do = partial(self.model_screen.do, action)
                yield Hit(score, fuzzy.marked(matcher, text), do, text, _keys(action.keys))


def _about(row: Row) -> str:
    """A word of our own tables, never one of the file's: Textual reads it as markup."""
    if row.tensor:
        return row.tensor.dtype if row.tensor.dtype in DTYPES else ""
    return row.layer.kind or ""


def _keys(keys: tuple[str, ...]) -> str:
    return "  ".join(map(key_sign, keys))
