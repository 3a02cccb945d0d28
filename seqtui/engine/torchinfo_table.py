"""torchinfo's own table, drawn from a twin on the meta device: it moves models about, and must see no real weights.

What it hides when a layer does not fit, the cause, is what is told.
"""

from __future__ import annotations

from seqtui.engine.refusal import refusal
from seqtui.engine.requests import Subject, TorchinfoTable
from seqtui.engine.workbench import Workbench

ALL_LEVELS = 1000
"""torchinfo's own default is 3; models here nest at most 32 deep."""


def torchinfo_table(request: TorchinfoTable, workbench: Workbench) -> str:
    """The table as text, without the line break at its end; without output shapes where nothing says what is fed.

    Raises FormatError for tensors without an order, EngineError where the model does not run.
    """
    import torch
    from torchinfo import summary

    model = request.model
    twin = workbench.network(Subject(model, ()), device="meta").eval()
    inputs = [torch.empty(item.shape, dtype=getattr(torch, item.dtype), device="meta") for item in model.inputs[:1]]
    try:
        table = summary(
            twin,
            input_data=inputs or None,
            depth=ALL_LEVELS if request.depth is None else request.depth,
            device="meta",
            mode="eval",
            row_settings=("depth", "var_names"),
            verbose=0,
        )
    except RuntimeError as error:
        raise refusal("torchinfo", error.__cause__ or error) from error
    return str(table).rstrip("\n")
