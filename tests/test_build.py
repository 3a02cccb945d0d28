"""An `nn.Sequential` to a file and back, judged by torch: the same text, the same numbers, the same outputs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from generated import made
from memory_source import MemorySource, source_of
from random_networks import random_network
from safetensors.torch import save_file
from torch import Tensor, nn

import seqtui
from seqtui.engine.arguments import named_tensors
from seqtui.engine.build import build
from seqtui.engine.door import Engine
from seqtui.engine.modules import spec_of
from seqtui.errors import EngineError, FormatError
from seqtui.formats import open_model
from seqtui.formats.source_code import source_code
from seqtui.model.edits import Batch, parse_edits
from seqtui.model.spec import LayerSpec, LayerValue, ModelSpec
from seqtui.model.spec_json import SPEC_KEY, spec_to_json
from seqtui.model.tensors import TensorInfo, TensorRef
from seqtui.model.weights_kept import with_new_tensors
from seqtui.saving import Target, save_model
from seqtui.templates import template_model

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def there_and_back(tmp_path: Path) -> Callable[[nn.Sequential], nn.Sequential]:
    def save_and_load(net: nn.Sequential) -> nn.Sequential:
        seqtui.save(net, tmp_path / "net.safetensors")
        return seqtui.load_sequential(tmp_path / "net.safetensors")

    return save_and_load


ThereAndBack = Callable[[nn.Sequential], nn.Sequential]


def bits(tensor: Tensor) -> list[int]:
    flat: list[int] = tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()
    return flat


def facts(net: nn.Module) -> list[tuple[object, ...]]:
    """Everything about a network's tensors that must survive, in order."""
    return [
        (name, is_parameter, tensor.dtype, tuple(tensor.shape), tensor.requires_grad, bits(tensor))
        for name, tensor, is_parameter in named_tensors(net)
    ]


def assert_same(net: nn.Sequential, again: nn.Sequential, *inputs: Tensor) -> None:
    assert repr(again) == repr(net)
    assert list(again.state_dict()) == list(net.state_dict())
    assert facts(again) == facts(net)
    for x in inputs:
        with torch.no_grad():
            assert bits(again.eval()(x.clone())) == bits(net.eval()(x.clone()))  # some layers work in place


def lenet5() -> nn.Sequential:
    return made(source_code(template_model("lenet5")))


def small_cnn() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)
            ),
            head=nn.Sequential(nn.Flatten(), nn.Dropout(0.25), nn.Linear(8 * 15 * 15, 10), nn.LogSoftmax(dim=1)),
        )
    )


# The way there and back


@pytest.mark.parametrize(
    ("make", "shape"),
    [(lenet5, (2, 1, 28, 28)), (small_cnn, (2, 3, 32, 32)), (nn.Sequential, (2, 3))],
    ids=["lenet5", "small_cnn", "empty"],
)
def test_a_network_comes_back_the_same(
    make: Callable[[], nn.Sequential], shape: tuple[int, ...], there_and_back: ThereAndBack
) -> None:
    net = make()
    assert_same(net, there_and_back(net), torch.randn(shape))


def test_running_statistics_come_back(there_and_back: ThereAndBack) -> None:
    net = small_cnn()
    for _ in range(3):
        net(torch.randn(4, 3, 32, 32))
    again = there_and_back(net)
    assert again.state_dict()["features.1.num_batches_tracked"] == 3
    assert_same(net, again, torch.randn(2, 3, 32, 32))


def test_the_network_comes_back_in_training_mode(there_and_back: ThereAndBack) -> None:
    assert all(module.training for module in there_and_back(small_cnn().eval()).modules())


@pytest.mark.parametrize("name", ["a b", "#x", "conv*", "🧪", "[/]", "[bold]", "0", "q'\"\\", "層", "\x1b[2J"])
def test_any_name_that_torch_takes_comes_back(name: str, there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(OrderedDict([(name, nn.Sequential(OrderedDict([(name, nn.Linear(3, 2))])))]))
    again = there_and_back(net)
    assert_same(net, again, torch.randn(1, 3))
    assert list(again._modules) == [name]


def test_names_out_of_order_stay_so(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(OrderedDict([("9", nn.Linear(3, 2)), ("2", nn.ReLU()), ("10", nn.Linear(2, 1))]))
    assert_same(net, there_and_back(net), torch.randn(1, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float32])
def test_every_type_of_number_comes_back(dtype: torch.dtype, there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.LSTM(4, 3)).to(dtype)
    again = there_and_back(net)
    assert_same(net, again)
    x = torch.randn(2, 5, dtype=dtype)
    assert bits(again.eval()(x)[0]) == bits(net.eval()(x)[0])


def test_every_bit_of_a_number_comes_back(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(nn.Linear(2, 3))
    numbers = torch.tensor([[float("nan"), -0.0], [float("inf"), 1e-45], [-float("inf"), 3.4e38]])
    numbers.view(torch.int32)[0, 0] = 0x7FC00123  # a NaN with a payload
    net[0].weight = nn.Parameter(numbers)
    assert_same(net, there_and_back(net))


def test_frozen_parameters_stay_frozen(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.MultiheadAttention(4, 2), nn.Linear(3, 3).requires_grad_(False))
    net.get_parameter("0.bias").requires_grad = False
    net.get_parameter("1.out_proj.weight").requires_grad = False
    assert_same(net, there_and_back(net))
    assert spec_of(net).layer("1").frozen == {"out_proj.weight"}


def test_tied_parameters_are_one_again(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(OrderedDict(embed=nn.Embedding(7, 4), mix=nn.Linear(4, 4), out=nn.Linear(4, 7, bias=False)))
    net.get_submodule("out").weight = net.get_parameter("embed.weight")
    again = there_and_back(net)
    assert again.get_parameter("out.weight") is again.get_parameter("embed.weight")
    assert_same(net, again, torch.tensor([[1, 2], [3, 0]]))
    assert len(list(again.parameters())) == len(list(net.parameters())) == 3


def test_a_shared_module_is_tied_at_each_of_its_places(there_and_back: ThereAndBack) -> None:
    norm = nn.BatchNorm1d(3)
    net = nn.Sequential(norm, nn.Sequential(nn.Linear(3, 3), norm), norm)
    again = there_and_back(net)
    assert_same(net, again)
    net.train()(torch.arange(12.0).view(4, 3))
    again.train()(torch.arange(12.0).view(4, 3))
    assert facts(again) == facts(net)
    assert again.state_dict()["1.1.num_batches_tracked"] == 3


def test_a_tie_whose_numbers_differ_in_the_file_is_not_tied(tmp_path: Path) -> None:
    path = str(tmp_path / "net.safetensors")
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    changed = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    save_file(changed.state_dict(), path, {SPEC_KEY: spec_to_json(spec_of(net))})
    assert facts(seqtui.load_sequential(path)) == facts(changed)


def test_an_embedding_keeps_its_padding(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(nn.Embedding(6, 3, padding_idx=-1, max_norm=float("inf")), nn.Flatten(), nn.Linear(6, 2))
    assert_same(net, there_and_back(net), torch.tensor([[1, 5]]))


def test_tensors_without_elements_come_back(there_and_back: ThereAndBack) -> None:
    with pytest.warns(UserWarning, match="zero-element"):
        net = nn.Sequential(nn.Linear(3, 0), nn.Linear(0, 2))
    assert_same(net, there_and_back(net), torch.randn(2, 3))


def test_parameters_may_lie_in_any_way(there_and_back: ThereAndBack) -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    net[0].weight = nn.Parameter(torch.randn(4, 4).t())
    net[1].weight = nn.Parameter(torch.randn(4, 3, 3, 3).to(memory_format=torch.channels_last))
    net[2].weight = nn.Parameter(torch.randn(1, 4).expand(2, 4))
    again = there_and_back(net)
    assert facts(again) == facts(net)
    assert all(parameter.is_contiguous() for parameter in again.parameters())


def test_what_is_loaded_can_be_trained(there_and_back: ThereAndBack) -> None:
    again = there_and_back(nn.Sequential(nn.Embedding(5, 4), nn.LSTM(4, 3)))
    again(torch.tensor([[1, 2]]))[0].sum().backward()
    assert all(parameter.is_leaf and parameter.grad is not None for parameter in again.parameters())


def test_a_subclass_without_a_forward_is_a_sequential(there_and_back: ThereAndBack) -> None:
    class Block(nn.Sequential):
        pass

    net = nn.Sequential(Block(nn.Linear(3, 2), nn.ReLU()))
    again = there_and_back(net)
    assert facts(again) == facts(net)
    assert type(again[0]) is nn.Sequential


def test_changes_made_after_construction_are_seen(there_and_back: ThereAndBack) -> None:
    conv, norm, dropout = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Dropout(0.1)
    conv.padding, conv.stride, norm.momentum, dropout.p = (0, 0), (2, 2), None, 0.75
    net = nn.Sequential(conv, norm, dropout)
    again = there_and_back(net)
    assert_same(net, again, torch.randn(1, 1, 9, 9))
    assert spec_of(net).layer("0").args == {"in_channels": 1, "out_channels": 2, "kernel_size": 3, "stride": 2}


def test_random_numbers_are_neither_drawn_nor_moved(tmp_path: Path) -> None:
    seqtui.save(lenet5(), tmp_path / "net.safetensors")
    state = torch.get_rng_state()
    spec_of(seqtui.load_sequential(tmp_path / "net.safetensors"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("seed", range(40))
def test_random_networks_come_back_the_same(seed: int, there_and_back: ThereAndBack) -> None:
    net, x = random_network(seed)
    assert_same(net, there_and_back(net), x)


# From a spec alone


def spec_with_tensors(net: nn.Sequential) -> tuple[ModelSpec, dict[str, MemorySource]]:
    """A network's spec, and a source in memory that its tensors refer to."""
    source = source_of(**{name: tensor for name, tensor, _ in named_tensors(net)})
    return replace(spec_of(net), root=_with_refs(spec_of(net).root, "")), {"memory": source}


def _with_refs(layer: LayerSpec, prefix: str) -> LayerSpec:
    tensors = tuple(info._replace(ref=TensorRef("memory", prefix + info.name)) for info in layer.tensors)
    return replace(
        layer, tensors=tensors, layers=tuple(_with_refs(child, f"{prefix}{child.name}.") for child in layer.layers)
    )


def with_first(model: ModelSpec, layer: LayerSpec) -> ModelSpec:
    """The model with its first layer replaced."""
    return replace(model, root=replace(model.root, layers=(layer, *model.layers[1:])))


def test_a_layer_switched_off_is_an_identity_of_its_name() -> None:
    net = nn.Sequential(OrderedDict(fc=nn.Linear(3, 3), drop=nn.Dropout(0.5), out=nn.Linear(3, 2)))
    model, sources = spec_with_tensors(net)
    again = build(with_first(model, replace(model.layers[0], enabled=False)), sources)
    assert [type(layer).__name__ for layer in again] == ["Identity", "Dropout", "Linear"]
    assert list(again._modules) == ["fc", "drop", "out"]


def test_what_is_tied_to_a_layer_switched_off_has_its_own_numbers() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[2].weight = net[0].weight
    model, sources = spec_with_tensors(net)
    again = build(with_first(model, replace(model.layers[0], enabled=False)), sources)
    assert bits(again.get_parameter("1.weight")) == bits(net.get_parameter("0.weight"))
    assert again[1].weight is again[2].weight


# Tensors that are not in the file


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def tied_text() -> nn.Sequential:
    net = nn.Sequential(OrderedDict(embed=nn.Embedding(7, 4), mix=nn.Linear(4, 4), out=nn.Linear(4, 7, bias=False)))
    net.get_submodule("out").weight = net.get_parameter("embed.weight")
    return net


@pytest.mark.parametrize(
    ("make", "edits"),
    [
        (
            lenet5,
            [
                "set conv2 out_channels=24",
                "set fc1 in_features=600",
                "insert bn BatchNorm2d num_features=24 after conv2",
            ],
        ),
        (lenet5, ["set fc1 out_features=100", "set fc2 in_features=100 out_features=90 fresh"]),
        (lenet5, ["fill conv1 xavier_normal", "fill fc3.bias ones", "cast fc1 bf16", "cast conv2.bias f64"]),
        (lenet5, ["fill conv1 default seed=7", "copy fc3 fc4", "rename fc4 last"]),
        (tied_text, ["fill embed default seed=3"]),
        (tied_text, ["fill embed default seed=3", "disable embed"]),
        (tied_text, ["untie out.weight", "fill out default seed=3"]),
    ],
)
def test_what_a_save_would_make_is_made(
    make: Callable[[], nn.Sequential], edits: list[str], engine: Engine, tmp_path: Path
) -> None:
    seqtui.save(make(), tmp_path / "net.safetensors")
    opened = open_model(str(tmp_path / "net.safetensors"))
    model = Batch(tuple(parse_edits(edits))).apply(opened.model)
    save_model(model, opened.sources, Target(str(tmp_path / "saved.safetensors"), engine))
    state = torch.get_rng_state()
    built = build(model, opened.sources)
    opened.close()
    assert torch.equal(torch.get_rng_state(), state)
    assert facts(built) == facts(seqtui.load_sequential(tmp_path / "saved.safetensors"))


def test_a_model_without_any_file_is_made_as_a_save_would_and_ties_hold(engine: Engine, tmp_path: Path) -> None:
    model = with_new_tensors(spec_of(tied_text()), "net.py")
    for enabled in (True, False):
        changed = with_first(model, replace(model.layers[0], enabled=enabled))
        save_model(changed, {}, Target(str(tmp_path / f"{enabled}.safetensors"), engine))
        built = build(changed, {})
        assert facts(built) == facts(seqtui.load_sequential(tmp_path / f"{enabled}.safetensors"))
        assert not enabled or built.get_parameter("out.weight") is built.get_parameter("embed.weight")


def test_floating_tensors_are_converted_and_ties_hold() -> None:
    net = nn.Sequential(OrderedDict(one=nn.Linear(4, 4), norm=nn.BatchNorm1d(4), two=nn.Linear(4, 4)))
    net.get_submodule("two").weight = net.get_parameter("one.weight")
    model, sources = spec_with_tensors(net)
    again = build(model, sources, dtype="bfloat16")
    assert facts(again) == facts(net.bfloat16())
    assert again.get_parameter("two.weight") is again.get_parameter("one.weight")
    assert again.state_dict()["norm.num_batches_tracked"].dtype == torch.int64


def test_what_stands_beside_the_layers_is_no_part_of_the_network(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2))
    path = str(tmp_path / "net.safetensors")
    save_file({**net.state_dict(), "ema.decay": torch.ones(1)}, path, {SPEC_KEY: spec_to_json(spec_of(net))})
    opened = open_model(path)
    assert facts(build(opened.model, opened.sources)) == facts(net)
    opened.close()
    with pytest.raises(FormatError, match="ema is beside the layers in the file, and no network would hold it"):
        seqtui.load_sequential(path)


def test_on_meta_nothing_is_read() -> None:
    model, sources = spec_with_tensors(small_cnn().half())
    again = build(model, sources, "meta")
    assert repr(again) == repr(small_cnn())
    assert {parameter.dtype for parameter in again.parameters()} == {torch.float16}
    assert again(torch.empty(2, 3, 32, 32, dtype=torch.float16, device="meta")).shape == (2, 10)
    assert sources["memory"].reads == []


def test_each_tensor_is_read_once_into_its_place() -> None:
    model, sources = spec_with_tensors(lenet5())
    build(model, sources)
    assert sources["memory"].bytes_read == sum(p.nbytes for p in lenet5().parameters())


LINEAR = LayerSpec("0", "Linear", {"in_features": 2, "out_features": 3})
WEIGHT = TensorInfo("weight", "F32", (3, 2), 24, TensorRef("memory", "0.weight"))
ON_THE_CPU = LayerValue("TransformerEncoderLayer", (("d_model", 4), ("nhead", 2), ("device", "cpu")))
BIAS = TensorInfo("bias", "F32", (3,), 12, TensorRef("memory", "0.bias"))


@pytest.mark.parametrize(
    ("layer", "sentence"),
    [
        (replace(LINEAR, tensors=(WEIGHT,)), "0 takes a tensor bias of 3, the file has none"),
        (replace(LINEAR, tensors=(WEIGHT._replace(shape=(3, 4)), BIAS)), "0 takes weight as 3×2, the file has 3×4"),
        (replace(LINEAR, args={**LINEAR.args, "bias": False}, tensors=(WEIGHT, BIAS)), "0 is a Linear without bias,"),
        (replace(LINEAR, tensors=(WEIGHT, BIAS._replace(ref=None))), "0.bias has no numbers in the file"),
        (replace(LINEAR, tensors=(WEIGHT._replace(dtype="F4"), BIAS)), "0.weight is of type F4, which torch cannot"),
        (replace(LINEAR, tensors=(WEIGHT._replace(dtype="X9"), BIAS)), "0.weight is of type X9, which torch cannot"),
        (LayerSpec("0", "Popen", {"args": "true"}), "0 is a Popen, which is no layer of torch.nn"),
        (LayerSpec("0", "Module"), "0 is a Module, which is no layer of torch.nn"),
        (LayerSpec("0", None, tensors=(WEIGHT,), origin="opaque"), "0 is of no known kind"),
        (LayerSpec("0", "Linear", {"in_features": 2}), "0 needs out_features"),
        (LayerSpec("0", "ReLU", {"colour": "red"}), "0 has no argument colour"),
        (LayerSpec("0", "Linear", {**LINEAR.args, "device": "cpu"}), "0 cannot be given device"),
        (
            LayerSpec("0", "TransformerEncoder", {"encoder_layer": ON_THE_CPU, "num_layers": 1}),
            "0 has an argument that a spec cannot give, device",
        ),
        (LayerSpec("0", "Linear", {"in_features": "x", "out_features": 3}), "0: torch refuses these arguments of Lin"),
        (LayerSpec("0", "Linear", {"in_features": 10**15, "out_features": 10**4}), "0: torch refuses these arguments"),
        (LayerSpec("0", "LSTM", {"input_size": 1, "hidden_size": 1, "num_layers": 10**9}), "0 takes tensors for num_"),
        (LayerSpec("forward", "ReLU"), "'forward' cannot be the name of a layer in the network"),
        (LayerSpec("a.b", "ReLU"), "'a.b' cannot be the name of a layer in the network"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_with_its_layer(layer: LayerSpec, sentence: str) -> None:
    model = ModelSpec(LayerSpec("", "Sequential", layers=(layer,)))
    with pytest.raises(FormatError) as caught:
        build(model, {"memory": source_of(**{"0.weight": torch.ones(3, 2), "0.bias": torch.ones(3)})})
    assert caught.value.message.startswith(sentence)


def test_a_model_whose_connections_are_not_known_is_not_built() -> None:
    guess = ModelSpec(LayerSpec("", "Sequential", layers=(LINEAR,), origin="guessed"))
    with pytest.raises(FormatError, match="does not say how its layers are connected"):
        build(guess, {})


@pytest.mark.parametrize("device", ["blah", "mps", "xpu:7", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(EngineError, match=f"there is no device {device} here: "):
        build(ModelSpec(LayerSpec("", "Sequential")), {}, device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_goes_to_cuda_and_back(there_and_back: ThereAndBack, tmp_path: Path) -> None:
    net = small_cnn()
    seqtui.save(net.cuda(), tmp_path / "cuda.safetensors")
    again = seqtui.load_sequential(tmp_path / "cuda.safetensors", device="cuda")
    assert {tensor.device.type for _, tensor, _ in named_tensors(again)} == {"cuda"}
    assert_same(net.cpu(), again.cpu(), torch.randn(2, 3, 32, 32))
