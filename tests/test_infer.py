"""Shapes and counts of whole models, torch the judge."""

from __future__ import annotations

import random
from collections import OrderedDict
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from seqtui.engine.modules import spec_of
from seqtui.model.infer import Inference, infer_shapes
from seqtui.model.kinds import KINDS
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.tensors import DTYPES, Shape, TensorInfo


def inferred(net: nn.Sequential, *shape: int, dtype: str = "float32") -> Inference:
    return infer_shapes(spec_of(net, (InputSpec("input", shape, dtype),)))


def article() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 16, 3),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            dropout1=nn.Dropout(0.5),
            conv2=nn.Conv2d(16, 32, 3),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            dropout2=nn.Dropout(0.5),
        )
    )


def test_the_article_s_network() -> None:
    infos = inferred(article(), 1, 3, 32, 32).infos
    assert infos["conv1"].output_shape == (1, 16, 30, 30)
    assert infos["conv1"].num_params == 448
    assert infos["pool1"].output_shape == (1, 16, 15, 15)
    assert infos["conv2"].output_shape == (1, 32, 13, 13)
    assert infos["conv2"].num_params == 4640
    assert infos["pool2"].output_shape == (1, 32, 6, 6)
    assert infos[""].num_params == 5088
    assert infos[""].output_shape == (1, 32, 6, 6)


def test_every_output_equals_torch_s_forward_pass() -> None:
    net = nn.Sequential(
        OrderedDict(
            stem=nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
            body=nn.Sequential(nn.Sequential(nn.Conv2d(8, 8, 3, padding="same"), nn.GELU()), nn.MaxPool2d(3, 2, 1)),
            head=nn.Sequential(nn.AdaptiveAvgPool2d((2, 3)), nn.Flatten(), nn.Linear(48, 7), nn.LayerNorm(7)),
        )
    ).eval()
    infos = inferred(net, 2, 3, 33, 20).infos
    seen: dict[str, torch.Size] = {}
    for path, module in net.named_modules():
        module.register_forward_hook(lambda _, __, output, path=path: seen.update({path: output.shape}))
    net(torch.zeros(2, 3, 33, 20))
    assert {path: info.output_shape for path, info in infos.items()} == {path: tuple(s) for path, s in seen.items()}
    for path, module in net.named_modules():
        assert infos[path].num_params == sum(p.numel() for p in module.parameters())
        assert infos[path].num_buffers == sum(b.numel() for b in module.buffers())


def test_multiply_adds_of_a_network_are_half_of_torch_s_flops() -> None:
    net = article().eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(2, 3, 32, 32))
    assert inferred(net, 2, 3, 32, 32).total.macs == counter.get_total_flops() // 2


def test_a_receptive_field_is_how_far_a_change_is_felt() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 5, bias=False), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3, dilation=2, bias=False))
    for parameter in net.parameters():
        nn.init.ones_(parameter)
    x = torch.zeros(1, 1, 40, 40, requires_grad=True)
    y = net(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    assert x.grad is not None
    felt = x.grad[0, 0].nonzero()
    extent = tuple((felt.max(0).values - felt.min(0).values + 1).tolist())
    assert inferred(net, 1, 1, 40, 40).total.receptive_field == extent


def test_shapes_are_known_down_to_the_first_layer_that_does_not_fit() -> None:
    net = nn.Sequential(OrderedDict(flat=nn.Flatten(), fc1=nn.Linear(9, 4), act=nn.ReLU(), fc2=nn.Linear(4, 2)))
    result = inferred(net, 1, 3, 4)
    assert result.infos["flat"].output_shape == (1, 12)
    problem = result.infos["fc1"].problem
    assert problem is not None
    assert problem.message == "fc1 takes 9 features, 12 arrive from flat"
    assert problem.brief == "takes 9 features, 12 arrive"
    assert result.infos["act"].output_shape is None
    assert result.infos["act"].problem is None
    assert list(result.problems) == ["fc1"]
    assert result.total.num_params == 9 * 4 + 4 + 4 * 2 + 2
    assert result.total.macs is None


def test_the_first_layer_names_the_input() -> None:
    problem = inferred(nn.Sequential(nn.Linear(3, 3)), 2, 5).infos["0"].problem
    assert problem is not None
    assert problem.message == "0 takes 3 features, 5 arrive from the input"


def test_a_tuple_that_is_fed_on_is_said_so() -> None:
    net = nn.Sequential(OrderedDict(lstm=nn.LSTM(4, 8), fc=nn.Linear(8, 2)))
    result = inferred(net, 5, 1, 4)
    assert result.infos["lstm"].output_shape == ((5, 1, 8), (1, 1, 8), (1, 1, 8))
    problem = result.infos["fc"].problem
    assert problem is not None
    assert problem.message == "fc takes one tensor, a tuple of 3 arrives from lstm"


def test_identity_hands_on_a_tuple_as_torch_does() -> None:
    net = nn.Sequential(nn.GRU(4, 8), nn.Identity())
    assert inferred(net, 5, 1, 4).total.output_shape == ((5, 1, 8), (1, 1, 8))
    assert len(net(torch.zeros(5, 1, 4))) == 2


def test_a_layer_switched_off_passes_its_input_through() -> None:
    spec = spec_of(article(), (InputSpec("input", (1, 3, 32, 32)),))
    layers = tuple(replace(layer, enabled=layer.name != "pool1") for layer in spec.layers)
    infos = infer_shapes(replace(spec, root=replace(spec.root, layers=layers))).infos
    assert infos["pool1"].output_shape == (1, 16, 30, 30)
    assert infos["conv2"].output_shape == (1, 32, 28, 28)


ENC = LayerSpec("enc", "Sequential", layers=(LayerSpec("fc", "Linear", {"in_features": 4, "out_features": 3}),))
EMA = LayerSpec("ema", tensors=(TensorInfo("decay", "F32", (1,), 4),), is_called=False, origin="opaque")


def of_layers(*layers: LayerSpec) -> Inference:
    """The inference of a Sequential that is fed 1x4."""
    return infer_shapes(ModelSpec(LayerSpec("", "Sequential", layers=layers), (InputSpec("input", (1, 4)),)))


@pytest.mark.parametrize("features", [4, 5])
def test_what_stands_in_a_sequential_that_is_off_is_counted_and_not_computed(features: int) -> None:
    fc = LayerSpec("fc", "Linear", {"in_features": features, "out_features": 3})
    inner = LayerSpec("inner", "Sequential", layers=(fc,))
    out = LayerSpec("out", "Linear", {"in_features": 9, "out_features": 2})
    result = of_layers(LayerSpec("act", "ReLU"), replace(ENC, layers=(inner,), enabled=False), out)
    assert result.infos["enc"].num_params == result.infos["enc.inner.fc"].num_params == 3 * features + 3
    assert result.infos["enc"].output_shape == (1, 4)
    for path in ("enc", "enc.inner", "enc.inner.fc"):
        assert (result.infos[path].macs, result.infos[path].activation_bytes or 0) == (None, 0)
    assert list(result.problems) == ["out"]
    assert result.problems["out"].message == "out takes 9 features, 4 arrive from enc"


def test_tensors_that_no_layer_asks_for_are_counted_and_stop_nothing() -> None:
    out = LayerSpec("out", "Linear", {"in_features": 5, "out_features": 2})
    result = of_layers(replace(ENC, layers=(EMA, *ENC.layers, replace(EMA, name="ema2"))), EMA, out)
    assert result.infos["enc"].output_shape == (1, 3)
    assert result.infos["enc"].num_params == 4 * 3 + 3 + 2
    assert result.infos["ema"].output_shape is None
    assert result.problems["out"].message == "out takes 5 features, 3 arrive from enc"


def test_a_layer_of_which_nothing_is_known_stops_the_shapes() -> None:
    result = of_layers(replace(EMA, is_called=True), LayerSpec("act", "ReLU"))
    assert result.infos["act"].output_shape is None


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"scale_factor": float("inf")}, "needs new lengths that can be counted, not inf"),
        ({"size": float("nan")}, "needs new lengths that can be counted, not nan"),
        ({"scale_factor": 1e300}, "would give out more elements than torch can count"),
        ({"size": 2**31}, "would give out more elements than torch can count"),
    ],
)
@pytest.mark.parametrize("batch", [0, 2])
def test_sizes_beyond_counting_are_a_problem(args: dict[str, Value], words: str, batch: int) -> None:
    layers = tuple(LayerSpec(str(number), "Upsample", args) for number in range(3))
    result = infer_shapes(ModelSpec(LayerSpec("", "Sequential", layers=layers), (InputSpec("x", (batch, 1, 4, 4)),)))
    if not batch and args == {"size": 2**31}:
        assert result.total.output_shape == (0, 1, 2**31, 2**31)
    else:
        assert [problem.brief for problem in result.problems.values()] == [words]


def test_a_norm_with_neither_scale_nor_statistics_needs_no_number_of_features() -> None:
    args: dict[str, Value] = {"num_features": "x", "affine": False, "track_running_stats": False}
    layers = (LayerSpec("norm", "BatchNorm1d", args),)
    result = infer_shapes(ModelSpec(LayerSpec("", "Sequential", layers=layers), (InputSpec("x", (4, 4)),)))
    module = nn.BatchNorm1d("x", affine=False, track_running_stats=False)  # type: ignore[arg-type]  # torch takes it
    assert result.total.output_shape == tuple(module(torch.zeros(4, 4)).shape)
    assert result.problems == {}


def test_a_kind_without_a_rule_is_unknown_and_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.GLU(), nn.ReLU())
    spec = spec_of(net, (InputSpec("input", (1, 4)),))
    monkeypatch.delitem(KINDS, "GLU")
    result = infer_shapes(spec)
    assert result.infos["1"].unknown == "no rule yet for GLU"
    assert result.infos["1"].problem is None
    assert result.infos["2"].output_shape is None


def test_a_kind_of_several_inputs_says_why_it_does_not_fit() -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(4, 4), loss=nn.CrossEntropyLoss(), act=nn.ReLU()))
    result = inferred(net, 1, 4)
    problem = result.infos["loss"].problem
    assert problem is not None
    assert problem.message == "loss takes 2 tensors (input, target), one arrives from fc"
    assert problem.brief == "takes 2 tensors (input, target), one arrives"
    assert list(result.problems) == ["loss"]
    assert result.infos["act"].output_shape is None


@pytest.mark.parametrize("width", [2, -1])
def test_a_kind_of_several_inputs_is_counted_and_says_so_whatever_its_arguments(width: int) -> None:
    args: dict[str, Value] = {"in1_features": 2, "in2_features": width, "out_features": 4}
    result = of_layers(LayerSpec("pair", "Bilinear", args))
    assert result.problems["pair"].message == "pair takes 2 tensors (input1, input2), one arrives from the input"
    assert result.total.num_params == (4 * 2 * 2 + 4 if width > 0 else 0)


@pytest.mark.parametrize("shape", [None, (1, 7)])
def test_a_kind_of_several_inputs_says_so_where_no_shape_is_known(shape: tuple[int, ...] | None) -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(4, 4), block=nn.Sequential(nn.ReLU(), nn.MSELoss()), act=nn.ReLU()))
    result = infer_shapes(spec_of(net, (InputSpec("input", shape),) if shape else ()))
    assert result.problems["block.1"].message == "block.1 takes 2 tensors (input, target), one arrives"
    assert list(result.problems) == (["fc", "block.1"] if shape else ["block.1"])


def test_a_kind_of_several_inputs_that_is_not_run_is_no_problem() -> None:
    loss = LayerSpec("loss", "MSELoss")
    off = LayerSpec("off", "Sequential", layers=(loss,), enabled=False)
    result = of_layers(off, replace(loss, is_called=False))
    assert not result.problems
    on = replace(off, enabled=True)
    model = ModelSpec(LayerSpec("", "Sequential", layers=(on,)), ())
    assert list(infer_shapes(model, result).problems) == ["off.loss"]


def test_a_kind_of_several_inputs_that_is_off_passes_its_input_through() -> None:
    assert of_layers(LayerSpec("loss", "MSELoss", enabled=False)).total.output_shape == (1, 4)


@pytest.mark.parametrize(("weights", "arriving"), [("float16", "float32"), ("float32", "bfloat16")])
def test_weights_of_another_type_than_what_arrives_are_a_problem(weights: str, arriving: str) -> None:
    net = nn.Sequential(OrderedDict(act=nn.ReLU(), fc=nn.Linear(4, 3, dtype=getattr(torch, weights))))
    problem = inferred(net, 1, 4, dtype=arriving).problems["fc"]
    assert problem.message == f"fc has {weights} weights, {arriving} arrives from act"
    with pytest.raises(RuntimeError, match="dtype"):
        net(torch.zeros(1, 4, dtype=getattr(torch, arriving)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_types_and_bytes_of_a_network_of_another_type_are_torch_s(dtype: torch.dtype) -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.LayerNorm(4), nn.Linear(4, 3), nn.ReLU()).to(dtype)
    y = net(torch.zeros(2, 5, dtype=torch.int64))
    infos = inferred(net, 2, 5, dtype="int64").infos
    assert infos["3"].output_dtype == str(y.dtype).removeprefix("torch.")
    assert infos["3"].activation_bytes == y.nbytes


def test_half_goes_into_a_norm_of_float32_as_in_torch() -> None:
    net = nn.Sequential(nn.Linear(4, 4, dtype=torch.float16), nn.LayerNorm(4), nn.Linear(4, 4))
    infos = inferred(net, 1, 4, dtype="float16").infos
    assert infos["1"].output_dtype == str(net[:2](torch.zeros(1, 4, dtype=torch.float16)).dtype).removeprefix("torch.")
    assert infos["2"].problem is not None


@pytest.mark.parametrize(
    ("weight", "bias", "words"),
    [("F16", "F32", "weights of float16 and float32"), ("F6_E2M3", "F6_E2M3", "weights of F6_E2M3")],
)
def test_weights_of_which_torch_s_verdict_is_not_known_leave_the_output_unknown(
    weight: str, bias: str, words: str
) -> None:
    tensors = (TensorInfo("weight", weight, (3, 4), 24), TensorInfo("bias", bias, (3,), 12))
    layer = LayerSpec("fc", "Linear", {"in_features": 4, "out_features": 3}, tensors)
    info = of_layers(layer).infos["fc"]
    assert (info.unknown, info.problem, info.output_shape, info.num_params) == (words, None, None, 15)


@pytest.mark.parametrize("dtype", ["I8", "I64", "BOOL", "U16", "C64", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (nn.Conv2d(2, 3, 3), (1, 2, 4, 4)),
        (nn.Linear(2, 3, bias=False), (1, 2)),
        (nn.BatchNorm2d(2), (1, 2, 4, 4)),
        (nn.LayerNorm(2), (1, 2)),
        (nn.PReLU(), (1, 2)),
        (nn.GRU(2, 3), (4, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_weights_of_other_types_stop_floats_as_in_torch(net: nn.Module, shape: Shape, dtype: str) -> None:
    net = deepcopy(net)  # one for each type
    for tensor in [*net.parameters(), *net.buffers()]:
        if tensor.is_floating_point():
            tensor.requires_grad_(False)
            tensor.data = tensor.data.to(getattr(torch, DTYPES[dtype].torch))
    with pytest.raises((RuntimeError, ValueError)):
        net.eval()(torch.zeros(shape))
    info = inferred(nn.Sequential(net), *shape).infos["0"]
    assert info.problem is not None
    assert info.problem.message == f"0 has {DTYPES[dtype].torch} weights, float32 arrives from the input"


@pytest.mark.filterwarnings("ignore::UserWarning")  # torch's, of the types
def test_a_root_mean_square_may_be_multiplied_by_whole_numbers() -> None:
    net = nn.RMSNorm(2)
    net.weight = nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False)
    assert net(torch.zeros(1, 2)).shape == (1, 2)
    assert inferred(nn.Sequential(net), 1, 2).infos["0"].problem is None
    net.weight = nn.Parameter(torch.ones(2, dtype=torch.float8_e4m3fn), requires_grad=False)
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 2))
    assert inferred(nn.Sequential(net), 1, 2).infos["0"].problem is not None


def test_a_type_that_a_spec_claims_is_a_problem() -> None:
    args: dict[str, Value] = {"num_embeddings": 3, "embedding_dim": 2, "dtype": "no type"}
    model = ModelSpec(
        LayerSpec("", "Sequential", layers=(LayerSpec("table", "Embedding", args),)), (InputSpec("x", (2,), "int64"),)
    )
    problem = infer_shapes(model).infos["table"].problem
    assert problem is not None
    assert problem.brief.startswith("cannot be given dtype")


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"in_channels": 3}, "conv needs "),
        ({"in_channels": 3, "out_channels": 4, "kernel_size": 3, "colour": 1}, "conv has no argument colour"),
        ({"in_channels": "3", "out_channels": 4, "kernel_size": 3}, "conv needs a whole number for in_channels"),
        ({"in_channels": 3, "out_channels": 4, "kernel_size": 3, "groups": 2}, "conv "),
    ],
)
def test_arguments_that_torch_would_refuse_are_a_problem(args: dict[str, int], sentence: str) -> None:
    root = LayerSpec("", "Sequential", layers=(LayerSpec("conv", "Conv2d", args),))
    problem = infer_shapes(ModelSpec(root, (InputSpec("input", (1, 3, 8, 8)),))).infos["conv"].problem
    assert problem is not None
    assert problem.message.startswith(sentence)


def test_without_an_input_everything_but_shapes_is_counted() -> None:
    spec = spec_of(article())
    total = infer_shapes(spec).total
    assert (total.num_params, total.output_shape, total.macs) == (5088, None, None)


def test_frozen_and_tied_parameters() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    net[2].bias.requires_grad_(False)
    total = inferred(net, 1, 4).total
    assert total.num_params == sum(p.numel() for p in net.parameters())
    assert total.num_trainable == sum(p.numel() for p in net.parameters() if p.requires_grad)


def test_a_file_s_tensors_that_no_rule_knows_count_when_they_float() -> None:
    tensors = (
        TensorInfo("weight", "BF16", (4, 2), 16),
        TensorInfo("running_mean", "F32", (4,), 16),
        TensorInfo("steps", "I64", (), 8),
    )
    opaque = LayerSpec("x", None, tensors=tensors, origin="opaque")
    total = infer_shapes(ModelSpec(LayerSpec("", None, layers=(opaque,), origin="opaque"))).total
    assert (total.num_params, total.num_buffers) == (8, 5)


def test_what_an_edit_left_alone_is_not_worked_out_again() -> None:
    spec = spec_of(article(), (InputSpec("input", (1, 3, 32, 32)),))
    first = infer_shapes(spec)
    layers = list(spec.layers)
    layers[4] = replace(layers[4], args={**layers[4].args, "padding": 1})
    edited = replace(spec, root=replace(spec.root, layers=tuple(layers)))
    again = infer_shapes(edited, first)
    assert again.infos == infer_shapes(edited).infos
    assert again.infos["conv1"] is first.infos["conv1"]
    assert again.infos["conv2"].output_shape == (1, 32, 15, 15)


@pytest.mark.parametrize("seed", range(20))
def test_an_inference_from_a_previous_one_equals_a_fresh_one(seed: int) -> None:
    draw = random.Random(seed)
    kinds = [
        LayerSpec("a", "Conv2d", {"in_channels": 4, "out_channels": 4, "kernel_size": 3, "padding": 1}),
        LayerSpec("a", "ReLU"),
        LayerSpec("a", "MaxPool2d", {"kernel_size": 2}),
        LayerSpec("a", "Linear", {"in_features": 8, "out_features": 8}),
        LayerSpec("a", "Flatten"),
    ]
    layers = [replace(draw.choice(kinds), name=str(index)) for index in range(12)]
    previous = None
    for _ in range(10):
        at = draw.randrange(len(layers))
        layers[at] = replace(draw.choice(kinds), name=str(at), enabled=draw.random() < 0.8)
        model = ModelSpec(LayerSpec("", "Sequential", layers=tuple(layers)), (InputSpec("input", (1, 4, 8, 8)),))
        result = infer_shapes(model, previous)
        assert result.infos == infer_shapes(model).infos
        previous = result
