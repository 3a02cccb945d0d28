"""`seqtui new`: the list, a summary into a pipe, a file, and the screens."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from command import Refused, command
from terminal import SAMPLES, Terminal, seqtui

import seqtui as package
from seqtui.cli import main
from seqtui.templates import TEMPLATES

new = partial(command, "new")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    new("--list")
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["Template", "Params", "Input"]
    assert [line.split()[0] for line in lines] == list(TEMPLATES)
    assert next(line for line in lines if line.startswith("alexnet")).split()[:3] == [
        *("alexnet", "61,100,840", "1,3,224,224")
    ]
    assert all(template.description in line for template, line in zip(TEMPLATES.values(), lines, strict=True))


def test_summary_into_a_pipe_and_advice(capsys: pytest.CaptureFixture[str]) -> None:
    new("article_cnn")
    printed = capsys.readouterr()
    assert printed.err == "seqtui: nothing is written; -o FILE writes it\n"
    assert main(["summary", str(SAMPLES / "article_cnn.safetensors")]) == 0
    assert printed.out == capsys.readouterr().out


def test_nothing_into_a_pipe_names_the_templates(capsys: pytest.CaptureFixture[str]) -> None:
    new()
    assert capsys.readouterr().err == "seqtui: an empty model; --list shows templates\n"


def test_file_loads_and_computes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lenet.safetensors"
    new("lenet5", "-o", file)
    assert capsys.readouterr() == ("", f"seqtui: {file} is written\n")
    net = package.load_sequential(file)
    weight = net.get_submodule("conv2").get_parameter("weight")
    assert 0 < weight.abs().max() <= 1 / (6 * 5 * 5) ** 0.5  # Kaiming's bound
    assert not torch.equal(weight[0], weight[1])
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert package.load(file).inputs[0].shape == (1, 1, 28, 28)


def test_empty_model_can_be_written_and_built_upon(tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    new("-o", file, "--input", "4,12")
    assert package.load(file).inputs[0].shape == (4, 12)
    assert main(["edit", str(file), "-e", "insert _ Tanh first", "--in-place"]) == 0
    assert [(name, layer.kind) for name, layer in package.load(file).walk()] == [("0", "Tanh")]


def test_code_is_written_without_torch(tmp_path: Path) -> None:
    new("mlp", "-o", tmp_path / "net.py")
    assert '("fc1", nn.Linear(784, 256))' in (tmp_path / "net.py").read_text("utf-8")


def test_input_is_the_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new("lenet5", "--input", "1,3,28,28", "-o", tmp_path / "net.json", code=1)
    assert '"shape":[1,3,28,28]' in (tmp_path / "net.json").read_text("utf-8")
    new("lenet5", "--input", "1,3,28,28", code=1)
    assert "! conv1 takes 1 channel, 3 arrive" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["lenet"], 2, "there is no template lenet"),
        (["lenet5", "--input", "x"], 2, "'x' is no input shape"),
        (["lenet5", "mlp"], 2, "unrecognized arguments: mlp"),
        (["lenet5", "-o", "there.safetensors"], 4, "there.safetensors: it exists already"),
        (["lenet5", "-o", "net.bin"], 2, "net.bin: .bin is no form that can be written"),
        (["lenet5", "-o", "no/net.py"], 4, "no/net.py: it cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_refusal(arguments: list[str], code: int, words: str, refused: Refused) -> None:
    Path("there.safetensors").touch()
    refused(["new", *arguments], code, words)


def test_file_that_exists_is_replaced_by_force(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("mine")
    new("mlp", "-o", file, "--force")
    assert file.read_text("utf-8").startswith("from collections import OrderedDict")


# On a terminal


def test_screens_open_on_a_template_at_once() -> None:
    with Terminal(seqtui("new", "alexnet")) as terminal:
        terminal.sees("features", "classifier", "61,100,840 parameters")
        terminal.press("ctrl+q")
        terminal.ends()


def test_refusal_on_a_terminal_takes_no_screen() -> None:
    with Terminal(seqtui("new", "lenet"), 200) as terminal:
        assert terminal.ends() == 2
        assert "there is no template lenet" in terminal.lines[0]
        assert b"\x1b" not in terminal.output
