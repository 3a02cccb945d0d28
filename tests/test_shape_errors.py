"""The mistakes that people make most with shapes: torch's words, and ours for the same network and input."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch
from torch import nn

from seqtui.engine.modules import spec_of
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec
from seqtui.model.tensors import Shape

torch.set_num_threads(1)


class Mistake(NamedTuple):
    """A network that does not fit its input."""

    layers: dict[str, nn.Module]
    shape: Shape
    torch_says: str
    """What torch's message begins with, after the class of the error."""
    sentence: str
    """What a person reads instead: the layer, what it takes, what arrives, from where."""
    dtype: str = "float32"


def conv(channels: int = 3, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, 8, kernel)


MISTAKES = {
    "the size of an image was another when the first linear layer was written": Mistake(
        {"conv1": conv(), "flatten": nn.Flatten(), "fc1": nn.Linear(3136, 10)},
        (1, 3, 16, 16),
        "mat1 and mat2 shapes cannot be multiplied (1x1568 and 3136x10)",
        "fc1 takes 3136 features, 1568 arrive from flatten",
    ),
    "nothing flattens between the convolutions and the linear layer": Mistake(
        {"conv1": conv(), "fc1": nn.Linear(1568, 10)},
        (1, 3, 16, 16),
        "mat1 and mat2 shapes cannot be multiplied (112x14 and 1568x10)",
        "fc1 takes 1568 features, 14 arrive from conv1",
    ),
    "two linear layers in a row": Mistake(
        {"fc1": nn.Linear(8, 64), "relu1": nn.ReLU(), "fc2": nn.Linear(32, 2)},
        (1, 8),
        "mat1 and mat2 shapes cannot be multiplied (1x64 and 32x2)",
        "fc2 takes 32 features, 64 arrive from relu1",
    ),
    "a grey image into a network for colours": Mistake(
        {"conv1": conv()},
        (1, 1, 28, 28),
        "Given groups=1, weight of size [8, 3, 3, 3], expected input[1, 1, 28, 28] to have 3 channels",
        "conv1 takes 3 channels, 1 arrives from the input",
    ),
    "channels last": Mistake(
        {"conv1": conv()},
        (1, 32, 32, 3),
        "Given groups=1, weight of size [8, 3, 3, 3], expected input[1, 32, 32, 3] to have 3 channels",
        "conv1 takes 3 channels, 32 arrive from the input",
    ),
    "a convolution after a flatten": Mistake(
        {"flatten": nn.Flatten(), "conv1": conv()},
        (1, 3, 8, 8),
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [1, 192]",
        "conv1 needs 3 or 4 dimensions, 2 arrive from flatten",
    ),
    "an image smaller than the kernel": Mistake(
        {"pool1": nn.MaxPool2d(4), "conv1": conv(kernel=5)},
        (1, 3, 16, 16),
        "Calculated padded input size per channel: (4 x 4). Kernel size: (5 x 5). Kernel size can't be greater",
        "conv1 cannot fit a window of 5×5 into 4×4 from pool1",
    ),
    "one pool too many": Mistake(
        {"pool1": nn.MaxPool2d(2), "pool2": nn.MaxPool2d(2), "pool3": nn.MaxPool2d(2)},
        (1, 3, 4, 4),
        "Given input size: (3x1x1). Calculated output size: (3x0x0). Output size is too small",
        "pool3 cannot fit a window of 2×2 into 1×1 from pool2",
    ),
    "the normalization of another convolution": Mistake(
        {"conv1": conv(), "bn1": nn.BatchNorm2d(16)},
        (1, 3, 8, 8),
        "running_mean should contain 8 elements not 16",
        "bn1 takes 16 channels, 8 arrive from conv1",
    ),
    "the normalization of images after a flatten": Mistake(
        {"flatten": nn.Flatten(), "bn1": nn.BatchNorm2d(3)},
        (1, 3, 8, 8),
        "expected 4D input (got 2D input)",
        "bn1 needs 4 dimensions, 2 arrive from flatten",
    ),
    "the normalization of features before a flatten": Mistake(
        {"conv1": conv(), "bn1": nn.BatchNorm1d(8)},
        (1, 3, 8, 8),
        "expected 2D or 3D input (got 4D input)",
        "bn1 needs 2 or 3 dimensions, 4 arrive from conv1",
    ),
    "a layer norm of another width": Mistake(
        {"fc1": nn.Linear(16, 32), "norm": nn.LayerNorm(64)},
        (1, 10, 16),
        "Given normalized_shape=[64], expected input with shape [*, 64], but got input of size[1, 10, 32]",
        "norm takes 64 in the last dimensions, 1×10×32 arrives from fc1",
    ),
    "groups that do not match": Mistake(
        {"conv1": conv(), "norm": nn.GroupNorm(4, 16)},
        (1, 3, 8, 8),
        "Expected weight to be a vector of size equal to the number of channels in input, but got weight of shape [16]",
        "norm takes 16 channels, 8 arrive from conv1",
    ),
    "numbers instead of tokens": Mistake(
        {"embedding": nn.Embedding(100, 8)},
        (1, 7),
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int",
        "embedding takes int64 or int32, float32 arrives from the input",
    ),
    "tokens instead of numbers": Mistake(
        {"fc1": nn.Linear(7, 2)},
        (1, 7),
        "mat1 and mat2 must have the same dtype, but got Long and Float",
        "fc1 takes floating-point numbers, int64 arrives from the input",
        "int64",
    ),
    "weights in half precision, input not": Mistake(
        {"fc1": nn.Linear(7, 2).half()},
        (1, 7),
        "mat1 and mat2 must have the same dtype, but got Float and Half",
        "fc1 has float16 weights, float32 arrives from the input",
    ),
    "the tuple that a recurrent layer gives": Mistake(
        {"lstm": nn.LSTM(8, 16, batch_first=True), "fc1": nn.Linear(16, 2)},
        (1, 5, 8),
        "linear(): argument 'input' (position 1) must be Tensor, not tuple",
        "fc1 takes one tensor, a tuple of 3 arrives from lstm",
    ),
    "a recurrent layer of another width": Mistake(
        {"fc1": nn.Linear(8, 16), "lstm": nn.LSTM(32, 16, batch_first=True)},
        (1, 5, 8),
        "input.size(-1) must be equal to input_size. Expected 32, got 16",
        "lstm takes 32 features, 16 arrive from fc1",
    ),
    "images into a recurrent layer": Mistake(
        {"conv1": conv(), "lstm": nn.LSTM(6, 16, batch_first=True)},
        (1, 3, 8, 8),
        "LSTM: Expected input to be 2D or 3D, got 4D instead",
        "lstm needs 2 or 3 dimensions, 4 arrive from conv1",
    ),
    "a decoder of another width": Mistake(
        {"conv1": conv(), "up1": nn.ConvTranspose2d(16, 3, 2, stride=2)},
        (1, 3, 8, 8),
        "Given transposed=1, weight of size [16, 3, 2, 2], expected input[1, 8, 6, 6] to have 16 channels",
        "up1 takes 16 channels, 8 arrive from conv1",
    ),
    "a size that does not unfold into the wanted one": Mistake(
        {"fc1": nn.Linear(8, 15), "unflatten": nn.Unflatten(1, (4, 4))},
        (1, 8),
        "unflatten: Provided sizes [4, 4] don't multiply up to the size of dim 1 (15)",
        "unflatten takes 16 elements for 4×4, 15 arrive from fc1",
    ),
    "attention, which needs three tensors": Mistake(
        {"fc1": nn.Linear(8, 8), "attention": nn.MultiheadAttention(8, 2)},
        (1, 5, 8),
        "MultiheadAttention.forward() missing 2 required positional arguments: 'key' and 'value'",
        "attention takes 3 tensors (query, key, value), one arrives from fc1",
    ),
    "a loss as the last layer": Mistake(
        {"fc1": nn.Linear(8, 2), "loss": nn.CrossEntropyLoss()},
        (1, 8),
        "CrossEntropyLoss.forward() missing 1 required positional argument: 'target'",
        "loss takes 2 tensors (input, target), one arrives from fc1",
    ),
    "a transformer of another width": Mistake(
        {"embedding": nn.Embedding(100, 32), "encoder": nn.TransformerEncoderLayer(64, 4, batch_first=True)},
        (1, 7),
        "was expecting embedding dimension of 64, but got 32",
        "encoder takes 64 features, 32 arrive from embedding",
        "int64",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_common_mistake_is_told_in_a_sentence(name: str) -> None:
    mistake = MISTAKES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = nn.Sequential(OrderedDict(mistake.layers)).eval()
    with pytest.raises((RuntimeError, TypeError, ValueError, AssertionError), match=re.escape(mistake.torch_says)):
        net(torch.zeros(mistake.shape, dtype=getattr(torch, mistake.dtype)))
    inference = infer_shapes(spec_of(net, (InputSpec("input", mistake.shape, mistake.dtype),)))
    assert [problem.message for problem in inference.problems.values()] == [mistake.sentence]
