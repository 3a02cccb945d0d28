"""`seqtui convert`: what it writes, what it says of it, and what it refuses."""

from __future__ import annotations

import re
import stat
from functools import partial
from pathlib import Path

import pytest
import torch
from command import Refused, command
from safetensors.torch import load_file
from terminal import SAMPLES
from torch import nn

import seqtui as package
from seqtui.cli import main

LENET, BROKEN = SAMPLES / "lenet5.safetensors", SAMPLES / "broken_cnn.safetensors"
ARTICLE = SAMPLES / "article_cnn.safetensors"
LAYERS_ALONE = "; it holds the layers alone, without weights"
LLAMA = Path(__file__).parent / "data" / "hf_llama.safetensors"

convert = partial(command, "convert")


def test_state_dict_is_that_of_the_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "lenet5.pt"
    convert(LENET, file)
    assert capsys.readouterr() == ("", f"seqtui: {file} is written; largest difference 0\n")
    net = package.load_sequential(LENET)
    wanted = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.apply(lambda layer: layer.reset_parameters() if isinstance(layer, nn.Linear) else None)
    net.load_state_dict(torch.load(file, weights_only=True), strict=True)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in net.state_dict().items())
    (tmp_path / "usual").touch()
    assert file.stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_another_type_is_that_of_the_numbers_and_of_what_is_fed(tmp_path: Path) -> None:
    convert(ARTICLE, tmp_path / "small.safetensors", "--dtype", "BF16")
    wanted = load_file(ARTICLE)
    small = load_file(tmp_path / "small.safetensors")
    assert small.keys() == wanted.keys()
    assert all(torch.equal(small[name], wanted[name].bfloat16()) for name in wanted)
    assert package.load(tmp_path / "small.safetensors").inputs[0].dtype == "bfloat16"
    net = package.load_sequential(tmp_path / "small.safetensors")
    assert net(torch.zeros(1, 3, 32, 32, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_the_difference_is_told_from_the_model_before_its_numbers_were_cast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    convert(LENET, tmp_path / "half.pt", "--dtype", "bf16")
    given = torch.randn(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        output = package.load_sequential(LENET).eval()(given)
        half = package.load_sequential(LENET).eval().bfloat16()(given.bfloat16())
    wanted = float((output - half).abs().max())
    said = re.search(r"largest difference 0; ([0-9.e-]+) from the model in float32$", capsys.readouterr().err.strip())
    assert said
    assert float(said[1]) == pytest.approx(wanted, rel=0.01)


def test_where_nothing_is_finite_nothing_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    nn.init.constant_(net.get_parameter("0.bias"), torch.nan)
    package.save(net, tmp_path / "net.safetensors", input_shape=(1, 2))
    convert(tmp_path / "net.safetensors", tmp_path / "net.pt")
    assert capsys.readouterr().err == f"seqtui: {tmp_path / 'net.pt'} is written; nothing finite to compare\n"


def test_token_ids_stay_whole_numbers(tmp_path: Path) -> None:
    convert(SAMPLES / "text_classifier.safetensors", tmp_path / "half.pt", "--dtype", "float16")
    state = torch.load(tmp_path / "half.pt", weights_only=True)
    assert {tensor.dtype for tensor in state.values()} == {torch.float16}


def test_code_spec_and_table_need_no_torch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in ("py", "json", "md"):
        convert(LENET, tmp_path / f"net.{suffix}")
    assert capsys.readouterr().err.splitlines() == [
        f"seqtui: {tmp_path / 'net'}.{suffix} is written{words}"
        for suffix, words in (("py", LAYERS_ALONE), ("json", LAYERS_ALONE), ("md", ""))
    ]
    assert package.load(tmp_path / "net.py").layer("fc1").args == package.load(LENET).layer("fc1").args
    assert package.load(tmp_path / "net.json").inputs == package.load(LENET).inputs
    assert main(["summary", str(LENET), "--style", "markdown"]) == 0
    assert (tmp_path / "net.md").read_text("utf-8") == capsys.readouterr().out
    convert(tmp_path / "net.py", tmp_path / "new.safetensors")
    assert package.load_sequential(tmp_path / "new.safetensors")(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_input_is_written_too(tmp_path: Path) -> None:
    convert(LENET, tmp_path / "net.json", "--input", "4,1,28,28")
    assert package.load(tmp_path / "net.json").inputs[0].shape == (4, 1, 28, 28)


def test_a_model_that_does_not_fit_is_written_with_a_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    convert(BROKEN, tmp_path / "net.pt", code=1)
    words = "its tensors are the same; fc1 takes 3136 features, 1600 arrive from flatten"
    assert capsys.readouterr().err == f"seqtui: {tmp_path / 'net.pt'} is written; {words}\n"
    assert "fc1.weight" in torch.load(tmp_path / "net.pt", weights_only=True)


def test_file_that_exists_is_replaced_by_force_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    file.write_text("mine")
    file.chmod(0o640)
    convert(LENET, file, "--force")
    assert len(torch.load(file, weights_only=True)) == 10
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([LENET, "net"], 2, "net has no suffix that says its form"),
        ([LENET, "net.gguf"], 2, "net.gguf has no suffix that says its form"),
        ([LENET, "there.pt"], 4, "there.pt: it exists already"),
        ([LENET, "no/net.pt"], 4, "no/net.pt: it cannot be written"),
        ([LENET, "no/net.md"], 4, "no/net.md: it cannot be written"),
        ([LENET, "net.pt", "--dtype", "int64"], 2, "'int64' is no type to compute in"),
        ([LENET, "net.pt", "--input", "x"], 2, "'x' is no input shape"),
        ([LENET], 2, "the following arguments are required: OUT"),
        (["nowhere.safetensors", "net.pt"], 4, "nowhere.safetensors: there is no such file"),
        ([LLAMA, "net.onnx"], 3, "the file does not say how its layers are connected"),
        ([LLAMA, "net.json"], 2, "the file does not say how its layers are connected"),
        ([BROKEN, "net.pt2"], 5, "fc1 takes 3136 features, 1600 arrive from flatten"),
    ],
    ids=lambda value: " ".join(map(str, value[1:])) if isinstance(value, list) else "",
)
def test_refusal(arguments: list[str | Path], code: int, words: str, refused: Refused) -> None:
    Path("there.pt").touch()
    refused(["convert", *arguments], code, words)
