"""What becomes of the weights: kept, resized around what was there, made anew or left out; and the plan of it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
from edited import checkpoint, done, model_of, refused, tensors, tied
from torch import nn

from seqtui.engine.arguments import named_tensors, new_layer
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.tensors import NewTensor, TensorInfo, TensorRef
from seqtui.model.weights_kept import COUNTER, Planned, expected_tensors, floating_dtype, seed_of, weights_plan
from seqtui.plan_text import plan_totals


def net() -> ModelSpec:
    return model_of(
        nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), fc=nn.Linear(8, 6), act=nn.ReLU()))
    )


def plan(*lines: str) -> dict[str, Planned]:
    return {row.name: row for row in weights_plan(net(), done(net(), *lines))}


def kept(model: ModelSpec, name: str) -> tuple[str, tuple[int, ...]] | None:
    """The tensor of the file of which something is kept, and how much of each dimension; None where nothing is."""
    tensor = tensors(model)[name]
    if isinstance(tensor.ref, TensorRef):
        return tensor.ref.name, tensor.shape
    assert isinstance(tensor.ref, NewTensor)
    return (tensor.ref.keep.name, tensor.ref.kept) if tensor.ref.keep else None


def from_file(source_id: str, model: ModelSpec) -> ModelSpec:
    """The model as it lies in another file."""

    def moved(layer: LayerSpec) -> LayerSpec:
        kept = tuple(item._replace(ref=TensorRef(source_id, item.stored.name)) for item in layer.tensors if item.stored)
        return replace(layer, tensors=kept, layers=tuple(map(moved, layer.layers)))

    return replace(model, root=moved(model.root))


# The plan


def test_a_model_as_it_was_opened_keeps_everything() -> None:
    rows = weights_plan(net(), net())
    assert [row.name for row in rows] == list(tensors(net()))
    assert {row.action for row in rows} == {"keep"}
    assert all(row.source == row.name and row.num_new == 0 for row in rows)


def test_a_renamed_or_moved_layer_is_kept_from_where_it_lay() -> None:
    row = plan("rename fc head", "move head first")["head.weight"]
    assert row == Planned("head.weight", "keep", "fc.weight", (6, 8), 48, 0)


def test_widening_keeps_the_block_and_counts_the_rest() -> None:
    rows = plan("set fc out_features=10")
    assert rows["fc.weight"] == Planned("fc.weight", "resize", "fc.weight", (10, 8), 48, 32)
    assert rows["fc.bias"] == Planned("fc.bias", "resize", "fc.bias", (10,), 6, 4)


def test_narrowing_keeps_what_is_left_and_makes_nothing() -> None:
    rows = plan("set conv out_channels=2 in_channels=5 kernel_size=(3, 1)")
    assert rows["conv.weight"] == Planned("conv.weight", "resize", "conv.weight", (2, 5, 3, 1), 18, 12, 90)
    assert plan("set fc out_features=2")["fc.weight"] == Planned("fc.weight", "resize", "fc.weight", (2, 8), 16, 0, 32)
    assert plan("set fc out_features=2", "cast fc f64")["fc.weight"].action == "resize"


def test_fresh_keeps_nothing_of_what_changes_its_shape() -> None:
    rows = plan("set fc in_features=9 fresh seed=4")
    assert rows["fc.weight"] == Planned("fc.weight", "fresh", "", (6, 9), 0, 54, 48)
    assert rows["fc.bias"].action == "keep"
    assert tensors(done(net(), "set fc in_features=9 fresh seed=4"))["fc.weight"].ref == NewTensor(4)


def test_what_is_removed_or_no_longer_asked_for_is_dropped_and_told_last() -> None:
    rows = weights_plan(net(), done(net(), "remove norm", "set fc bias=False"))
    assert [(row.name, row.action) for row in rows] == [
        ("conv.weight", "keep"),
        ("conv.bias", "keep"),
        ("fc.weight", "keep"),
        *((f"norm.{name}", "drop") for name in ("weight", "bias", "running_mean", "running_var", COUNTER)),
        ("fc.bias", "drop"),
    ]
    assert rows[-1] == Planned("fc.bias", "drop", "fc.bias", (6,), 0, 0, 6)


def test_a_name_taken_over_by_another_layer_tells_both() -> None:
    rows = weights_plan(net(), done(net(), "remove conv", "rename fc conv"))
    assert [(row.action, row.source) for row in rows if row.name == "conv.weight"] == [
        ("keep", "fc.weight"),
        ("drop", "conv.weight"),
    ]


def test_the_original_removed_and_its_copy_kept_drops_nothing() -> None:
    rows = plan("copy fc fc2", "remove fc")
    assert rows["fc2.weight"].source == "fc.weight"
    assert "fc.weight" not in rows


def test_what_an_undo_takes_out_of_an_earlier_file_is_kept_and_not_dropped_too() -> None:
    saved = from_file("saved", done(net(), "remove norm"))
    rows = weights_plan(saved, net())
    assert {row.action for row in rows} == {"keep"}
    assert len(rows) == len(tensors(net()))


def test_a_new_layer_and_a_fill_are_fresh() -> None:
    rows = plan("insert extra Linear in_features=6 out_features=5 last", "fill conv zeros")
    assert rows["extra.weight"] == Planned("extra.weight", "fresh", "", (5, 6), 0, 30)
    assert rows["conv.weight"] == Planned("conv.weight", "fresh", "", (4, 3, 3, 3), 0, 108, 108)


def test_a_tensor_that_the_file_should_have_and_lacks_is_made() -> None:
    model = ModelSpec(
        LayerSpec("", "Sequential", layers=(LayerSpec("fc", "Linear", {}, (TensorInfo("weight", "F32", (2, 2), 16),)),))
    )
    assert weights_plan(model, model) == [Planned("fc.weight", "fresh", "", (2, 2), 0, 4)]


def test_what_a_copy_still_holds_is_not_lost() -> None:
    rows = plan("copy fc fc2", "set fc out_features=2")
    assert [rows[name].num_lost for name in ("fc.weight", "fc2.weight")] == [0, 0]
    both = plan("copy fc fc2", "set fc out_features=2", "set fc2 out_features=3")
    assert sum(row.num_lost for row in both.values()) == 24 + 3  # of 6 rows and biases, 3 are kept


def test_numbers_that_are_shared_are_told_of_once() -> None:
    """Three layers of `tied` share one weight of 16 elements."""
    whole = weights_plan(tied(), tied())
    assert [row.name for row in whole if row.shared_with == "a.weight"] == ["block.1.weight", "c.weight"]
    assert plan_totals(whole) == "weights: 6 kept, 2 tied · 48 elements kept, 0 new"
    less = {row.name: row for row in weights_plan(tied(), done(tied(), "remove c"))}
    assert less["c.weight"] == Planned("c.weight", "drop", "c.weight", (4, 4), 0, 0, 0, "a.weight")
    assert less["c.bias"] == Planned("c.bias", "drop", "c.bias", (4,), 0, 0, 4)
    gone = weights_plan(tied(), done(tied(), "remove a block c"))
    assert sum(row.num_lost for row in gone) == 16 + 3 * 4


def test_an_untied_tensor_says_of_whom() -> None:
    rows = {row.name: row for row in weights_plan(tied(), done(tied(), "untie c.weight"))}
    assert rows["c.weight"] == Planned("c.weight", "keep", "c.weight", (4, 4), 16, 0, 0, "", "a.weight")
    assert [row.name for row in rows.values() if row.untied_from] == ["c.weight"]
    assert rows["block.1.weight"].shared_with == "a.weight"


# Chains


def test_a_chain_of_sets_keeps_the_smallest_block() -> None:
    shrunk = done(net(), "set fc out_features=4", "set fc out_features=12 in_features=3", "set fc in_features=9")
    assert tensors(shrunk)["fc.weight"].shape == (12, 9)
    assert kept(shrunk, "fc.weight") == ("fc.weight", (4, 3))
    assert kept(done(net(), "set fc out_features=12", "set fc out_features=6"), "fc.weight") == ("fc.weight", (6, 8))


def test_fresh_in_a_chain_is_the_end_of_what_was_kept() -> None:
    assert kept(done(net(), "set fc out_features=9 fresh", "set fc out_features=6"), "fc.weight") is None


def test_a_set_after_a_fill_fills_more() -> None:
    after = done(net(), "fill fc.bias zeros seed=1", "set fc out_features=9 seed=2")
    assert tensors(after)["fc.bias"].ref == NewTensor(2, "zeros")


def test_a_set_after_a_cast_keeps_the_block_in_the_new_type() -> None:
    after = done(net(), "cast fc bf16", "set fc out_features=9 bias=False", "set fc bias=True")
    assert kept(after, "fc.weight") == ("fc.weight", (6, 8))
    assert [(tensor.dtype, tensor.nbytes) for tensor in after.layer("fc").tensors] == [("BF16", 144), ("BF16", 18)]


def test_a_cast_after_a_set_keeps_the_block_too_and_changes_the_bytes() -> None:
    after = done(net(), "set fc out_features=9", "cast fc f64")
    assert kept(after, "fc.weight") == ("fc.weight", (6, 8))
    assert tensors(after)["fc.weight"].nbytes == 9 * 8 * 8
    assert plan("cast fc f64")["fc.weight"] == Planned("fc.weight", "keep", "fc.weight", (6, 8), 48, 0)


def test_a_cast_to_the_same_type_is_nothing() -> None:
    assert done(net(), "cast fc f32") == net()


def test_a_block_of_nothing_and_another_number_of_dimensions_are_made_anew() -> None:
    assert kept(done(net(), "set fc out_features=0", "set fc out_features=6"), "fc.weight") is None
    assert kept(done(net(), "replace conv Conv1d kernel_size=3"), "conv.weight") is None
    assert kept(done(net(), "replace conv Conv1d kernel_size=3"), "conv.bias") == ("conv.bias", (4,))


def test_a_copy_of_a_new_layer_is_made_with_the_same_numbers() -> None:
    after = tensors(done(net(), "insert x Linear in_features=2 out_features=2 last", "copy x y"))
    assert after["x.weight"] == after["y.weight"]


# Seeds and types


def test_a_seed_follows_from_path_and_text_and_may_be_said() -> None:
    one, same = (done(net(), "set fc out_features=9") for _ in range(2))
    assert one == same
    assert tensors(one)["fc.weight"].ref == NewTensor(
        seed_of("fc", "set fc out_features=9"), keep=TensorRef("net", "fc.weight"), kept=(6, 8)
    )
    assert seed_of("a", "x") != seed_of("b", "x") != seed_of("b", "y")
    said = tensors(done(net(), "set fc out_features=9 seed=3"))["fc.bias"].ref
    assert isinstance(said, NewTensor)
    assert said.seed == 3


def test_new_numbers_have_the_type_of_their_layer_then_of_the_model() -> None:
    mixed = done(net(), "cast fc f16")
    assert tensors(done(mixed, "set fc bias=False", "set fc bias=True"))["fc.bias"].dtype == "F16"
    assert floating_dtype(mixed) == "F32"
    assert floating_dtype(done(net(), "cast conv f16")) == "F16"
    assert floating_dtype(ModelSpec(LayerSpec("", "Sequential"))) == "F32"
    assert floating_dtype(checkpoint({"a.b": (1,), "c.d": (1,)}, {"a.b": "F8_E4M3", "c.d": "BF16"})) == "BF16"


def test_numbers_that_torch_does_not_make_keep_their_shape() -> None:
    model = net()
    packed = model.layer("fc").tensors[0]._replace(dtype="I8", nbytes=48)
    fc = replace(model.layer("fc"), tensors=(packed, *model.layer("fc").tensors[1:]))
    quantised = ModelSpec(LayerSpec("", "Sequential", layers=(fc,)))
    assert refused(quantised, "set fc out_features=9") == (
        "fc.weight is of type I8 that torch makes none of, so its shape must stay"
    )
    assert tensors(done(quantised, "set fc bias=False"))["fc.weight"] == packed


# What torch gives


KINDS: dict[str, dict[str, Value]] = {
    "Linear": {"in_features": 3, "out_features": 4, "bias": False},
    "ConvTranspose2d": {"in_channels": 4, "out_channels": 6, "kernel_size": (2, 3), "groups": 2},
    "BatchNorm1d": {"num_features": 3},
    "InstanceNorm2d": {"num_features": 3, "track_running_stats": True},
    "GRU": {"input_size": 3, "hidden_size": 2, "num_layers": 2, "bidirectional": True},
    "Embedding": {"num_embeddings": 5, "embedding_dim": 2},
    "PReLU": {"num_parameters": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_expected_tensors_are_those_of_torch(kind: str) -> None:
    assert kind in catalogue()
    expected = {name: tuple(tensor.shape) for name, tensor, _ in named_tensors(new_layer(kind, KINDS[kind]))}
    assert expected_tensors("x", kind, KINDS[kind]) == expected
