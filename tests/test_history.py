"""Undo and redo: without end, exact, and cheap."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest
from edited import model_of, paths
from torch import nn

from seqtui.errors import EditError
from seqtui.model.edit import Edit
from seqtui.model.edits import Batch, parse_edit, parse_edits
from seqtui.model.history import History
from seqtui.model.spec import LayerSpec, ModelSpec


def edit(line: str) -> Edit:
    parsed = parse_edit(line)
    assert parsed is not None
    return parsed


@pytest.fixture
def start() -> ModelSpec:
    return model_of(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)))


def test_undo_goes_back_and_redo_forth_to_the_very_same_models(start: ModelSpec) -> None:
    history = History(start)
    models = [start]
    for line in ("remove 1", "copy 0 _", "rename 0 a", "fill a zeros"):
        history = history.do(edit(line))
        models.append(history.model)
    for model in reversed(models[:-1]):
        history = history.undo()
        assert history.model is model
    assert history.undo() == history
    for model in models[1:]:
        history = history.redo()
        assert history.model is model
    assert history.redo() == history


def test_what_was_done_can_be_read_in_its_order(start: ModelSpec) -> None:
    lines = ["remove 1", "copy 0 _", "rename 0 a"]
    history = History(start)
    for line in lines:
        history = history.do(edit(line))
    assert [str(step.edit) for step in history.done] == lines
    back = history.undo().undo()
    assert [str(step.edit) for step in back.done] == lines[:1]
    assert [str(step.edit) for step in back.undone] == lines[1:]


def test_a_new_edit_ends_what_could_be_redone(start: ModelSpec) -> None:
    history = History(start).do(edit("remove 1")).undo().do(edit("remove 0"))
    assert not history.undone
    assert history.redo() is history
    assert history.undo().model is start


def test_an_edit_that_cannot_apply_leaves_the_history_as_it_was(start: ModelSpec) -> None:
    history = History(start).do(edit("remove 1")).undo()
    with pytest.raises(EditError):
        history.do(edit("remove 9"))
    assert history.model is start
    assert len(history.undone) == 1


def test_several_edits_as_one_step_are_undone_as_one(start: ModelSpec) -> None:
    step = Batch(tuple(parse_edits(["remove 1", "insert _ Tanh last", "rename 0 first"])))
    history = History(start).do(step)
    assert paths(history.model) == ["first", "1", "2"]
    assert history.undo().model is start


def test_a_thousand_steps_and_back(start: ModelSpec) -> None:
    history = History(start)
    for _ in range(500):
        history = history.do(edit("insert _ ReLU first")).do(edit("move 1 up"))
    assert len(history.model.layers) == 503
    while history.done:
        history = history.undo()
    assert history.model is start
    assert len(history.undone) == 1000


@pytest.mark.parametrize(
    ("name", "line", "limit"),
    [
        ("layer{}", "rename layer9999 head", 200_000),
        ("layer{}", "insert x Linear in_features=2 out_features=2 before layer5000", 200_000),
        ("layer{}", "set layer5000 out_features=3", 200_000),
        ("layer{}", "remove layer0 layer9999", 200_000),
        ("layer{}", "move layer9999 first", 200_000),
        ("{}", "insert _ ReLU first", 4_000_000),
    ],
)
@pytest.mark.parametrize("tied", [{}, {"weight": "layer0.weight"}], ids=["", "tied"])
def test_a_step_in_a_model_of_ten_thousand_layers_takes_little_memory(
    name: str, line: str, limit: int, tied: dict[str, str]
) -> None:
    one = model_of(nn.Sequential(nn.Linear(2, 2))).layers[0]
    layers = [replace(one, name=name.format(number)) for number in range(10_000)]
    layers[-1] = replace(layers[-1], tied=tied)
    history = History(ModelSpec(LayerSpec("", "Sequential", layers=tuple(layers))))
    step = edit(line)
    history.do(step)  # what is made once for all stays out of the measure
    tracemalloc.start()
    history = history.do(step)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < limit
