"""Recipes: edits as a file of lines, one each, for another model; written of what was done, and read again."""

from __future__ import annotations

import sys

from seqtui.errors import EditError, FileError
from seqtui.formats.atomic import write_atomically
from seqtui.model.edit import Edit
from seqtui.model.edits import numbered_edits
from seqtui.model.history import History

STDIN = "-"
LARGEST = 1 << 22
"""Bytes of a recipe; edits of a person's hand are far fewer."""


def write_recipe(history: History, path: str) -> int:
    """Write every edit that was done and not undone as a line; how many steps. Raises EditError, FileError."""
    if not history.done:
        raise EditError("nothing was done yet that could be written as a recipe")
    data = "".join(f"{step.edit}\n" for step in history.done).encode("utf-8", "backslashreplace")
    write_atomically(path, [data], len(data), "absent")
    return len(history.done)


def read_recipe(path: str) -> list[tuple[int, Edit]]:
    """The edits in a file, or in what comes in where `path` is `-`, each with the number of its line.

    Raises EditError that names the line, FileError.
    """
    name = "standard input" if path == STDIN else path
    try:
        with open(sys.stdin.fileno() if path == STDIN else path, "rb", closefd=path != STDIN) as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise FileError(f"it has more than {LARGEST:,} bytes: that is no recipe", file=name)
        return numbered_edits(data.decode("utf-8-sig").split("\n"))
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        reason = "there is no such file" if is_missing else f"it cannot be read: {error.strerror}"
        raise FileError(reason, file=name) from None
    except UnicodeDecodeError:
        raise EditError("this is no text", hint="A recipe is a line of UTF-8 an edit.", file=name) from None
    except EditError as error:
        error.file = name
        raise
