"""What may be typed after a verb, in which order, and what it does to files that are out of the ordinary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faults
import pytest
from terminal import SAMPLES, Terminal, seqtui

from seqtui.cli import main, only_a_model
from seqtui.cli.open import path_in
from seqtui.cli.parser import parse
from seqtui.errors import UsageError
from seqtui.formats import open_model
from seqtui.model.inputs import input_text, parse_input
from seqtui.model.spec import InputSpec
from seqtui.workspace import Workspace

LENET = SAMPLES / "lenet5.safetensors"


@pytest.fixture
def wrapped(tmp_path: Path) -> Path:
    """A file without layers whose names all carry a wrapper."""
    path = tmp_path / "wrapped.safetensors"
    path.write_bytes(faults.sound({"module.0.weight": ("F32", [3, 4]), "module.0.bias": ("F32", [3])}))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str | Path, code: int = 0) -> str:
    """What one command writes to stdout, run in this process."""
    assert main([*map(str, arguments)]) == code
    return capsys.readouterr().out


# The order of words


@pytest.mark.parametrize(
    "words",
    [
        ["weights", "M", "a", "b", "--json", "--values"],
        ["weights", "M", "--json", "a", "b", "--values"],
        ["weights", "M", "a", "--values", "b", "--json"],
        ["weights", "--values", "M", "--json", "a", "b"],
        ["--plain", "weights", "M", "--json", "a", "--values", "b"],
    ],
    ids=" ".join,
)
def test_names_may_stand_among_the_options(words: list[str]) -> None:
    options = parse(words)
    assert (options.model, options.names) == ("M", ["a", "b"])
    assert (options.json, options.values, options.histogram) == (True, True, False)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["weights", "M", "a", "--bogus"], "unrecognized arguments: --bogus"),
        (["weights", "M", "--json", "a", "--bogus"], "--bogus"),
        (["summary", "M", "a"], "unrecognized arguments: a"),
        (["open", "M", "--no-mouse", "a"], "unrecognized arguments: a"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_that_mean_nothing_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(words)


@pytest.mark.parametrize(
    "words",
    [["open", "M"], ["M.safetensors"], ["."], ["open", "summary"], ["open", ""], ["summary", "M"], ["summary", "open"]],
    ids=str,
)
def test_a_model_alone_is_understood_without_the_parser_as_with_it(words: list[str]) -> None:
    options = only_a_model(words)
    assert options == parse(words)
    assert options.model == words[-1]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["M"],
        ["summary"],
        ["open"],
        ["open", "-h"],
        ["--x.y"],
        ["open", "M", "--no-mouse"],
        ["summary", "-h"],
        ["weights", "M"],
    ],
)
def test_everything_else_is_left_to_the_parser(words: list[str]) -> None:
    assert only_a_model(words) is None


# Numbers of tensors


def test_values_without_names_are_those_of_every_tensor(wrapped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "weights", wrapped, "--values")
    assert "module.0.weight" in text
    assert "module.0.bias" in text
    assert text.count("[0. 0. 0.") == 4
    assert text.count("count ") == 2
    tensors: Any = json.loads(printed(capsys, "weights", wrapped, "--values", "--json"))["tensors"]  # JSON
    assert [tensor["values"] for tensor in tensors] == [[[0.0] * 4] * 3, [0.0] * 3]
    assert all(tensor["stats"]["quantiles_exact"] for tensor in tensors)


@pytest.mark.parametrize("names", [[], ["a"]])
def test_what_cannot_be_read_says_so_wherever_it_is_listed(
    names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.safetensors"
    path.write_bytes(faults.one(dtype="Q4_K"))
    (tensor,) = json.loads(printed(capsys, "weights", path, *names, "--json"))["tensors"]
    assert tensor["unreadable"] == "Q4_K is not a type that seqtui knows"
    assert (tensor["stats"], tensor["values"]) == (None, None)
    text = printed(capsys, "weights", path, "--values")
    assert text.splitlines()[1].strip() == "Q4_K is not a type that seqtui knows"


# What is fed


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ("1,3,32,32", (1, 3, 32, 32), "float32"),
        (" (4x12) :int64", (4, 12), "int64"),
        (f"{2**63 - 1}", (2**63 - 1,), "float32"),
        (",".join(["1"] * 64), (1,) * 64, "float32"),
    ],
    ids=["usual", "words", "largest", "deepest"],
)
def test_an_input_is_read_and_written(text: str, shape: tuple[int, ...], dtype: str) -> None:
    given = InputSpec("input", shape, dtype)
    assert parse_input(text) == given
    assert parse_input(input_text(given)) == given


@pytest.mark.parametrize(
    "text",
    [",".join(["4000000000000000000"] * 20), f"{2**63}", f"{2**62},2", ",".join(["1"] * 65), f"0,{2**63}"],
    ids=["many", "one", "product", "deep", "beside_nothing"],
)
def test_an_input_beyond_counting_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="more than torch can hold in one tensor"):
        parse_input(text)


@pytest.mark.parametrize("verb", ["summary", "open"])
def test_an_input_of_tensors_without_an_order_is_a_note(
    verb: str, wrapped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = "note: an input shape says nothing here: the file holds tensors, not layers in order"
    usual = printed(capsys, "summary", wrapped)
    assert printed(capsys, verb, wrapped, "--input", "1,4") == f"{usual}{note}\n"


# What is selected


def test_a_name_as_the_file_has_it_selects_what_it_is_called_in_the_model(wrapped: Path) -> None:
    workspace = Workspace(open_model(str(wrapped)))
    workspace.close()
    for name in ("0.weight", "module.0.weight"):
        assert path_in(workspace.view, name) == "0.weight"
    for name in ("module.", "module", "module.0.wait"):
        with pytest.raises(UsageError, match="no layer or tensor is called"):
            path_in(workspace.view, name)


def test_open_starts_on_a_name_of_the_file(wrapped: Path) -> None:
    with Terminal(seqtui("open", wrapped, "--select", "module.0.bias")) as terminal:
        terminal.sees("bias")
        terminal.press("q")
        assert terminal.ends() == 0


def test_depth_is_said_to_be_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "levels of layers in the table" in " ".join(printed(capsys, "summary", "--help").split())
