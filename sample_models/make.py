"""Makes the sample models: small, real, and the same to the byte whenever they are made with the same torch.

    python sample_models/make.py [FOLDER]

LeNet-5, the multilayer perceptron and the autoencoder are trained on scikit-learn's digits, which come with it; the
others show a structure and keep the numbers that torch starts them with. `broken_cnn` does not run, on purpose.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional

import seqtui

LEAST_ACCURACY = 0.95
"""Share of test digits that LeNet-5 must tell."""


class Digits(NamedTuple):
    """Handwritten digits, (count, 1, size, size) in 0..1, and which they are, (count,); every fifth is for the test."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


def digits(size: int) -> Digits:
    """scikit-learn's 1,797 digits of 8 by 8, scaled up to `size`."""
    images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    images = (images.float() / 16).view(-1, 1, 8, 8)
    if size != 8:
        images = functional.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
    is_test = torch.arange(len(images)) % 5 == 0
    return Digits(images[~is_test], labels[~is_test], images[is_test], labels[is_test])


def train(net: nn.Sequential, loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, epochs: int) -> None:
    """Adam with one cycle of the learning rate, in batches of 64."""
    batches = -(-len(x) // 64)
    optimizer = torch.optim.Adam(net.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=epochs * batches)
    net.train()
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(x)), 64):
            optimizer.zero_grad()
            torch.autograd.backward(loss(net(x[batch]), y[batch]))
            optimizer.step()
            schedule.step()
    net.eval()


@torch.no_grad()
def accuracy(net: nn.Sequential, x: Tensor, labels: Tensor) -> float:
    """Share of rows whose largest output is their label's."""
    return float((net(x).argmax(1) == labels).float().mean())


class Sample(NamedTuple):
    """A network and what it is fed. The docstring of the function that makes it goes into the file as well."""

    net: nn.Sequential
    input_shape: tuple[int, ...]
    measures: Mapping[str, float] = MappingProxyType({})
    """How well it does on the test digits; empty where it was not trained."""
    input_dtype: torch.dtype = torch.float32


def article_unnamed() -> Sample:
    """Two convolutions without names."""
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )
    return Sample(net, (1, 3, 32, 32))


def article_cnn() -> Sample:
    """Two convolutions with names, and dropout."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 16, 3),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "dropout1": nn.Dropout(0.5),
        "conv2": nn.Conv2d(16, 32, 3),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "dropout2": nn.Dropout(0.5),
    }
    return Sample(named(layers), (1, 3, 32, 32))


def lenet5() -> Sample:
    """LeNet-5 of LeCun et al., 1998, with a dropout, trained on digits of 28 by 28."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 6, 5, padding=2),
        "tanh1": nn.Tanh(),
        "pool1": nn.AvgPool2d(2),
        "conv2": nn.Conv2d(6, 16, 5),
        "tanh2": nn.Tanh(),
        "pool2": nn.AvgPool2d(2),
        "dropout1": nn.Dropout(0.5),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(400, 120),
        "tanh3": nn.Tanh(),
        "fc2": nn.Linear(120, 84),
        "tanh4": nn.Tanh(),
        "fc3": nn.Linear(84, 10),
    }
    net, data = named(layers), digits(28)
    train(net, functional.cross_entropy, data.train, data.train_labels, epochs=12)
    share = accuracy(net, data.test, data.test_labels)
    assert share > LEAST_ACCURACY, f"LeNet-5 tells only {share:.1%} of the digits"
    return Sample(net, (1, 1, 28, 28), {"test_accuracy": share})


def mlp() -> Sample:
    """A multilayer perceptron trained on digits of 8 by 8."""
    layers: dict[str, nn.Module] = {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(64, 48),
        "relu1": nn.ReLU(),
        "dropout1": nn.Dropout(0.2),
        "fc2": nn.Linear(48, 10),
    }
    net, data = named(layers), digits(8)
    train(net, functional.cross_entropy, data.train, data.train_labels, epochs=12)
    return Sample(net, (1, 1, 8, 8), {"test_accuracy": accuracy(net, data.test, data.test_labels)})


def autoencoder() -> Sample:
    """64 pixels through 8 numbers and back, in two nested Sequentials."""
    encoder: dict[str, nn.Module] = {"fc1": nn.Linear(64, 32), "relu1": nn.ReLU(), "fc2": nn.Linear(32, 8)}
    decoder: dict[str, nn.Module] = {
        "fc1": nn.Linear(8, 32),
        "relu1": nn.ReLU(),
        "fc2": nn.Linear(32, 64),
        "sigmoid": nn.Sigmoid(),
    }
    net, data = named({"encoder": named(encoder), "decoder": named(decoder)}), digits(8)
    x, test = data.train.flatten(1), data.test.flatten(1)
    train(net, functional.mse_loss, x, x, epochs=20)
    with torch.no_grad():
        error = functional.mse_loss(net(test), test).item()
    return Sample(net, (1, 64), {"test_mean_squared_error": error})


def text_classifier() -> Sample:
    """32 token ids in, two classes out."""
    layers: dict[str, nn.Module] = {
        "embedding": nn.Embedding(1000, 16),
        "dropout1": nn.Dropout(0.1),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(16 * 32, 32),
        "relu1": nn.ReLU(),
        "fc2": nn.Linear(32, 2),
    }
    return Sample(named(layers), (1, 32), input_dtype=torch.int64)


def lstm() -> Sample:
    """20 steps of 8 features into an LSTM."""
    layers: dict[str, nn.Module] = {
        "norm": nn.LayerNorm(8),
        "fc1": nn.Linear(8, 16),
        "tanh1": nn.Tanh(),
        "lstm": nn.LSTM(16, 32, num_layers=2, batch_first=True),
    }
    return Sample(named(layers), (1, 20, 8))


def broken_cnn() -> Sample:
    """Does not run: fc1 was sized for padding=1 and takes 64*7*7 features, 64*5*5 arrive."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, 32, 3),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(32, 64, 3),
        "relu2": nn.ReLU(),
        "pool2": nn.MaxPool2d(2),
        "dropout1": nn.Dropout(0.5),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(3136, 32),
        "relu3": nn.ReLU(),
        "fc2": nn.Linear(32, 10),
    }
    return Sample(named(layers), (1, 1, 28, 28))


def named(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """A Sequential with these names."""
    return nn.Sequential(OrderedDict(layers))


SAMPLES = (article_unnamed, article_cnn, lenet5, mlp, autoencoder, text_classifier, lstm, broken_cnn)


def make(folder: Path) -> None:
    """Write every sample into a folder, one file each by the name of its function."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for number, sample in enumerate(SAMPLES):
        torch.manual_seed(number)
        net, input_shape, measures, input_dtype = sample()
        metadata = {"description": sample.__doc__ or ""} | {name: f"{value:.4f}" for name, value in measures.items()}
        file = folder / f"{sample.__name__}.safetensors"
        seqtui.save(net, file, input_shape=input_shape, input_dtype=input_dtype, metadata=metadata)
        print(f"{file}  {file.stat().st_size:,} bytes  {metadata}")


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
