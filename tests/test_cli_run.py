"""`seqtui run`: numbers as torch has them, what is said of them, and what is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Refused, command
from PIL import Image
from sklearn.datasets import load_digits
from terminal import SAMPLES, Terminal, environment, seqtui
from torch import Tensor, nn
from torch.nn import functional

import seqtui as package
from seqtui.cli.parser import parse

torch.set_num_threads(1)

LENET, BROKEN = SAMPLES / "lenet5.safetensors", SAMPLES / "broken_cnn.safetensors"
LLAMA = Path(__file__).parent / "data" / "hf_llama.safetensors"
SHOWN = [10, 11, 12, 14]
"""Places of the digits that are shown: a 0, a 1, a 2, a 4."""

run = partial(command, "run")


def digits(places: Sequence[int]) -> tuple[Tensor, list[int]]:
    """Some of scikit-learn's digits as LeNet-5 takes them, (count, 1, 28, 28) in 0..1, and which they are."""
    images, labels = load_digits(return_X_y=True)
    batch = (torch.from_numpy(images[places]).float() / 16).view(-1, 1, 8, 8)
    return functional.interpolate(batch, size=(28, 28), mode="bilinear", align_corners=False), labels[places].tolist()


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Any:  # a function of a command line that gives JSON
    def of(*arguments: str | Path) -> Any:
        run(*arguments, "--json")
        printed = capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)

    return of


# The document


def test_digits_are_told_with_the_logits_of_torch(document: Any, tmp_path: Path) -> None:
    batch, labels = digits(SHOWN)
    np.save(tmp_path / "digits.npy", batch.numpy())
    found = document(LENET, "--from", tmp_path / "digits.npy")
    net = package.load_sequential(LENET).eval()
    with torch.no_grad():
        logits = net(batch)
    assert found["output"]["argmax"] == labels
    assert found["output"]["shape"] == [4, 10]
    assert torch.tensor(found["output"]["values"]).view(4, 10).sub(logits).abs().max() < 1e-5
    assert found["fed"] == f"{tmp_path / 'digits.npy'} 4×1×28×28"


def test_an_image_is_told_too(document: Any, tmp_path: Path) -> None:
    (digit, *_), (label, *_) = digits(SHOWN)
    Image.fromarray((digit[0] * 255).round().byte().numpy()).save(tmp_path / "digit.png")
    assert document(LENET, "--from", tmp_path / "digit.png")["output"]["argmax"] == [label]


def test_document_has_every_key(document: Any) -> None:
    found = document(LENET, "--passes", "3", "--backward", "--train", "--seed", "4")
    assert {key: found[key] for key in ("schema", "device", "dtype", "training", "passes", "seed", "file", "fed")} == {
        "schema": 1,
        "device": "cpu",
        "dtype": "float32",
        "training": True,
        "passes": 3,
        "seed": 4,
        "file": str(LENET),
        "fed": "normal 1×1×28×28, seed 4",
    }
    assert found["seconds"] > 0
    assert 0 <= found["output"]["argmax_changed"] < 1
    layers = {layer["path"]: layer for layer in found["layers"]}
    assert list(layers) == [path for path, _ in package.load(LENET).walk()]
    keys = "path output dtype seconds mean std min max zeros nan inf nan_born dead units"
    assert list(layers["conv1"]) == [*keys.split(), "gradient_norms", "gradient_verdicts", "spread", "enabled"]
    assert layers["conv1"]["output"] == [1, 6, 28, 28]
    assert layers["conv1"]["spread"] == 0 < layers["dropout1"]["spread"]
    assert layers["conv1"]["gradient_norms"].keys() == {"weight", "bias"}
    assert layers["tanh1"]["gradient_norms"] is None


def test_in_training_mode_the_seed_decides(document: Any) -> None:
    seeds: list[list[str]] = [[], [], ["--seed", "0"], ["--seed", "0"]]
    first, second, third, fourth = (document(LENET, "--train", *seed)["output"]["values"] for seed in seeds)
    assert first != second
    assert third == fourth


def test_seed_is_that_of_what_is_drawn_too(document: Any) -> None:
    found = document(LENET, "--seed", "3")["output"]["values"]
    with torch.no_grad():
        logits = package.load_sequential(LENET).eval()(
            torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(3))
        )
    assert torch.tensor([found]).sub(logits).abs().max() < 1e-5


def test_type_and_input_are_those_asked_for(document: Any) -> None:
    found = document(LENET, "--dtype", "bf16", "--input", "3,1,28,28", "--from", "ones")
    assert (found["dtype"], found["output"]["dtype"], found["output"]["shape"]) == ("bfloat16", "bfloat16", [3, 10])
    assert found["fed"] == "ones 3×1×28×28"


def test_weights_that_no_file_holds_are_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command("convert", LENET, tmp_path / "net.json")
    run(tmp_path / "net.json")
    assert "10 tensors made anew" in capsys.readouterr().out
    run(LENET)
    assert "made anew" not in capsys.readouterr().out


def test_layers_that_are_off_are_told(document: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    off = tmp_path / "off.safetensors"
    command("edit", LENET, "-e", "disable dropout1", "-o", off)
    capsys.readouterr()
    layers = document(off)["layers"]
    assert [layer["path"] for layer in layers if not layer["enabled"]] == ["dropout1"]


def test_what_is_no_number_has_a_name(document: Any, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    for layer in net:
        nn.init.constant_(layer.get_parameter("weight"), torch.inf)
    package.save(net, tmp_path / "net.safetensors", input_shape=(1, 2))
    found = document(tmp_path / "net.safetensors", "--from", "zeros", "--backward")
    assert found["output"]["values"] == ["nan", "nan"]
    first, last = found["layers"]
    assert (first["nan"], first["nan_born"], first["mean"], last["nan_born"]) == (2, True, None, False)
    assert first["gradient_norms"]["weight"] in ("nan", "inf")


# As text


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    run(LENET)
    printed = capsys.readouterr()
    assert printed.err == ""
    facts, blank, heading, *lines = printed.out.splitlines()
    assert re.fullmatch(r"fed normal 1×1×28×28, seed 0 · cpu · float32 · eval · 1 pass · [0-9.]+ (µs|ms) a pass", facts)
    assert blank == ""
    assert heading.split() == ["Layer", "Output", "Time", "Mean", "Std", "Min", "Max", "Zeros"]
    assert [line.split()[:2] for line in lines[:2]] == [["conv1", "1×6×28×28"], ["tanh1", "1×6×28×28"]]
    assert lines[13:15] == ["", "Output  1×10 float32"]
    assert re.fullmatch(r"sample 0  argmax \d( +-?[0-9.e-]+){10}", lines[15])
    assert len(lines) == 16


def test_on_a_terminal_of_80_columns_every_row_is_a_line() -> None:
    with Terminal(seqtui("run", LENET, "--train", "--passes", "2"), 80, 40) as terminal:
        assert terminal.ends() == 0
        rows = [line for line in terminal.lines if re.match(r"(conv|tanh|pool|dropout|flatten|fc)\d?  ", line)]
        assert len(rows) == 13
        assert any("Spread" in line for line in terminal.lines)
        assert next(row for row in rows if row.startswith("dropout1")).rstrip().endswith("■")


def test_plain_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    run(SAMPLES / "article_cnn.safetensors", "--plain", "--train", "--passes", "2")
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert " us " in printed
    assert "#" in printed


# What cannot be


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([LENET, "--device", "cuda:7"], 5, "there is no device cuda:7 here"),
        ([LENET, "--device", ""], 2, "--device takes the name of a device"),
        ([LENET, "--device", "toaster"], 5, "there is no device toaster here"),
        ([BROKEN], 5, "fc1 takes 3136 features, 1600 arrive from flatten"),
        ([LENET, "--from", "random"], 2, "--from takes normal, zeros, ones, a .npy file or an image, not random"),
        ([LENET, "--from="], 2, "--from takes normal, zeros, ones, a .npy file or an image, not nothing"),
        ([LENET, "--from", "no.npy"], 4, "no.npy: it cannot be read"),
        ([LENET, "--from", LENET], 3, "it is neither a .npy batch nor an image"),
        ([LENET, "--dtype", "int64"], 2, "'int64' is no type to compute in"),
        ([LENET, "--passes", "0"], 2, "'0' is no number of passes"),
        ([LENET, "--seed", "-1"], 2, "'-1' is no seed"),
        ([LENET, "--seed", "x"], 2, "'x' is no seed"),
        ([LENET, "--input", "1"], 5, "conv1"),
        ([LLAMA], 3, "the file does not say how its layers are connected"),
        (["unfed.safetensors"], 2, "nothing says what this model is fed"),
        (["nowhere.safetensors"], 4, "there is no such file"),
    ],
    ids=lambda value: " ".join(map(str, value)).rpartition("/")[2] if isinstance(value, list) else "",
)
def test_refusal(arguments: list[str | Path], code: int, words: str, refused: Refused) -> None:
    package.save(nn.Sequential(nn.Tanh()), "unfed.safetensors")
    refused(["run", *arguments], code, words)


@pytest.mark.parametrize("verb", ["open", "run"])
def test_a_device_is_named_in_any_case(verb: str) -> None:
    assert parse([verb, "net.safetensors", "--device", " CUDA:0 "]).device == "cuda:0"
    assert parse([verb, "net.safetensors", "--device", "Meta:0"]).device == "meta"
    assert parse([verb, "net.safetensors"]).device == "cpu"


def test_a_device_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    run(LENET, "--device", "CUDA:77", code=5)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_fix_is_advised_only_where_it_mends_the_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(BROKEN, code=5)
    assert "seqtui edit -e fix mends them" in capsys.readouterr().err
    run(LENET, "--input", "1,3,28,28", code=5)
    assert "seqtui summary --input 1,3,28,28 shows the shapes." in capsys.readouterr().err
    package.save(nn.Sequential(nn.Softmax(dim=5)), tmp_path / "net.safetensors", input_shape=(1, 3))
    run(tmp_path / "net.safetensors", code=5)
    assert "fix mends" not in capsys.readouterr().err


def test_another_shape_keeps_the_type_that_the_model_is_fed(document: Any) -> None:
    found = document(SAMPLES / "text_classifier.safetensors", "--input", "2,32", "--device", "CPU")
    assert found["fed"].startswith("integers below ")
    assert found["output"]["shape"][0] == 2


def test_an_index_that_the_embedding_has_no_row_of_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package.save(nn.Sequential(nn.Embedding(1000, 2)), tmp_path / "net.safetensors", (1, 3), "int64")
    np.save(tmp_path / "ids.npy", np.array([[1, 5000, 2]]))
    run(tmp_path / "net.safetensors", "--from", tmp_path / "ids.npy", code=2)
    assert capsys.readouterr().err == f"seqtui: {tmp_path / 'ids.npy'}: 5,000 is not below num_embeddings 1,000\n"


def test_on_meta_a_backward_pass_gives_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    run(LENET, "--device", "meta", "--backward")
    assert "\nno gradients: meta has no numbers\n" in capsys.readouterr().out


def children(parent: int) -> list[int]:
    """Processes that another has started."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, timeout=60).stdout
    pairs = (tuple(map(int, line.split())) for line in listed.splitlines())
    return [pid for pid, its_parent in pairs if its_parent == parent]


def test_an_interrupt_ends_torchs_process_too() -> None:
    with Terminal(seqtui("run", LENET, "--passes", str(10**9)), 100) as terminal:
        terminal.sees("pass ")
        (child,) = children(terminal.process.pid)
        terminal.press("ctrl+c")
        assert terminal.ends() == 130
        assert terminal.text.strip() == ""
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_progress_is_told_to_a_terminal_alone() -> None:
    done = subprocess.run(seqtui("run", LENET), env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
