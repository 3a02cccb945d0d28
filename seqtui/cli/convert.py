"""`seqtui convert`: a model in another form, by the suffix of the file to write."""

from __future__ import annotations

from contextlib import closing
from types import SimpleNamespace
from typing import TYPE_CHECKING

from seqtui.cli.output import about, progress, require_free, say
from seqtui.errors import UsageError
from seqtui.formats import form_of, open_model
from seqtui.formats.atomic import Expected, write_atomically
from seqtui.model.content_edits import Input
from seqtui.model.inputs import parse_float_type, parse_input
from seqtui.model.tensor_edits import Cast
from seqtui.model.tensors import TORCH_DTYPES
from seqtui.model.tree import Glob
from seqtui.saving import WRITERS, Saved, Target, save_model
from seqtui.workspace import Workspace

if TYPE_CHECKING:
    from seqtui.engine.requests import Subject

MARKDOWN = ".md"
FORMS = (*WRITERS, MARKDOWN)
EVERYTHING = Glob("**")


def run(options: SimpleNamespace) -> int:
    """Write the file, whole or not at all, and say on stderr how it compares; 1 where a layer's shapes do not fit."""
    if form_of(options.output) not in FORMS:
        raise UsageError(f"{options.output} has no suffix that says its form", hint=f"Forms are {', '.join(FORMS)}.")
    require_free(options.output, options.force)
    dtype = parse_float_type(options.dtype) if options.dtype else ""
    with closing(Workspace(open_model(options.model))) as workspace, about(workspace.opened.path):
        before = _prepare(workspace, options.input, dtype)
        say(_write(workspace, options.output, options.force, before).sentence)
        return 1 if workspace.view.inference.problems else 0


def _prepare(workspace: Workspace, given: str | None, dtype: str) -> Subject | None:
    """Edit the input and the type of all floating numbers, those that are fed too; the model before that cast."""
    if given:
        item = parse_input(given, workspace.model)
        workspace.do(Input(item.shape, item.dtype))
    if not dtype:
        return None
    before = workspace.subject
    workspace.do(Cast(EVERYTHING, dtype))
    for item in workspace.model.inputs[:1]:
        if TORCH_DTYPES[item.dtype].family == "float":
            workspace.do(Input(item.shape, dtype, item.name))
    return before


def _write(workspace: Workspace, path: str, is_sure: bool, before: Subject | None) -> Saved:
    """Write the model as it is now."""
    expected: Expected = "anything" if is_sure else "absent"
    view = workspace.view
    if form_of(path) != MARKDOWN:
        with progress() as told:
            target = Target(path, workspace.engine, expected, view.opened.prefix, told, before)
            return save_model(workspace.model, view.sources, target)
    from seqtui.markdown_text import summary_markdown

    text = "\n".join([*summary_markdown(view.model, view.inference, view.title), ""]).encode()
    return Saved(path, write_atomically(path, [text], len(text), expected))
