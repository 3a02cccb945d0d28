"""The verbs of tensors, ties included, and what can be done in a checkpoint that is no Sequential."""

from __future__ import annotations

import pytest
from edited import checkpoint, done, named, nested, opaque, paths, refused, sources, tensors, tied, ties

from seqtui.model.tensors import NewTensor
from seqtui.model.tree import Glob, expanded, tensor_paths

# Tensors


def test_fill_makes_parameters_anew_and_leaves_what_it_cannot_fill() -> None:
    after = done(named(), "fill conv1 kaiming_normal seed=5")
    assert tensors(after)["conv1.weight"].ref == NewTensor(5, "kaiming_normal")
    assert tensors(after)["conv1.bias"] == tensors(named())["conv1.bias"]
    after = done(named(), "fill bn1 zeros")
    assert sorted(sources(named()).keys() - sources(after).keys()) == ["bn1.bias", "bn1.weight"]
    after = done(named(), "fill bn1 default")
    assert all(isinstance(tensor.ref, NewTensor) for tensor in after.layer("bn1").tensors)


def test_fill_of_many_layers_gives_each_its_own_seed() -> None:
    for line in ("fill ** default", "fill ** default seed=7"):
        refs = {path: {tensor.ref for tensor in layer.tensors} for path, layer in done(named(), line).walk()}
        seeds = [ref.seed for own in refs.values() for ref in own if isinstance(ref, NewTensor)]
        assert len(seeds) == len(set(seeds)) == 4
        assert "seed" not in line or sorted(seeds) == [7, 8, 9, 10]


def test_fill_of_a_tensor_by_name_may_be_of_whole_numbers() -> None:
    after = done(named(), "fill bn1.num_batches_tracked zeros seed=1")
    assert tensors(after)["bn1.num_batches_tracked"].ref == NewTensor(1, "zeros")


def test_cast_of_a_layer_leaves_its_counters_and_of_a_tensor_does_as_told() -> None:
    after = done(named(), "cast bn1 bf16")
    assert {tensor.name: tensor.dtype for tensor in after.layer("bn1").tensors} == {
        **dict.fromkeys(["weight", "bias", "running_mean", "running_var"], "BF16"),
        "num_batches_tracked": "I64",
    }
    assert tensors(done(named(), "cast bn1.num_batches_tracked int32"))["bn1.num_batches_tracked"].nbytes == 4
    assert {tensor.dtype for tensor in tensors(done(named(), "cast ** f16")).values()} == {"F16", "I64"}


# Tied tensors


def test_ties_follow_every_change_of_place() -> None:
    start = tied()
    assert ties(start) == [["a.weight", "block.1.weight", "c.weight"]]
    for lines, expected in {
        ("rename a first",): ["first.weight", "block.1.weight", "c.weight"],
        ("rename block b", "rename b.1 fc"): ["a.weight", "b.fc.weight", "c.weight"],
        ("remove block.0",): ["a.weight", "block.0.weight", "c.weight"],
        ("remove a",): ["block.1.weight", "c.weight"],
        ("move a last",): ["block.1.weight", "c.weight", "a.weight"],
        ("insert _ Tanh first in block",): ["a.weight", "block.2.weight", "c.weight"],
        ("group a block g",): ["g.a.weight", "g.block.1.weight", "c.weight"],
        ("ungroup block",): ["a.weight", "1.weight", "c.weight"],
        ("copy a e", "copy block f"): ["a.weight", "block.1.weight", "c.weight"],
        ("untie a.weight",): ["block.1.weight", "c.weight"],
        ("untie c.weight",): ["a.weight", "block.1.weight"],
    }.items():
        after = done(start, *lines)
        assert ties(after) == [expected]
        owner, *others = expected
        assert all(after.layer(other.rpartition(".")[0]).tied == {"weight": owner} for other in others)
        assert not after.layer(owner.rpartition(".")[0]).tied


def test_what_is_left_alone_is_tied_to_nothing() -> None:
    for line in ("remove a block", "remove block c"):
        after = done(tied(), line)
        assert ties(after) == []
        assert not any(layer.tied for _, layer in after.walk())
    assert ties(done(tied(), "untie a.weight", "untie c.weight")) == []


def test_untied_tensors_keep_their_numbers() -> None:
    assert sources(done(tied(), "untie block.1.weight")) == sources(tied())


def test_tensors_that_are_one_change_as_one() -> None:
    for line in ("fill c.weight normal seed=1", "fill block.1 normal", "cast block f16", "fill ** ones"):
        after = tensors(done(tied(), line))
        one, *others = (after[name] for name in ties(tied())[0])
        assert all(other.dtype == one.dtype for other in others)
        assert all(other.ref == one.ref for other in others) or line == "cast block f16"
        assert one != tensors(tied())["a.weight"]
        assert ("d.weight" in line or "**" in line) == (after["d.weight"] != tensors(tied())["d.weight"])
    frozen = done(tied(), "freeze c.weight")
    assert [path for path, layer in frozen.walk() if "weight" in layer.frozen] == ["a", "block.1", "c"]
    assert done(frozen, "unfreeze a.weight") == tied()


def test_the_shape_of_a_tied_tensor_stays_until_it_is_untied() -> None:
    assert refused(tied(), "set c out_features=5") == "c.weight is one with a.weight, so its shape must stay"
    assert "is one with" in refused(tied(), "replace block.1 ReLU")
    assert "is one with" in refused(tied(), "set a in_features=5")
    after = done(tied(), "set c bias=False", "untie c.weight", "set c out_features=5")
    assert ties(after) == [["a.weight", "block.1.weight"]]


# Checkpoints that are no Sequential


def test_layers_and_tensors_of_any_checkpoint_are_renamed() -> None:
    after = done(opaque(), "rename model net", "rename net.scale gain", 'rename "a..b" "c d"', "rename net.fc proj")
    assert set(tensors(after)) == {
        *("net.proj.weight", "net.proj.bias", "net.conv.weight", "net.gain", "net.ids", "head.weight", "a.c d", "step")
    }
    assert sources(after)["net.gain"] == "model.scale"
    assert after.layer("net.proj").kind == "Linear"


def test_a_guess_is_made_anew_when_its_tensors_change() -> None:
    assert done(opaque(), "drop model.fc.bias").layer("model.fc").args == {
        "in_features": 3,
        "out_features": 4,
        "bias": False,
    }
    renamed = done(opaque(), "rename model.fc.weight kernel").layer("model.fc")
    assert (renamed.kind, renamed.origin, renamed.args) == (None, "opaque", {})


def test_tensors_of_any_checkpoint_are_filled_cast_and_dropped() -> None:
    after = done(opaque(), "fill model.scale ones seed=1", "cast model bf16", "drop head", "drop step", 'drop "a..b"')
    assert {name: tensor.dtype for name, tensor in tensors(after).items()} == {
        **dict.fromkeys(["model.fc.weight", "model.fc.bias", "model.conv.weight", "model.scale"], "BF16"),
        "model.ids": "I64",
    }
    assert tensors(after)["model.scale"].ref == NewTensor(1, "ones")
    assert paths(after) == ["model", "model.conv", "model.fc"]


def test_a_guessed_linear_or_convolution_takes_other_arguments() -> None:
    after = done(opaque(), "set model.fc out_features=6", "set model.conv kernel_size=5 bias=True")
    assert {name: tensor.shape for name, tensor in tensors(after).items() if name.startswith("model.")} == {
        "model.fc.weight": (6, 3),
        "model.fc.bias": (6,),
        "model.conv.weight": (8, 3, 5, 5),
        "model.conv.bias": (8,),
        "model.scale": (4,),
        "model.ids": (4,),
    }
    assert after.layer("model.fc").origin == "guessed"
    assert done(after, "fill model.fc default seed=2").layer("model.fc").tensors[0].ref == NewTensor(2)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("insert x ReLU first", "the layers of this file cannot be added, moved or removed: how they are connected"),
        ("remove model.fc", "the layers inside model cannot be added, moved or removed"),
        ("move head up", "the layers of this file cannot be"),
        ("group model.fc model.conv g", "the layers inside model cannot be"),
        ("disable head", "head cannot be switched on or off: only layers of a Sequential can"),
        ("replace model.fc ReLU", "model.fc is only guessed to be a Linear among unknown ones"),
        ("set model p=1", "model has no arguments that could be changed"),
        ("set model.conv stride=2", "no tensor of model.conv shows its stride, and this file has nothing else"),
        ("set model.conv kernel_size=5 padding=2", "no tensor of model.conv shows its padding"),
        ("input 1,3", "an input shape says nothing here"),
        ("fill model.scale default", "model.scale holds nothing that default could fill"),
        ("fill model.ids normal", "model.ids holds nothing that normal could fill"),
        ("rename model.scale fc.x", "a tensor cannot be called 'fc.x': it is empty or has a dot"),
        ("rename model.scale ids", "there is a tensor model.ids already"),
        ("rename model.nothing x", "there is no layer model.nothing, nor a tensor"),
        ("rename nothing.at.all x", "there is no layer nothing.at.all, nor a tensor"),
        ("cast step.x f16", "there is no tensor step.x, nor a layer of that name with tensors"),
    ],
)
def test_what_needs_an_order_is_refused_where_there_is_none(line: str, message: str) -> None:
    assert refused(opaque(), line).startswith(message)


def test_types_that_torch_cannot_convert_are_left_alone() -> None:
    model = checkpoint({"x.packed": (4, 4), "x.odd": (2,)}, {"x.packed": "F4", "x.odd": "MX9"})
    for line in ("cast x f16", "cast x.packed f16", "cast x.odd f16", "fill x.odd zeros", "fill x normal"):
        assert refused(model, line)


def test_a_guessed_layer_of_whole_numbers_keeps_its_shape() -> None:
    model = checkpoint({"fc.weight": (4, 4), "fc.bias": (4,)}, {"fc.weight": "I8"})
    assert refused(model, "set fc out_features=5")


# Choosing


def test_paths_are_expanded_in_the_order_of_the_model() -> None:
    assert expanded(nested(), ["head", "body.inner.1", "stem"]) == ["stem", "body.inner.1", "head"]
    assert expanded(nested(), [Glob("**.fc1"), "head", Glob("s*")]) == ["stem", "body.fc1", "head"]


def test_a_path_names_a_tensor_or_all_inside_a_layer() -> None:
    assert tensor_paths(nested(), "body.fc1.weight") == [("body.fc1", "weight")]
    assert len(tensor_paths(nested(), "body")) == 4
    assert len(tensor_paths(nested(), "")) == 8
    assert tensor_paths(nested(), Glob("**.inner.*.bias")) == [("body.inner.0", "bias")]


def test_a_name_that_is_leaf_and_branch_means_both() -> None:
    model = checkpoint({"fc.weight": (4, 4), "fc.weight.absmax": (1,)})
    assert tensor_paths(model, "fc.weight") == [("fc", "weight"), ("fc.weight", "absmax")]
