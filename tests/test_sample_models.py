"""The sample models as they lie in the repository: readable, small, and what their script makes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from sklearn.datasets import load_digits
from torch.nn import functional

import seqtui

SAMPLES = Path(__file__).parent.parent / "sample_models"
OUTPUTS = {
    "article_unnamed": (1, 32, 6, 6),
    "article_cnn": (1, 32, 6, 6),
    "lenet5": (1, 10),
    "mlp": (1, 10),
    "autoencoder": (1, 64),
    "text_classifier": (1, 2),
    "lstm": (1, 20, 32),
}
"""What each gives for the input it names; `broken_cnn` gives nothing."""
PARAMETERS = {"lenet5": 61_706, "article_unnamed": 5_088, "article_cnn": 5_088}
TRAINED = ("lenet5", "mlp", "autoencoder")
"""Their numbers differ in the last bits from one processor to the next."""


def sample(name: str) -> Path:
    return SAMPLES / f"{name}.safetensors"


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, "pt") as file:
        return dict(file.metadata())


def shapes(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    tensors = seqtui.load_sequential(path, device="meta").state_dict()
    return [(name, tuple(tensor.shape)) for name, tensor in tensors.items()]


def run_on_its_input(name: str) -> torch.Tensor:
    """The (first) output in eval mode for zeros of the shape and type that the file names."""
    (wanted,) = seqtui.load(sample(name)).inputs
    net = seqtui.load_sequential(sample(name)).eval()
    with torch.no_grad():
        output = net(torch.zeros(wanted.shape, dtype=getattr(torch, wanted.dtype)))
    found = output[0] if isinstance(output, tuple) else output
    assert isinstance(found, torch.Tensor)
    return found


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every sample made anew."""
    folder = tmp_path_factory.mktemp("samples")
    subprocess.run([sys.executable, SAMPLES / "make.py", folder], check=True, cwd=SAMPLES.parent, timeout=300)
    return folder


def test_all_samples_are_here_and_small() -> None:
    files = sorted(SAMPLES.glob("*.safetensors"))
    assert [file.stem for file in files] == sorted([*OUTPUTS, "broken_cnn"])
    assert sum(os.path.getsize(file) for file in files) < 1_500_000


@pytest.mark.parametrize("name", OUTPUTS)
def test_sample_runs_on_the_input_it_names(name: str) -> None:
    assert run_on_its_input(name).shape == OUTPUTS[name]


def test_broken_sample_breaks_in_its_first_linear() -> None:
    with pytest.raises(RuntimeError, match="1x1600 and 3136x32"):
        run_on_its_input("broken_cnn")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    net = seqtui.load_sequential(sample(name))
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]


def test_lenet5_tells_the_test_digits() -> None:
    images, labels = (torch.from_numpy(array)[::5] for array in load_digits(return_X_y=True))
    images = functional.interpolate(images.float().view(-1, 1, 8, 8) / 16, size=(28, 28), mode="bilinear")
    net = seqtui.load_sequential(sample("lenet5")).eval()
    with torch.no_grad():
        share = (net(images).argmax(1) == labels).float().mean().item()
    assert share > 0.95
    assert metadata(sample("lenet5"))["test_accuracy"] == f"{share:.4f}"


@pytest.mark.parametrize("name", [*OUTPUTS, "broken_cnn"])
def test_script_makes_the_same_model_again(name: str, made: Path) -> None:
    here, again = sample(name), made / f"{name}.safetensors"
    assert metadata(again)["seqtui.spec"] == metadata(here)["seqtui.spec"]
    assert metadata(again).keys() == metadata(here).keys()
    assert shapes(again) == shapes(here)


@pytest.mark.parametrize("name", [name for name in (*OUTPUTS, "broken_cnn") if name not in TRAINED])
def test_script_makes_the_same_bytes_again(name: str, made: Path) -> None:
    assert (made / f"{name}.safetensors").read_bytes() == sample(name).read_bytes()
