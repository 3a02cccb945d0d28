"""A user at the keyboard: presses keys, types, and sees the screen as text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual import events
from textual.keys import _character_to_key, key_to_character
from textual.pilot import Pilot
from torch import nn

import seqtui
from seqtui.engine.door import Engine
from seqtui.formats import open_model
from seqtui.tui.app import SeqtuiApp
from seqtui.tui.layer_table import LayerTable
from seqtui.tui.model_screen import ModelScreen
from seqtui.workspace import Workspace

SAMPLES = Path(__file__).parent.parent / "sample_models"
DATA = Path(__file__).parent / "data"
PATIENCE = 1000
"""Turns of the event loop that something may take to appear: torch may have to be imported first."""


SeqtuiApp.NOTIFICATION_TIMEOUT = 60.0  # of a busy machine's seconds five are soon gone


class User:
    """One running app and its keyboard."""

    def __init__(self, app: SeqtuiApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys by Textual's names, one after the other."""
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text, a key a letter, as fast as they are heard."""
        await self.burst(*text)

    async def paste(self, text: str) -> None:
        """Paste a text, as a terminal sends it."""
        self.app.post_message(events.Paste(text))
        await self.pilot.pause()

    async def command(self, text: str) -> None:
        """A ':' line, pasted and sent."""
        await self.press("colon")
        await self.paste(text)
        await self.press("enter")

    async def burst(self, *keys: str) -> None:
        """Press keys so fast that all have come before the first is heard."""
        for key in keys:
            is_letter = len(key) == 1
            name, letter = (_character_to_key(key), key) if is_letter else (key, key_to_character(key))
            self.app.post_message(events.Key(name, letter))
        await self.pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        await self.pilot.resize_terminal(width, height)
        await self.pilot.pause()

    def screen(self) -> list[str]:
        """The lines on the screen, without the blanks at their ends."""
        strips = self.app.screen._compositor.render_strips()  # the one place that holds what is on the screen
        return [strip.text.rstrip() for strip in strips]

    def line(self, part: str) -> str:
        """The first line on the screen that holds some text."""
        found = next((line for line in self.screen() if part in line), None)
        assert found is not None, f"no line holds {part!r} on\n" + "\n".join(self.screen())
        return found

    async def sees(self, *parts: str) -> None:
        """Wait until all of these are on the screen."""
        for _ in range(PATIENCE):
            text = "\n".join(self.screen())
            if all(part in text for part in parts):
                return
            await self.pilot.pause(0.02)
        missing = [part for part in parts if part not in text]
        raise AssertionError(f"{missing} are not on\n{text}")

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds."""
        for _ in range(PATIENCE):
            if holds():
                return
            await self.pilot.pause(0.02)
        raise AssertionError("\n".join(self.screen()))

    async def told(self, part: str) -> None:
        """Wait for a toast."""
        await self.until(lambda: any(part in toast for toast in self.toasts()))

    def sees_not(self, part: str) -> None:
        text = "\n".join(self.screen())
        assert part not in text, text

    @property
    def table(self) -> LayerTable:
        return self.app.screen_stack[0].query_one(LayerTable)

    def rows(self) -> list[str]:
        """The paths of the rows that are open, the model's "" first."""
        return [row.path for row in self.table.branches.rows]

    @property
    def at(self) -> str:
        """The path under the cursor of the table."""
        return self.table.row.path

    def done(self) -> list[str]:
        """The edits done, each in its text form."""
        return [str(step.edit) for step in self.app.workspace.history.done]

    async def run(self) -> None:
        """Press R, and wait until the run is over."""
        screen = self.app.screen_stack[0]
        assert isinstance(screen, ModelScreen)
        before = screen.runs.last if screen.runs else None
        await self.press("R")
        await self.until(lambda: screen.runs is not None and screen.runs.last is not before and not screen.runs.doing)
        await self.pilot.pause()

    def toasts(self) -> list[str]:
        """The sentences of all toasts so far."""
        return [str(notification.message) for notification in self.app._notifications]


def saved(net: nn.Sequential, folder: Path, *shape: int) -> Path:
    """A network in a file, with what it is fed."""
    path = folder / "net.safetensors"
    seqtui.save(net, str(path), input_shape=shape)
    return path


@asynccontextmanager
async def user_of(
    path: Path | str, width: int = 80, height: int = 24, select: str = "", engine: Engine | None = None
) -> AsyncIterator[User]:
    """Someone who has just opened a file; a bare name is a sample's. `engine` is one that is at hand already."""
    file = SAMPLES / f"{path}.safetensors" if isinstance(path, str) else path
    workspace = Workspace(open_model(str(file)))
    workspace._engine = engine  # importing torch takes a second: tests share a process
    app = SeqtuiApp(workspace, select)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        yield User(app, pilot)
    workspace.close()
