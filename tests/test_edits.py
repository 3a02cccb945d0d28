"""Every verb: a model in, a model out, weights following as references; and what is refused leaves all as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edited import (
    done,
    kinds,
    model_of,
    named,
    nested,
    numbered,
    opaque,
    paths,
    refused,
    sources,
    tensors,
    tied,
)
from torch import nn

from seqtui.errors import EditError
from seqtui.model.edits import Batch, parse_edits
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.tensors import NewTensor, TensorInfo, TensorRef

# Inserting, removing, moving


@pytest.mark.parametrize(
    ("place", "position"),
    [("before conv1", 0), ("after conv1", 1), ("after fc2", 8), ("first", 0), ("last", 8)],
)
def test_insert_puts_a_layer_at_its_place_and_leaves_the_others(place: str, position: int) -> None:
    before = named()
    after = done(before, f"insert gelu GELU approximate=tanh {place}")
    assert paths(after) == [*paths(before)[:position], "gelu", *paths(before)[position:]]
    assert after.layer("gelu") == LayerSpec("gelu", "GELU", {"approximate": "tanh"})
    assert sources(after) == sources(before)
    assert all(after.layer(path) is before.layer(path) for path in paths(before))


def test_an_inserted_layer_has_the_tensors_that_torch_gives_it_still_to_be_made() -> None:
    after = done(named(), "insert bn2 BatchNorm2d num_features=4 after relu1")
    expected = {name: tuple(tensor.shape) for name, tensor in nn.BatchNorm2d(4).state_dict().items()}
    own = after.layer("bn2").tensors
    assert {tensor.name: tensor.shape for tensor in own} == expected
    assert {tensor.name: tensor.dtype for tensor in own if tensor.dtype != "F32"} == {"num_batches_tracked": "I64"}
    assert len({tensor.ref for tensor in own}) == 1
    assert isinstance(own[0].ref, NewTensor)


def test_new_weights_have_the_type_of_those_that_are_there() -> None:
    half = model_of(nn.Sequential(nn.ReLU(), nn.Linear(2, 2).half()))
    after = done(half, "insert _ Linear in_features=2 out_features=2 last")
    assert {tensor.dtype for tensor in after.layer("2").tensors} == {"F16"}


def test_a_numbered_sequential_is_numbered_again_and_tensor_names_follow() -> None:
    after = done(numbered(), "insert _ Dropout p=0.1 after 0")
    assert kinds(after) == {"0": "Linear", "1": "Dropout", "2": "ReLU", "3": "Linear", "4": "Tanh", "5": "Linear"}
    assert sources(after)["3.weight"] == "2.weight"
    after = done(after, "remove 0 2", "move 3 first")
    assert list(kinds(after).values()) == ["Linear", "Dropout", "Linear", "Tanh"]
    assert sources(after) == {"0.weight": "4.weight", "0.bias": "4.bias", "2.weight": "2.weight", "2.bias": "2.bias"}


def test_a_number_in_a_numbered_sequential_is_a_place_like_any() -> None:
    assert paths(done(numbered(), "insert 99 ReLU first")) == ["0", "1", "2", "3", "4", "5"]


def test_a_name_in_a_numbered_sequential_ends_the_numbering() -> None:
    after = done(numbered(), "insert norm LayerNorm normalized_shape=4 after 0", "remove 1", "move 4 first")
    assert paths(after) == ["4", "0", "norm", "2", "3"]


def test_an_empty_model_takes_numbers_or_names() -> None:
    empty = ModelSpec(LayerSpec("", "Sequential"))
    assert paths(done(empty, "insert _ ReLU first", "insert _ Tanh last")) == ["0", "1"]
    assert paths(done(empty, "insert act ReLU first", "insert b Sequential last", "insert _ ReLU last in b")) == [
        "act",
        "b",
        "b.0",
    ]


def test_equal_layers_without_names_start_from_other_numbers() -> None:
    after = done(numbered(), *["insert _ Linear in_features=2 out_features=2 first"] * 3)
    assert len({tensor.ref for tensor in tensors(after).values() if isinstance(tensor.ref, NewTensor)}) == 3


def test_remove_takes_layers_out_by_path_and_by_glob_whatever_their_order() -> None:
    assert paths(done(named(), "remove drop2 relu1")) == ["conv1", "bn1", "drop1", "flat", "fc1", "fc2"]
    assert paths(done(named(), "remove drop* fc2 fc2")) == ["conv1", "bn1", "relu1", "flat", "fc1"]
    assert paths(done(nested(), "remove body.inner body")) == ["stem", "head"]
    assert paths(done(nested(), "remove **.inner.*")) == ["stem", "body", "body.fc1", "body.act", "body.inner", "head"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("move head first", ["head", "stem", "body"]),
        ("move stem last", ["body", "head", "stem"]),
        ("move stem after head", ["body", "head", "stem"]),
        ("move head up", ["stem", "head", "body"]),
        ("move stem down", ["body", "stem", "head"]),
        ("move stem before stem", ["stem", "body", "head"]),
        ("move stem after stem", ["stem", "body", "head"]),
    ],
)
def test_move_changes_the_order_alone(line: str, expected: list[str]) -> None:
    before, after = nested(), done(nested(), line)
    assert [layer.name for layer in after.layers] == expected
    assert sources(after) == sources(before)


def test_move_crosses_containers_and_tensors_keep_their_numbers() -> None:
    after = done(nested(), "move body.inner.0 first in body", "move stem last in body.inner")
    assert paths(after) == [
        "body",
        "body.0",
        "body.fc1",
        "body.act",
        "body.inner",
        "body.inner.0",
        "body.inner.stem",
        "head",
    ]
    assert sources(after)["body.0.weight"] == "body.inner.0.weight"
    assert sources(after)["body.inner.stem.bias"] == "stem.bias"


# Names


def test_rename_carries_all_inside_along() -> None:
    after = done(nested(), "rename body trunk", 'rename trunk.inner "in ner"')
    assert paths(after) == [
        "stem",
        "trunk",
        "trunk.fc1",
        "trunk.act",
        "trunk.in ner",
        "trunk.in ner.0",
        "trunk.in ner.1",
        "head",
    ]
    assert sources(after)["trunk.in ner.0.weight"] == "body.inner.0.weight"
    assert done(nested(), "rename stem stem") == nested()


def test_rename_of_a_number_ends_the_numbering() -> None:
    assert paths(done(numbered(), "rename 2 mid", "remove 0")) == ["1", "mid", "3", "4"]


@pytest.mark.parametrize("name", ["forward", "weight.x", "_", "", "fc1", "add_module", "training"])
def test_a_name_that_torch_refuses_is_refused(name: str) -> None:
    if name not in ("_", "fc1"):
        with pytest.raises(KeyError):
            nn.Module().add_module(name, None)
    for line in (
        f'rename conv1 "{name}"',
        f'insert "{name}" ReLU first',
        f'copy relu1 "{name}"',
        f'group relu1 "{name}"',
    ):
        assert refused(named(), line)


def test_copy_has_the_numbers_of_the_first_and_stands_behind_it() -> None:
    after = done(nested(), "copy body twin", "copy stem stem2 after head")
    assert [layer.name for layer in after.layers] == ["stem", "body", "twin", "head", "stem2"]
    assert sources(after)["twin.inner.0.weight"] == "body.inner.0.weight"
    assert after.layer("twin").layers == after.layer("body").layers
    assert paths(done(numbered(), "copy 0 _ after 3")) == ["0", "1", "2", "3", "4", "5"]


def test_group_and_ungroup_are_each_others_end() -> None:
    grouped = done(named(), "group relu1 bn1 block")
    assert paths(grouped)[:4] == ["conv1", "block", "block.bn1", "block.relu1"]
    assert sources(grouped)["block.bn1.weight"] == "bn1.weight"
    assert done(grouped, "ungroup block") == named()


def test_group_in_a_numbered_sequential_numbers_both() -> None:
    grouped = done(numbered(), "group 1 2 _")
    assert kinds(grouped) == {
        "0": "Linear",
        "1": "Sequential",
        "1.0": "ReLU",
        "1.1": "Linear",
        "2": "Tanh",
        "3": "Linear",
    }
    assert sources(grouped)["1.1.weight"] == "2.weight"
    assert done(grouped, "ungroup 1") == numbered()


# Arguments and kinds


def test_set_keeps_what_still_fits_and_says_only_what_is_not_usual() -> None:
    after = done(named(), "set fc1 out_features=10 bias=True", "set conv1 stride=1 padding=1")
    assert after.layer("fc1").args == {"in_features": 36, "out_features": 10}
    assert after.layer("conv1").args == {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": 1}
    assert sources(after)["conv1.weight"] == "conv1.weight"


def test_set_adds_and_drops_parameters_with_their_flags() -> None:
    frozen = done(named(), "freeze fc1")
    after = done(frozen, "set fc1 bias=False")
    assert [tensor.name for tensor in after.layer("fc1").tensors] == ["weight"]
    assert after.layer("fc1").frozen == {"weight"}
    assert [tensor.name for tensor in done(after, "set fc1 bias=True").layer("fc1").tensors] == ["weight", "bias"]


def test_set_keeps_what_a_file_holds_beside_the_tensors_of_the_kind() -> None:
    layer = named().layer("fc1")
    stray = TensorInfo("mask", "BOOL", (8,), 8, TensorRef("net", "fc1.mask"))
    model = ModelSpec(LayerSpec("", "Sequential", layers=(replace(layer, tensors=(*layer.tensors, stray)),)))
    after = done(model, "set fc1 bias=False out_features=9")
    assert [tensor.name for tensor in after.layer("fc1").tensors] == ["weight", "mask"]
    assert [tensor.name for tensor in done(model, "drop fc1.mask").layer("fc1").tensors] == ["weight", "bias"]


def test_replace_keeps_the_name_and_what_fits() -> None:
    after = done(named(), "freeze bn1", "replace bn1 InstanceNorm2d affine=True", "replace relu1 GELU")
    assert after.layer("bn1").args == {"num_features": 4, "affine": True}
    assert [tensor.name for tensor in after.layer("bn1").tensors] == ["weight", "bias"]
    assert after.layer("bn1").frozen == {"weight", "bias"}
    assert sources(after)["bn1.weight"] == "bn1.weight"
    assert after.layer("relu1") == LayerSpec("relu1", "GELU")


def test_replace_leaves_out_an_argument_that_the_other_kind_refuses() -> None:
    model = done(named(), "set conv1 padding=same")
    assert done(model, "replace conv1 MaxPool2d").layer("conv1").args == {"kernel_size": 3}


def test_no_block_of_a_convolution_fits_a_transposed_one() -> None:
    model = model_of(nn.Sequential(nn.Conv2d(4, 4, 3)))
    weight, bias = done(model, "replace 0 ConvTranspose2d").layer("0").tensors
    assert isinstance(weight.ref, NewTensor)
    assert weight.ref.keep is None
    assert bias == model.layer("0").tensors[1]


@pytest.mark.parametrize(
    "words", ["Linear in_features=36", "TransformerEncoderLayer d_model=36 nhead=6", "LSTM input_size=3"]
)
def test_kinds_of_many_tensors_can_be_replaced_set_and_renamed(words: str) -> None:
    """Own names with dots in them, `self_attn.in_proj_weight`, are found like others."""
    kind, _, args = words.partition(" ")
    rest = {"Linear": " out_features=4", "LSTM": " hidden_size=2"}.get(kind, "")
    model = done(
        named(), f"insert x {kind} {args}{rest} last", "rename x y", "freeze y", "cast y f64", "fill y default"
    )
    assert all(tensor.dtype == "F64" for tensor in model.layer("y").tensors)
    name = max((tensor.name for tensor in model.layer("y").tensors), key=len)
    assert tensors(done(model, f"fill y.{name} zeros"))[f"y.{name}"].ref is not tensors(model)[f"y.{name}"].ref


# Switches


def test_disable_and_enable_by_glob_and_by_path() -> None:
    off = done(named(), "disable drop* fc1")
    assert [path for path, layer in off.walk() if not layer.enabled] == ["drop1", "fc1", "drop2"]
    assert sources(off) == sources(named())
    assert done(off, "enable *") == named()
    assert done(nested(), "disable body").layer("body").enabled is False


def test_freeze_takes_parameters_and_leaves_statistics() -> None:
    after = done(named(), "freeze conv1 bn*")
    assert after.layer("conv1").frozen == {"weight", "bias"}
    assert after.layer("bn1").frozen == {"weight", "bias"}
    assert done(after, "unfreeze **.bias").layer("bn1").frozen == {"weight"}
    assert done(after, "unfreeze conv1 bn1") == named()
    inside = done(nested(), "freeze bod*")
    assert [path for path, layer in inside.walk() if layer.frozen] == ["body.fc1", "body.inner.0"]


# What stands beside the layers


def test_input_meta_and_unmeta() -> None:
    after = done(named(), "input 1,3,5,5 float16 image", 'meta note "a b"', "meta epoch 3")
    assert after.inputs == (InputSpec("image", (1, 3, 5, 5), "float16"),)
    assert after.metadata == {"note": "a b", "epoch": "3"}
    assert done(after, "unmeta note").metadata == {"epoch": "3"}
    assert done(opaque(), "meta note x").metadata == {"note": "x"}
    assert refused(named(), "unmeta note") == "the file carries nothing called note"
    assert refused(replace(named(), metadata={"format": "pt"}), "unmeta format").startswith("format stays")
    assert refused(named(), "meta seqtui.spec x") == "seqtui.spec is where the layers themselves are written"
    assert refused(named(), 'input 1 float32 ""') == "an input needs a name"


# Tensors that a file holds beside a Sequential


def test_what_no_layer_calls_neither_counts_nor_stands_in_the_way() -> None:
    stray = LayerSpec(
        "ema",
        tensors=(TensorInfo("decay", "F32", (), 4, TensorRef("net", "ema.decay")),),
        is_called=False,
        origin="opaque",
    )
    root = numbered().root
    model = ModelSpec(replace(root, layers=(*root.layers, stray)))
    assert paths(done(model, "insert _ ReLU last")) == ["0", "1", "2", "3", "4", "5", "ema"]
    assert paths(done(model, "remove 0")) == ["0", "1", "2", "3", "ema"]
    assert paths(done(model, "move ema first", "insert _ ReLU first")) == ["0", "ema", "1", "2", "3", "4", "5"]
    assert refused(model, "move 4 down") == "4 is the last already"
    assert "cannot be switched" in refused(model, "disable ema")
    assert done(model, "drop ema") == numbered()
    assert paths(done(model, "rename ema.decay rate")) == paths(model)


# What is refused


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("insert fc1 ReLU first", "there is a layer fc1 already"),
        ("insert _ ReLU first", "the layers of the model have names, so a new one needs one too"),
        ("insert x Rellu first", "Rellu is no layer of torch.nn that can stand in a Sequential"),
        ("insert x Bilinear in1_features=1 in2_features=1 out_features=1 last", "a Bilinear takes 2 tensors"),
        ("insert x Sequential p=1 last", "a Sequential takes no arguments"),
        ("insert x Linear in_features=3 last", "x needs out_features"),
        ("insert x ReLU p=1 last", "x has no argument p"),
        ("insert a.b ReLU last", "a layer cannot be called 'a.b': a dot parts the names of a path"),
        ('insert "" ReLU last', "a layer needs a name, and this one is empty"),
        ("insert append ReLU last", "a layer cannot be called 'append': torch's Sequential has something of that name"),
        ("insert x Linear in_features=4294967296 out_features=4294967296 last", "x would have more numbers than torch"),
        ("insert x LSTM input_size=1 hidden_size=1 num_layers=1000000000 last", "x would repeat itself 1,000,000,000"),
        ("insert x ReLU after nothing", "there is no layer nothing"),
        ("insert x ReLU first in fc1", "fc1 is no Sequential, so no layers stand in it"),
        ("insert x ReLU first in nothing", "there is no layer nothing"),
        ("remove nothing", "there is no layer nothing"),
        ("remove conv1 nothing", "there is no layer nothing"),
        ("remove x*", "there is no layer x*"),
        ('remove ""', "the model itself is no layer of it"),
        ('move "" up', "the model itself cannot be moved or removed"),
        ("move conv1 up", "conv1 is the first already"),
        ("move fc2 down", "fc2 is the last already"),
        ("rename conv1.weight w", "the tensors of conv1, which is a Conv2d, are called as torch calls them"),
        ("rename conv1 bn1", "there is a layer bn1 already"),
        ("group conv1 relu1 g", "only layers that stand next to one another can be grouped"),
        ("group conv1 bn1 fc1", "there is a layer fc1 already"),
        ("ungroup fc1", "fc1 is no Sequential, so no layers stand in it"),
        ("set fc1 out=3", "fc1 has no argument out"),
        ("set fc1 out_features=True", "fc1 needs a whole number for out_features, not True"),
        ("set fc1 device=cuda", "fc1 cannot be given device"),
        ("set fc1 out_features=x", "fc1 needs a whole number for out_features"),
        ('set "" p=1', "the model itself has no arguments"),
        ("replace fc1 Sequential", "no layer can be replaced by a Sequential"),
        ("replace relu1 Linear", "relu1 needs in_features"),
        ("freeze relu1", "there is no tensor relu1, nor a layer of that name with tensors"),
        ("fill fc1 zero", "there is no way zero to fill a tensor; there are default, zeros"),
        ("fill fc1.bias kaiming_normal", "fc1.bias holds nothing that kaiming_normal could fill"),
        ("fill fc1 dirac", "fc1 holds nothing that dirac could fill"),
        ("cast relu1 f16", "there is no tensor relu1"),
        ("drop fc1.weight", "fc1.weight is a part of fc1, a Linear; remove takes it out whole"),
        ("untie fc1.weight", "fc1.weight is no tensor that is tied to another"),
        ("untie fc1", "fc1 is no tensor that is tied to another"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(line: str, message: str) -> None:
    model = named()
    assert refused(model, line).startswith(message)
    assert model == named()


def test_refusals_that_need_layers_in_layers() -> None:
    assert refused(nested(), "move body last in body") == "body cannot be moved into itself"
    assert refused(nested(), "move body last in body.inner") == "body cannot be moved into itself"
    assert refused(done(nested(), "rename body.fc1 head"), "ungroup body") == "there is a layer head already"
    assert "is off" in refused(done(nested(), "disable body"), "ungroup body")
    assert refused(nested(), "group stem body.fc1 g") == "only layers that stand next to one another can be grouped"
    model = nested()
    body = model.layer("body")
    stray = replace(body, tensors=(TensorInfo("gain", "F32", (), 4),))
    held = ModelSpec(replace(model.root, layers=(stray,)))
    assert refused(held, "ungroup body") == "body holds body.gain, which is no layer's"
    assert refused(tied(), "drop a.weight") == "a.weight is one with another tensor"


def test_a_batch_applies_whole_or_not_at_all() -> None:
    model = named()
    good = Batch(tuple(parse_edits(["remove drop1", "rename fc2 head"])))
    assert good.apply(model) == done(model, "remove drop1", "rename fc2 head")
    bad = Batch(tuple(parse_edits(["remove drop1", "rename drop1 x"])))
    with pytest.raises(EditError, match="rename drop1 x: there is no layer drop1, nor a tensor"):
        bad.apply(model)
    assert model == named()
