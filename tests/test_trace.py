"""What torch says of shapes, layer by layer, judged by real tensors on the CPU."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_networks import random_network
from running import edited, subject_of, without_inputs
from torch import Tensor, nn

from seqtui.engine.requests import Trace, Traced
from seqtui.engine.trace import trace
from seqtui.engine.workbench import Workbench
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import LayerSpec, ModelSpec

torch.set_num_threads(1)


def traced(model: ModelSpec) -> dict[str, Traced]:
    """By path, in order."""
    return {step.path: step for step in trace(Trace(model), Workbench())}


def model_of(net: nn.Sequential, tmp_path: Path, *shape: int) -> ModelSpec:
    return subject_of(net, tmp_path / "net.safetensors", shape).model


@pytest.mark.parametrize("seed", range(12))
def test_shapes_are_those_of_real_tensors(seed: int, tmp_path: Path) -> None:
    net, x = random_network(seed)
    model = subject_of(net, tmp_path / "net.safetensors", tuple(x.shape), str(x.dtype).removeprefix("torch.")).model
    judged: dict[str, tuple[int, ...]] = {}

    def note(path: str, output: Tensor) -> None:
        judged[path] = tuple(output.shape)

    for path, module in net.named_modules(remove_duplicate=False):
        module.register_forward_hook(lambda _, __, output, path=path: note(path, output))
    net.eval()(x)
    steps = traced(model)
    assert {path: step.leaving[0].shape for path, step in steps.items()} == {path: judged[path] for path in steps}
    assert list(steps) == ["", *(path for path, _ in model.walk())]


def test_a_tuple_is_told_whole(tmp_path: Path) -> None:
    steps = traced(model_of(nn.Sequential(nn.LSTM(3, 4, num_layers=2, batch_first=True)), tmp_path, 5, 7, 3))
    signals = (Signal((5, 7, 4), "float32"), Signal((2, 5, 4), "float32"), Signal((2, 5, 4), "float32"))
    assert steps == {"": Traced("", signals), "0": Traced("0", signals)}


def test_the_walk_ends_at_the_layer_that_raises(tmp_path: Path) -> None:
    net = nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(3, 4), block=nn.Sequential(nn.ReLU(), nn.Linear(5, 2), nn.ReLU()), fc2=nn.Linear(2, 2)
        )
    )
    steps = traced(model_of(net, tmp_path, 1, 3))
    assert list(steps) == ["", "fc1", "block", "block.0", "block.1"]
    assert "[1, 4] X [5, 2]" in steps["block.1"].message
    assert [step.path for step in steps.values() if not step.leaving] == ["", "block", "block.1"]
    assert [step.path for step in steps.values() if step.message] == ["block.1"]


def test_edits_that_are_not_saved_are_traced(tmp_path: Path) -> None:
    subject = subject_of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), tmp_path / "net.safetensors", (1, 3))
    changed = edited(
        subject, "set 0 out_features=9", "set 1 in_features=9", "insert _ Unflatten dim=1 unflattened_size=(1,2) last"
    )
    assert traced(changed.model)["2"].leaving == (Signal((1, 1, 2), "float32"),)
    off = edited(subject, "disable 0 1")
    assert traced(off.model)["1"].leaving == (Signal((1, 3), "float32"),)


def test_what_cannot_be_built_says_why(tmp_path: Path) -> None:
    model = model_of(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), tmp_path, 1, 3)
    unknown = replace(model.root, layers=(LayerSpec("x", "Wavelet"), *model.layers))
    assert traced(replace(model, root=unknown)) == {
        "": Traced("", ()),
        "x": Traced("x", (), "x is a Wavelet, which is no layer of torch.nn"),
    }


def test_nothing_is_said_where_nothing_says_what_goes_in(tmp_path: Path) -> None:
    subject = subject_of(nn.Sequential(nn.ReLU()), tmp_path / "net.safetensors", (1, 3))
    assert traced(without_inputs(subject).model) == {}
    guessed = replace(subject.model, root=replace(subject.model.root, origin="guessed"))
    assert traced(guessed) == {}
