"""What is told of an edit before it is done is what comes about when it is done."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from edited import model_of
from torch import nn

from seqtui.draft import adding, changing, edit_of, replacing
from seqtui.errors import EditError
from seqtui.model.additions import addable, replaceable
from seqtui.model.content_edits import Set
from seqtui.model.edits import Batch, parse_edit
from seqtui.model.infer import infer_shapes
from seqtui.model.language import Place
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.outlook import cost_words, mended, outlook, weights_words

torch.set_num_threads(1)


def network() -> ModelSpec:
    layers = {
        "conv1": nn.Conv2d(1, 4, 3),
        "bn1": nn.BatchNorm2d(4),
        "conv2": nn.Conv2d(4, 8, 3),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(128, 10),
    }
    model = model_of(nn.Sequential(OrderedDict(layers)))
    return ModelSpec(model.root, (InputSpec("input", (1, 1, 8, 8)),))


def test_fixes_of_all_that_follows_are_one_step() -> None:
    model = network()
    inference = infer_shapes(model)
    found = outlook(model, inference, Set("conv1", {"out_channels": 6}))
    assert found.caused == ("bn1",)
    assert found.problem == "bn1 takes 4 channels, 6 arrive from conv1"
    fixed = mended(model, inference, found)
    assert fixed is not None
    assert isinstance(fixed.edit, Batch)
    assert str(fixed.edit) == "set conv1 out_channels=6\nset bn1 num_features=6\nset conv2 in_channels=6"
    assert fixed.caused == ()
    assert fixed.edit.apply(model) == fixed.model
    assert infer_shapes(fixed.model).infos == fixed.inference.infos


def test_what_breaks_nothing_needs_no_fix() -> None:
    model = network()
    inference = infer_shapes(model)
    found = outlook(model, inference, Set("fc1", {"out_features": 5}))
    assert found.caused == ()
    assert found.problem == ""
    assert mended(model, inference, found) is None


def test_what_cannot_be_done_is_refused() -> None:
    model = network()
    with pytest.raises(EditError, match="whole number"):
        outlook(model, infer_shapes(model), Set("fc1", {"out_features": "many"}))


@pytest.mark.parametrize(
    ("line", "path", "words"),
    [
        (
            "set fc1 out_features=9",
            "fc1",
            ["weight 10×128 → 9×128   1,152 kept, 128 lost", "bias 10 → 9   9 kept, 1 lost"],
        ),
        ("set conv2 kernel_size=4", "conv2", ["weight 8×4×3×3 → 8×4×4×4   288 kept, 224 new"]),
        (
            *("set fc1 out_features=12 fresh", "fc1"),
            ["weight 10×128 → 12×128   1,536 new, 1,280 lost", "bias 10 → 12   12 new, 10 lost"],
        ),
        ("set fc1 bias=False", "fc1", ["bias 10   dropped"]),
        ("set conv1 padding=1", "conv1", []),
        ("insert fc2 Linear in_features=10 out_features=2 last", "fc2", ["weight 2×10   20 new", "bias 2   2 new"]),
    ],
)
def test_what_becomes_of_the_weights_in_words(line: str, path: str, words: list[str]) -> None:
    model, edit = network(), parse_edit(line)
    assert edit is not None
    before = None if line.startswith("insert") else model.layer(path)
    assert weights_words(before, edit.apply(model).layer(path)) == words


def test_costs_in_words() -> None:
    model = network()
    inference = infer_shapes(model)
    found = outlook(model, inference, Set("conv2", {"kernel_size": 5}))
    was, now = inference.infos["conv2"], found.inference.infos["conv2"]
    assert cost_words(inference, found.inference, was, now) == [
        "parameters 1,634 → 2,146",
        "multiply-adds 7,184 → unknown",
        "activations 2.22 kB → unknown",
        "sees 5×5 → 7×7",
    ]
    assert cost_words(inference, inference, None, None)[0] == "parameters 1,634"


def test_a_new_layer_says_no_more_than_it_has_to() -> None:
    model = network()
    place = Place("after", "conv2")
    pool = next(item for item in addable(model, infer_shapes(model), place) if item.kind == "MaxPool2d")
    draft = adding(place, pool)
    args = {"kernel_size": 2, "stride": None, "padding": 0, "dilation": 1, "return_indices": False, "ceil_mode": True}
    assert str(edit_of(draft, "pool", args)) == "insert pool MaxPool2d kernel_size=2 ceil_mode=True after conv2"


def test_another_kind_says_what_it_would_not_keep() -> None:
    model = network()
    found = {item.kind: item for item in replaceable(model, infer_shapes(model), "conv2")}
    draft = replacing("conv2", model.layer("conv2"), found["ConvTranspose2d"])
    assert str(edit_of(draft, "", draft.args)) == "replace conv2 ConvTranspose2d"
    pool = replacing("conv2", model.layer("conv2"), found["MaxPool2d"])
    assert str(edit_of(pool, "", {"kernel_size": 2, "stride": 2})) == "replace conv2 MaxPool2d kernel_size=2 stride=2"
    with pytest.raises(EditError, match="groups"):
        edit_of(draft, "", {**draft.args, "groups": 3})


@pytest.mark.parametrize("kind", ["ConvTranspose2d", "MaxPool2d", "Linear", "BatchNorm2d", "Dropout2d", "Identity"])
def test_what_is_said_of_another_kind_comes_about(kind: str) -> None:
    model = network()
    found = {item.kind: item for item in replaceable(model, infer_shapes(model), "conv2")}[kind]
    draft = replacing("conv2", model.layer("conv2"), found)
    after = edit_of(draft, "", draft.args).apply(model)
    assert after.layer("conv2").kind == kind
    info = infer_shapes(after).infos["conv2"]
    assert (info.output_shape, info.num_params) == (found.output_shape, found.num_params)


def test_a_layer_without_arguments_cannot_be_changed() -> None:
    model = network()
    with pytest.raises(EditError, match="no layer conv9"):
        changing(model, "conv9")
    with pytest.raises(EditError, match="no arguments"):
        changing(model, "")
    assert changing(model, "fc1").args == {"in_features": 128, "out_features": 10}
