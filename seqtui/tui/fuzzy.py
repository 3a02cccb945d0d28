"""Finding by letters: how well a text matches what is typed, and the text with those letters marked."""

from __future__ import annotations

from textual.content import Content
from textual.fuzzy import Matcher


def score(matcher: Matcher, text: str) -> float:
    """Textual's score, and more where the letters stand together; 0 for no match."""
    return matcher.match(text) + (matcher.query.casefold() in text.casefold())


def marked(matcher: Matcher, text: str) -> Content:
    """The text with the letters that match marked. Textual's own `highlight` would read it as markup."""
    content = Content(text)
    for offset in matcher.fuzzy_search.match(matcher.query, text)[1]:
        content = content.stylize("bold $text-primary", offset, offset + 1)
    return content
