"""`seqtui summary`: layers, output shapes, parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from types import SimpleNamespace

from seqtui.cli.output import about, progress, say, width, write_json, write_lines
from seqtui.documents import summary_document
from seqtui.formats import open_model
from seqtui.model.inputs import parse_input, require_sequential
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, problem_lines, summary_lines
from seqtui.workspace import Workspace

Lines = Sequence[Sequence[Piece]]


def run(options: SimpleNamespace) -> int:
    """Print the table or the document; 1 where a layer's shapes do not fit."""
    with closing(Workspace(open_model(options.model))) as workspace, about(workspace.opened.path):
        if options.input:
            workspace.set_input(parse_input(options.input, workspace.model))
        if options.json:
            write_json(summary_document(workspace.view))
        else:
            notes = [[Piece(f"note: {safe_text(note)}", "dim")] for note in workspace.view.opened.notes]
            write_lines([*STYLES[options.style](workspace, options), *notes], options)
        return 1 if workspace.view.inference.problems else 0


def _table(workspace: Workspace, options: SimpleNamespace) -> Lines:
    view = workspace.view
    return summary_lines(view.model, view.inference, view.title, options.depth, width())


def _markdown(workspace: Workspace, options: SimpleNamespace) -> Lines:
    from seqtui.markdown_text import summary_markdown

    view = workspace.view
    return [[Piece(line)] for line in summary_markdown(view.model, view.inference, view.title, options.depth)]


def _torchinfo(workspace: Workspace, options: SimpleNamespace) -> Lines:
    """torchinfo's table; of a model that does not run, which it has no table of, what does not fit."""
    from seqtui.engine.requests import TorchinfoTable

    view = workspace.view
    require_sequential(view.model)
    if view.inference.problems:
        say("torchinfo has no table of a model that does not run; --style table has")
        return problem_lines(view.inference)
    with progress() as told:
        text = workspace.engine.ask(TorchinfoTable(view.model, options.depth), told)
    assert isinstance(text, str)
    return [[Piece(safe_text(line))] for line in text.splitlines()]


STYLES: Mapping[str, Callable[[Workspace, SimpleNamespace], Lines]] = {
    "table": _table,
    "markdown": _markdown,
    "torchinfo": _torchinfo,
}
"""How the layers are shown, by the words of --style."""
