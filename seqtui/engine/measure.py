"""Numbers about tensors, reduced where they lie: a tensor is looked at in pieces, and no copy of it is held."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.requests import EXPLODING, MOST_ARGMAX, VANISHING, Verdict

if TYPE_CHECKING:
    import torch

CHUNK = 1 << 22
"""Elements that are looked at together."""

ZERO_GIVING = frozenset(
    ("ReLU", "ReLU6", "Hardtanh", "Hardsigmoid", "Hardswish", "Hardshrink", "Softshrink", "Threshold")
)
"""Kinds that give exactly zero to a part of what goes in, so that a unit can be dead. (A Dropout's zeros say nothing
about the unit.)"""

SPATIAL: Mapping[str, int | None] = {
    "Bilinear": 0,
    "Embedding": 0,
    "EmbeddingBag": 0,
    "Flatten": None,
    "Fold": None,
    "GRU": 0,
    "LSTM": 0,
    "Linear": 0,
    "MultiheadAttention": 0,
    "RNN": 0,
    "TransformerDecoderLayer": 0,
    "TransformerEncoder": 0,
    "TransformerEncoderLayer": 0,
    "Unflatten": None,
    "Unfold": None,
}
"""Kind -> how many dimensions stand behind the channels in what it gives: none where these are features, None where
only the number of dimensions can tell. Kinds in 1d, 2d, 3d say it by their names; all others keep what they get."""


class Statistics(NamedTuple):
    """A tensor in numbers: over the finite values, None where there are none; of complex ones over the magnitude."""

    mean: float | None
    std: float | None
    """As torch.std: with n - 1 in the denominator, None below two values."""
    min: float | None
    max: float | None
    zeros: int
    nan: int
    inf: int


def statistics(tensor: torch.Tensor) -> Statistics:
    """The numbers of a tensor with values, computed in float64 (on mps in float32, which has no wider type).

    Mean and variance of the pieces are merged by Chan, Golub, LeVeque: Updating Formulae (1979).
    """
    import torch

    count = zeros = nan = inf = 0
    mean = squares = 0.0
    low, high = math.inf, -math.inf
    for values in _chunks(tensor):
        finite = torch.isfinite(values)
        nan_here = int(torch.isnan(values).sum())
        inf_here = values.numel() - int(finite.sum()) - nan_here
        nan, inf = nan + nan_here, inf + inf_here
        if nan_here or inf_here:
            values = values[finite]
        if not (n := values.numel()):
            continue
        zeros += n - int(values.count_nonzero())
        variance, m = torch.var_mean(values, correction=0)
        least, most = torch.aminmax(values)
        new_mean, new_squares, least_here, most_here = torch.stack((m, variance * n, least, most)).tolist()
        low, high = min(low, least_here), max(high, most_here)
        delta = new_mean - mean
        squares += new_squares + delta * delta * count * n / (count + n)
        count += n
        mean += delta * n / count
    if not count:
        return Statistics(None, None, None, None, 0, nan, inf)
    return Statistics(mean, math.sqrt(squares / (count - 1)) if count > 1 else None, low, high, zeros, nan, inf)


def num_not_finite(tensor: torch.Tensor) -> int:
    """How many elements are NaN or infinite."""
    import torch

    return sum(values.numel() - int(torch.isfinite(values).sum()) for values in _chunks(tensor))


def _chunks(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The elements of a tensor, some at a time, as real numbers of the widest type that its device has."""
    import torch

    wide = torch.float32 if tensor.device.type == "mps" else torch.float64
    for values in torch.split(tensor.detach().reshape(-1), CHUNK):
        yield (values.abs() if values.is_complex() else values).to(wide)


# Units


def spatial_after(kind: str, before: int | None) -> int | None:
    """How many dimensions stand behind the channels in what a kind gives; `before` in what it is given."""
    if kind[-2:] in ("1d", "2d", "3d"):
        return int(kind[-2])
    return SPATIAL.get(kind, before)


def num_spatial(num_dims: int, told: int | None) -> int:
    """How many dimensions of a tensor stand behind its channels, by what its kind told: batch and channels stand
    before them, or the channels alone. Where nothing was told, a batch is taken to be there.
    """
    # what is 1d takes (batch, features) too
    if told is not None and num_dims > told + (told == 1):
        return told
    return max(num_dims - 2, 0)


def dead_units(tensor: torch.Tensor, spatial: int) -> tuple[int, int] | None:
    """(dead, all) channels, behind which `spatial` dimensions stand: dead is one that is zero in every sample and at
    every place. None where there is one value a channel, which says nothing.
    """
    axis = -1 - spatial
    units = tensor.shape[axis] if tensor.dim() else 0
    if not units or tensor.numel() // units < 2:
        return None
    alive = (tensor.detach() != 0).movedim(axis, 0).reshape(units, -1).any(dim=1)
    return units - int(alive.sum()), units


# Passes


class Spread:
    """How far the elements of one output differ from pass to pass, by Welford's method.

    Of an output with more elements than the limit, that many are looked at, evenly taken: 8 bytes are held for each.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self._mean: torch.Tensor | None = None
        self._squares: torch.Tensor | None = None

    def add(self, tensor: torch.Tensor) -> None:
        """The output of one more pass."""
        import torch

        flat = tensor.detach().reshape(-1)
        flat = flat[:: -(-flat.numel() // self.limit) or 1]
        values = (flat.abs() if flat.is_complex() else flat).to("cpu", torch.float32, copy=True)
        self.count += 1
        if self._mean is None or self._squares is None:
            self._mean, self._squares = values, torch.zeros_like(values)
            return
        delta = values - self._mean
        self._mean += delta / self.count
        self._squares += delta * (values - self._mean)

    def largest(self) -> float | None:
        """The largest standard deviation (n - 1 in the denominator) of an element that was always finite; None for one
        pass, and where there is no such element."""
        import torch

        if self._squares is None or self.count < 2:
            return None
        finite = self._squares[torch.isfinite(self._squares)]
        return math.sqrt(float(finite.max()) / (self.count - 1)) if finite.numel() else None


def argmax(output: torch.Tensor) -> tuple[int, ...] | None:
    """The place of the largest along the last dimension, for each place of the others, row by row.

    None for what has no numbers, no features or more than three dimensions, holds NaN, or would give more than
    MOST_ARGMAX.
    """
    if output.is_meta or output.is_complex() or not 1 <= output.dim() <= 3 or not output.shape[-1]:
        return None
    if output.numel() // output.shape[-1] > MOST_ARGMAX or bool(output.isnan().any()):
        return None
    if not output.is_floating_point() or output.element_size() == 1:
        output = output.double()  # torch compares neither truth values, nor most unsigned integers, nor float8
    return tuple(output.argmax(dim=-1).reshape(-1).tolist())


def share_changed(argmaxes: Sequence[tuple[int, ...] | None]) -> float | None:
    """The share of answers, over all passes and samples, that are not their sample's most frequent one.

    None for one pass, and where a pass has no answers.
    """
    answered = [answers for answers in argmaxes if answers]
    if len(answered) < 2 or len(answered) < len(argmaxes):
        return None
    samples = list(zip(*answered, strict=True))
    usual = sum(Counter(answers).most_common(1)[0][1] for answers in samples)
    return 1 - usual / (len(samples) * len(answered))


# Gradients


def gradient_norm(gradient: torch.Tensor) -> float:
    """The Euclidean norm, over all elements; of a sparse gradient over those that it has."""
    import torch

    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    norm = sum(float(torch.linalg.vector_norm(piece)) ** 2 for piece in _chunks(values))
    return math.sqrt(norm)


def verdict(norm: float, count: int) -> Verdict:
    """What a parameter's gradient norm says, for a gradient of standard normal numbers at the output.

    By the root mean square over its `count` elements: below VANISHING a step of any usual size changes nothing in
    float32, above EXPLODING, or not finite, it changes everything; exactly zero means that none arrives.
    """
    if not math.isfinite(norm):
        return "exploding"
    size = norm / math.sqrt(count) if count else 0.0
    if size == 0:
        return "none"
    return "vanishing" if size < VANISHING else "exploding" if size > EXPLODING else ""
