"""Layers of a large file are made when somebody looks, and are then what they would have been at once."""

from __future__ import annotations

import pickle

import pytest

from seqtui.model import guess
from seqtui.model.guess import guess_model
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import Deferred, ModelSpec
from seqtui.model.tensors import TensorInfo, TensorTable
from seqtui.tui.branches import Branches

BLOCKS = 150


def tensors() -> list[TensorInfo]:
    """A checkpoint of blocks, the statistics of a norm and a tensor that belongs to no layer among them."""
    infos = [TensorInfo("model.scale", "F32", (), 4), TensorInfo("model.embed.weight", "BF16", (10, 4), 80)]
    for index in range(BLOCKS):
        start = f"model.layers.{index}."
        infos += [
            TensorInfo(f"{start}attn.q.weight", "F32", (4, 4), 64),
            TensorInfo(f"{start}attn.q.bias", "F32", (4,), 16),
            TensorInfo(f"{start}norm.weight", "F32", (4,), 16),
            TensorInfo(f"{start}norm.bias", "F32", (4,), 16),
            TensorInfo(f"{start}norm.running_mean", "F32", (4,), 16),
            TensorInfo(f"{start}norm.running_var", "F32", (4,), 16),
            TensorInfo(f"{start}norm.num_batches_tracked", "I64", (), 8),
            TensorInfo(f"{start}mlp.0.weight", "F16", (4, 4), 32),
            TensorInfo(f"{start}mlp.2.weight", "F16", (4, 4), 32),
        ]
    return infos


@pytest.fixture
def deferred() -> ModelSpec:
    return guess_model(TensorTable.of(tensors()), "file", {})[0]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    monkeypatch.setattr(guess, "AT_ONCE", 10**9)
    return guess_model(TensorTable.of(tensors()), "file", {})[0]


def test_nothing_is_made_before_it_is_looked_at(deferred: ModelSpec) -> None:
    inside = deferred.layer("model").layers
    assert isinstance(inside, Deferred)
    assert len(inside) == 2
    assert not inside.is_made


def test_what_is_made_is_what_would_have_been_made_at_once(deferred: ModelSpec, made: ModelSpec) -> None:
    assert not isinstance(made.layer("model").layers, Deferred)
    assert list(deferred.walk()) == list(made.walk())
    assert deferred == made


def test_pickled_they_are_plain_layers(deferred: ModelSpec, made: ModelSpec) -> None:
    again = pickle.loads(pickle.dumps(deferred))
    assert isinstance(again.layer("model").layers, tuple)
    assert again == made


def test_counts_are_known_before_anything_is_made(deferred: ModelSpec, made: ModelSpec) -> None:
    quick, full = infer_shapes(deferred), infer_shapes(made)
    inside = deferred.layer("model").layers
    assert isinstance(inside, Deferred)
    assert not inside.is_made
    assert quick.total == full.total
    for path, layer in deferred.walk():
        assert quick.info(path, layer) == full.infos[path]


def test_a_way_that_does_not_fork_is_open_at_first(deferred: ModelSpec) -> None:
    paths = [row.path for row in Branches(deferred).rows]
    assert paths[:6] == ["", "model", "model.scale", "model.embed", "model.layers", "model.layers.0"]
    assert len(paths) == 5 + BLOCKS


def test_all_can_be_found_and_opened(deferred: ModelSpec) -> None:
    branches = Branches(deferred)
    index = branches.reveal(f"model.layers.{BLOCKS - 1}.mlp.2.weight")
    assert index is not None
    assert branches.rows[index].tensor is not None
    branches.set_all(is_open=True)
    assert sum(row.tensor is not None for row in branches.rows) == len(tensors())
