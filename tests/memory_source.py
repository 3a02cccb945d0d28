"""A TensorSource in memory that counts what is read: the other half of the tests of everything that reads tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from seqtui.model.tensors import TORCH_DTYPES, Shape, TensorInfo


class MemorySource:
    """Tensors by name as (dtype, shape, bytes)."""

    source_id = "memory"
    stamp = None

    def __init__(self, tensors: Mapping[str, tuple[str, Shape, bytes]]) -> None:
        self.tensors = {
            name: TensorInfo(name, dtype, shape, len(content)) for name, (dtype, shape, content) in tensors.items()
        }
        self.reads: list[tuple[int, int]] = []
        """(start, bytes) of every read so far."""
        self._contents = {name: content for name, (_, _, content) in tensors.items()}

    @property
    def num_bytes(self) -> int:
        return sum(info.nbytes for info in self.tensors.values())

    @property
    def bytes_read(self) -> int:
        return sum(size for _, size in self.reads)

    def read_into(self, name: str, start: int, buffer: memoryview) -> None:
        content = self._contents[name]
        if start < 0 or start + len(buffer) > len(content):
            raise ValueError(f"bytes {start} to {start + len(buffer)} of {len(content)}")
        buffer[:] = content[start : start + len(buffer)]
        self.reads.append((start, len(buffer)))

    def close(self) -> None:
        """Nothing is open."""


def source_of(**tensors: torch.Tensor) -> MemorySource:
    """torch tensors as a source."""
    return MemorySource(
        {
            name: (TORCH_DTYPES[str(tensor.dtype).removeprefix("torch.")].name, tuple(tensor.shape), bytes_of(tensor))
            for name, tensor in tensors.items()
        }
    )


def bytes_of(tensor: torch.Tensor) -> bytes:
    """A tensor's numbers as they lie in a file."""
    flat = tensor.detach().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()
