"""Gradients of a run, judged by torch's own backward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from running import CNN_INPUT, TRAINING, cnn, drawn, layer_of, run, subject_of
from torch import Tensor, nn

from seqtui.engine.requests import RunSettings

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("seeded")


def judged_norms(net: nn.Sequential, x: Tensor) -> dict[str, float]:
    """Gradient norms by full name, for the scalar that a run takes."""
    output = net(x)
    (output * drawn(*output.shape, seed=1)).sum().backward()
    return {
        name: float(parameter.grad.norm()) for name, parameter in net.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("is_training", [True, False])
def test_gradients_are_torchs(is_training: bool, path: Path) -> None:
    net = cnn().train(is_training)
    subject = subject_of(net, path, CNN_INPUT)
    result = run(subject, TRAINING._replace(is_training=is_training, with_backward=True))
    torch.manual_seed(5)
    judged = judged_norms(net, drawn(*CNN_INPUT))
    found = {f"{layer.path}.{name}": gradient for layer in result.layers for name, gradient in layer.gradients.items()}
    assert {name: gradient.norm for name, gradient in found.items()} == pytest.approx(judged, rel=1e-4)
    assert {gradient.verdict for gradient in found.values()} == {""}
    assert all(not layer.gradients for layer in run(subject, TRAINING).layers)


def test_a_softmax_has_a_gradient(path: Path) -> None:
    result = run(
        subject_of(nn.Sequential(nn.Linear(3, 4), nn.Softmax(dim=1)), path, (2, 3)), RunSettings(with_backward=True)
    )
    assert layer_of(result, "0").gradients["weight"].norm > 0.01


def test_gradients_that_vanish_explode_or_never_arrive_are_marked(path: Path) -> None:
    vanishing = nn.Sequential(*(layer for _ in range(14) for layer in (nn.Linear(4, 4), nn.Sigmoid())))
    result = run(subject_of(vanishing, path, (2, 4)), RunSettings(with_backward=True))
    assert layer_of(result, "0").gradients["weight"].verdict == "vanishing"
    assert layer_of(result, "26").gradients["weight"].verdict == ""
    exploding = nn.Sequential(*(nn.Linear(4, 4, bias=False) for _ in range(8)))
    with torch.no_grad():
        for parameter in exploding.parameters():
            parameter.copy_(torch.eye(4) * 10)
    result = run(subject_of(exploding, path, (2, 4)), RunSettings(with_backward=True))
    assert [layer.gradients["weight"].verdict for layer in result.layers] == ["exploding"] * 8
    dead = nn.Sequential(nn.Linear(4, 4), nn.Threshold(1e9, 0.0), nn.Linear(4, 2))
    dead.get_parameter("2.bias").requires_grad = False
    result = run(subject_of(dead, path, (2, 4)), RunSettings(with_backward=True))
    assert dict(layer_of(result, "0").gradients) == {"weight": (0.0, "none"), "bias": (0.0, "none")}
    assert set(layer_of(result, "2").gradients) == {"weight"}


def test_parameters_inside_a_layer_and_sparse_gradients_have_norms_too(path: Path) -> None:
    net = nn.Sequential(
        nn.Embedding(11, 8, sparse=True), nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    )
    result = run(subject_of(net, path, (2, 5), "int64"), RunSettings(is_training=True, with_backward=True))
    x = torch.randint(11, (2, 5), generator=torch.Generator().manual_seed(0))
    output = net(x)
    (output * drawn(*output.shape, seed=1)).sum().backward()
    gradient, inner = (net.get_parameter(name).grad for name in ("0.weight", "1.self_attn.in_proj_weight"))
    assert gradient is not None
    assert inner is not None
    assert layer_of(result, "0").gradients["weight"].norm == pytest.approx(float(gradient.to_dense().norm()), rel=1e-5)
    assert layer_of(result, "1").gradients["self_attn.in_proj_weight"].norm == pytest.approx(
        float(inner.norm()), rel=1e-5
    )


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_a_recurrent_layer_has_gradients_in_eval_mode(path: Path) -> None:
    subject = subject_of(nn.Sequential(nn.LSTM(3, 4)), path, (2, 5, 3))
    result = run(subject, RunSettings(device="cuda", with_backward=True))
    assert layer_of(result, "0").gradients["weight_hh_l0"].norm > 0
