"""What goes to stdout: lines with a little colour on a terminal, plain text into a pipe, ASCII on request, or JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from types import SimpleNamespace
from typing import TYPE_CHECKING

from seqtui.errors import FileError, SeqtuiError
from seqtui.safe_text import safe_text

if TYPE_CHECKING:
    from threading import Event

    from seqtui.engine.door import Told
    from seqtui.engine.requests import Progress
    from seqtui.summary_text import Piece


PROGRESS_SECONDS = 0.1
"""How long a line about progress stands at the least."""
PATIENCE = 2.0
"""Seconds after which it says how many have passed."""


def is_terminal() -> bool:
    """Whether a person reads stdout on a terminal that can do more than print."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def width() -> int | None:
    """Cells a line may take: the terminal's, or COLUMNS; None into a pipe, where nothing is cut."""
    if not sys.stdout.isatty():
        return None
    import shutil

    return max(shutil.get_terminal_size().columns, 1)


def write_lines(lines: Sequence[Sequence[Piece]], options: SimpleNamespace) -> None:
    """Write lines, in colour where a terminal takes it, in ASCII where that is asked for or all that stdout takes."""
    from seqtui.summary_text import encodable, plain_text

    lines = encodable(lines, sys.stdout.encoding, getattr(options, "plain", False))
    if is_terminal() and not getattr(options, "no_color", False):
        _write_coloured(lines)
        return
    sys.stdout.write(plain_text(lines))


def write_json(document: object) -> None:
    """One document, ASCII, keys in their order."""
    import json

    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def say(words: str) -> None:
    """A line for whoever typed the command, on stderr; stdout is data."""
    sys.stderr.write(f"seqtui: {safe_text(words, limit=2000)}\n")


@contextmanager
def progress() -> Iterator[Told | None]:
    """Something to tell how far torch is, in one line on stderr that is gone at the end; None where nobody looks."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return

    from threading import Event, Thread

    newest, is_over = [""], Event()

    def told(step: Progress) -> None:
        newest[0] = safe_text(step.words, limit=60)

    writing = Thread(target=_follow, args=(newest, is_over), daemon=True)
    writing.start()
    try:
        yield told
    finally:
        is_over.set()
        writing.join()
        _rewrite_line("")


def _follow(newest: Sequence[str], is_over: Event) -> None:
    """Keep the line at the newest words, and at the seconds that have passed, until it is over."""
    begun, shown = monotonic(), ""
    while not is_over.wait(PROGRESS_SECONDS):
        seconds = monotonic() - begun
        text = f"{newest[0]}  {seconds:.0f} s" if seconds >= PATIENCE else newest[0]
        if text != shown:
            shown = text
            _rewrite_line(text)


def _rewrite_line(text: str) -> None:
    """Put a text in place of the line that the cursor of the terminal is in. Source: ECMA-48, EL."""
    sys.stderr.write(f"\r\x1b[K{text}")
    sys.stderr.flush()


@contextmanager
def about(file: str) -> Iterator[None]:
    """What is refused in here without a word of where is refused of this file."""
    try:
        yield
    except SeqtuiError as error:
        error.file = error.file or file
        raise


def require_free(path: str, is_forced: bool) -> None:
    """Raises FileError for the name of a file that exists, unless whoever typed it said that they know."""
    if os.path.exists(path) and not is_forced:
        raise FileError("it exists already", hint="--force replaces it.", file=path)


def _write_coloured(lines: Sequence[Sequence[Piece]]) -> None:
    """By rich, which honours NO_COLOR and knows what the terminal can show."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        console.print(Text.assemble(*((piece.text, piece.style) for piece in line)))
