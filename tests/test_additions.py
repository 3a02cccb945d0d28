"""What is offered for a place is what torch makes of it there: every kind is built and run."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from edited import done, model_of, named, nested, opaque
from torch import nn

from seqtui.engine.arguments import torch_layer
from seqtui.errors import EditError
from seqtui.model.additions import Addition, addable, completed
from seqtui.model.edits import parse_edit
from seqtui.model.infer import infer_shapes
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.language import Place
from seqtui.model.layer_names import free_name
from seqtui.model.problems import concrete
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.structure_edits import Insert
from seqtui.model.tensors import Shape

torch.set_num_threads(1)

ONE_TENSOR = {kind for kind, entry in catalogue().items() if not entry.inputs}
EMBEDDINGS = {"Embedding", "EmbeddingBag"}


def additions(model: ModelSpec, place: Place) -> dict[str, Addition]:
    return {addition.kind: addition for addition in addable(model, infer_shapes(model), place)}


def passing(*shape: int, dtype: str = "float32") -> ModelSpec:
    """A model in which this arrives behind the first layer."""
    model = model_of(nn.Sequential(nn.Identity()))
    return replace(model, inputs=(InputSpec("input", shape, dtype),))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 16, 8, 8), "float32"), ((2, 36), "float32"), ((2, 9, 12), "float32"), ((7,), "float32"), ((2, 5), "int64")],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of arguments that have no effect
def test_each_kind_does_what_is_said_of_it(shape: Shape, dtype: str) -> None:
    found = additions(passing(*shape, dtype=dtype), Place("last"))
    assert set(found) == ONE_TENSOR
    x = torch.zeros(shape, dtype=getattr(torch, dtype))
    for kind, addition in found.items():
        if addition.asked:
            assert (addition.output_shape, addition.num_params) == (None, None)
            assert addition.problem or kind in EMBEDDINGS
            continue
        try:
            layer = torch_layer(kind, dict(addition.args)).eval()
            y = layer(x)
        except Exception:  # noqa: BLE001  whatever torch raises
            assert addition.problem, kind
            assert addition.output_shape is None
        else:
            assert not addition.problem, kind
            shapes = tuple(tuple(part.shape) for part in flat(y))
            assert addition.output_shape == (shapes[0] if len(shapes) == 1 else shapes)
            assert addition.num_params == sum(parameter.numel() for parameter in layer.parameters())


def flat(value: object) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    assert isinstance(value, tuple)
    return [tensor for part in value for tensor in flat(part)]


@pytest.mark.parametrize(
    ("shape", "kind", "args"),
    [
        ((2, 16, 8, 8), "Conv2d", {"in_channels": 16, "out_channels": 16, "kernel_size": 3}),
        ((2, 16, 8, 8), "BatchNorm2d", {"num_features": 16}),
        ((2, 16, 8, 8), "GroupNorm", {"num_groups": 16, "num_channels": 16}),
        ((2, 48, 8, 8), "GroupNorm", {"num_groups": 16, "num_channels": 48}),
        ((2, 16, 8, 8), "MaxPool2d", {"kernel_size": 2}),
        ((2, 36), "Linear", {"in_features": 36, "out_features": 36}),
        ((2, 36), "Dropout", {}),
        ((2, 9, 12), "LSTM", {"input_size": 12, "hidden_size": 12}),
        ((2, 9, 12), "TransformerEncoderLayer", {"d_model": 12, "nhead": 4}),
    ],
)
def test_arguments_follow_from_the_place(shape: Shape, kind: str, args: dict[str, object]) -> None:
    addition = additions(passing(*shape), Place("after", "0"))[kind]
    assert addition.args == args
    assert addition.problem == ""


def test_what_is_added_is_what_was_shown() -> None:
    model = replace(named(), inputs=(InputSpec("input", (1, 3, 5, 5)),))
    place = Place("after", "conv1")
    addition = additions(model, place)["Conv2d"]
    after = addition.insert(place).apply(model)
    info = infer_shapes(after).infos["conv2"]
    assert (info.output_shape, info.num_params) == (addition.output_shape, addition.num_params) == ((1, 4, 1, 1), 148)
    assert str(addition.insert(place)) == "insert conv2 Conv2d in_channels=4 out_channels=4 kernel_size=3 after conv1"


def test_why_a_kind_does_not_fit_is_said_as_on_a_row() -> None:
    found = additions(passing(2, 36), Place("last"))
    assert found["Conv2d"].problem == "needs 3 or 4 dimensions, 2 arrive"
    assert found["Embedding"].problem == "takes int64 or int32, float32 arrives"
    assert additions(passing(2, 5, dtype="int64"), Place("last"))["Embedding"].asked == (
        "num_embeddings",
        "embedding_dim",
    )


def test_the_place_is_the_one_that_is_meant() -> None:
    model = replace(nested(), inputs=(InputSpec("input", (2, 4)),))
    model = done(model, "set stem out_features=5", "fix", "set head out_features=6")
    arriving = {
        Place("first"): 4,
        Place("after", "stem"): 5,
        Place("first", "body"): 5,
        Place("after", "body.fc1"): 4,
        Place("last", "body.inner"): 4,
        Place("last"): 6,
    }
    assert {place: additions(model, place)["Linear"].args["in_features"] for place in arriving} == arriving


@pytest.mark.parametrize("place", [Place("last"), Place("first", "body")])
def test_where_it_is_not_known_what_arrives_arguments_are_asked_for(place: Place) -> None:
    found = additions(done(nested(), "disable body"), place)  # a model without an input
    assert found["Linear"].asked == ("in_features", "out_features")
    assert (found["Linear"].problem, found["ReLU"].problem) == ("", "")
    assert (found["ReLU"].output_shape, found["ReLU"].num_params) == (None, 0)


def test_nothing_flows_into_what_is_off() -> None:
    model = done(replace(nested(), inputs=(InputSpec("input", (2, 4)),)), "disable body")
    assert additions(model, Place("first", "body"))["Linear"].asked == ("in_features", "out_features")
    assert additions(model, Place("after", "body"))["Linear"].args["in_features"] == 4


def test_what_a_new_layer_is_made_of_has_the_type_of_the_others() -> None:
    half = replace(model_of(nn.Sequential(nn.Linear(4, 4).half())), inputs=(InputSpec("input", (2, 4), "float16"),))
    assert additions(half, Place("last"))["Linear"].output_shape == (2, 4)


def test_nothing_can_be_added_where_layers_have_no_order() -> None:
    with pytest.raises(EditError, match="cannot be added"):
        additions(opaque(), Place("last"))


# Names


@pytest.mark.parametrize(
    ("there", "kind", "name"),
    [
        ((), "Conv2d", "conv1"),
        (("conv1", "conv2", "relu1"), "Conv1d", "conv3"),
        (("conv1", "conv7"), "Conv2d", "conv8"),
        (("conv", "conv0"), "Conv2d", "conv1"),
        (("conv1",), "ConvTranspose2d", "deconv1"),
        (("fc1",), "Linear", "fc2"),
        ((), "BatchNorm2d", "bn1"),
        (("pool1",), "AdaptiveAvgPool2d", "pool2"),
        ((), "ReLU6", "relu1"),
        ((), "AlphaDropout", "dropout1"),
        ((), "Flatten", "flatten1"),
        ((), "LeakyReLU", "leakyrelu1"),
        ((), "Softmax2d", "softmax1"),
        ((), "LSTMCell", "lstmcell1"),
        (("0", "1"), "Linear", "_"),
        (("0", "2"), "Linear", "fc1"),
        (("a\nb1", "fc9999999999"), "Linear", "fc1"),
    ],
)
def test_the_name_is_the_next_that_people_would_write(there: tuple[str, ...], kind: str, name: str) -> None:
    assert free_name([LayerSpec(each) for each in there], kind) == name


@pytest.mark.parametrize("kind", sorted(ONE_TENSOR))
def test_every_name_is_one_that_torch_takes(kind: str) -> None:
    net = nn.Sequential()
    net.add_module(free_name([], kind), nn.Identity())
    assert len(net) == 1


@pytest.mark.parametrize("kind", sorted(ONE_TENSOR))
def test_what_a_line_leaves_out_and_the_place_says_is_what_torch_takes(kind: str) -> None:
    model = passing(1, 6, 24, 24)
    edit = Insert("new", kind, {}, Place("last"))
    whole = completed(edit, model)
    assert isinstance(whole, Insert)
    left = [item.name for item in catalogue()[kind].parameters if item.is_required and item.name not in whole.args]
    if left:
        with pytest.raises(EditError, match=f"new needs {left[0]}"):
            whole.apply(model)
    else:
        torch_layer(kind, whole.args)


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("insert bn BatchNorm2d after l0", "insert bn BatchNorm2d num_features=6 after l0"),
        ("insert bn BatchNorm2d affine=False last", "insert bn BatchNorm2d num_features=6 affine=False last"),
        ("insert bn BatchNorm2d num_features=7 last", "insert bn BatchNorm2d num_features=7 last"),
        (
            "insert c Conv2d out_channels=8 kernel_size=3 last",
            "insert c Conv2d in_channels=6 out_channels=8 kernel_size=3 last",
        ),
        ("insert fc Linear last", "insert fc Linear in_features=24 last"),
        ("insert x ReLU last", "insert x ReLU last"),
        ("insert x Nothing last", "insert x Nothing last"),
        ("replace l1 GroupNorm", "replace l1 GroupNorm num_groups=2 num_channels=6"),
        ("replace l0 ConvTranspose2d", "replace l0 ConvTranspose2d"),
    ],
)
def test_a_line_is_completed_by_what_follows_from_the_place(line: str, whole: str) -> None:
    net = nn.Sequential(OrderedDict(l0=nn.Conv2d(1, 6, 5), l1=nn.ReLU()))
    model = replace(model_of(net), inputs=(InputSpec("input", (1, 1, 28, 28)),))
    edit = parse_edit(line)
    assert edit is not None
    assert str(concrete(edit, model)) == whole


def test_where_nothing_is_known_to_arrive_nothing_is_filled_in() -> None:
    model = model_of(nn.Sequential(nn.Conv2d(1, 6, 5)))
    edit = Insert("bn", "BatchNorm2d", {}, Place("last"))
    assert completed(edit, model) is edit
    with pytest.raises(EditError, match="a BatchNorm2d needs num_features"):
        Insert("_", "BatchNorm2d", {}, Place("last")).apply(model)
