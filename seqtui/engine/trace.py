"""What torch says of a model's shapes: each layer made on the meta device and run there, as far as it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seqtui.engine.build import Builder
from seqtui.engine.numbers import dtype_word
from seqtui.engine.refusal import reason
from seqtui.engine.requests import Trace, Traced
from seqtui.engine.walk import called, tensors_in
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError, OutOfMemoryError, SeqtuiError
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tree import joined

if TYPE_CHECKING:
    import torch


def trace(request: Trace, workbench: Workbench) -> tuple[Traced, ...]:
    """The model at "", then the layers that a forward pass in eval mode reaches, depth first in execution order: the
    last is the one that raises, if one does. Nothing where it is not known how they are connected, or what goes in.
    Raises OutOfMemoryError where memory ran out: that says nothing of a layer.
    """
    import torch

    if not request.model.is_sequential or len(request.model.inputs) != 1:
        return ()
    given = request.model.inputs[0]
    value = torch.empty(given.shape, dtype=getattr(torch, given.dtype), device="meta")
    tracer = _Tracer(request.model)
    with torch.no_grad():
        tracer.layer("", request.model.root, value)
    return tuple(tracer.found.values())


class _Stopped:
    """What comes out of a layer that raised."""


STOPPED = _Stopped()


class _Tracer:
    """One pass over a model."""

    def __init__(self, model: ModelSpec) -> None:
        import torch

        self.builder = Builder(model, {}, torch.device("meta"))
        self.found: dict[str, Traced] = {}
        """By path, in execution order."""

    def inside(self, path: str, layer: LayerSpec, value: object) -> object:
        """What comes out of a container; STOPPED where a layer inside raised."""
        for child in layer.layers:
            if child.is_called and value is not STOPPED:
                value = self.layer(joined(path, child.name), child, value)
        return value

    def layer(self, path: str, layer: LayerSpec, value: object) -> object:
        """What comes out of a layer, noted."""
        self.found[path] = Traced(path, ())  # holds the place: execution order is depth first
        if layer.kind == "Sequential" and layer.enabled:
            value = self.inside(path, layer, value)
        else:
            try:
                value = called(path, self.builder.layer(path, layer).eval(), value)
            except OutOfMemoryError:
                raise
            except SeqtuiError as error:
                cause = error.__cause__ if isinstance(error, EngineError) else None
                message = reason(cause) if cause else error.message
                self.found[path] = Traced(path, (), message)
                return STOPPED
        if value is not STOPPED:
            self.found[path] = Traced(path, tuple(map(_signal, tensors_in(value))))
        return value


def _signal(tensor: torch.Tensor) -> Signal:
    return Signal(tuple(tensor.shape), dtype_word(tensor.dtype))
