"""The one border that text from a file crosses on its way to a terminal.

Control, format, surrogate, private and unassigned characters become visible, so that a tensor name can neither move the
cursor, write the clipboard nor reverse the line. It does not escape markup: whoever shows the text must not parse any.
"""

from __future__ import annotations

import unicodedata

MAX_MARKS = 4
"""Combining marks kept on one character; more would climb over the lines above."""


def safe_text(text: str, limit: int = 512) -> str:
    """The same text with nothing in it that a terminal obeys, cut to `limit` characters with an ellipsis."""
    if len(text) > limit:
        text = text[:limit] + "…"
    if text.isascii() and text.isprintable():
        return text
    safe: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) or unicodedata.category(character) == "Me" else 0
        if marks <= MAX_MARKS:
            safe.append(character if character.isprintable() else _visible(character))
    return "".join(safe)


def _visible(character: str) -> str:
    """A picture of a control character (U+2400 block), or the code of any other in angle brackets."""
    code = ord(character)
    if code < 32:
        return chr(0x2400 + code)
    return "␡" if code == 127 else f"<{code:04X}>"
