"""New weights as torch makes them: by the constructor of their layer, or by a function of torch.nn.init."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from seqtui.engine.arguments import named_tensors, torch_layer
from seqtui.engine.build import as_bytes
from seqtui.engine.door import Initialise, Making
from seqtui.errors import EngineError
from seqtui.formats.safetensors import SafetensorsFile, TensorData, write_safetensors
from seqtui.model.tensors import DTYPES, TORCH_DTYPES, TensorInfo

if TYPE_CHECKING:
    import torch
    from torch import nn


def initialise(request: Initialise) -> None:
    """Write the tensors of a request. The same request gives the same numbers."""
    import torch

    torch.set_grad_enabled(False)
    kept = SafetensorsFile.open(request.kept_path, "kept") if request.kept_path else None
    made = _Layers()
    try:
        write_safetensors(
            request.path,
            [TensorData(_info(making), partial(_chunks, made, making, kept)) for making in request.tensors],
            expected="absent",
        )
    finally:
        if kept is not None:
            kept.close()


def _info(making: Making) -> TensorInfo:
    row = TORCH_DTYPES[making.dtype]
    return TensorInfo(making.name, row.name, making.shape, math.prod(making.shape) * row.bits // 8)


class _Layers:
    """Layers that were made last: the tensors of one come after one another in most files, and are made together."""

    def __init__(self) -> None:
        self._made: tuple[object, nn.Module] | None = None

    def layer(self, making: Making) -> nn.Module:
        import torch

        key = (making.kind, repr(making.args), making.seed)
        if self._made is None or self._made[0] != key:
            torch.manual_seed(making.seed)
            self._made = key, torch_layer(making.kind, making.args)
        return self._made[1]


def _chunks(made: _Layers, making: Making, kept: SafetensorsFile | None) -> Iterator[memoryview]:
    """The bytes of one tensor."""
    import torch

    dtype: torch.dtype = getattr(torch, making.dtype)
    tensor = _numbers(made, making).to(dtype).contiguous().clone()
    if making.kept is not None and kept is not None:
        block = tuple(slice(size) for size in making.kept)
        tensor[block] = _stored(kept, making.name)[block].to(dtype)
    yield as_bytes(tensor).numpy().data


def _numbers(made: _Layers, making: Making) -> torch.Tensor:
    """The tensor as new, before anything is put into it."""
    import torch
    from torch import nn

    if making.kept == making.shape:
        return torch.empty(making.shape)
    if making.init is None:
        tensors = {name: tensor for name, tensor, _ in named_tensors(made.layer(making))}
        return tensors[making.own_name].detach()
    torch.manual_seed(making.seed)
    tensor = torch.empty(making.shape)
    function = getattr(nn.init, f"{making.init}_")
    try:
        function(tensor)
    except ValueError as error:
        raise EngineError(f"{making.name} cannot be filled by {making.init}: {error}") from None
    return tensor


def _stored(source: SafetensorsFile, name: str) -> torch.Tensor:
    """A tensor of a file, whole."""
    import torch

    info = source.tensors[name]
    tensor = torch.empty(info.shape, dtype=getattr(torch, DTYPES[info.dtype].torch))
    source.read_into(name, 0, as_bytes(tensor).numpy().data)
    return tensor
