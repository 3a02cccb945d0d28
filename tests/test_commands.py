"""The keys that edit as functions: of what is selected, to an edit. `.` does the last one again elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
from edited import model_of
from torch import nn

from seqtui.errors import EditError
from seqtui.model.edits import Batch, parse_edits
from seqtui.model.infer import infer_shapes
from seqtui.model.layer_names import free_copy_name
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.rows import model_row, rows_below
from seqtui.tui.commands import Selection, again


def net() -> ModelSpec:
    convolutions = OrderedDict(
        conv1=nn.Conv2d(3, 8, 3, padding=1),
        norm1=nn.BatchNorm2d(8),
        conv2=nn.Conv2d(8, 8, 3, padding=1),
        norm2=nn.BatchNorm2d(8),
        flatten=nn.Flatten(),
        fc1=nn.Linear(128, 10),
    )
    return replace(model_of(nn.Sequential(convolutions)), inputs=(InputSpec("input", (1, 3, 4, 4)),))


def at(path: str, model: ModelSpec | None = None) -> Selection:
    """The cursor on a layer."""
    model = model or net()
    rows = rows_below(model_row(model), lambda _: True)
    return Selection(model, next(row for row in rows if row.path == path))


def repeated(lines: str, path: str) -> list[str]:
    """What `.` does at a layer after a step of some edits."""
    edits = parse_edits(lines.split("; "))
    return str(again(edits[0] if len(edits) == 1 else Batch(tuple(edits)), at(path))).split("\n")


@pytest.mark.parametrize(
    ("line", "path", "again"),
    [
        ("disable fc1", "conv1", "disable conv1"),
        ("set conv1 bias=False", "conv2", "set conv2 bias=False"),
        ("fix conv1", "fc1", "fix fc1"),
        ("move conv1 down", "conv2", "move conv2 down"),
        ("insert relu1 ReLU after conv1", "norm2", "insert relu1 ReLU after norm2"),
        ("insert conv1 ReLU after conv1", "norm2", "insert conv3 ReLU after norm2"),
    ],
)
def test_the_last_edit_is_done_at_the_layer_under_the_cursor(line: str, path: str, again: str) -> None:
    assert repeated(line, path) == [again]


def test_a_change_that_was_mended_is_mended_where_it_is_repeated() -> None:
    lines = "set conv1 out_channels=16; set norm1 num_features=16; set conv2 in_channels=16"
    found = repeated(lines, "conv2")
    assert found == ["set conv2 out_channels=16", "set norm2 num_features=16", "set fc1 in_features=256"]
    assert not infer_shapes(Batch(tuple(parse_edits(found))).apply(net())).problems


def test_a_change_that_breaks_nothing_where_it_is_repeated_comes_alone() -> None:
    lines = "insert flatten1 Flatten after conv1; set fc1 in_features=128"
    assert repeated(lines, "norm2") == ["insert flatten1 Flatten after norm2"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("rename conv1 a", "rename was the last edit, and it is not about one layer, so it cannot be repeated"),
        ("disable conv1; remove conv2; remove fc1", "the last step was 3 edits at once, which cannot be repeated"),
        ("set conv1 bias=False; remove conv2", "the last step was 2 edits at once"),
    ],
)
def test_what_cannot_be_repeated_says_why(lines: str, words: str) -> None:
    with pytest.raises(EditError, match=words):
        repeated(lines, "fc1")


@pytest.mark.parametrize(
    ("there", "wanted", "taken", "name"),
    [
        (["conv1"], "conv2", [], "conv2"),
        (["conv1", "conv2"], "conv1", [], "conv3"),
        (["conv1", "conv2"], "conv1", ["conv3"], "conv4"),
        (["fc"], "fc", [], "fc2"),
        (["7", "a"], "7", [], "7_2"),
        (["0", "1"], "conv1", [], "_"),
        ([], "conv1", [], "conv1"),
    ],
)
def test_free_name_of_a_copy(there: list[str], wanted: str, taken: list[str], name: str) -> None:
    assert free_copy_name([LayerSpec(each) for each in there], wanted, taken) == name
