"""`seqtui edit`: a model changed by lines of text, shown, and written where that is asked for."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from seqtui.cli.output import require_free, say, width, write_json, write_lines
from seqtui.documents import edit_document
from seqtui.errors import EditError, FileError, SeqtuiError
from seqtui.formats import open_model
from seqtui.model.edit import Edit, NothingToDoError
from seqtui.model.edits import numbered_edits, parse_edit
from seqtui.plan_text import plan_lines
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, summary_lines
from seqtui.workspace import Workspace

STDIN = "-"


def run(options: SimpleNamespace) -> int:
    """Edit, write where asked, then print the table and the plan, or the document; 1 where shapes do not fit."""
    edits = _recipe(options.recipe) if options.recipe else [("", _given(text)) for text in options.edits]
    if options.output:
        require_free(options.output, options.force)
    workspace = Workspace(open_model(options.model))
    try:
        for where, edit in edits:
            _do(edit, where, workspace)
        return _finish(workspace, options)
    except SeqtuiError as error:
        error.file = error.file or workspace.opened.path
        raise
    finally:
        workspace.close()


def _do(edit: Edit, where: str, workspace: Workspace) -> None:
    """One edit; one that changes nothing is done already, and that is said.

    Raises EditError that names it, and before it where it stands.
    """
    try:
        workspace.do(edit)
    except NothingToDoError as error:
        say(error.message)
    except EditError as error:
        raise EditError(f"{where}{edit}: {error.message}", error.hint) from None


def _finish(workspace: Workspace, options: SimpleNamespace) -> int:
    """Write and print the model as it is now; the exit code."""
    plan = workspace.plan()
    weights = [] if options.json else plan_lines(plan, workspace.view, width())  # of what is to be saved: before it is
    saved = workspace.save(options.output, options.force) if options.output or options.in_place else None
    view = workspace.view
    if options.json:
        write_json(edit_document(view, plan))
    else:
        layers = summary_lines(view.model, view.inference, view.title, width=width())
        notes = [[Piece(f"note: {safe_text(note)}", "dim")] for note in view.opened.notes]
        write_lines([*layers, [], *weights, *notes], options)
        sys.stdout.flush()
        say(saved.sentence if saved else "nothing is written; -o FILE or --in-place writes it")
    return 1 if view.inference.problems else 0


def _given(text: str) -> Edit:
    """The edit of one -e. Raises EditError that names it."""
    try:
        edit = parse_edit(text)
    except EditError as error:
        verb = text.split()[0]
        raise EditError(f"{text}: {error.message.removeprefix(f'{verb}: ')}", error.hint) from None
    if edit is None:
        raise EditError(f"-e {text!r} is no edit")
    return edit


def _recipe(path: str) -> list[tuple[str, Edit]]:
    """The edits in a file, or in what comes in where it is `-`, each with its line in words.

    Raises EditError that names the line, and FileError.
    """
    name = "standard input" if path == STDIN else path
    try:
        with open(sys.stdin.fileno() if path == STDIN else path, "rb", closefd=path != STDIN) as file:
            lines = file.read().decode("utf-8-sig").split("\n")
        return [(f"line {number}: ", edit) for number, edit in numbered_edits(lines)]
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        reason = "there is no such file" if is_missing else f"it cannot be read: {error.strerror}"
        raise FileError(reason, file=name) from None
    except UnicodeDecodeError:
        raise EditError("this is no text", hint="A recipe is a line of UTF-8 an edit.", file=name) from None
    except EditError as error:
        error.file = name
        raise
