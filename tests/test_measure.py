"""Numbers about tensors, judged by torch in float64 on the whole tensor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from seqtui.engine import measure
from seqtui.engine.measure import Spread, dead_units, gradient_norm, num_spatial, share_changed, spatial_after, verdict

torch.set_num_threads(1)


def random(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "tensor",
    [
        random(3, 5, 7),
        random(40, 3).t(),
        random(100).bfloat16(),
        random(1000) * 1e-3 + 1e4,
        torch.arange(50),
        torch.tensor([True, False, True]),
        torch.complex(random(30), random(30, seed=4)),
    ],
    ids=["floats", "transposed", "bfloat16", "far from zero", "integers", "bools", "complex"],
)
@pytest.mark.parametrize("chunk", [7, 1 << 22])
def test_statistics_are_torchs(tensor: Tensor, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "CHUNK", chunk)
    wide = (tensor.abs() if tensor.is_complex() else tensor).double()
    found = measure.statistics(tensor)
    assert found.mean == pytest.approx(float(wide.mean()), rel=1e-12)
    assert found.std == pytest.approx(float(wide.std()), rel=1e-9)
    assert (found.min, found.max) == (float(wide.min()), float(wide.max()))
    assert found[4:] == (int((wide == 0).sum()), 0, 0)


@pytest.mark.parametrize("chunk", [2, 1 << 22])
def test_what_is_not_finite_is_counted_and_left_out(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "CHUNK", chunk)
    tensor = torch.tensor([math.nan, 1.0, -math.inf, 0.0, math.inf, math.nan, math.nan, 5.0])
    mean, std, *others = measure.statistics(tensor)
    assert (mean, others) == (2.0, [0.0, 5.0, 1, 3, 2])
    assert std == pytest.approx(math.sqrt(7))
    assert measure.num_not_finite(tensor) == 5


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (None, None, None, None, 0, 0, 0)),
        ([math.nan, math.inf], (None, None, None, None, 0, 1, 1)),
        ([2.5], (2.5, None, 2.5, 2.5, 0, 0, 0)),
    ],
)
def test_few_values_have_few_statistics(values: list[float], expected: tuple[object, ...]) -> None:
    assert measure.statistics(torch.tensor(values)) == expected


@pytest.mark.parametrize("limit", [1, 10, 24, 100])
def test_the_spread_is_the_deviation_of_the_elements_looked_at(limit: int) -> None:
    passes = [random(2, 3, 4, seed=seed) * 3 + 100 for seed in range(5)]
    spread = Spread(limit)
    for output in passes:
        spread.add(output)
    deviations = torch.stack([output.flatten() for output in passes]).double().std(dim=0)
    looked_at = deviations[:: math.ceil(24 / limit)]
    assert len(looked_at) <= limit
    assert spread.largest() == pytest.approx(float(looked_at.max()), rel=1e-4)


def test_the_spread_is_over_what_is_finite_in_every_pass() -> None:
    spread = Spread(10)
    assert spread.largest() is None
    spread.add(torch.tensor([1.0, math.nan, 4.0]))
    assert spread.largest() is None
    spread.add(torch.tensor([1.0, 2.0, 6.0]))
    assert spread.largest() == pytest.approx(math.sqrt(2))
    spread.add(torch.tensor([math.inf, 2.0, math.nan]))
    assert spread.largest() is None


@pytest.mark.parametrize(
    ("kinds", "num_dims", "spatial"),
    [
        ((), 4, 2),
        ((), 2, 0),
        ((), 0, 0),
        (("Conv2d", "ReLU"), 4, 2),
        (("Conv2d", "ReLU"), 3, 2),
        (("Conv2d", "Flatten", "ReLU"), 2, 0),
        (("Conv1d", "ReLU"), 3, 1),
        (("BatchNorm1d", "ReLU"), 2, 0),
        (("Conv1d", "Linear", "ReLU"), 3, 0),
        (("Linear", "ReLU"), 1, 0),
        (("Conv3d", "Dropout3d"), 5, 3),
    ],
)
def test_where_channels_stand(kinds: tuple[str, ...], num_dims: int, spatial: int) -> None:
    told = None
    for kind in kinds:
        told = spatial_after(kind, told)
    assert num_spatial(num_dims, told) == spatial


def test_dead_is_what_is_zero_everywhere() -> None:
    output = random(2, 3, 4, 4).relu()
    output[:, 1] = 0
    output[0, 2] = 0
    assert dead_units(output, 2) == (1, 3)
    assert dead_units(output.movedim(1, -1), 0) == (1, 3)
    assert dead_units(output[0], 2) == (2, 3)
    assert dead_units(torch.zeros(1, 5), 0) is None
    assert dead_units(torch.zeros(()), 0) is None


def test_the_share_of_answers_that_are_not_the_usual_one() -> None:
    assert share_changed([(1, 2), (1, 3), (4, 3), (1, 3)]) == pytest.approx(2 / 8)
    assert share_changed([(1,), (1,)]) == 0
    assert share_changed([(1,)]) is None
    assert share_changed([]) is None


@pytest.mark.parametrize(
    ("norm", "count", "expected"),
    [
        (0.0, 4, "none"),
        (1.9e-6, 4, "vanishing"),
        (2.1e-6, 4, ""),
        (1.9e4, 4, ""),
        (2.1e4, 4, "exploding"),
        (math.inf, 4, "exploding"),
        (math.nan, 4, "exploding"),
        (0.0, 0, "none"),
    ],
)
def test_what_a_gradient_says(norm: float, count: int, expected: str) -> None:
    assert verdict(norm, count) == expected


def test_norms_are_those_of_torch_and_do_not_overflow() -> None:
    gradient = random(30, 5)
    assert gradient_norm(gradient) == pytest.approx(float(gradient.double().norm()))
    assert gradient_norm(torch.full((10,), 3e38)) == pytest.approx(3e38 * math.sqrt(10))
    rows = torch.sparse_coo_tensor(
        torch.tensor([[1, 1, 3]]), torch.tensor([[1.0], [2.0], [4.0]]), (5, 1), check_invariants=True
    )
    assert gradient_norm(rows) == pytest.approx(5.0)


TYPES = [torch.bool, torch.uint8, torch.int64, torch.uint16, torch.uint64, torch.bfloat16, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_answer_is_found_in_numbers_of_any_type(dtype: torch.dtype) -> None:
    output = torch.tensor([[0, 1, 0], [1, 0, 0]]).to(dtype)
    assert measure.argmax(output) == (1, 0)
