"""Recipes: the history of edits as a file of lines, which `seqtui edit -f` reads as well, and the way back."""

from __future__ import annotations

from seqtui.errors import EditError, FileError
from seqtui.formats.atomic import write_atomically
from seqtui.model.edit import Batch
from seqtui.model.edits import parse_edits
from seqtui.model.history import History

LARGEST = 1 << 22
"""Bytes of a recipe; edits of a person's hand are far fewer."""


def write_recipe(history: History, path: str) -> int:
    """Write every edit that was done and not undone as a line; how many steps. Raises EditError, FileError."""
    if not history.done:
        raise EditError("nothing was done yet that could be written as a recipe")
    if not path:
        raise EditError("recipe needs a file: recipe FILE")
    data = "".join(f"{step.edit}\n" for step in history.done).encode("utf-8", "backslashreplace")
    write_atomically(path, [data], len(data), "absent")
    return len(history.done)


def read_recipe(path: str) -> Batch:
    """The edits of a recipe as one step. Raises EditError that names the line, FileError."""
    if not path:
        raise EditError("replay needs a file: replay FILE")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise FileError(f"it cannot be read: {error.strerror}", file=path) from None
    except UnicodeDecodeError:
        raise FileError("it is no text", file=path) from None
    if len(text) > LARGEST:
        raise FileError(f"it has more than {LARGEST:,} characters: that is no recipe", file=path)
    edits = parse_edits(text.splitlines())
    if not edits:
        raise EditError("the recipe holds no edit")
    return Batch(tuple(edits))
