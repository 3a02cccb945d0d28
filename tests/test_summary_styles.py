"""`seqtui summary --style`: the same rows as Markdown, and torchinfo's own table."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torchinfo
from terminal import SAMPLES
from torch import nn

import seqtui as package
from seqtui.cli import main

LENET, BROKEN = SAMPLES / "lenet5.safetensors", SAMPLES / "broken_cnn.safetensors"
LLAMA = Path(__file__).parent / "data" / "hf_llama.safetensors"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    """What one command prints, which must leave with `code`."""
    assert main(["summary", *map(str, arguments)]) == code
    return capsys.readouterr().out


# Markdown


def test_markdown_has_a_row_for_every_layer(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, SAMPLES / "autoencoder.safetensors", "--style", "markdown", "--depth", "1")
    assert table == (
        "| Layer | Kind | Output | Params | Multiply-adds |\n"
        "| --- | --- | --- | ---: | ---: |\n"
        "| `autoencoder` | Sequential, 2 layers | 1×64 | 4,744 | 4,608 |\n"
        "| `encoder` | Sequential, 3 layers | 1×8 | 2,344 | 2,304 |\n"
        "| `decoder` | Sequential, 4 layers | 1×64 | 2,400 | 2,304 |\n"
        "\n"
        "4,744 parameters · 19 kB · 4,608 multiply-adds\n"
    )


def test_markdown_names_the_problem(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, BROKEN, "--style", "markdown", code=1).splitlines()
    assert len(lines) == 2 + 12 + 4
    assert lines[-3] == "! fc1 takes 3136 features, 1600 arrive from flatten"


def test_markdown_of_hostile_names_stays_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(OrderedDict({"a|b": nn.ReLU(), "`c`": nn.ReLU(), "<b>": nn.ReLU(), "__d__": nn.ReLU()}))
    package.save(net, tmp_path / "net.safetensors", input_shape=(1, 2))
    rows = printed(capsys, tmp_path / "net.safetensors", "--style", "markdown").splitlines()[3:7]
    assert [row.split(" | ")[0] for row in rows] == [r"| `a\|b`", "| `` `c` ``", "| `<b>`", "| `__d__`"]


# torchinfo


def test_torchinfos_own_table(capsys: pytest.CaptureFixture[str]) -> None:
    net = package.load_sequential(LENET, "meta")
    given = torch.empty(7, 1, 28, 28, device="meta")
    rows = ("depth", "var_names")
    table = torchinfo.summary(
        net, input_data=[given], depth=9, device="meta", mode="eval", row_settings=rows, verbose=0
    )
    found = printed(capsys, LENET, "--style", "torchinfo", "--input", "7,1,28,28")
    assert found == f"{table}\n"
    assert "Total params: 61,706" in found
    assert "[7, 10]" in found


def test_torchinfo_shows_as_many_levels_as_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    file = SAMPLES / "autoencoder.safetensors"
    assert "Linear" not in printed(capsys, file, "--style", "torchinfo", "--depth", "1")
    assert "encoder" not in printed(capsys, file, "--style", "torchinfo", "--depth", "0")
    assert "Linear (fc1): 2-1" in printed(capsys, file, "--style", "torchinfo")


def test_torchinfo_without_an_input_counts_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package.save(nn.Sequential(nn.Linear(3, 4)), tmp_path / "net.safetensors")
    found = printed(capsys, tmp_path / "net.safetensors", "--style", "torchinfo")
    assert "Total params: 16" in found
    assert "Output Shape" not in found


def test_torchinfo_has_no_table_of_what_does_not_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(BROKEN), "--style", "torchinfo"]) == 1
    found = capsys.readouterr()
    assert found.out == "! fc1 takes 3136 features, 1600 arrive from flatten\n"
    assert found.err == "seqtui: torchinfo has no table of a model that does not run; --style table has\n"


def test_torchinfo_needs_layers_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(LLAMA), "--style", "torchinfo"]) == 3
    assert "does not say how its layers are connected" in capsys.readouterr().err


def test_a_document_has_no_style(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", str(LENET), "--style", "markdown", "--json"]) == 2
    assert "not allowed with" in capsys.readouterr().err
