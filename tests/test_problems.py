"""What is offered where a layer does not fit: each fix is applied, and torch runs what comes of it."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import replace

import pytest
import torch
from edited import done, kinds, model_of, named, nested, refused, tied
from random_networks import random_network
from torch import nn

from seqtui.engine.arguments import torch_layer
from seqtui.errors import EditError
from seqtui.model.edit import Batch, NothingToDoError
from seqtui.model.edits import parse_edit
from seqtui.model.infer import infer_shapes
from seqtui.model.problems import Fix, concrete, fixes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.model.tensors import Shape

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of arguments that have no effect


def fed(model: ModelSpec, *shape: int, dtype: str = "float32") -> ModelSpec:
    return replace(model, inputs=(InputSpec("input", shape, dtype),))


def chain(shape: Shape, dtype: str = "float32", **layers: nn.Module) -> ModelSpec:
    return fed(model_of(nn.Sequential(OrderedDict(layers))), *shape, dtype=dtype)


def steps(model: ModelSpec) -> int:
    """How many layers torch gets through; each gives just the shape that was inferred, and the next one fails."""
    (given,) = model.inputs
    inference = infer_shapes(model)
    x = torch.zeros(given.shape, dtype=getattr(torch, given.dtype))
    count = 0
    for path, layer in model.walk():
        if layer.kind == "Sequential":
            continue
        is_half = any(tensor.dtype == "F16" for tensor in layer.tensors)
        try:
            module = torch_layer(layer.kind or "", dict(layer.args)).eval()
            x = (module.half() if is_half else module)(x)
        except Exception:  # noqa: BLE001  whatever torch raises
            assert path in inference.problems
            return count
        x = x[0] if isinstance(x, tuple) else x
        assert inference.infos[path].leaving[0].shape == tuple(x.shape)
        count += 1
    assert not inference.problems
    return count


def offered(model: ModelSpec) -> list[str]:
    """The fixes of the first problem as lines; with each of them torch gets further."""
    inference = infer_shapes(model)
    path = next(iter(inference.problems))
    found = fixes(model, inference, path)
    for fix in found:
        assert steps(fix.apply(model)) > steps(model)
    return [str(fix).replace("\n", "; ") for fix in found]


def mended(model: ModelSpec, line: str = "fix") -> list[str]:
    """The lines that a fix is recorded as, which do what it does; and torch runs to the end."""
    fix = parse_edit(line)
    assert fix is not None
    recorded = concrete(fix, model)
    assert recorded.apply(model) == fix.apply(model)
    return str(recorded).split("\n")


IMAGE = (2, 3, 8, 8)
OFFERED: dict[str, tuple[ModelSpec, list[str]]] = {
    "linear": (
        chain((2, 7), fc=nn.Linear(5, 4)),
        ["set fc in_features=7"],
    ),
    "linear after flatten": (
        chain(IMAGE, flat=nn.Flatten(), drop=nn.Dropout(), fc=nn.Linear(48, 4)),
        ["set fc in_features=192", "insert pool1 AdaptiveAvgPool2d output_size=4 before flat"],
    ),
    "linear after flatten of channels alone": (
        chain((2, 3, 8), flat=nn.Flatten(), fc=nn.Linear(3, 4)),
        ["set fc in_features=24", "insert pool1 AdaptiveAvgPool1d output_size=1 before flat"],
    ),
    "linear after flatten and a norm of what it gave": (
        chain(IMAGE, flat=nn.Flatten(), norm=nn.BatchNorm1d(192), fc=nn.Linear(48, 4)),
        ["set fc in_features=192"],
    ),
    "linear that wants the image flat": (
        chain(IMAGE, fc=nn.Linear(192, 4)),
        ["insert flatten1 Flatten before fc", "set fc in_features=8"],
    ),
    "linear and any image": (
        chain(IMAGE, fc=nn.Linear(100, 4)),
        ["set fc in_features=192; insert flatten1 Flatten before fc", "set fc in_features=8"],
    ),
    "linear and a sequence": (
        chain((2, 5, 16), fc=nn.Linear(32, 4)),
        ["set fc in_features=16", "set fc in_features=80; insert flatten1 Flatten before fc"],
    ),
    "convolution": (
        chain(IMAGE, conv=nn.Conv2d(1, 6, 3)),
        ["set conv in_channels=3"],
    ),
    "convolution without a batch": (
        chain((3, 8, 8), conv=nn.Conv2d(1, 6, 3)),
        ["set conv in_channels=3", "replace conv Conv1d in_channels=8"],
    ),
    "convolution in groups": (
        chain((2, 6, 8, 8), conv=nn.Conv2d(8, 16, 3, groups=4)),
        ["set conv in_channels=6 groups=2"],
    ),
    "depthwise convolution": (
        chain(IMAGE, conv=nn.Conv2d(4, 8, 3, groups=4)),
        ["set conv in_channels=3 out_channels=6 groups=3"],
    ),
    "transposed convolution": (
        chain(IMAGE, up=nn.ConvTranspose2d(4, 2, 2)),
        ["set up in_channels=3"],
    ),
    "convolution of features": (
        chain((2, 48), up=nn.ConvTranspose2d(3, 2, 2)),
        ["insert unflatten1 Unflatten dim=1 unflattened_size=(3, 4, 4) before up"],
    ),
    "convolution of another dimension": (
        chain(IMAGE, conv=nn.Conv1d(3, 6, 3)),
        ["replace conv Conv2d"],
    ),
    "batch norm": (chain(IMAGE, bn=nn.BatchNorm2d(4)), ["set bn num_features=3"]),
    "batch norm of another dimension": (
        chain((2, 7), bn=nn.BatchNorm2d(4)),
        ["replace bn BatchNorm1d num_features=7"],
    ),
    "batch norm of what would be flat": (
        chain(IMAGE, bn=nn.BatchNorm1d(192)),
        ["insert flatten1 Flatten before bn", "replace bn BatchNorm2d num_features=3"],
    ),
    "instance norm": (chain(IMAGE, norm=nn.InstanceNorm2d(4, affine=True)), ["set norm num_features=3"]),
    "group norm": (chain((2, 6, 4, 4), norm=nn.GroupNorm(4, 8)), ["set norm num_groups=2 num_channels=6"]),
    "layer norm": (chain((2, 5, 6), norm=nn.LayerNorm(8)), ["set norm normalized_shape=6"]),
    "layer norm of an image": (
        chain(IMAGE, norm=nn.LayerNorm((3, 9, 9))),
        ["set norm normalized_shape=(3, 8, 8)"],
    ),
    "rms norm": (chain((2, 6), norm=nn.RMSNorm(8)), ["set norm normalized_shape=6"]),
    "unflatten": (
        chain((2, 48), un=nn.Unflatten(1, (2, 4, 4))),
        ["set un unflattened_size=(3, 4, 4)"],
    ),
    "prelu": (chain(IMAGE, act=nn.PReLU(4)), ["set act num_parameters=3"]),
    "lstm": (chain((2, 5, 6), lstm=nn.LSTM(8, 4)), ["set lstm input_size=6"]),
    "cell": (chain((2, 6), cell=nn.GRUCell(8, 4)), ["set cell input_size=6"]),
    "encoder layer": (
        chain((2, 5, 12), layer=nn.TransformerEncoderLayer(16, 8)),
        ["set layer d_model=12 nhead=4"],
    ),
    "whole numbers into a linear": (chain((2, 5), "int64", fc=nn.Linear(5, 4)), ["input 2,5 float32 input"]),
    "floats into an embedding": (chain((2, 5), emb=nn.Embedding(9, 4)), ["input 2,5 int64 input"]),
    "floats into half the bits": (chain((2, 5), fc=nn.Linear(5, 4).half()), ["input 2,5 float16 input"]),
    "nothing": (chain((2, 3, 4, 4), conv=nn.Conv2d(3, 4, 5)), []),
    "a tuple": (chain((2, 5, 6), lstm=nn.LSTM(6, 4), fc=nn.Linear(4, 4)), []),
}


@pytest.mark.parametrize("case", OFFERED)
def test_fixes(case: str) -> None:
    model, expected = OFFERED[case]
    assert offered(model) == expected


def test_an_encoder_follows_with_the_layer_that_it_repeats_and_its_norm() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 8, 32), 2, nn.LayerNorm(16))
    model = chain((2, 5, 12), encoder=encoder)
    (line,) = offered(model)
    assert line == (
        "set encoder encoder_layer=nn.TransformerEncoderLayer(12, 4, dim_feedforward=32) norm=nn.LayerNorm(12)"
    )


def test_where_layers_are_numbered_what_is_inserted_is_too() -> None:
    model = fed(model_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(144, 5))), *IMAGE)
    assert offered(model)[0] == "insert _ Flatten before 1"
    assert kinds(Fix().apply(model)) == {"0": "Conv2d", "1": "Flatten", "2": "Linear"}
    other = done(model, "set 1 in_features=99")
    assert offered(other)[0] == "set 1 in_features=144; insert _ Flatten before 1"
    assert Fix().apply(other).layer("2").args == model.layer("1").args


def test_a_pool_comes_before_the_flatten_of_another_container() -> None:
    body, head = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), nn.Sequential(nn.Dropout(), nn.Linear(16, 5))
    model = chain(IMAGE, body=body, flat=nn.Flatten(), head=head)
    assert offered(model) == ["set head.1 in_features=144", "insert pool1 AdaptiveAvgPool2d output_size=2 before flat"]


def test_what_cannot_be_applied_is_not_offered() -> None:
    model = fed(tied(), 2, 5)
    assert "takes 4 features, 5 arrive" in infer_shapes(model).problems["a"].message
    assert offered(model) == []
    assert offered(done(model, "untie block.1.weight", "untie c.weight")) == ["set a in_features=5"]


def test_no_layer_that_fits_is_offered_anything() -> None:
    model = fed(named(), 1, 3, 5, 5)
    inference = infer_shapes(model)
    assert not inference.problems
    assert [fix for path, _ in model.walk() for fix in fixes(model, inference, path)] == []


# The edit


def test_ten_layers_follow_one_edit_in_order() -> None:
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv0=nn.Conv2d(3, 4, 3, padding=1))
    for number in range(
        1, 11
    ):  # depthwise ones hand on what they are given, so that each one's change reaches the next
        layers[f"conv{number}"] = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    layers |= {"flat": nn.Flatten(), "fc": nn.Linear(256, 5)}
    model = done(fed(model_of(nn.Sequential(layers)), *IMAGE), "set conv0 out_channels=6")
    lines = mended(model)
    assert lines == [
        *(f"set conv{number} in_channels=6 out_channels=6 groups=6" for number in range(1, 11)),
        "set fc in_features=384",
    ]
    assert steps(done(model, *lines)) == 13


def test_fix_at_a_path_mends_only_that() -> None:
    model = done(fed(named(), 1, 3, 5, 5), "set conv1 out_channels=10")
    assert mended(model, "fix bn1") == ["set bn1 num_features=10"]
    assert list(infer_shapes(done(model, "fix bn1")).problems) == ["fc1"]
    assert mended(model) == ["set bn1 num_features=10", "set fc1 in_features=90"]
    assert refused(model, "fix fc1") == "there is nothing to fix at fc1"
    assert refused(model, "fix fc9") == "there is no layer fc9"
    assert refused(fed(named(), 1, 3, 5, 5), "fix") == "there is nothing to fix"


def test_fix_at_a_container_mends_all_inside() -> None:
    model = done(fed(nested(), 2, 4), "set stem out_features=5", "set body.fc1 out_features=6")
    assert mended(model, "fix body") == ["set body.fc1 in_features=5", "set body.inner.0 in_features=6"]


def test_what_cannot_be_mended_stops_what_comes_after_and_nothing_before() -> None:
    model = chain((2, 3, 8, 8), conv=nn.Conv2d(1, 4, 3), pool=nn.MaxPool2d(9), flat=nn.Flatten(), fc=nn.Linear(7, 2))
    assert mended(model) == ["set conv in_channels=3"]
    problem = infer_shapes(done(model, "fix")).problems["pool"].message
    assert refused(done(model, "fix"), "fix") == f"no fix is known: {problem}"


def test_fixes_among_other_edits_are_recorded_one_by_one() -> None:
    batch = Batch((Fix("bn1"), Batch((Fix(),))))
    model = done(fed(named(), 1, 3, 5, 5), "set conv1 out_channels=10")
    assert str(concrete(batch, model)) == "set bn1 num_features=10\nset fc1 in_features=90"


def test_a_fix_that_finds_everything_mended_is_no_hindrance_among_other_edits() -> None:
    model = done(fed(named(), 1, 3, 5, 5), "set conv1 out_channels=10")
    once = concrete(Fix(), model)
    assert str(concrete(Batch((Fix(), Fix(), Batch((Fix("fc1"),)))), model)) == str(once)
    with pytest.raises(NothingToDoError, match="there is nothing to fix at fc1"):
        concrete(Batch((Fix(), Fix("fc1"))), once.apply(model))
    with pytest.raises(EditError, match="there is no layer fc9"):
        concrete(Batch((Fix(), Fix("fc9"))), model)


@pytest.mark.parametrize("seed", range(30))
def test_a_random_network_given_other_channels_is_mended(seed: int) -> None:
    net, _ = random_network(seed)
    model = fed(model_of(net), 2, random.Random(seed).choice([6, 8]), 9, 9)
    after = Fix().apply(model) if infer_shapes(model).problems else model
    assert steps(after) == sum(layer.kind != "Sequential" for _, layer in after.walk())


@pytest.mark.parametrize("other", ["int8", "float8_e4m3fn", "complex64"])
def test_weights_cast_to_other_types_are_a_problem_that_a_cast_back_mends(other: str) -> None:
    model = done(
        fed(named(), 1, 3, 5, 5), "cast conv1 float16", f"cast conv1.weight {other}", f"cast conv1.bias {other}"
    )
    problem = infer_shapes(model).problems["conv1"]
    assert problem.message == f"conv1 has {other} weights, float32 arrives from the input"
    (fix, *_) = fixes(model, infer_shapes(model), "conv1")
    assert str(fix) == "cast conv1.weight float32\ncast conv1.bias float32"
    assert not infer_shapes(fix.apply(model)).problems
