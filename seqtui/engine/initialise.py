"""New weights into a file, for a save to take from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from seqtui.engine.numbers import NewNumbers, as_bytes, stored_tensor
from seqtui.engine.requests import Initialise, Making
from seqtui.engine.workbench import Workbench
from seqtui.formats.safetensors import SafetensorsFile, TensorData, write_safetensors
from seqtui.model.tensors import TORCH_DTYPES, TensorInfo


def initialise(request: Initialise, workbench: Workbench) -> None:
    """Write the tensors of a request. The same request gives the same numbers."""
    kept = SafetensorsFile.open(request.kept_path, "kept") if request.kept_path else None
    numbers = NewNumbers()
    try:
        write_safetensors(
            request.path,
            [TensorData(_info(making), partial(_chunks, numbers, making, kept)) for making in request.tensors],
            expected="absent",
        )
    finally:
        if kept is not None:
            kept.close()


def _info(making: Making) -> TensorInfo:
    row = TORCH_DTYPES[making.dtype]
    return TensorInfo(making.name, row.name, making.shape, math.prod(making.shape) * row.bits // 8)


def _chunks(numbers: NewNumbers, making: Making, kept: SafetensorsFile | None) -> Iterator[memoryview]:
    """The bytes of one tensor."""
    tensor = numbers.tensor(making, partial(stored_tensor, kept, making.name) if kept else None)
    yield as_bytes(tensor).numpy().data
