"""Every bit pattern of every type, against torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from memory_source import MemorySource

from seqtui.model.tensors import DTYPES, TensorInfo
from seqtui.weights.decode import UnreadableError, decode, read_elements, unreadable_reason

TORCH_KNOWS = [row for row in DTYPES.values() if row.torch and row.bits >= 8]


def patterns(bits: int) -> bytes:
    """Every pattern of 8 or 16 bits; of wider types 20,000 random ones."""
    if bits <= 16:
        return np.arange(1 << bits, dtype=f"<u{bits // 8}").tobytes()
    return np.random.default_rng(1).bytes(20_000 * bits // 8)


@pytest.mark.parametrize("dtype", [row.name for row in TORCH_KNOWS])
def test_every_pattern_is_what_torch_says(dtype: str) -> None:
    row = DTYPES[dtype]
    raw = bytes([0, 1]) if dtype == "BOOL" else patterns(row.bits)
    theirs = torch.frombuffer(bytearray(raw), dtype=torch.uint8).view(getattr(torch, row.torch))
    if row.family == "float" and row.bits < 32:
        theirs = theirs.to(torch.float32)
    ours = decode(raw, dtype)
    np.testing.assert_array_equal(ours, theirs.numpy())
    assert ours.dtype == theirs.numpy().dtype
    if row.family == "float":
        # NaN and the two zeros compare equal above whatever their sign.
        not_nan = ~np.isnan(ours)
        np.testing.assert_array_equal(np.signbit(ours[not_nan]), np.signbit(theirs.numpy()[not_nan]))


def test_four_bit_floats_lie_low_half_first() -> None:
    # torch converts none itself. The values are those of OCP Microscaling Formats 1.0, table 5 (E2M1); the order is
    # that of `pack_uint4` in torch's own tests of float4_e2m1fn_x2.
    magnitudes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    ours = decode(bytes([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]), "F4")
    assert ours.tolist() == [*magnitudes, *(-magnitude for magnitude in magnitudes)]
    assert np.signbit(ours).tolist() == [False] * 8 + [True] * 8


def test_numbers_keep_their_types() -> None:
    kinds = {dtype: decode(bytes(8), dtype).dtype.name for dtype in ("F64", "I64", "U8", "BOOL", "C64", "F16", "F4")}
    assert kinds == {
        "F64": "float64",
        "I64": "int64",
        "U8": "uint8",
        "BOOL": "bool",
        "C64": "complex64",
        "F16": "float32",
        "F4": "float32",
    }


@pytest.mark.parametrize("dtype", ["F6_E2M3", "F6_E3M2", "Q4_K", ""])
def test_what_cannot_be_read_says_why(dtype: str) -> None:
    source = MemorySource({"weight": (dtype, (4,), bytes(3))})
    with pytest.raises(UnreadableError) as caught:
        read_elements(source, source.tensors["weight"], 0, 4)
    assert caught.value.message == unreadable_reason(dtype)
    assert not source.reads


def test_every_type_is_read_or_has_a_reason() -> None:
    assert [name for name in DTYPES if unreadable_reason(name)] == ["F6_E2M3", "F6_E3M2"]
    for name in DTYPES:
        if not unreadable_reason(name):
            assert decode(b"", name).shape == (0,)


def test_half_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="size"):
        decode(bytes(5), "F32")


@pytest.mark.parametrize(("start", "stop"), [(0, 16), (1, 2), (1, 16), (3, 8), (5, 5), (0, 1)])
def test_elements_at_half_bytes(start: int, stop: int) -> None:
    content = bytes([0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE])
    source = MemorySource({"weight": ("F4", (16,), content)})
    info: TensorInfo = source.tensors["weight"]
    read = read_elements(source, info, start, stop)
    np.testing.assert_array_equal(read, decode(content, "F4")[start:stop])
    assert source.bytes_read == len(content[start // 2 : (stop + 1) // 2])
