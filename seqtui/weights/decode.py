"""Raw bytes -> numbers, for every element type that safetensors can name.

numpy knows neither bfloat16 nor the 8-bit floats, and asking torch would cost its import; here they are a shift and
tables of 256. Must agree with torch bit for bit: the tests ask it for every pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from seqtui.errors import SeqtuiError
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import DTYPES, TensorInfo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NUMPY_WORDS = {
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F32": "<f4",
    "F64": "<f8",
    "C64": "<c8",
}
"""The types whose bytes numpy reads as they are."""

_SIX_BITS = "its 6-bit numbers are packed in an order that PyTorch does not define"
_UNREADABLE = {"F6_E2M3": _SIX_BITS, "F6_E3M2": _SIX_BITS}


class UnreadableError(SeqtuiError):
    """A tensor whose numbers cannot be told from its bytes. Its name, shape and size are still known."""

    exit_code = 3


class _SmallFloat(NamedTuple):
    """The layout of a float of at most 8 bits: sign, exponent, mantissa, and the codes that are no number."""

    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: Mapping[int, float] = MappingProxyType({})

    def value(self, code: int) -> float:
        if code in self.specials:
            return self.specials[code]
        exponent, mantissa = divmod(code % (1 << self.exponent_bits + self.mantissa_bits), 1 << self.mantissa_bits)
        sign = -1.0 if code >> self.exponent_bits + self.mantissa_bits else 1.0
        leading = 1 if exponent else 0
        significand = leading + mantissa / (1 << self.mantissa_bits)
        return sign * math.ldexp(significand, max(exponent, 1) - self.bias)


_NAN = math.nan
_SMALL_FLOATS = {
    # Sources: OCP 8-bit Floating Point Specification 1.0 (E5M2, E4M3), OCP Microscaling Formats 1.0 (E2M1), and
    # arXiv:2206.02915 (FNUZ: finite, no negative zero; 0x80 is the only NaN).
    "F4": _SmallFloat(2, 1, bias=1),
    "F8_E4M3": _SmallFloat(4, 3, bias=7, specials={0x7F: _NAN, 0xFF: _NAN}),
    "F8_E5M2": _SmallFloat(
        5,
        2,
        bias=15,
        specials={0x7C: math.inf, 0xFC: -math.inf} | dict.fromkeys((*range(0x7D, 0x80), *range(0xFD, 0x100)), _NAN),
    ),
    "F8_E4M3FNUZ": _SmallFloat(4, 3, bias=8, specials={0x80: _NAN}),
    "F8_E5M2FNUZ": _SmallFloat(5, 2, bias=16, specials={0x80: _NAN}),
}


def unreadable_reason(dtype: str) -> str | None:
    """Why numbers of this type cannot be read, in words that follow a tensor's name; None when they can."""
    if dtype not in DTYPES:
        return f"{dtype} is not a type that seqtui knows"
    reason = _UNREADABLE.get(dtype)
    return f"{dtype} cannot be read: {reason}" if reason else None


def require_readable(dtype: str) -> None:
    """Raises UnreadableError when numbers of this type cannot be read."""
    reason = unreadable_reason(dtype)
    if reason:
        raise UnreadableError(reason)


def decode(raw: bytes | bytearray | memoryview, dtype: str) -> NDArray[Any]:
    """The numbers in little-endian bytes, one-dimensional, in order.

    Floats come as float32 (F64 as float64), integers and complex numbers as themselves, BOOL as bool. F4 holds two
    numbers a byte, the low half first, as torch.float4_e2m1fn_x2 does. Where numpy knows the type the result is a
    view of `raw`. Raises UnreadableError for a type that cannot be read, ValueError for a piece of a number.
    """
    import numpy as np

    require_readable(dtype)
    octets = np.frombuffer(raw, np.uint8)
    numbers: NDArray[Any]
    if dtype in _NUMPY_WORDS:
        numbers = octets.view(_NUMPY_WORDS[dtype])
    elif dtype == "BOOL":
        numbers = octets.astype(np.bool_)
    elif dtype == "BF16":
        numbers = np.left_shift(octets.view("<u2"), 16, dtype=np.uint32).view(np.float32)
    elif dtype == "F16":
        with np.errstate(invalid="ignore"):  # a signalling NaN is a number like any other here
            numbers = octets.view("<f2").astype(np.float32)
    else:
        numbers = _table(dtype)[octets].reshape(-1)
    return numbers


@cache
def _table(dtype: str) -> NDArray[np.float32]:
    """What each of the 256 bytes stands for: (256,), or (256, 2) where a byte holds two numbers."""
    import numpy as np

    if dtype == "F8_E8M0":  # powers of two alone; source: OCP Microscaling Formats 1.0, 5.4.1
        return np.array([*(math.ldexp(1, code - 127) for code in range(255)), math.nan], np.float32)
    layout = _SMALL_FLOATS[dtype]
    if DTYPES[dtype].bits == 4:
        return np.array([(layout.value(code % 16), layout.value(code // 16)) for code in range(256)], np.float32)
    return np.array([layout.value(code) for code in range(256)], np.float32)


def read_elements(source: TensorSource, info: TensorInfo, start: int, stop: int) -> NDArray[Any]:
    """Elements `start` up to `stop` of a tensor in row-major order, decoded; no other bytes are read.

    Raises what `decode` and `TensorSource.read_into` raise.
    """
    require_readable(info.dtype)
    bits = DTYPES[info.dtype].bits
    first_byte, end_byte = start * bits // 8, -(-stop * bits // 8)
    raw = bytearray(end_byte - first_byte)
    if raw:
        source.read_into(info.name, first_byte, memoryview(raw))
    skipped = start - first_byte * 8 // bits
    return decode(raw, info.dtype)[skipped : skipped + stop - start]
