"""Statistics of tensors, against torch in float64 and numpy."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from measuring import check_against_numpy, magnitudes, measured, of, random
from memory_source import MemorySource, bytes_of, source_of

from seqtui.errors import FormatError
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.model.tensors import DTYPES
from seqtui.weights import statistics
from seqtui.weights.decode import UnreadableError, decode
from seqtui.weights.statistics import QUANTILES, Statistics, estimate, measure

# Against torch


def test_a_weight_as_torch_sees_it() -> None:
    weight = random(6, 1, 5, 5)
    found, wide = of(weight, bins=21), weight.double()
    assert (found.count, found.nan, found.posinf, found.neginf, found.zeros) == (150, 0, 0, 0, 0)
    assert (found.min, found.max) == (wide.min().item(), wide.max().item())
    assert found.mean == pytest.approx(wide.mean().item(), rel=1e-12)
    assert found.std == pytest.approx(wide.std().item(), rel=1e-12)
    assert found.norm == pytest.approx(wide.norm().item(), rel=1e-12)
    theirs = torch.quantile(wide, torch.tensor(QUANTILES, dtype=torch.float64))
    assert list(found.quantiles.values()) == pytest.approx(theirs.tolist(), rel=1e-12)
    assert found.histogram is not None
    assert list(found.histogram.counts) == torch.histogram(wide.ravel(), 21).hist.tolist()
    assert found.histogram.edges == pytest.approx(torch.histogram(wide.ravel(), 21).bin_edges.tolist())
    assert found.quantiles_exact
    assert not found.is_estimate


READABLE = [row for row in DTYPES.values() if not row.name.startswith("F6")]


@pytest.mark.parametrize("dtype", [row.name for row in READABLE])
@pytest.mark.parametrize("elements", [0, 2, 4, 1_000, 70_002])
def test_random_bits_of_every_type(dtype: str, elements: int) -> None:
    content = np.random.default_rng(elements).bytes(elements * DTYPES[dtype].bits // 8)
    if dtype == "F64":  # random ones square beyond float64, which the judge cannot
        content = np.random.default_rng(elements).standard_normal(elements).tobytes()
    source = MemorySource({"weight": (dtype, (elements,), content)})
    with np.errstate(all="ignore"):
        check_against_numpy(measured(source), decode(content, dtype), rel=1e-9)
    assert source.bytes_read == len(content)


@pytest.mark.parametrize("dtype", ["F8_E5M2", "F8_E4M3", "F8_E8M0", "U8", "BOOL", "F4"])
@pytest.mark.parametrize("nbytes", [1, 3, 4_097])
def test_an_odd_number_of_bytes(dtype: str, nbytes: int) -> None:
    content = np.random.default_rng(nbytes).integers(0, 2 if dtype == "BOOL" else 250, nbytes, np.uint8).tobytes()
    numbers = decode(content, dtype)
    source = MemorySource({"weight": (dtype, (numbers.size,), content)})
    check_against_numpy(measured(source), numbers, rel=1e-9)


# What has no numbers, or few


def test_nothing_finite_has_no_numbers() -> None:
    found = of(torch.tensor([math.nan, math.inf, math.inf, -math.inf]))
    assert found == Statistics(count=4, nan=1, posinf=2, neginf=1, zeros=0)
    assert of(torch.empty(0, 3)) == of(torch.empty(0).bfloat16()) == Statistics(0, 0, 0, 0, 0)


def test_a_scalar_has_no_spread() -> None:
    found = of(torch.tensor(2.5))
    assert (found.count, found.min, found.mean, found.std, found.norm) == (1, 2.5, 2.5, None, 2.5)
    assert of(torch.tensor([2.5, math.nan, 4.5])).std == pytest.approx(math.sqrt(2))


def test_infinite_and_missing_numbers_among_others() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        numbers = random(300_000).to(dtype)
        numbers[::7], numbers[3::11], numbers[5::13], numbers[::17] = math.nan, math.inf, -math.inf, 0
        check_against_numpy(of(numbers), numbers.double().numpy(), rel=1e-6)


def test_complex_numbers_count_by_magnitude() -> None:
    largest = torch.finfo(torch.float32).max
    found = of(torch.tensor([3 + 4j, complex(largest, largest), 0j, complex(math.nan, 0)]))
    assert (found.nan, found.posinf, found.zeros, found.min) == (1, 0, 1, 0.0)
    assert found.max == pytest.approx(math.sqrt(2) * largest)


def test_truth_values_are_counted_as_numbers() -> None:
    found = of(torch.tensor([True, False, True, True]))
    assert (found.min, found.max, found.zeros, found.mean) == (0, 1, 1, 0.75)


# Large tensors, in chunks


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks, threads and the streaming count begin at a few kilobytes."""
    monkeypatch.setattr(statistics, "_CHUNK", 4096)
    monkeypatch.setattr(statistics, "_THREADED", 8192)
    monkeypatch.setattr(statistics, "_SORTED", 1000)


@pytest.mark.parametrize("dtype", ["F32", "F64", "I32", "I64", "U64", "C64"])
@pytest.mark.usefixtures("small_limits")
def test_quantiles_of_a_large_tensor_are_near(dtype: str) -> None:
    generator = np.random.default_rng(5)
    spread = generator.standard_normal(50_000) * np.exp(generator.standard_normal(50_000) * 3) * 100
    numbers = np.abs(spread) if dtype == "U64" else spread
    raw = numbers.astype(decode(b"", dtype).dtype).tobytes()
    source = MemorySource({"weight": (dtype, (50_000,), raw)})
    found, stored = measured(source), decode(raw, dtype)
    check_against_numpy(found, stored, rel=1e-6)
    assert not found.quantiles_exact
    wide = magnitudes(stored)
    below, above = (np.quantile(wide, QUANTILES, method=method) for method in ("lower", "higher"))
    ours = np.array(list(found.quantiles.values()))
    assert (ours >= below - np.abs(below) / 128).all()
    assert (ours <= above + np.abs(above) / 128).all()
    assert found.histogram is not None
    theirs = np.histogram(wide, found.histogram.edges)[0]
    assert sum(found.histogram.counts) == 50_000
    np.testing.assert_allclose(np.cumsum(found.histogram.counts), np.cumsum(theirs), atol=50_000 / 64)
    assert source.bytes_read == len(raw)


@pytest.mark.usefixtures("small_limits")
def test_round_numbers_stay_round_in_a_large_tensor() -> None:
    numbers = torch.tensor([-1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 3.0, 3.0]).repeat(1000)
    found = of(numbers)
    assert list(found.quantiles.values()) == [-1, -1, 0, 0.25, 1.5, 3, 3]
    assert found.zeros == 3000
    integers = np.arange(200).repeat(50)
    assert list(of(torch.from_numpy(integers)).quantiles.values()) == pytest.approx(np.quantile(integers, QUANTILES))
    assert of(-numbers.relu()).quantiles[0.75] == 0


@pytest.mark.usefixtures("small_limits")
def test_a_large_constant() -> None:
    found = of(torch.full((5000,), 0.3))
    assert (found.mean, found.std) == (float(np.float32(0.3)), 0.0)
    assert set(found.quantiles.values()) == {float(np.float32(0.3))}
    assert found.histogram is not None
    assert found.histogram.counts == (5000,)


@pytest.mark.usefixtures("small_limits")
def test_numbers_beyond_float32_in_a_large_float64_tensor() -> None:
    found = of(torch.tensor([1e300, -1e-300, 1.0], dtype=torch.float64).repeat_interleave(3000))
    assert (found.min, found.max) == (-1e-300, 1e300)
    assert found.quantiles[0.5] == 1
    assert 2**128 <= found.quantiles[0.99] <= 1e300
    assert abs(found.quantiles[0.01]) <= 1e-300
    json.dumps(found.as_json(), allow_nan=False)


@given(
    st.sampled_from([row.name for row in READABLE]),
    st.integers(0, 3000),
    st.sampled_from([64, 128, 4096]),
    st.sampled_from([0, 100, 1 << 20]),
    st.sampled_from([0, 1 << 23]),
    st.integers(0, 1 << 32),
)
@settings(max_examples=300)
def test_the_same_whatever_the_chunks(
    dtype: str, pairs: int, chunk: int, sorted_limit: int, threaded: int, seed: int
) -> None:
    """Chunk edges, threads and the way of counting change nothing but the precision of quantiles."""
    generator = np.random.default_rng(seed)
    content = generator.bytes(2 * pairs * DTYPES[dtype].bits // 8)
    if dtype == "F64" or (dtype == "F32" and seed % 2):
        numbers = generator.standard_normal(2 * pairs).astype(decode(b"", dtype).dtype)
        special = generator.choice([0.0, -0.0, math.nan, math.inf, -math.inf], 2 * pairs)
        content = (
            np.where(generator.random(2 * pairs) < generator.random(), special, numbers).astype(numbers.dtype).tobytes()
        )
    source = MemorySource({"weight": (dtype, (2, pairs), content)})
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        patch.setattr(statistics, "_CHUNK", chunk)
        patch.setattr(statistics, "_SORTED", sorted_limit)
        patch.setattr(statistics, "_THREADED", threaded)
        check_against_numpy(measured(source), decode(content, dtype), rel=1e-6)
    assert source.bytes_read == len(content)


def test_two_threads_find_the_same_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for tensor in (random(3_000_000), random(3_000_000).bfloat16()):
        monkeypatch.setattr(statistics, "_THREADED", 0)
        two = of(tensor)
        monkeypatch.setattr(statistics, "_THREADED", 1 << 40)
        one = of(tensor)
        assert (two.quantiles, two.histogram, two.min, two.max) == (one.quantiles, one.histogram, one.min, one.max)
        assert [two.mean, two.std] == pytest.approx([one.mean, one.std], rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.complex64])
def test_memory_stays_small(dtype: torch.dtype) -> None:
    source = source_of(sorted=torch.ones(1 << 20, dtype=dtype), counted=torch.ones((1 << 22) + 3, dtype=dtype))
    measured(source, "sorted")
    for name in source.tensors:
        tracemalloc.start()
        measured(source, name)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 64 << 20


def test_stopping_between_chunks() -> None:
    source = source_of(weight=random(5_000_000))
    answers = iter([False, False, False, False, *[True] * 10])
    assert measure(source, "weight", stop=lambda: next(answers)) is None
    assert source.bytes_read == 4 << 20
    assert measure(source, "weight", stop=lambda: True) is None


class Torn(MemorySource):
    """A source whose file ends a quarter of the way."""

    def read_into(self, name: str, start: int, buffer: memoryview) -> None:
        if start + len(buffer) > self.tensors[name].nbytes // 4:
            raise FormatError("the file ends early")
        super().read_into(name, start, buffer)


def test_a_file_that_ends_early_ends_both_threads() -> None:
    source = Torn({"weight": ("F32", (16 << 20,), bytes(64 << 20))})
    with pytest.raises(FormatError, match="ends early"):
        measure(source, "weight")
    assert source.bytes_read <= 16 << 20


def test_without_bins_there_are_moments_alone() -> None:
    numbers = random(100_000)
    found, full = of(numbers, bins=0), of(numbers)
    assert (found.quantiles, found.histogram) == ({}, None)
    assert (found.mean, found.std, found.min, found.zeros) == (full.mean, full.std, full.min, full.zeros)
    assert of(numbers.bfloat16(), bins=0).histogram is None


# Estimates


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_an_estimate_is_near_and_reads_little(dtype: torch.dtype) -> None:
    tensor = (3 + random(2000, 1001)).to(dtype)
    tensor[:, ::100] = 0
    tensor[:, 1::100] = math.nan
    source = source_of(weight=tensor)
    guess, found = estimate(source, "weight"), of(tensor)
    assert guess.is_estimate
    assert not guess.quantiles_exact
    assert guess.count == tensor.numel()
    assert guess.mean == pytest.approx(found.mean, rel=0.02)
    assert guess.std == pytest.approx(found.std, rel=0.02)
    assert guess.norm == pytest.approx(found.norm, rel=0.02)
    assert [guess.zeros, guess.nan] == pytest.approx([found.zeros, found.nan], rel=0.05)
    assert guess.quantiles[0.5] == pytest.approx(found.quantiles[0.5], abs=0.05)
    assert guess.histogram is not None
    assert sum(guess.histogram.counts) == pytest.approx(tensor.numel() - guess.nan, rel=0.001)
    assert source.bytes_read == 65_536 * tensor.element_size()
    assert source.reads[0][0] == 0
    assert sum(source.reads[-1]) == tensor.nbytes


def test_of_a_small_tensor_the_estimate_is_the_truth() -> None:
    tensor = random(256, 256)
    guess = estimate(source_of(weight=tensor), "weight")
    assert guess == of(tensor)
    assert not guess.is_estimate


def test_an_estimate_of_half_bytes() -> None:
    content = np.random.default_rng(0).bytes(100_001)
    guess = estimate(MemorySource({"weight": ("F4", (200_002,), content)}), "weight")
    assert (guess.min, guess.max, guess.is_estimate) == (-6, 6, True)
    assert guess.zeros == pytest.approx(200_002 / 8, rel=0.05)


# Errors and JSON


@pytest.mark.parametrize("elements", [4, 1 << 20])
def test_what_cannot_be_read(elements: int) -> None:
    source = MemorySource({"weight": ("F6_E2M3", (elements,), bytes(elements * 6 // 8))})
    for function in (measure, estimate):
        with pytest.raises(UnreadableError, match="6-bit"):
            function(source, "weight")
        with pytest.raises(KeyError):
            function(source, "other")


def test_json_is_the_documented_object() -> None:
    document = of(torch.tensor([1.0, 2.0, 3.0, math.nan, math.inf]), bins=2).as_json()
    assert document == {
        "count": 5,
        "nan": 1,
        "posinf": 1,
        "neginf": 0,
        "zeros": 0,
        "min": 1.0,
        "max": 3.0,
        "mean": 2.0,
        "std": 1.0,
        "norm": math.sqrt(14),
        "quantiles_exact": True,
        "quantiles": {
            "0.01": 1.02, "0.05": 1.1, "0.25": 1.5, "0.5": 2.0, "0.75": 2.5, "0.95": 2.9, "0.99": 2.98,
        },
        "histogram": {"edges": [1.0, 2.0, 3.0], "counts": [1, 2]},
    }  # fmt: skip
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_json_of_nothing_is_null() -> None:
    document = of(torch.tensor([math.nan])).as_json()
    assert [key for key, value in document.items() if value is None] == [
        "min", "max", "mean", "std", "norm", "quantiles", "histogram",
    ]  # fmt: skip


def test_a_real_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weight = random(300, 500)
    save_file({"bias": torch.zeros(5), "weight": weight}, tmp_path / "model.safetensors")
    source = SafetensorsFile.open(str(tmp_path / "model.safetensors"), "model")
    assert measure(source, "weight") == of(weight)
    assert estimate(source, "weight").is_estimate
    source.close()
    assert bytes_of(weight) in (tmp_path / "model.safetensors").read_bytes()
