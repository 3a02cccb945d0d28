"""The memory that a model takes, against what torch itself holds: parameters, gradients, Adam's moments, outputs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from edited import done, model_of
from torch import nn

from seqtui.model.footprint import footprint
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec

FED = InputSpec("input", (2, 3, 8, 8))


def net() -> nn.Sequential:
    layers = OrderedDict(
        conv1=nn.Conv2d(3, 8, 3), bn1=nn.BatchNorm2d(8), relu1=nn.ReLU(), flat=nn.Flatten(), fc1=nn.Linear(8 * 36, 10)
    )
    return nn.Sequential(layers)


def model() -> ModelSpec:
    return replace(model_of(net()), inputs=(FED,))


def nbytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("dtype", ["", "float32", "bfloat16", "float16", "float64"])
def test_weights_outputs_and_moments_are_as_torch_holds_them(dtype: str) -> None:
    computed = getattr(torch, dtype or "float32")
    trained = net().to(computed)
    seen = [torch.ones(FED.shape, dtype=computed)]
    for layer in trained:
        seen.append(layer(seen[-1]))
    optimiser = torch.optim.Adam(trained.parameters())
    torch.autograd.backward(seen[-1].sum())
    optimiser.step()
    weights = nbytes(trained.state_dict().values())
    gradients = nbytes(parameter.grad for parameter in trained.parameters() if parameter.grad is not None)
    moments = nbytes(state[name] for state in optimiser.state.values() for name in ("exp_avg", "exp_avg_sq"))

    found = footprint(model(), infer_shapes(model()), dtype)
    assert found.weights == weights
    busiest = max(a.nbytes + b.nbytes for a, b in pairwise(seen))
    assert found.to_run == weights + busiest
    assert found.to_train == weights + nbytes(seen) + busiest + gradients + moments


def test_what_is_frozen_has_neither_gradient_nor_moments() -> None:
    frozen = done(model(), "freeze fc1")
    free, held = (footprint(each, infer_shapes(each)) for each in (model(), frozen))
    assert free.to_train is not None
    assert held.to_train is not None
    assert free.to_train - held.to_train == 3 * 4 * (8 * 36 * 10 + 10)
    assert held.weights == free.weights
    assert held.to_run == free.to_run


def test_a_layer_that_is_off_holds_nothing_back() -> None:
    off = done(model(), "disable relu1")
    free, held = (footprint(each, infer_shapes(each)).to_train for each in (model(), off))
    assert free is not None
    assert held is not None
    assert free - held == 4 * 2 * 8 * 36


def test_a_tied_tensor_counts_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    tied = replace(model_of(nn.Sequential(first, second)), inputs=(InputSpec("input", (1, 4)),))
    assert footprint(tied, infer_shapes(tied)).weights == 4 * (16 + 4 + 4)


def test_without_an_input_only_the_weights_are_known() -> None:
    unfed = replace(model(), inputs=())
    found = footprint(unfed, infer_shapes(unfed))
    assert found.weights > 0
    assert (found.to_run, found.to_train) == (None, None)
