"""`seqtui edit`: a model changed by lines of text, shown, and written where that is asked for."""

from __future__ import annotations

import sys
from contextlib import closing
from types import SimpleNamespace

from seqtui.cli.output import about, require_free, say, width, write_json, write_lines
from seqtui.documents import edit_document
from seqtui.errors import EditError
from seqtui.formats import open_model
from seqtui.model.edit import Edit, NothingToDoError
from seqtui.model.edits import parse_edit
from seqtui.plan_text import plan_lines
from seqtui.recipes import read_recipe
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, summary_lines
from seqtui.workspace import Workspace


def run(options: SimpleNamespace) -> int:
    """Edit, write where asked, then print the table and the plan, or the document; 1 where shapes do not fit."""
    if options.recipe:
        edits = [(f"{options.recipe} line {number}: ", edit) for number, edit in read_recipe(options.recipe)]
    else:
        edits = [("", _given(text)) for text in options.edits]
    if options.output:
        require_free(options.output, options.force)
    with closing(Workspace(open_model(options.model))) as workspace, about(workspace.opened.path):
        for where, edit in edits:
            _do(edit, where, workspace)
        return _finish(workspace, options)


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
