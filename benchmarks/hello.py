"""The least that Textual can show: the yardstick of what opens on a screen."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static

TEXT = "Hello, world"


class Hello(App[None]):
    """One line of text."""

    def compose(self) -> ComposeResult:
        yield Static(TEXT)


if __name__ == "__main__":
    Hello().run()
