"""`seqtui new`: a model from a template or from nothing, on the screen, as a summary or in a file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

from seqtui.cli.open import has_screen, show
from seqtui.cli.output import about, require_free, say, width, write_lines
from seqtui.formats.opened import OpenedModel
from seqtui.model.infer import infer_shapes
from seqtui.model.inputs import input_text, parse_input
from seqtui.summary_text import Piece, summary_lines
from seqtui.table import Column, layout
from seqtui.templates import TEMPLATES, template_model
from seqtui.words import count_words
from seqtui.workspace import Workspace

COLUMNS = (
    Column("name", "Template"),
    Column("params", "Params", is_number=True),
    Column("input", "Input", least=12),
    Column("description", "", least=12),
)


def run(options: SimpleNamespace) -> int:
    """Open the screens on the model; without one write it where asked, else print it; 1 where shapes do not fit."""
    if options.list:
        write_lines(_listing(), options)
        return 0
    model = template_model(options.template)
    if options.input:
        model = replace(model, inputs=(parse_input(options.input),))
    if options.output:
        require_free(options.output, options.force)
    workspace = Workspace(OpenedModel(model, {}, options.output, "safetensors", name=options.template))
    if has_screen():
        return show(workspace, options)
    with closing(workspace), about(options.output):
        return _without_screen(workspace, options)


def _without_screen(workspace: Workspace, options: SimpleNamespace) -> int:
    """Write the model, or print it with a line of advice; the exit code."""
    view = workspace.view
    if options.output:
        say(workspace.save(is_sure=options.force).sentence)
    else:
        write_lines(summary_lines(view.model, view.inference, options.template or "new model", width=width()), options)
        say("nothing is written; -o FILE writes it" if options.template else "an empty model; --list shows templates")
    return 1 if view.inference.problems else 0


def _listing() -> list[list[Piece]]:
    """A line a template."""
    rows: list[list[str]] = []
    for name, template in TEMPLATES.items():
        model = template_model(name)
        params = count_words(infer_shapes(model).total.num_params)
        rows.append([name, params, input_text(model.inputs[0]), template.description])
    table = layout(COLUMNS, rows, width())
    heading = [Piece(text, "bold") for text in table.line([column.title for column in COLUMNS])]
    return [heading, *([Piece(text) for text in table.line(row)] for row in rows)]
