"""What is known of a tensor without reading it: its name, type, shape, and where its numbers lie.

These are tuples rather than dataclasses because a checkpoint has a hundred thousand of them: a named tuple costs a
third of a frozen dataclass. For the same reason a source lists its tensors as a table, of which a row is made when it
is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import lt
from typing import Literal, NamedTuple

Shape = tuple[int, ...]

MAX_DIMENSIONS = 64
"""Most that torch computes with."""
COUNTABLE = 2**63
"""Fewer elements than this can be counted by torch."""


def is_possible(shape: Shape) -> bool:
    """Whether torch can have a tensor of a shape: not too many dimensions, each and all together countable."""
    return (
        len(shape) <= MAX_DIMENSIONS and all(0 <= size < COUNTABLE for size in shape) and math.prod(shape) < COUNTABLE
    )


class DType(NamedTuple):
    """A tensor element type, by safetensors' word for it."""

    name: str
    """safetensors' word: `F32`, `BF16`."""
    bits: int
    """Bits an element; below 8 only for the packed 4- and 6-bit floats."""
    torch: str
    """torch's word: `float32`, `bfloat16`; empty where torch has none."""
    family: Literal["float", "complex", "int", "bool"]


DTYPES: dict[str, DType] = {
    row.name: row
    for row in (
        DType("BOOL", 8, "bool", "bool"),
        DType("F4", 4, "float4_e2m1fn_x2", "float"),
        DType("F6_E2M3", 6, "", "float"),
        DType("F6_E3M2", 6, "", "float"),
        DType("U8", 8, "uint8", "int"),
        DType("I8", 8, "int8", "int"),
        DType("F8_E5M2", 8, "float8_e5m2", "float"),
        DType("F8_E4M3", 8, "float8_e4m3fn", "float"),
        DType("F8_E8M0", 8, "float8_e8m0fnu", "float"),
        DType("F8_E4M3FNUZ", 8, "float8_e4m3fnuz", "float"),
        DType("F8_E5M2FNUZ", 8, "float8_e5m2fnuz", "float"),
        DType("I16", 16, "int16", "int"),
        DType("U16", 16, "uint16", "int"),
        DType("F16", 16, "float16", "float"),
        DType("BF16", 16, "bfloat16", "float"),
        DType("I32", 32, "int32", "int"),
        DType("U32", 32, "uint32", "int"),
        DType("F32", 32, "float32", "float"),
        DType("C64", 64, "complex64", "complex"),
        DType("F64", 64, "float64", "float"),
        DType("I64", 64, "int64", "int"),
        DType("U64", 64, "uint64", "int"),
    )
}
"""Every type that safetensors 0.8 can name."""

TORCH_DTYPES: dict[str, DType] = {row.torch: row for row in DTYPES.values() if row.torch}
"""The same rows by torch's word."""


def torch_word(dtype: str) -> str:
    """torch's word for a type, safetensors' own where torch has none."""
    return (DTYPES[dtype].torch if dtype in DTYPES else "") or dtype


class TensorRef(NamedTuple):
    """Where a tensor's bytes lie: a pure value, so that models compare and pickle. Open handles live elsewhere."""

    source_id: str
    name: str
    """The full name inside that source: `features.conv1.weight`."""


class NewTensor(NamedTuple):
    """Numbers that are made when the model is saved, as torch would make them; type and shape stand beside it."""

    seed: int
    init: str | None = None
    """How, in a word of `torch.nn.init`; None for what torch's constructor does to this tensor of this layer."""
    keep: TensorRef | None = None
    """The tensor whose leading block is kept, its numbers converted where the type is another."""
    kept: Shape = ()
    """How many elements of each dimension are kept."""


class TensorInfo(NamedTuple):
    """A tensor as a header describes it."""

    name: str
    """In a source the full name, `conv1.weight`; in a layer the last part, `weight`."""
    dtype: str
    """safetensors' word, `F32`; one that `DTYPES` does not know is shown and not read."""
    shape: Shape
    nbytes: int
    ref: TensorRef | NewTensor | None = None
    """Where its numbers lie, or how they will be made; None in a source's own listing and where nothing is known."""

    @property
    def stored(self) -> TensorRef | None:
        """Where its numbers lie; None where no file holds any."""
        return self.ref if isinstance(self.ref, TensorRef) else None


FLOATING = frozenset(row.name for row in DTYPES.values() if row.family in ("float", "complex"))
RUNNING_STATISTICS = ("running_mean", "running_var")
"""Floating tensors that no optimiser touches, by the names that torch's norms give them."""


def is_parameter(name: str, dtype: str) -> bool:
    """Whether a tensor that no rule knows counts as a parameter: floating, and not a running statistic."""
    return dtype in FLOATING and name not in RUNNING_STATISTICS


Form = tuple[str, Shape, int]
"""Type, shape and bytes: what most tensors of a checkpoint share with a thousand others."""


class TensorTable(Mapping[str, TensorInfo]):
    """The tensors of a source by full name, as two columns. Equal to any mapping with the same rows."""

    __slots__ = ("_places", "forms", "names")

    def __init__(self, names: Sequence[str], forms: Sequence[Form]) -> None:
        """`names` hold none twice."""
        self.names = names
        self.forms = forms
        """One for each name."""
        self._places: dict[str, int] = {}

    @classmethod
    def of(cls, tensors: Iterable[TensorInfo]) -> TensorTable:
        """A table of some rows."""
        rows = list(tensors)
        return cls([row.name for row in rows], [(row.dtype, row.shape, row.nbytes) for row in rows])

    def by_name(self) -> TensorTable:
        """The same rows, sorted by name."""
        if all(map(lt, self.names, islice(self.names, 1, None))):
            return self
        rows = sorted(zip(self.names, self.forms, strict=True))
        return TensorTable([name for name, _ in rows], [form for _, form in rows])

    def __getitem__(self, name: str) -> TensorInfo:
        if not self._places:
            self._places = dict(zip(self.names, range(len(self.names)), strict=True))
        return TensorInfo(name, *self.forms[self._places[name]])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)
