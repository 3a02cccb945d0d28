"""What the tests of statistics share: short ways to measure, and the plain computation that judges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from memory_source import MemorySource, source_of
from numpy.typing import NDArray

from seqtui.weights.statistics import QUANTILES, Statistics, measure

torch.set_num_threads(1)


def measured(source: MemorySource, name: str = "weight", bins: int = 64) -> Statistics:
    found = measure(source, name, bins=bins)
    assert found is not None
    return found


def of(tensor: torch.Tensor, bins: int = 64) -> Statistics:
    return measured(source_of(weight=tensor), bins=bins)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def magnitudes(numbers: NDArray[np.generic]) -> NDArray[np.float64]:
    """Numbers as float64, complex ones by their magnitude."""
    wide: NDArray[np.float64] = (
        np.hypot(numbers.real.astype(np.float64), numbers.imag.astype(np.float64))
        if numbers.dtype.kind == "c"
        else numbers.astype(np.float64)
    )
    return wide


def check_against_numpy(found: Statistics, numbers: NDArray[np.generic], *, rel: float = 1e-12) -> None:
    """Hold statistics against a plain computation over all numbers at once."""
    wide = magnitudes(numbers)
    finite = np.sort(wide[np.isfinite(wide)].ravel())
    assert found.count == numbers.size
    assert found.nan == np.isnan(wide).sum()
    assert (found.posinf, found.neginf) == (np.isposinf(wide).sum(), np.isneginf(wide).sum())
    assert found.zeros == (wide == 0).sum()
    if not finite.size:
        assert (found.min, found.max, found.mean, found.std, found.norm) == (None,) * 5
        assert (found.quantiles, found.histogram) == ({}, None)
        return
    scale = float(np.abs(finite).max())
    assert [found.min, found.max] == pytest.approx([finite[0], finite[-1]], rel=1e-15)
    assert found.mean == pytest.approx(finite.mean(), rel=rel, abs=rel * scale)
    assert found.norm == pytest.approx(np.linalg.norm(finite), rel=rel)
    if finite.size > 1:
        assert found.std == pytest.approx(finite.std(ddof=1), rel=rel, abs=rel * scale)
    else:
        assert found.std is None
    if found.quantiles_exact:
        np.testing.assert_allclose(list(found.quantiles.values()), np.quantile(finite, QUANTILES), rtol=1e-12)
        assert found.histogram is not None
        assert list(found.histogram.counts) == np.histogram(finite, found.histogram.edges)[0].tolist()
