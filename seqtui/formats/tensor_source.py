"""What the rest of the house may ask of an open file of tensors, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from seqtui.formats.byte_source import Stamp
from seqtui.model.tensors import TensorInfo


class TensorSource(Protocol):
    """Named tensors whose bytes can be read in part. Reading is safe from several threads at once."""

    @property
    def source_id(self) -> str:
        """What a `TensorRef` names it by."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by full name, in the order of its bytes."""

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors together."""

    @property
    def stamp(self) -> Stamp | None:
        """The file as it was when it was opened; None where there is no such thing."""

    def read_into(self, name: str, start: int, buffer: memoryview) -> None:
        """Fill a writable byte buffer with the tensor's bytes (little-endian, row-major) from byte `start` of it on.

        Raises KeyError for an unknown name, ValueError for a range outside the tensor, and FormatError or FileError
        when the file no longer holds what its header promised.
        """

    def close(self) -> None: ...
