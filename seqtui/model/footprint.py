"""What memory a model takes to run and to train, reckoned from its shapes: enough to tell whether a device will do.

An estimate from below. What it leaves out is torch's own: its kernels' scratch space, the blocks that an allocator
holds back, and what backward keeps beside the outputs of layers (the masks of dropout, the indices of pooling).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from seqtui.model.infer import Inference
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import DTYPES, TORCH_DTYPES, TensorInfo, is_parameter
from seqtui.model.tree import walk_layer

PER_PARAMETER = 3
"""What training adds for each trainable parameter, of its own size: its gradient, and Adam's two moments.
Source: torch.optim.Adam, `exp_avg` and `exp_avg_sq`."""


class Footprint(NamedTuple):
    """Bytes on a device."""

    weights: int
    """All parameters and buffers."""
    to_run: int | None
    """The weights, and of all layers the one where input and output together are largest: the others come and go. None
    where no shapes are known."""
    to_train: int | None
    """One step with Adam: the weights, the output of every layer, which backward wants again, the gradients of what
    goes in and out of the busiest layer, and for each trainable parameter a gradient and two moments."""


def footprint(model: ModelSpec, inference: Inference, dtype: str = "") -> Footprint:
    """What a model takes for the input it is looked at with; its floating tensors in `dtype` (torch's word), where one
    is given, else in their own.
    """
    weights = trained = 0
    for _, layer in walk_layer("", model.root):
        for tensor in layer.tensors:
            if tensor.name not in layer.tied:
                size = _bytes(tensor, dtype)
                weights += size
                trained += size if _is_trained(layer, tensor) else 0
    busiest, kept = _activations(model, inference, dtype)
    if busiest is None:
        return Footprint(weights, None, None)
    return Footprint(weights, weights + busiest, weights + kept + busiest + PER_PARAMETER * trained)


def _is_trained(layer: LayerSpec, tensor: TensorInfo) -> bool:
    """Whether an optimiser touches a tensor of a layer."""
    if tensor.name in layer.frozen:
        return False
    if layer.buffers is not None:
        return tensor.name not in layer.buffers
    return is_parameter(tensor.name, tensor.dtype)


def _bytes(tensor: TensorInfo, dtype: str) -> int:
    """Of a tensor that is converted on its way to the device, if it is floating."""
    row = DTYPES.get(tensor.dtype)
    if not dtype or row is None or row.family != "float":
        return tensor.nbytes
    return math.prod(tensor.shape) * TORCH_DTYPES[dtype].bits // 8


def _activations(model: ModelSpec, inference: Inference, dtype: str) -> tuple[int | None, int]:
    """(most that goes in and out of one layer, all that comes out of layers with the input of the first)."""
    busiest, kept = None, 0
    for path, layer in model.walk():
        info = inference.infos.get(path)
        if layer.layers or not layer.enabled or info is None or not info.leaving:
            continue
        arriving, leaving = (_signal_bytes(signals, dtype) for signals in (info.arriving, info.leaving))
        if busiest is None:
            kept = arriving
        busiest = max(busiest or 0, arriving + leaving)
        kept += leaving
    return busiest, kept


def _signal_bytes(signals: Iterable[Signal], dtype: str) -> int:
    rows = ((signal, TORCH_DTYPES[signal.dtype]) for signal in signals)
    return sum(
        math.prod(signal.shape) * (TORCH_DTYPES[dtype] if dtype and row.family == "float" else row).bits // 8
        for signal, row in rows
    )
