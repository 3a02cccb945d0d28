"""Networks drawn with a seed, from many kinds of layers with unusual arguments, whose layers fit each other."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

Grow = Callable[[random.Random, tuple[int, ...]], nn.Module]


def _pick(rng: random.Random, *choices: int) -> int:
    return rng.choice(choices)


IMAGE: tuple[Grow, ...] = (
    lambda rng, s: nn.Conv2d(
        s[1], 4 * _pick(rng, 1, 2), (_pick(rng, 1, 3), 3), padding=1, groups=_pick(rng, 1, 2), bias=rng.random() < 0.5
    ),
    lambda rng, s: nn.Conv2d(s[1], 6, 3, padding="same", padding_mode=rng.choice(["zeros", "reflect", "circular"])),
    lambda rng, s: nn.ConvTranspose2d(s[1], 4, 3, stride=_pick(rng, 1, 2), padding=1),
    lambda rng, s: nn.BatchNorm2d(s[1], eps=1e-3, momentum=None, affine=rng.random() < 0.7),
    lambda rng, s: nn.GroupNorm(2, s[1]),
    lambda rng, s: nn.InstanceNorm2d(s[1], affine=rng.random() < 0.5),
    lambda rng, s: nn.LayerNorm(s[1:], bias=rng.random() < 0.5),
    lambda rng, s: rng.choice([nn.MaxPool2d(3, 1), nn.MaxPool2d((3, 3), 1), nn.MaxPool2d((3, 1), 1, (1, 0))]),
    lambda rng, s: nn.AvgPool2d(2, stride=1, count_include_pad=False, divisor_override=rng.choice([None, 3])),
    lambda rng, s: nn.LPPool2d(2, 2, stride=1),
    lambda rng, s: nn.Upsample(scale_factor=rng.choice([2, 1.5]), mode="bilinear", align_corners=True),
    lambda rng, s: nn.PReLU(_pick(rng, 1, s[1])),
    lambda rng, s: nn.ConstantPad2d((1, 0, _pick(rng, 0, 1), 0), 0.5),
    lambda rng, s: nn.Dropout2d(rng.random()),
    lambda rng, s: nn.LocalResponseNorm(2, beta=rng.random()),
    lambda rng, s: nn.Softmax2d(),
    lambda rng, s: rng.choice([nn.GELU("tanh"), nn.Hardtanh(-0.5, 2), nn.LeakyReLU(0.2, inplace=True), nn.ELU(0.7)]),
    lambda rng, s: nn.Sequential(nn.Identity(), nn.SiLU(), nn.Sequential()),
    lambda rng, s: rng.choice([nn.AdaptiveAvgPool2d(5), nn.AdaptiveAvgPool2d((5, 5)), nn.AdaptiveAvgPool2d((None, 4))]),
    lambda rng, s: nn.Unflatten(1, (2, s[1] // 2)) if s[1] % 2 == 0 else nn.Threshold(0.1, -2),
)
ROWS: tuple[Grow, ...] = (
    lambda rng, s: nn.Linear(s[-1], _pick(rng, 3, 8), bias=rng.random() < 0.5),
    lambda rng, s: nn.LayerNorm(s[-1], elementwise_affine=rng.random() < 0.5),
    lambda rng, s: nn.RMSNorm(s[-1]),
    lambda rng, s: nn.Softplus(beta=2, threshold=3),
    lambda rng, s: nn.LogSoftmax(dim=-1),
    lambda rng, s: nn.AlphaDropout(0.3),
    lambda rng, s: nn.TransformerEncoderLayer(s[-1], 1, 8, dropout=0.2, activation=rng.choice(["relu", "gelu"])),
    lambda rng, s: nn.Conv1d(s[1], 5, 3, padding=1, dilation=1) if len(s) == 3 else nn.Mish(),
    lambda rng, s: nn.Flatten(start_dim=1) if rng.random() < 0.3 else nn.Hardswish(),
)


def random_network(seed: int) -> tuple[nn.Sequential, Tensor]:
    """Layers that fit each other, drawn with the seed, and an input for them."""
    rng = random.Random(seed)
    torch.manual_seed(seed)
    x = y = torch.randn(2, 4, 9, 9)
    net = nn.Sequential()
    while len(net) < 8:
        layer = rng.choice(IMAGE if y.ndim == 4 and len(net) < 5 else ROWS)(rng, tuple(y.shape))
        try:
            with torch.no_grad():
                y = layer.eval()(y)
        except (RuntimeError, ValueError, AssertionError):
            continue  # does not fit here: draw another
        net.append(layer)
        if y.ndim > 4:
            net.append(nn.Flatten())
            y = y.flatten(1)
    return net, x
