"""The command line as scripts and people know it: what each verb prints, its JSON, its exit codes, its errors."""

from __future__ import annotations

import json
import subprocess
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import faults
import numpy as np
import pytest
import torch
from command import require_sentence
from safetensors.torch import load_file, save_file
from terminal import SAMPLES, Terminal, environment, seqtui

import seqtui as package
from seqtui.cli import main

LENET, BROKEN = SAMPLES / "lenet5.safetensors", SAMPLES / "broken_cnn.safetensors"

ALL_ZERO = """
zero   2×2  F32  16 B
  count 4   mean 0   std 0   norm 0   zeros 4   NaN 0   Inf 0
  min 0   1% 0   25% 0   50% 0   75% 0   99% 0   max 0
     █
  0  █ 0
[[0. 0.]
 [0. 0.]]
"""


def golden(name: str) -> str:
    """What a command is to print, whole."""
    return (Path(__file__).parent / "data" / "cli" / f"{name}.txt").read_text("utf-8")


def run(
    *arguments: str | Path, code: int = 0, folder: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """One command into pipes, which must leave with `code`."""
    command = seqtui(*arguments)
    done = subprocess.run(command, cwd=folder, env=environment(**env), capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def document(*arguments: str | Path, code: int = 0) -> Any:  # JSON
    """What one command prints, run in this process."""
    with redirect_stdout(StringIO()) as printed:
        assert main([*map(str, arguments), "--json"]) == code
    return json.loads(printed.getvalue())


def weights(*arguments: str | Path) -> Any:  # JSON
    """The one tensor of a `weights` document."""
    (tensor,) = document("weights", *arguments)["tensors"]
    return tensor


# What is printed


@pytest.mark.parametrize(
    ("verb", "file", "code"), [("summary", LENET, 0), ("summary", BROKEN, 1), ("weights", LENET, 0)]
)
def test_table(verb: str, file: Path, code: int) -> None:
    done = run(verb, file, code=code)
    assert done.stdout == golden(f"{verb}_{file.stem}")
    assert done.stderr == ""


def test_numbers_and_values_of_one_tensor(tmp_path: Path) -> None:
    save_file({"zero": torch.zeros(2, 2)}, tmp_path / "net.safetensors")
    printed = run("weights", "net.safetensors", "zero", "--values", folder=tmp_path).stdout
    assert [line.split() for line in printed.splitlines()] == [line.split() for line in ALL_ZERO.strip().splitlines()]


def test_version() -> None:
    assert run("--version").stdout == f"seqtui {package.__version__}\n"


def test_help_has_every_verb_and_each_an_example() -> None:
    text = run("--help").stdout
    assert text.startswith("usage: seqtui ")
    for verb in ("open", "summary", "weights"):
        assert f"\n    {verb} " in text
        assert f"\nexample: seqtui {verb} " in run(verb, "--help").stdout


def test_depth(tmp_path: Path) -> None:
    nested = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Sequential(torch.nn.ReLU())), torch.nn.Tanh())
    package.save(nested, tmp_path / "net.safetensors", input_shape=(1, 2))
    for depth, kinds in [("1", ["Sequential,", "Tanh"]), ("2", ["Sequential,", "Sequential,", "Tanh"])]:
        lines = run("summary", tmp_path / "net.safetensors", "--depth", depth).stdout.splitlines()
        assert [line.split()[1] for line in lines[2:] if line.startswith("  ")] == kinds
    assert "ReLU" in run("summary", tmp_path / "net.safetensors", "--depth", "3").stdout


def test_input_changes_the_shapes() -> None:
    layers = document("summary", LENET, "--input", "7,1,28,28")["layers"]
    assert layers[-1]["output"] == [7, 10]
    assert "takes 1 channel, 3 arrive" in run("summary", LENET, "--input", "1,3,28,28", code=1).stdout


@pytest.mark.parametrize("arguments", [["summary", BROKEN], ["weights", LENET], ["weights", LENET, "fc?.*"]])
def test_plain_is_ascii_and_in_line(arguments: list[str | Path]) -> None:
    code = int(BROKEN in arguments)
    plain, usual = (run(*arguments, *option, code=code).stdout for option in (["--plain"], []))
    assert plain.isascii()
    assert not usual.isascii()
    assert run("--plain", *arguments, code=code).stdout == plain
    if "fc?.*" not in arguments:
        assert list(map(len, plain.splitlines())) == list(map(len, usual.splitlines()))


def test_stdout_that_takes_ascii_alone_gets_it() -> None:
    usual = run("summary", LENET, "--plain").stdout
    assert run("summary", LENET, PYTHONIOENCODING="ascii").stdout == usual
    assert run("summary", LENET, PYTHONIOENCODING="latin-1").stdout == usual


# On a terminal


def test_table_on_a_terminal_has_colour_and_keeps_to_its_width() -> None:
    with Terminal(seqtui("summary", BROKEN), 60) as terminal:
        assert terminal.ends() == 1
        assert b"\x1b[31m" in terminal.output  # the problem is red
        assert "fc1" in terminal.text
        assert terminal.lines[0].endswith("Multiply-adds")
        assert all(len(line) <= 60 for line in terminal.lines)
        assert [line.split()[0] for line in terminal.lines[:5]] == ["Layer", "broken_cnn", "conv1", "relu1", "pool1"]


@pytest.mark.parametrize(("option", "env"), [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})])
def test_no_colour(option: list[str], env: dict[str, str]) -> None:
    with Terminal(seqtui("summary", BROKEN, *option), 100, env=environment(**env)) as terminal:
        assert terminal.ends() == 1
        assert b"\x1b[3" not in terminal.output  # bold and dim are no colours
        assert golden("summary_broken_cnn").split() == terminal.text.split()


def test_columns_is_honoured() -> None:
    with Terminal(seqtui("summary", LENET), 120, env=environment(COLUMNS="50")) as terminal:
        assert terminal.ends() == 0
        assert max(map(len, terminal.lines[:15])) == 50


# JSON

SUMMARY = {"schema", "file", "format", "inputs", "layers", "totals", "metadata", "prefix", "warnings"}
LAYER = {
    *("path", "kind", "args", "origin", "alternatives", "enabled", "frozen", "calls", "from", "depth", "output"),
    *("params", "buffers", "macs", "activation_bytes", "receptive_field", "problem", "tensors"),
}
TENSOR = {"name", "shape", "dtype", "bytes", "shared_with", "stats", "values", "unreadable"}
STATS = {
    *("count", "nan", "posinf", "neginf", "zeros", "min", "max", "mean", "std", "norm", "quantiles", "quantiles_exact"),
    "histogram",
}


def test_summary_document() -> None:
    found = document("summary", LENET)
    assert set(found) == SUMMARY
    assert (found["schema"], found["file"], found["format"]) == (1, str(LENET), "safetensors")
    assert found["inputs"] == [{"name": "input", "shape": [1, 1, 28, 28], "dtype": "float32"}]
    assert found["totals"] == {
        "params": 61706,
        "trainable": 61706,
        "buffers": 0,
        "macs": 416520,
        "bytes": 246824,
        "tensors": 10,
    }
    assert (found["prefix"], found["warnings"]) == ("", [])
    assert set(found["metadata"]) == {"format", "description", "test_accuracy"}
    assert {frozenset(layer) for layer in found["layers"]} == {frozenset(LAYER)}
    assert [layer["path"] for layer in found["layers"]] == [name for name, _ in package.load(LENET).walk()]
    assert found["layers"][3] == {
        "path": "conv2",
        "kind": "Conv2d",
        "args": {"in_channels": 6, "out_channels": 16, "kernel_size": 5},
        "origin": "declared",
        "alternatives": [],
        "enabled": True,
        "frozen": False,
        "calls": 1,
        "from": ["pool1"],
        "depth": 1,
        "output": [1, 16, 10, 10],
        "params": 2416,
        "buffers": 0,
        "macs": 240000,
        "activation_bytes": 6400,
        "receptive_field": [14, 14],
        "problem": None,
        "tensors": [
            {"name": "conv2.weight", "shape": [16, 6, 5, 5], "dtype": "F32", "bytes": 9600},
            {"name": "conv2.bias", "shape": [16], "dtype": "F32", "bytes": 64},
        ],
    }


def test_problem_in_the_summary_document() -> None:
    layers = {layer["path"]: layer for layer in document("summary", BROKEN, code=1)["layers"]}
    assert set(layers["fc1"]["problem"]) == {"message", "fixes"}
    assert layers["fc1"]["problem"]["message"] == "fc1 takes 3136 features, 1600 arrive from flatten"
    assert [layers[path]["output"] for path in ("flatten", "fc1", "fc2")] == [[1, 1600], None, None]
    assert layers["pool2"]["problem"] is None


@pytest.mark.parametrize("options", [[], ["--histogram"], ["--json"]])
def test_weights_of_code_are_none_and_that_is_said(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("net = nn.Sequential(nn.Linear(2, 3))\n")
    reason = "the file holds no weights; they are made when the model is saved as .safetensors"
    done = run("weights", "net.py", *options, folder=tmp_path)
    assert done.stderr == f"seqtui: net.py: {reason}\n"
    assert "0.weight" not in done.stdout
    refused = run("weights", "net.py", "0.weight", folder=tmp_path, code=2)
    assert refused.stderr == f"seqtui: net.py: no tensor is called 0.weight\nhint: {reason}\n"


def test_weights_document() -> None:
    found = document("weights", LENET)
    assert set(found) == {"schema", "file", "tensors"}
    assert {frozenset(tensor) for tensor in found["tensors"]} == {frozenset(TENSOR)}
    assert all(tensor["stats"] is None and tensor["values"] is None for tensor in found["tensors"])
    assert set(weights(LENET, "conv1.weight")["stats"]) == STATS
    assert set(weights(LENET, "conv1.weight")["stats"]["histogram"]) == {"edges", "counts"}
    assert all(tensor["stats"] for tensor in document("weights", LENET, "--histogram")["tensors"])


def test_names_of_shared_and_unreadable_tensors(tmp_path: Path) -> None:
    first, second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    second.weight = first.weight
    package.save(torch.nn.Sequential(first, second), tmp_path / "tied.safetensors")
    shared = {t["name"]: t["shared_with"] for t in document("weights", tmp_path / "tied.safetensors")["tensors"]}
    assert shared == {"0.weight": ["1.weight"], "0.bias": [], "1.weight": ["0.weight"], "1.bias": []}
    (tmp_path / "odd.safetensors").write_bytes(faults.one(dtype="Q4_K"))
    assert "Q4_K" in weights(tmp_path / "odd.safetensors", "a")["unreadable"]


# Numbers, judged by torch


def test_statistics_are_torchs() -> None:
    tensor = load_file(LENET)["conv1.weight"].double()
    stats = weights(LENET, "conv1.weight")["stats"]
    wanted = {
        "count": 150,
        "nan": 0,
        "posinf": 0,
        "neginf": 0,
        "zeros": int((tensor == 0).sum()),
        "min": tensor.min().item(),
        "max": tensor.max().item(),
        "mean": tensor.mean().item(),
        "std": tensor.std().item(),
        "norm": tensor.norm().item(),
    }
    assert {name: stats[name] for name in wanted} == pytest.approx(wanted, rel=1e-6, abs=1e-6)
    for fraction, value in stats["quantiles"].items():
        assert value == pytest.approx(torch.quantile(tensor, float(fraction)).item(), abs=1e-6)
    edges, counts = stats["histogram"]["edges"], stats["histogram"]["counts"]
    assert counts == torch.histogram(tensor.flatten(), torch.tensor(edges, dtype=torch.float64)).hist.tolist()


@pytest.mark.parametrize("part", ["[3, :, 1:4]", "[-1]", "[2:5, 0]", "[..., 0]", "[0, 0, 0, 0]", "[::2, :, ::-1]"])
def test_part_of_a_tensor_is_torchs(part: str) -> None:
    array = load_file(LENET)["conv1.weight"].numpy()  # torch steps forward only
    wanted = torch.from_numpy(np.array(eval(f"array{part}", {"array": array})))
    found = weights(LENET, f"conv1.weight{part}", "--values")
    assert found["shape"] == list(wanted.shape)
    torch.testing.assert_close(torch.tensor(found["values"]), wanted, rtol=1e-6, atol=1e-6)
    assert found["stats"]["mean"] == pytest.approx(wanted.double().mean().item(), rel=1e-6)
    assert found["bytes"] == wanted.numel() * 4


def test_not_finite_values_have_names(tmp_path: Path) -> None:
    values = torch.tensor([1.0, float("nan"), float("inf"), float("-inf")])
    save_file({"a": values, "z": torch.tensor([1 + 2j])}, tmp_path / "net.safetensors")
    assert weights(tmp_path / "net.safetensors", "a", "--values")["values"] == [1.0, "nan", "inf", "-inf"]
    assert weights(tmp_path / "net.safetensors", "z", "--values")["values"] == [[1.0, 2.0]]


def test_globs_and_several_names() -> None:
    found = document("weights", LENET, "fc*.bias", "conv1.weight")["tensors"]
    assert [tensor["name"] for tensor in found] == ["fc1.bias", "fc2.bias", "fc3.bias", "conv1.weight"]


# Leaving


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "no model"),
        (["--bogus"], 2, "no model"),
        (["summary"], 2, "MODEL"),
        (["summary", LENET, "--bogus"], 2, "--bogus"),
        (["summary", LENET, "--input", "x"], 2, "'x' is no input shape"),
        (["summary", LENET, "--depth", "x"], 2, "'x' is no number of levels"),
        (["open", LENET, "--device", " "], 2, "--device takes the name of a device"),
        (["open", LENET, "--device", "cuda:x"], 5, "there is no device cuda:x here"),
        (["open", LENET, "--device", "cuda:256"], 5, "there is no device cuda:256 here"),
        (["open", LENET, "--device", "cuda:007"], 5, "there is no device cuda:007 here"),
        (["run", LENET, "--device", "meta:5"], 5, "there is no device meta:5 here"),
        (["sumary", LENET], 2, "sumary is neither a verb nor a file"),
        (["weights", LENET, "nope"], 2, f"{LENET}: no tensor is called nope"),
        (["weights", LENET, "nope*"], 2, f"{LENET}: no tensor is called nope*"),
        (["weights", LENET, "conv1.weight[9]"], 2, f"{LENET}: index 9 is out of range"),
        (["weights", LENET, "conv1.weight[0,0,0,0,0]"], 2, "4 dimensions, 5 indices"),
        (["weights", LENET, "conv1.weight[a]"], 2, f"{LENET}: 'a' in [a] is not an index"),
        (["summary", "empty"], 3, "empty: the file is empty"),
        (["weights", "text"], 3, "text: "),
        (["open", "empty"], 3, "empty: the file is empty"),
        (["summary", "missing"], 4, "missing: there is no such file"),
        (["weights", "missing"], 4, "missing: there is no such file"),
        (["missing"], 4, "missing: there is no such file"),
        (["summary", "."], 4, ".: the folder holds no .safetensors file"),
    ],
    ids=lambda value: " ".join(Path(word).name for word in value) if isinstance(value, list) else "",
)
def test_refusal(arguments: list[str | Path], code: int, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    done = run(*arguments, code=code, folder=tmp_path)
    assert done.stdout == ""
    require_sentence(done.stderr, words)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["open", LENET, "--select", "nope"], 2, "no layer or tensor is called nope"),
        (["open", LENET, "--theme", "nope"], 2, "there is no theme nope"),
        (["open", LENET, "--input", "nope"], 2, "'nope' is no input shape"),
    ],
    ids=["select", "theme", "input"],
)
def test_refusal_on_a_terminal_takes_no_screen(arguments: list[str | Path], code: int, words: str) -> None:
    with Terminal(seqtui(*arguments), 200) as terminal:
        assert terminal.ends() == code
        assert words in terminal.lines[0]
        assert b"\x1b" not in terminal.output


@pytest.mark.parametrize("before", [[], ["--plain"], ["--input", "1,1,28,28"]], ids=" ".join)
def test_model_alone_is_short_for_open(before: list[str]) -> None:
    done = run(*before, LENET)
    assert done.stdout == run("summary", LENET, *before).stdout
    assert done.stderr == "seqtui: no screen to open here; run it in a terminal, or use seqtui summary\n"


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["summary", LENET], ["summary", LENET, "--json"], ["weights", LENET, "fc1.weight", "--values"]],
    ids=["help", "summary", "json", "values"],
)
@pytest.mark.parametrize("reader", ["true", "head -1"])
def test_closed_pipe_is_silent(arguments: list[str | Path], reader: str) -> None:
    script = f'{{ "$@"; echo $? >&2; }} | {reader}'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *seqtui(*arguments)], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.stderr == "0\n"


def test_full_disk_is_a_sentence() -> None:
    command = ["sh", "-c", '"$@" > /dev/full', "sh", *seqtui("summary", LENET, "--json")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 4
    assert done.stderr == "seqtui: the output cannot be written: No space left on device\n"


def test_a_refusal_that_nobody_can_hear_keeps_its_exit_code() -> None:
    command = ["sh", "-c", '"$@" 2> /dev/full', "sh", *seqtui("summary", "absent.safetensors")]
    assert subprocess.run(command, env=environment(), capture_output=True, timeout=120).returncode == 4


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_harm_nothing(closed: str) -> None:
    command = ["sh", "-c", f'"$@" {closed}', "sh", *seqtui(LENET)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert ("lenet5" in done.stdout) is (">&-" not in closed.replace("2>&-", ""))
