"""`seqtui convert`: a model in another form, by the suffix of the file to write."""

from __future__ import annotations

import os
from types import SimpleNamespace

from seqtui.cli.output import progress, require_free, say
from seqtui.errors import SeqtuiError, UsageError
from seqtui.formats import open_model
from seqtui.formats.atomic import write_atomically
from seqtui.model.content_edits import Input
from seqtui.model.inputs import parse_float_type, parse_input
from seqtui.model.tensor_edits import Cast
from seqtui.model.tensors import TORCH_DTYPES
from seqtui.model.tree import Glob
from seqtui.saving import WRITERS, Saved
from seqtui.workspace import Workspace

MARKDOWN = ".md"
FORMS = (*WRITERS, MARKDOWN)
EVERYTHING = Glob("**")


def run(options: SimpleNamespace) -> int:
    """Write the file, whole or not at all, and say on stderr how it compares; 1 where a layer's shapes do not fit."""
    suffix = os.path.splitext(options.output)[1].lower()
    if suffix not in FORMS:
        raise UsageError(f"{options.output} has no suffix that says its form", hint=f"Forms are {', '.join(FORMS)}.")
    require_free(options.output, options.force)
    dtype = parse_float_type(options.dtype) if options.dtype else ""
    workspace = Workspace(open_model(options.model))
    try:
        _prepare(workspace, options.input, dtype)
        say(_write(workspace, options.output, options.force).sentence)
        return 1 if workspace.view.inference.problems else 0
    except SeqtuiError as error:
        error.file = error.file or workspace.opened.path
        raise
    finally:
        workspace.close()


def _prepare(workspace: Workspace, given: str | None, dtype: str) -> None:
    """Edit the input and the type of all floating numbers, those that are fed too."""
    if given:
        item = parse_input(given)
        workspace.do(Input(item.shape, item.dtype))
    if dtype:
        workspace.do(Cast(EVERYTHING, dtype))
        for item in workspace.model.inputs[:1]:
            if TORCH_DTYPES[item.dtype].family == "float":
                workspace.do(Input(item.shape, dtype, item.name))


def _write(workspace: Workspace, path: str, is_sure: bool) -> Saved:
    """Write the model as it is now."""
    if not path.lower().endswith(MARKDOWN):
        with progress() as told:
            return workspace.save(path, is_sure, told)
    from seqtui.markdown_text import summary_markdown

    view = workspace.view
    text = "\n".join([*summary_markdown(view.model, view.inference, view.title), ""]).encode()
    return Saved(path, write_atomically(path, [text], len(text), "anything" if is_sure else "absent"))
