"""safetensors files, both ways: tensors read in part, and written byte for byte as the reference implementation does.

The library is not used because it maps files into memory, cannot write in a stream, and replaces mode, owner and links
of what it overwrites. It stands in the tests, as the judge.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple

from seqtui.errors import FormatError
from seqtui.formats.atomic import Chunk, Expected, write_atomically
from seqtui.formats.byte_source import ByteSource, FileRange, FileSource, Stamp
from seqtui.formats.safetensors_header import MAX_HEADER, read_header
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import DTYPES, TensorInfo

CHUNK_BYTES = 1 << 20
"""How much of a tensor is held at once while it is copied."""


class SafetensorsFile:
    """An open safetensors file as a source of tensors."""

    def __init__(self, source: ByteSource, source_id: str) -> None:
        """Read and check the header. Raises FormatError or FileError; the source stays open for its owner to close."""
        header = read_header(source)
        self.source_id = source_id
        self.tensors = header.tensors
        self.metadata: Mapping[str, str] = header.metadata
        """All that the file says beside its tensors, the spec too."""
        self.notes = header.notes
        """What cannot be read, in sentences."""
        self.num_bytes = source.size - header.data_start  # the header was checked to leave no byte over
        self._data_start = header.data_start
        self._source = source

    @classmethod
    def open(cls, path: str, source_id: str) -> SafetensorsFile:
        """The file at a path. Raises FormatError or FileError."""
        source = FileSource(path)
        try:
            return cls(source, source_id)
        except BaseException:
            source.close()
            raise

    @cached_property
    def _begins(self) -> dict[str, int]:
        """Where each tensor begins, in bytes from the start of the file. Not needed before the first is read."""
        sizes = (nbytes for _, _, nbytes in self.tensors.forms)
        return dict(
            zip(self.tensors.names, accumulate(sizes, initial=self._data_start), strict=False)
        )  # the last is the end

    @property
    def stamp(self) -> Stamp | None:
        """The file as it was when it was opened, to refuse to overwrite what somebody changed since."""
        return self._source.stamp

    @property
    def file(self) -> FileSource | None:
        """The file on a disk that it is, where it is one."""
        return self._source if isinstance(self._source, FileSource) else None

    def read_into(self, name: str, start: int, buffer: memoryview) -> None:
        nbytes = self.tensors[name].nbytes
        if not 0 <= start <= nbytes - buffer.nbytes:
            raise ValueError(f"bytes {start} to {start + buffer.nbytes} of {name!r}, which has {nbytes}")
        self._source.read_into(self._begins[name] + start, buffer)

    def part(self, name: str) -> FileRange | None:
        """Where a tensor lies in the file; None where that is none on a disk. Raises FormatError where it changed."""
        if self.file is None:
            return None
        self.file.require_unchanged()
        return FileRange(self.file, self._begins[name], self.tensors[name].nbytes)

    def close(self) -> None:
        self._source.close()


class TensorData(NamedTuple):
    """A tensor to be written, and a way to its bytes."""

    info: TensorInfo
    """`name` is the full name in the new file; `ref` is not looked at."""
    chunks: Callable[[], Iterable[Chunk]]
    """Its bytes in pieces, little-endian and row-major, each asked for once the one before is written."""


def stored(source: TensorSource, name: str, new_name: str | None = None) -> TensorData:
    """A tensor of an open file, to be copied unchanged, under a new name where one is given."""
    info = source.tensors[name]

    def chunks() -> Iterator[Chunk]:
        if isinstance(source, SafetensorsFile) and (part := source.part(name)):
            yield part
            return
        buffer = memoryview(bytearray(min(CHUNK_BYTES, info.nbytes)))
        for start in range(0, info.nbytes, CHUNK_BYTES):
            piece = buffer[: info.nbytes - start]
            source.read_into(name, start, piece)
            yield piece

    return TensorData(info if new_name is None else info._replace(name=new_name), chunks)


def write_safetensors(
    path: str,
    tensors: Iterable[TensorData],
    metadata: Mapping[str, str] | None = None,
    expected: Expected = "anything",
) -> Stamp:
    """Write a safetensors file, whole or not at all, and return its stamp.

    The bytes are those of the reference implementation, which sorts tensors by type and then by name. Only the order of
    the metadata, which is random there, is the order given here. Raises ValueError for a name that stands twice, a
    shape that does not fit its bytes, or text that is not Unicode; FormatError for a header above the limit; FileError
    as `write_atomically` does; and whatever the chunks raise.
    """
    ordered = sorted(tensors, key=_place)
    header = _header_bytes([tensor.info for tensor in ordered], metadata)
    if len(header) - 8 > MAX_HEADER:
        raise FormatError(
            f"the header would have {len(header) - 8:,} bytes; the limit of the format is {MAX_HEADER:,}",
            "Save fewer tensors, or less metadata.",
            path,
        )
    size = len(header) + sum(tensor.info.nbytes for tensor in ordered)
    return write_atomically(path, _file_chunks(header, ordered), size, expected)


_PLACES = {name: -place for place, name in enumerate(DTYPES)}
"""The reference sorts by its own list of types, last one first, so that wide types come first and all stand aligned."""


def _place(tensor: TensorData) -> tuple[int, str]:
    return _PLACES.get(tensor.info.dtype, 1), tensor.info.name


def _header_bytes(infos: list[TensorInfo], metadata: Mapping[str, str] | None) -> bytes:
    """Length and JSON, filled up with spaces to a multiple of 8."""
    entries: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    at = 0
    for name, dtype, shape, nbytes, _ in infos:
        if name in entries or name == "__metadata__":
            raise ValueError(f"{name!r} cannot be the name of this tensor")
        if dtype in DTYPES and math.prod(shape) * DTYPES[dtype].bits != nbytes * 8:
            raise ValueError(f"{name!r}: {dtype} {shape} is not {nbytes} bytes")
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": (at, at + nbytes)}
        at += nbytes
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _file_chunks(header: bytes, tensors: list[TensorData]) -> Iterator[Chunk]:
    yield header
    for info, chunks in tensors:
        written = 0
        for chunk in chunks():
            written += len(chunk)
            yield chunk
        if written != info.nbytes:
            raise ValueError(f"{written} bytes came for {info.name!r}, which has {info.nbytes}")
