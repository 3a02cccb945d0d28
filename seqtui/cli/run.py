"""`seqtui run`: a forward pass, layer by layer, in torch's own process."""

from __future__ import annotations

import os
from contextlib import closing
from types import SimpleNamespace

from seqtui.cli.output import about, progress, width, write_json, write_lines
from seqtui.documents import run_document
from seqtui.engine.requests import Feed, Forward, RunResult, RunSettings
from seqtui.errors import EditError, EngineError, UsageError
from seqtui.formats import open_model
from seqtui.model.infer import infer_shapes
from seqtui.model.inputs import input_text, parse_float_type, parse_input, require_input
from seqtui.run_text import run_lines
from seqtui.workspace import Workspace

DRAWN = ("normal", "zeros", "ones")
"""What an input can be made of."""


def run(options: SimpleNamespace) -> int:
    """Print what came out of each layer and of the model, or the document."""
    settings = RunSettings(
        device=options.device,
        dtype=parse_float_type(options.dtype) if options.dtype else "",
        is_training=options.train,
        feed=_feed(options.feed, options.seed or 0),
        passes=options.passes,
        with_backward=options.backward,
        seed=options.seed,
    )
    with closing(Workspace(open_model(options.model))) as workspace, about(workspace.opened.path):
        if options.input:
            workspace.set_input(parse_input(options.input, workspace.model))
        result = _result(workspace, settings)
        if options.json:
            write_json(run_document(result, workspace.opened.path, options.seed))
        else:
            write_lines(run_lines(result, width()), options)
    return 0


def _feed(text: str, seed: int) -> Feed:
    """What is fed. Raises UsageError for a word that says nothing."""
    if text in DRAWN:
        return Feed(text, seed=seed)  # type: ignore[arg-type]  # mypy does not narrow by membership
    if not text.strip() or (text.isalpha() and not os.path.exists(text)):
        given = text.strip() or "nothing"
        raise UsageError(f"--from takes {', '.join(DRAWN)}, a .npy file or an image, not {given}")
    return Feed("file", text, seed)


def _advice(workspace: Workspace) -> str:
    """What to do about a model that cannot run: `fix` is named only where it mends everything."""
    model = workspace.view.model
    if model.inputs != workspace.model.inputs:
        return f"seqtui summary --input {input_text(model.inputs[0])} shows the shapes."
    from seqtui.model.problems import Fix  # 20 ms that a run seldom needs

    shown = "seqtui summary shows the shapes"
    try:
        mended = Fix().apply(model)
    except EditError:
        return f"{shown}."
    return f"{shown}." if infer_shapes(mended).problems else f"{shown}; seqtui edit -e fix mends them."


def _result(workspace: Workspace, settings: RunSettings) -> RunResult:
    """The answer of torch's process. Raises EngineError, and without it where the model cannot run."""
    view = workspace.view
    require_input(view.model)
    problem = next(iter(view.inference.problems.values()), None)
    if problem and settings.is_as_inferred:
        raise EngineError(problem.message, hint=_advice(workspace))
    with progress() as told:
        result = workspace.engine.ask(Forward(workspace.subject, settings), told)
    assert isinstance(result, RunResult)
    return result
