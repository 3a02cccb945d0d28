"""`seqtui edit`: what it prints, what it writes, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from command import Refused, command
from safetensors.torch import load, load_file, save_file
from terminal import SAMPLES, Terminal, environment, seqtui

import seqtui as package
from seqtui.cli import main
from seqtui.formats import open_model

LENET, BROKEN = SAMPLES / "lenet5.safetensors", SAMPLES / "broken_cnn.safetensors"
SMALLER = ["insert dropout3 Dropout p=0.3 after pool2", "set fc1 out_features=64", "fix", "rename conv1 first"]
"""Edits that keep, cut and rename, and make nothing anew."""
UNFIT = "set fc1 out_features=64"
"""Leaves fc2 with 120 features, of which 64 arrive."""
NO_NEWS = "seqtui: nothing is written; -o FILE or --in-place writes it\n"

edit = partial(command, "edit")


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A copy of LeNet-5 in a folder of its own."""
    return Path(shutil.copy(LENET, tmp_path / "lenet5.safetensors"))


def edits(*lines: str) -> list[str]:
    """Each as an option."""
    return [word for line in lines for word in ("-e", line)]


class Json:
    """Commands whose document is wanted."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def of(self, *arguments: str | Path, code: int = 0) -> Any:  # JSON
        self.capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == code
        printed = self.capsys.readouterr()
        assert printed.err == ""
        return json.loads(printed.out)


@pytest.fixture
def document(capsys: pytest.CaptureFixture[str]) -> Json:
    return Json(capsys)


def only(folder: Path) -> list[str]:
    """The names of all that is in a folder."""
    return sorted(path.name for path in folder.iterdir())


# Shown


def test_result_and_plan_are_printed_and_nothing_is_written(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = lenet.read_bytes()
    edit(
        lenet,
        *edits(*SMALLER, "cast fc3 f64", "remove tanh4", "set conv2 out_channels=20", "insert n ReLU last"),
        code=1,
    )
    printed = capsys.readouterr()
    assert printed.out == (Path(__file__).parent / "data" / "cli" / "edit_lenet5.txt").read_text("utf-8")
    assert printed.err == NO_NEWS
    assert lenet.read_bytes() == before
    assert only(lenet.parent) == ["lenet5.safetensors"]


def test_edit_that_touches_no_weight_prints_totals_alone(capsys: pytest.CaptureFixture[str]) -> None:
    edit(LENET, *edits("disable dropout*"))
    *_, blank, totals = capsys.readouterr().out.splitlines()
    assert (blank, totals) == ("", "weights: 10 kept · 61,706 elements kept, 0 new")


def test_document_is_the_summary_of_what_is_written_and_the_plan(lenet: Path, document: Json) -> None:
    shown = document.of("edit", lenet, *edits(*SMALLER))
    out = lenet.with_name("out.safetensors")
    written = document.of("edit", lenet, *edits(*SMALLER), "-o", out)
    summary = document.of("summary", out)
    plan = written.pop("weights_plan")
    assert written == summary
    assert {**shown, "file": str(out), "weights_plan": plan} == {**summary, "weights_plan": plan}
    assert shown["weights_plan"] == plan
    assert plan[0] == {"name": "first.weight", "action": "keep", "from": "conv1.weight", "shape": [6, 1, 5, 5]} | {
        "kept": 150,
        "new": 0,
        "lost": 0,
    }
    layers = {layer["path"]: layer for layer in shown["layers"]}
    assert [tensor["name"] for tensor in layers["first"]["tensors"]] == ["first.weight", "first.bias"]
    assert "dropout3" in layers


def test_plan_has_every_action(document: Json) -> None:
    lines = ("remove fc3", "set fc2 out_features=100", "insert n BatchNorm1d num_features=100 last")
    plan = {row["name"]: row for row in document.of("edit", LENET, *edits(*lines))["weights_plan"]}
    assert {name: (row["action"], row["from"], row["shape"]) for name, row in plan.items() if name[:2] != "co"} == {
        "fc1.weight": ("keep", "fc1.weight", [120, 400]),
        "fc1.bias": ("keep", "fc1.bias", [120]),
        "fc2.weight": ("resize", "fc2.weight", [100, 120]),
        "fc2.bias": ("resize", "fc2.bias", [100]),
        "n.weight": ("fresh", None, [100]),
        "n.bias": ("fresh", None, [100]),
        "n.running_mean": ("fresh", None, [100]),
        "n.running_var": ("fresh", None, [100]),
        "n.num_batches_tracked": ("fresh", None, []),
        "fc3.weight": ("drop", "fc3.weight", [10, 84]),
        "fc3.bias": ("drop", "fc3.bias", [10]),
    }


def test_problem_is_told_with_its_fixes(document: Json) -> None:
    found = document.of("edit", LENET, *edits(UNFIT), code=1)
    problem = next(layer["problem"] for layer in found["layers"] if layer["path"] == "fc2")
    assert problem["message"] == "fc2 takes 120 features, 64 arrive from tanh3"
    assert problem["fixes"][0] == "set fc2 in_features=64"
    assert document.of("edit", LENET, *edits(UNFIT, *problem["fixes"][:1]))["layers"][-1]["output"] == [1, 10]


def test_fix_where_everything_fits_is_done_already(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = lenet.read_bytes()
    edit(lenet, *edits("fix"), "--in-place")
    assert capsys.readouterr().err == f"seqtui: there is nothing to fix\nseqtui: {lenet} is written\n"
    assert load_file(lenet).keys() == load(before).keys()
    edit(lenet, *edits("rename fc3 head", "fix head", UNFIT, "fix", "fix fc2"))
    said = capsys.readouterr()
    assert said.err.splitlines()[:2] == [f"seqtui: there is nothing to fix at {path}" for path in ("head", "fc2")]
    assert "head" in said.out


def test_fix_of_several_edits_is_offered_as_the_one_that_does_them(tmp_path: Path, document: Json) -> None:
    source = tmp_path / "net.py"
    source.write_text("input_shape = (2, 3, 8, 8)\nnet = nn.Sequential(nn.ReLU(), nn.Linear(100, 4))\n")
    found = document.of("edit", source, *edits("disable 0"), code=1)
    fixes = found["layers"][1]["problem"]["fixes"]
    assert fixes == ["fix 1", "set 1 in_features=8"]
    for line, output in zip(fixes, ([2, 4], [2, 3, 8, 4]), strict=True):
        assert document.of("edit", source, *edits(line))["layers"][-1]["output"] == output
    source.write_text("input_shape = (2, 5, 16)\nnet = nn.Sequential(nn.ReLU(), nn.Linear(32, 4))\n")
    found = document.of("summary", source, code=1)
    assert found["layers"][1]["problem"]["fixes"] == ["set 1 in_features=16"]


def test_names_are_those_in_the_file_where_a_wrapper_stands_before_them(tmp_path: Path, document: Json) -> None:
    save_file({f"module.{name}": torch.ones(2, 2) for name in ("a.weight", "b.weight")}, tmp_path / "net.safetensors")
    found = document.of("edit", tmp_path / "net.safetensors", *edits("rename a c"), "-o", tmp_path / "out.safetensors")
    assert found["prefix"] == "module."
    assert [(row["name"], row["from"]) for row in found["weights_plan"]] == [
        ("module.c.weight", "module.a.weight"),
        ("module.b.weight", "module.b.weight"),
    ]
    assert [tensor["name"] for layer in found["layers"] for tensor in layer["tensors"]] == [
        *("module.b.weight", "module.c.weight")  # as they stand in the file that was written
    ]
    assert set(load_file(tmp_path / "out.safetensors")) == {"module.c.weight", "module.b.weight"}


def test_on_a_terminal_what_is_dropped_is_red() -> None:
    with Terminal(seqtui("edit", LENET, *edits("remove fc3")), 70) as terminal:
        assert terminal.ends() == 0
        assert b"\x1b[31mfc3.weight" in terminal.output
        assert all(len(line) <= 70 for line in terminal.lines)


# Written


def test_kept_weights_are_the_same_to_the_bit(lenet: Path) -> None:
    out = lenet.with_name("out.safetensors")
    edit(lenet, *edits("rename conv1 first", "remove dropout1", "move fc3 before tanh4"), "-o", out)
    before, after = load_file(lenet), load_file(out)
    assert {name.replace("conv1", "first"): tensor.tolist() for name, tensor in before.items()} == {
        name: tensor.tolist() for name, tensor in after.items()
    }
    assert [name for name, _ in package.load(out).walk()][-3:] == ["fc2", "fc3", "tanh4"]


def test_new_weights_are_torchs_around_those_that_are_kept(lenet: Path) -> None:
    lines = ["insert norm BatchNorm2d num_features=6 after conv1", "set conv2 out_channels=24 seed=1", "fix"]
    out = lenet.with_name("out.safetensors")
    edit(lenet, *edits(*lines), "-o", out)
    net, old = package.load_sequential(out), package.load_sequential(lenet)
    weight = net.get_submodule("conv2").get_parameter("weight")
    assert weight.shape == (24, 6, 5, 5)
    assert torch.equal(weight[:16], old.get_submodule("conv2").get_parameter("weight"))
    assert 0 < weight[16:].abs().max() <= 1 / (6 * 5 * 5) ** 0.5  # Kaiming's bound
    assert net(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_in_place_replaces_the_model_itself(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(lenet, *edits("remove fc3"), "--in-place")
    assert capsys.readouterr().err == f"seqtui: {lenet} is written\n"
    assert only(lenet.parent) == ["lenet5.safetensors"]
    assert [name for name, _ in package.load(lenet).walk()][-1] == "tanh4"


@pytest.mark.parametrize("target", ["other.safetensors", "lenet5.safetensors"])
def test_file_that_exists_is_replaced_only_by_force(
    lenet: Path, target: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = lenet.with_name(target)
    shutil.copy(BROKEN if target == "other.safetensors" else LENET, out)
    before = out.read_bytes()
    edit(lenet, *edits("remove fc3"), "-o", out, code=4)
    assert capsys.readouterr() == ("", f"seqtui: {out}: it exists already\nhint: --force replaces it.\n")
    assert out.read_bytes() == before
    edit(lenet, *edits("remove fc3"), "-o", out, "--force")
    assert "fc3.weight" not in load_file(out)


def test_what_does_not_fit_is_printed_and_written(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = lenet.with_name("out.safetensors")
    edit(lenet, *edits(UNFIT), "-o", out, code=1)
    assert "! fc2 takes 120 features, 64 arrive from tanh3" in capsys.readouterr().out
    assert load_file(out)["fc1.weight"].shape == (64, 400)


@pytest.mark.parametrize(("suffix", "words"), [(".py", '("first", nn.Conv2d('), (".json", '"name":"first"')])
def test_other_forms_by_suffix(lenet: Path, suffix: str, words: str, document: Json) -> None:
    out = lenet.with_name(f"out{suffix}")
    found = document.of("edit", lenet, *edits("rename conv1 first"), "-o", out)
    assert words in out.read_text("utf-8")
    assert found["file"] == str(lenet)


def test_that_code_holds_no_weights_is_said(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, alone = lenet.with_name("out.py"), "; it holds the layers alone, without weights"
    edit(lenet, *edits("rename fc1 first"), "-o", out)
    assert capsys.readouterr().err == f"seqtui: {out} is written{alone}\n"
    edit(out, *edits("rename fc2 second"), "--in-place")
    assert capsys.readouterr().err == f"seqtui: {out} is written\n"
    edit(out, *edits("fill fc3.bias zeros"), "--in-place")
    assert capsys.readouterr().err == f"seqtui: {out} is written{alone}\n"


@pytest.mark.parametrize(
    ("name", "word"), [("net.py", '"first"'), ("net.json", '"name":"first"'), ("NET.PY", '"first"')]
)
def test_code_and_specs_change_in_place(name: str, word: str, lenet: Path) -> None:
    source = lenet.with_name(name)
    edit(lenet, *edits("rename fc3 head"), "-o", source)
    edit(source, *edits("rename conv1 first"), "--in-place")
    assert word in source.read_text("utf-8")
    assert [layer.name for layer in open_model(str(source)).model.layers][-1] == "head"
    assert only(lenet.parent) == sorted([source.name, lenet.name])


def test_model_whose_name_says_no_form_stays_where_it_is(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = lenet.rename(lenet.with_name("weights.bin"))
    before = other.read_bytes()
    edit(other, *edits("remove fc3"), "--in-place", code=2)
    assert capsys.readouterr().err == (
        f"seqtui: {other}: .bin is no form that can be written\n"
        "hint: Forms are .safetensors, .py, .json, .pt, .onnx, .pt2.\n"
    )
    assert other.read_bytes() == before


# Recipes


def test_recipe_is_the_same_as_its_edits(lenet: Path, document: Json) -> None:
    recipe = lenet.with_name("recipe.txt")
    recipe.write_bytes(b"\xef\xbb\xbf# smaller\r\n\r\n" + "\r\n".join(f"{line}  # one" for line in SMALLER).encode())
    assert document.of("edit", lenet, "-f", recipe) == document.of("edit", lenet, *edits(*SMALLER))


def test_recipe_names_the_line_of_an_edit_that_cannot_apply(lenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = lenet.with_name("recipe.txt")
    recipe.write_text("# first\nremove tanh4\n\ndisable tanh4\n")
    edit(lenet, "-f", recipe, code=2)
    assert "line 4: disable tanh4: there is no layer tanh4" in capsys.readouterr().err


def test_an_edit_that_changes_nothing_is_told_and_the_rest_is_done(
    lenet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lenet, *edits("enable conv1", "remove tanh4"))
    printed = capsys.readouterr()
    assert "enable conv1 would change nothing" in printed.err
    assert "tanh4" not in printed.out


def test_recipe_from_standard_input(lenet: Path) -> None:
    def piped(text: str) -> subprocess.CompletedProcess[str]:
        command = seqtui("edit", lenet, "-f", "-", "--json")
        return subprocess.run(command, input=text, capture_output=True, text=True, env=environment(), timeout=120)

    done = piped("remove fc3\n# and\nremove tanh4")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["layers"][-1]["path"] == "fc2"
    refused = piped("\nremve fc3\n")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith(
        "seqtui: standard input: line 2: there is no edit remve\nhint: Did you mean remove?"
    )


# Refused


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([LENET], 2, "one of the arguments -e/--edit -f/--file is required"),
        ([*edits("remove fc3")], 2, "MODEL"),
        ([LENET, *edits("remove fc3"), "-f", "recipe"], 2, "not allowed with"),
        ([LENET, *edits("remove fc3"), "-o", "out.safetensors", "--in-place"], 2, "not allowed with"),
        ([LENET, *edits("")], 2, "-e '' is no edit"),
        ([LENET, *edits("  # only a comment")], 2, "is no edit"),
        ([LENET, *edits("remve fc3")], 2, "remve fc3: there is no edit remve"),
        ([LENET, *edits("remove fc3", "set fc2")], 2, "set fc2: needs ARG=VALUE"),
        ([LENET, *edits("remove fc3", "remove fc3")], 2, f"{LENET}: remove fc3: there is no layer fc3"),
        ([LENET, *edits("set fc3 nope=1")], 2, f"{LENET}: set fc3 nope=1: "),
        ([LENET, *edits("fix fc9")], 2, f"{LENET}: fix fc9: there is no layer fc9"),
        ([LENET, *edits("set pool1 kernel_size=99", "fix")], 2, f"{LENET}: fix: no fix is known: pool1 "),
        ([LENET, "-f", "recipe"], 2, "recipe: line 3: there is no edit st"),
        ([LENET, "-f", "bytes"], 2, "bytes: this is no text"),
        ([LENET, "-f", "missing"], 4, "missing: there is no such file"),
        ([LENET, "-f", "."], 4, ".: it cannot be read: Is a directory"),
        ([LENET, *edits("remove fc3"), "-o", "out.bin"], 2, "out.bin: .bin is no form that can be written"),
        ([LENET, *edits("remove fc3"), "-o", "no/out.safetensors"], 4, "no/out.safetensors: it cannot be written"),
        (["bytes", *edits("remove fc3")], 3, "bytes: "),
        (["missing", *edits("remove fc3")], 4, "missing: there is no such file"),
    ],
    ids=lambda value: " ".join(Path(word).name for word in value) if isinstance(value, list) else "",
)
def test_refusal(arguments: Sequence[str | Path], code: int, words: str, refused: Refused) -> None:
    Path("recipe").write_text("# two edits\nremove fc3\nst fc2\n")
    Path("bytes").write_bytes(b"\xff\xfe")
    refused(["edit", *arguments], code, words)
