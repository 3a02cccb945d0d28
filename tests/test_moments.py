"""Means and spreads of numbers that are hard to sum, against torch in float64 and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from measuring import of, random

from seqtui.weights.statistics import QUANTILES


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("elements", [5_000, 1 << 18, (1 << 18) + 77])
def test_a_small_spread_around_a_large_mean(dtype: torch.dtype, elements: int) -> None:
    numbers = (100 + 0.001 * random(elements).double()).to(dtype)
    found, wide = of(numbers), numbers.double()
    assert found.mean == pytest.approx(wide.mean().item(), rel=1e-10)
    assert found.std == pytest.approx(wide.std().item(), rel=1e-6)


def test_a_mean_that_drifts_from_chunk_to_chunk() -> None:
    numbers = torch.linspace(-1e4, 1e4, 1 << 20) + random(1 << 20)
    found, wide = of(numbers, bins=0), numbers.double()
    assert found.mean == pytest.approx(wide.mean().item(), abs=1e-5)
    assert found.std == pytest.approx(wide.std().item(), rel=1e-7)


@pytest.mark.parametrize("elements", [3, 4_096])
def test_the_largest_float32_has_a_norm(elements: int) -> None:
    largest = torch.finfo(torch.float32).max
    found = of(torch.full((elements,), largest))
    assert found.norm == pytest.approx(math.sqrt(elements) * largest, rel=1e-12)
    assert (found.mean, found.std) == (largest, 0.0)


@pytest.mark.parametrize("elements", [2, 2_048])
def test_the_smallest_numbers_have_a_spread(elements: int) -> None:
    for dtype, smallest in [(torch.float32, 2.0**-149), (torch.float64, 5e-324)]:
        numbers = torch.tensor([smallest, 3 * smallest], dtype=dtype).repeat(elements // 2)
        found = of(numbers)
        assert (found.min, found.max, found.zeros) == (smallest, 3 * smallest, 0)
        assert found.mean == 2 * smallest
        assert found.norm == pytest.approx(math.sqrt(elements * 5) * smallest, rel=1e-2, abs=smallest)
        assert found.std == pytest.approx(math.sqrt(elements / (elements - 1)) * smallest, abs=smallest)


def test_the_largest_float64() -> None:
    largest = torch.finfo(torch.float64).max
    found = of(torch.tensor([largest, -largest, largest / 2], dtype=torch.float64))
    assert (found.min, found.max) == (-largest, largest)
    assert found.mean == pytest.approx(largest / 6, rel=1e-12)
    assert (found.std, found.norm) == (None, None)  # 1.04 and 1.5 times the largest
    assert found.quantiles[0.5] == largest / 2
    assert found.histogram is not None
    assert (found.histogram.edges[0], found.histogram.edges[-1], sum(found.histogram.counts)) == (-largest, largest, 3)


def test_great_and_small_float64_in_different_chunks() -> None:
    found = of(torch.tensor([1e200, 1e-200, 1.0], dtype=torch.float64).repeat_interleave(1 << 16))
    assert found.mean == pytest.approx(1e200 / 3, rel=1e-12)
    assert found.std == pytest.approx(1e200 * math.sqrt(2) / 3, rel=1e-5)
    assert found.norm == pytest.approx(1e200 * 256, rel=1e-12)


def test_the_largest_and_least_int64_are_exact() -> None:
    limits = torch.iinfo(torch.int64)
    found = of(torch.tensor([limits.max, limits.min, 0]))
    assert (found.min, found.max, found.zeros) == (limits.min, limits.max, 1)
    assert isinstance(found.min, int)
    assert found.norm == pytest.approx(math.sqrt(2) * 2**63, rel=1e-12)
    assert of(torch.tensor([2**64 - 1], dtype=torch.uint64)).max == 2**64 - 1


def test_a_constant_has_no_spread() -> None:
    for value in (0.1, 1 / 3, -7.0):
        found = of(torch.full((100_003,), value, dtype=torch.float64))
        assert found.mean == value
        assert found.std == pytest.approx(0, abs=1e-15)
        assert found.quantiles == dict.fromkeys(QUANTILES, value)
        assert found.histogram is not None
        assert (found.histogram.edges, found.histogram.counts) == ((value, value), (100_003,))
