"""Look into PyTorch models from a terminal, and with these few functions from Python.

Importing this module imports nothing else: torch comes with the first function that needs it.

    seqtui.save(net, "net.safetensors", input_shape=(1, 3, 32, 32))
    net = seqtui.load_sequential("net.safetensors")
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take the name for True; `typing` itself would cost more than all the rest here

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import torch
    from torch import nn

    from seqtui.engine.build import load_sequential as load_sequential
    from seqtui.engine.build import save as save
    from seqtui.model.spec import ModelSpec

__version__ = "0.1.0"
__all__ = ["__version__", "load", "load_sequential", "save", "summary"]

if not TYPE_CHECKING:  # a type checker would take it for a promise that any name is there

    def __getattr__(name: str) -> object:
        """The functions that need torch, imported when they are first asked for (PEP 562)."""
        if name not in ("load_sequential", "save"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from seqtui.engine import build

        return getattr(build, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


def load(path: str | os.PathLike[str]) -> ModelSpec:
    """What a file says of its model: layers, arguments, tensors without their numbers. Needs no torch.

    The file is closed again. Raises FormatError when it is refused, FileError when it cannot be read.
    """
    import os

    from seqtui.formats import open_model

    opened = open_model(os.fspath(path))
    opened.close()
    return opened.model


def summary(
    net: nn.Sequential | str | os.PathLike[str],
    input_shape: Sequence[int] | None = None,
    input_dtype: torch.dtype | str | None = None,
) -> None:
    """Print the layer table of an `nn.Sequential`, or of a file: kinds, output shapes, parameters, multiply-adds.

    `input_shape` is what the network is fed, its batch included, of `input_dtype` (float32 when None); without it a
    file's own is taken. The network is not run and not changed. Inside it, a module with a forward of its own is shown
    with its parameters, and no shape is known behind it. Raises UsageError for a network that is no Sequential.
    """
    import os
    import sys
    from dataclasses import replace

    from seqtui.engine.build import input_spec
    from seqtui.engine.modules import described
    from seqtui.errors import SeqtuiError
    from seqtui.model.infer import infer_shapes
    from seqtui.rows import file_title
    from seqtui.summary_text import encodable, plain_text, summary_lines

    inputs = (input_spec(input_shape, input_dtype),) if input_shape is not None else ()
    if isinstance(net, str | os.PathLike):
        model, title = load(net), file_title(os.fspath(net))
        model = replace(model, inputs=inputs or model.inputs)
    else:
        try:
            model, title = described(net, inputs), type(net).__name__
        except SeqtuiError as error:
            error.hint = "torchinfo.summary(net, input_size=...) draws a table of any module."
            raise
    lines = summary_lines(model, infer_shapes(model), title)
    sys.stdout.write(plain_text(encodable(lines, sys.stdout.encoding)))
