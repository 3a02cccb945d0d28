"""Toasts: what a key came to, or why nothing came of it. There is one at a time, so that few lines are covered."""

from __future__ import annotations

from typing import Literal

from textual.widget import Widget

from seqtui.safe_text import safe_text


def tell(pane: Widget, sentence: str, severity: Literal["information", "warning"] = "information") -> None:
    """A toast in place of the one before. What it says may hold text from a file."""
    pane.app.clear_notifications()
    pane.notify(safe_text(sentence), severity=severity, markup=False)


def warn(pane: Widget, sentence: str) -> None:
    """A toast that something could not be done, and why."""
    tell(pane, sentence, "warning")
