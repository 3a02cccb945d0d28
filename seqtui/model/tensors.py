"""What is known of a tensor without reading it: its name, type, shape, and where its numbers lie.

These are tuples rather than dataclasses because a checkpoint has a hundred thousand of them and all are made before the
first frame: a named tuple costs a third of a frozen dataclass.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Shape = tuple[int, ...]


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


class TensorRef(NamedTuple):
    """Where a tensor's bytes lie: a pure value, so that models compare and pickle. Open handles live elsewhere."""

    source_id: str
    name: str
    """The full name inside that source: `features.conv1.weight`."""


class TensorInfo(NamedTuple):
    """A tensor as a header describes it."""

    name: str
    """In a source the full name, `conv1.weight`; in a layer the last part, `weight`."""
    dtype: str
    """safetensors' word, `F32`; one that `DTYPES` does not know is shown and not read."""
    shape: Shape
    nbytes: int
    ref: TensorRef | None = None
    """Where its numbers lie; None in a source's own listing and for a parameter that no file holds yet."""
