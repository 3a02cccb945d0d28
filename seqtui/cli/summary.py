"""`seqtui summary`: layers, output shapes, parameters."""

from __future__ import annotations

from types import SimpleNamespace

from seqtui.cli.output import width, write_json, write_lines
from seqtui.documents import summary_document
from seqtui.formats import open_model
from seqtui.model.inputs import parse_input
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, summary_lines
from seqtui.workspace import Workspace


def run(options: SimpleNamespace) -> int:
    """Print the table or the document; 1 where a layer's shapes do not fit."""
    workspace = Workspace(open_model(options.model))
    if options.input:
        workspace.set_input(parse_input(options.input))
    view = workspace.view
    if options.json:
        write_json(summary_document(view))
    else:
        lines = summary_lines(view.model, view.inference, view.title, options.depth, width())
        notes = [[Piece(f"note: {safe_text(note)}", "dim")] for note in view.opened.notes]
        write_lines([*lines, *notes], options)
    workspace.close()
    return 1 if view.inference.problems else 0
