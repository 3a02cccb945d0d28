"""Windows and slices of tensors, against torch and numpy, and how little of the file they read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices
from memory_source import MemorySource, source_of

from seqtui.errors import UsageError
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import TensorInfo
from seqtui.weights import window
from seqtui.weights.decode import UnreadableError, decode
from seqtui.weights.index import Index, Item, parse_items
from seqtui.weights.window import (
    grid_shape,
    read_array,
    read_values,
    read_window,
    slice_count,
    slice_of,
    slice_position,
)


@pytest.mark.parametrize(
    ("shape", "grid", "slices"),
    [
        ((), (1, 1), 1),
        ((7,), (1, 7), 1),
        ((3, 4), (3, 4), 1),
        ((6, 1, 5, 4), (5, 4), 6),
        ((0,), (1, 0), 1),
        ((0, 5, 5), (5, 5), 0),
        ((5, 0, 5), (0, 5), 5),
    ],
)
def test_a_tensor_is_a_stack_of_grids(shape: tuple[int, ...], grid: tuple[int, int], slices: int) -> None:
    assert (grid_shape(shape), slice_count(shape)) == (grid, slices)


@pytest.mark.parametrize("shape", [(), (5,), (5, 4), (16, 5, 5), (2, 3, 5, 4), (2, 1, 3, 2, 2)])
def test_a_slice_is_told_by_its_leading_indices_and_back(shape: tuple[int, ...]) -> None:
    leading = list(np.ndindex(shape[:-2]))
    assert [slice_position(shape, index) for index in range(slice_count(shape))] == leading
    inner = (0, 0)[: len(shape)]
    assert [slice_of(shape, (*position, *inner)) for position in leading] == list(range(slice_count(shape)))


@pytest.mark.parametrize("shape", [(), (1,), (7,), (4, 6), (3, 4, 6), (2, 3, 4, 6)])
def test_every_window_shows_what_torch_holds(shape: tuple[int, ...]) -> None:
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    source = source_of(weight=tensor)
    height, width = grid_shape(shape)
    for slice_index, grid in enumerate(tensor.reshape(slice_count(shape), height, width)):
        for rows, columns in [(range(height), range(width)), (range(1, 3), range(2, 5)), (range(2, 99), range(1))]:
            expected = grid[rows.start : rows.stop, columns.start : columns.stop].tolist()
            assert read_window(source, "weight", slice_index, rows, columns) == expected


def test_a_window_beyond_the_grid_is_empty() -> None:
    source = source_of(weight=torch.ones(3, 4), nothing=torch.ones(0, 4))
    assert read_window(source, "weight", 0, range(3, 9), range(4)) == []
    assert read_window(source, "weight", 0, range(2), range(4, 9)) == [[], []]
    assert read_window(source, "nothing", 0, range(9), range(9)) == []
    assert not source.reads


def test_a_slice_that_is_not_there() -> None:
    source = source_of(weight=torch.ones(6, 3, 4))
    with pytest.raises(UsageError) as caught:
        read_window(source, "weight", 6, range(3), range(4))
    assert caught.value.message == "slice 6 of weight is not there: it has 6"


class Pattern:
    """A tensor of 50,000 by 4,000 float32 that nobody has to hold: element i is i modulo 1,009."""

    stamp = None
    source_id = "pattern"
    num_bytes = 50_000 * 4_000 * 4

    def __init__(self) -> None:
        self.tensors = {"weight": TensorInfo("weight", "F32", (50_000, 4_000), self.num_bytes)}
        self.bytes_read = 0

    def read_into(self, name: str, start: int, buffer: memoryview) -> None:
        first, number = start // 4, len(buffer) // 4
        buffer[:] = (np.arange(first, first + number) % 1009).astype("<f4").tobytes()
        self.bytes_read += len(buffer)

    def close(self) -> None:
        """Nothing is open."""


def test_of_a_great_tensor_only_the_window_is_read() -> None:
    source = Pattern()
    cells = read_window(source, "weight", 0, range(40_000, 40_024), range(3_992, 4_000))
    assert cells == [[(row * 4_000 + column) % 1009 for column in range(3_992, 4_000)] for row in range(40_000, 40_024)]
    assert source.bytes_read == 24 * 8 * 4


def test_rows_that_lie_close_are_read_at_once() -> None:
    source = source_of(weight=torch.arange(16 * 6 * 5 * 5).reshape(16, 6, 5, 5))
    assert read_window(source, "weight", 7, range(5), range(1, 4))[4] == [7 * 25 + 21, 7 * 25 + 22, 7 * 25 + 23]
    assert source.reads == [((7 * 25 + 1) * 8, 23 * 8)]


def test_one_number_costs_one_number() -> None:
    source = source_of(weight=torch.arange(1 << 16, dtype=torch.int32).reshape(256, 256))
    assert read_values(source, "weight", parse_items("3, 5")) == 3 * 256 + 5
    assert source.reads == [((3 * 256 + 5) * 4, 4)]


def test_a_column_of_wide_rows_reads_its_elements_alone() -> None:
    tensor = torch.arange(50 * 5_000, dtype=torch.float32).reshape(50, 5_000)
    source = source_of(weight=tensor)
    assert read_values(source, "weight", parse_items(":, 7")) == tensor[:, 7].tolist()
    assert source.bytes_read == 50 * 4


@pytest.mark.parametrize("inside", ["...", "::2", "::-3", "1, ::-2, 3:", ":, :, -1", "::-1, ::-1, ::-1"])
def test_reads_stay_small(inside: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "_BLOCK", 256)
    array = np.arange(11 * 13 * 17, dtype=np.int16).reshape(11, 13, 17)
    source = source_of(weight=torch.from_numpy(array))
    index = parse_items(inside)
    np.testing.assert_array_equal(read_array(source, "weight", index), array[index.items])
    assert max(size for _, size in source.reads) <= 256


@st.composite
def stored(draw: st.DrawFn) -> tuple[MemorySource, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """A tensor of random shape and type in a source, and what it holds."""
    shape = draw(array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    dtype, octets = draw(st.sampled_from([("F4", 0.5), ("I8", 1), ("BF16", 2), ("I32", 4), ("F64", 8), ("C64", 8)]))
    content = np.random.default_rng(math.prod(shape)).bytes(math.ceil(math.prod(shape) * octets))
    whole = decode(content, dtype)[: math.prod(shape)].reshape(shape)
    return MemorySource({"weight": (dtype, shape, content)}), whole


@given(stored(), st.data(), st.sampled_from([1, 16, 4096]), st.sampled_from([1, 64, 1 << 22]))
@settings(max_examples=300)
def test_any_slice_of_anything_is_numpys(
    tensor: tuple[MemorySource, np.ndarray[tuple[int, ...], np.dtype[np.generic]]],
    data: st.DataObject,
    gap: int,
    block: int,
) -> None:
    source, whole = tensor
    drawn = data.draw(basic_indices(whole.shape, allow_newaxis=False))
    items: tuple[Item, ...] = drawn if isinstance(drawn, tuple) else (drawn,)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "_GAP", gap)
        patch.setattr(window, "_BLOCK", block)
        ours = read_array(source, "weight", Index(items))
    np.testing.assert_array_equal(ours, whole[items])
    assert ours.dtype == whole.dtype
    assert all(size <= max(block, 8) for _, size in source.reads)


def test_four_bit_rows_that_begin_inside_a_byte() -> None:
    content = bytes(range(45))
    source = MemorySource({"weight": ("F4", (10, 9), content)})
    whole = decode(content, "F4")[:90].reshape(10, 9)
    assert read_window(source, "weight", 0, range(3, 6), range(2, 5)) == whole[3:6, 2:5].tolist()
    assert read_values(source, "weight", parse_items("3, 4")) == whole[3, 4]


def test_cells_are_pythons_own_numbers() -> None:
    source = source_of(flags=torch.tensor([True, False]), tokens=torch.tensor(3), phases=torch.tensor([1 + 2j]))
    assert read_values(source, "flags") == [True, False]
    assert [type(read_window(source, name, 0, range(1), range(1))[0][0]) for name in source.tensors] == [
        bool, int, complex,
    ]  # fmt: skip


def test_numbers_that_are_not_numbers_are_shown() -> None:
    source = source_of(weight=torch.tensor([math.nan, math.inf, -math.inf]))
    assert str(read_values(source, "weight")) == "[nan, inf, -inf]"


def test_what_cannot_be_read() -> None:
    source = MemorySource({"weight": ("F6_E2M3", (4, 4), bytes(12))})
    with pytest.raises(UnreadableError):
        read_window(source, "weight", 0, range(4), range(4))
    with pytest.raises(KeyError):
        read_window(source, "other", 0, range(4), range(4))


def test_more_dimensions_than_numpy_holds() -> None:
    source = MemorySource({"deep": ("U8", (1,) * 70, b"\7")})
    with pytest.raises(UsageError, match="deep has 70 dimensions, more than numpy can hold"):
        read_array(source, "deep")
    assert read_values(source, "deep", Index((0,) * 70)) == 7
    assert read_window(source, "deep", 0, range(1), range(1)) == [[7]]


def test_a_window_of_a_real_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensor = torch.randn(40, 60, generator=torch.Generator().manual_seed(3)).bfloat16()
    save_file({"a": torch.ones(3), "weight": tensor}, tmp_path / "model.safetensors")
    source: TensorSource = SafetensorsFile.open(str(tmp_path / "model.safetensors"), "model")
    assert read_window(source, "weight", 0, range(9, 33), range(50, 58)) == tensor[9:33, 50:58].float().tolist()
    assert read_values(source, "weight", parse_items("-1, ::7")) == tensor[-1, ::7].float().tolist()
    source.close()
