"""A model as Python and back: torch builds the same network from the code, and reading it runs none of it."""

from __future__ import annotations

import random
from collections import OrderedDict

import pytest
import torch
from generated import made, without_tensors
from hypothesis import given
from hypothesis import strategies as some
from judge import GENERATORS
from torch import nn

from seqtui.engine.arguments import named_tensors
from seqtui.engine.modules import described, spec_of
from seqtui.errors import EngineError, UsageError
from seqtui.formats.source_code import source_code
from seqtui.formats.source_reader import SourceError, read_source
from seqtui.model.kinds import KINDS
from seqtui.model.literals import layer_call
from seqtui.model.spec import InputSpec, LayerSpec, LayerValue, ModelSpec, Value

torch.set_num_threads(1)


def sequential(*layers: LayerSpec, inputs: tuple[InputSpec, ...] = ()) -> ModelSpec:
    return ModelSpec(LayerSpec("", "Sequential", layers=layers), inputs)


ARTICLE = """\
from collections import OrderedDict

from torch import nn

input_shape = (1, 3, 32, 32)

net = nn.Sequential(OrderedDict([
    ("conv1", nn.Conv2d(3, 16, kernel_size=3)),
    ("relu1", nn.ReLU()),
    ("dropout1", nn.Identity()),  # off: nn.Dropout(p=0.25)
    ("head", nn.Sequential(
        nn.Flatten(),
        nn.Linear(14400, 10, bias=False),
    )),
    ("empty", nn.Sequential()),
]))
"""


def article() -> ModelSpec:
    head = LayerSpec(
        "head",
        "Sequential",
        layers=(
            LayerSpec("0", "Flatten"),
            LayerSpec("1", "Linear", {"in_features": 14400, "out_features": 10, "bias": False}),
        ),
    )
    return sequential(
        LayerSpec("conv1", "Conv2d", {"in_channels": 3, "out_channels": 16, "kernel_size": 3}),
        LayerSpec("relu1", "ReLU"),
        LayerSpec("dropout1", "Dropout", {"p": 0.25}, enabled=False),
        head,
        LayerSpec("empty", "Sequential"),
        inputs=(InputSpec("input", (1, 3, 32, 32)),),
    )


def test_a_layer_is_a_line_and_what_is_off_stands_in_a_comment() -> None:
    assert source_code(article()) == ARTICLE
    assert read_source(ARTICLE) == article()


def test_a_numbered_sequential_needs_no_names() -> None:
    net = nn.Sequential(nn.Embedding(9, 4), nn.LSTM(4, 2, num_layers=2, batch_first=True))
    text = source_code(spec_of(net, (InputSpec("input", (1, 7), "int64"),)))
    assert text == (
        "from torch import nn\n\n"
        'input_shape = (1, 7)\ninput_dtype = "int64"\n\n'
        "net = nn.Sequential(\n    nn.Embedding(9, 4),\n    nn.LSTM(4, 2, num_layers=2, batch_first=True),\n)\n"
    )


def test_shared_and_frozen_tensors_are_lines_of_their_own() -> None:
    net = nn.Sequential(OrderedDict([("a", nn.Linear(2, 2)), ("b b", nn.Linear(2, 2))]))
    net.get_submodule("b b").weight = net[0].weight
    net[0].bias.requires_grad_(False)
    text = source_code(spec_of(net))
    assert text.endswith(
        'net.get_submodule("b b").weight = net.get_submodule("a").weight\n'
        'net.get_submodule("a").bias.requires_grad_(False)\n'
    )
    again = made(text)
    assert again.get_submodule("b b").weight is again[0].weight
    assert not again[0].bias.requires_grad
    assert without_tensors(spec_of(again).root) == read_source(text).root == without_tensors(spec_of(net).root)


def test_what_no_call_carries_is_said() -> None:
    net = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 5, dilation=2)), nn.ReLU())
    net[1].register_forward_hook(print)
    with pytest.raises(UsageError, match="1 is a ReLU, no layer"):
        source_code(described(net))
    text = source_code(described(nn.Sequential(net[0])))
    assert "    nn.Conv1d(2, 3, kernel_size=5, dilation=2),  # not in this call: parametrized weight\n" in text
    assert read_source(text).layer("0").kind == "Conv1d"


def test_a_layer_as_an_argument() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    net = nn.Sequential(nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8), enable_nested_tensor=False))
    text = source_code(spec_of(net))
    assert "nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, dim_feedforward=16), 2, norm=nn.LayerNorm(8)" in text
    assert without_tensors(spec_of(made(text)).root) == read_source(text).root


Layers = list[tuple[dict[str, Value], nn.Module]]


def torch_layers(kind: str, count: int) -> Layers:
    """Random arguments and the layer of each, as far as torch makes them."""
    rng, draw, layers = random.Random(kind), GENERATORS[kind], Layers()
    for _ in range(count * 20):
        args = draw(rng).args
        try:
            (layer,) = made(f"from torch import nn\nnet = nn.Sequential({layer_call(kind, args)})")
        except Exception:  # noqa: BLE001  torch's constructors raise what they like for arguments they refuse
            continue
        layers.append((args, layer))
        if len(layers) == count:
            break
    return layers


def hides_an_argument(kind: str, args: dict[str, Value]) -> bool:
    """Whether a layer of these arguments may not keep one, as the kind's row says: a layer, a list, or no layers."""
    values = (args.get(name) for name in KINDS[kind].not_kept)
    return any(isinstance(value, LayerValue | tuple) or (isinstance(value, int) and value <= 0) for value in values)


def shapes(layer: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(tensor.shape)) for name, tensor, _ in named_tensors(layer)]


@pytest.mark.parametrize("kind", KINDS)
def test_spec_call_layer_and_back_is_the_identity(kind: str) -> None:
    """Fifty layers of random arguments: read, written as code, built from it by torch, read again."""
    layers = torch_layers(kind, 50)
    assert layers
    for args, layer in layers:
        try:
            spec = spec_of(nn.Sequential(layer))
        except EngineError:
            assert hides_an_argument(kind, args)
            continue
        text = source_code(spec)
        (again,) = made(text)
        assert repr(again) == repr(layer) or plain_repr(again) == plain_repr(layer)
        assert shapes(again) == shapes(layer)
        assert spec_of(nn.Sequential(again)) == spec
        assert read_source(text).root == without_tensors(spec.root)


def plain_repr(layer: nn.Module) -> str:
    """torch shows the list or the lone number that it was given; a spec has neither lists nor tuples of one value."""
    return repr(layer).replace("[", "(").replace("]", ")")


VALUES = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False) | some.text(),
    lambda items: some.lists(items, max_size=3).map(tuple),
    max_leaves=6,
)


@given(
    some.dictionaries(some.sampled_from(["p", "inplace"]), VALUES), some.text(min_size=1).filter(lambda n: "." not in n)
)
def test_any_value_and_any_name_come_back(args: dict[str, Value], name: str) -> None:
    model = sequential(LayerSpec(name, "Dropout", args), LayerSpec("x" + name, "Dropout", args, enabled=False))
    text = source_code(model)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert read_source(text) == model


OTHER_FORMS = [
    "import torch\ntorch.nn.Sequential(torch.nn.Linear(2, 3))",
    "import torch.nn as nn\nmodel = nn.Sequential(nn.Linear(in_features=2, out_features=3))",
    "from torch.nn import Linear, Sequential\n\nnet: Sequential = Sequential(Linear(2, out_features=3))",
    '"""A docstring."""\nfrom torch import nn\nHIDDEN = 3\nnet = nn.Sequential(nn.Linear(4 // 2, HIDDEN))',
    "nn.Sequential(nn.Linear(1 + 1, 6 - 3),)",
]


@pytest.mark.parametrize("text", OTHER_FORMS)
def test_the_ways_people_write_it(text: str) -> None:
    assert read_source(text) == sequential(LayerSpec("0", "Linear", {"in_features": 2, "out_features": 3}))


def test_what_python_would_warn_of_is_no_concern() -> None:
    assert read_source('"""\\d"""\nfrom torch import nn\nnn.Sequential()').root == LayerSpec("", "Sequential")


def test_an_ordered_dict_by_names() -> None:
    text = "import collections\nfrom torch import nn\nnn.Sequential(collections.OrderedDict(a=nn.ReLU(), b=nn.Tanh()))"
    assert read_source(text) == sequential(LayerSpec("a", "ReLU"), LayerSpec("b", "Tanh"))


REFUSED = [
    ("import os\nos.remove('x')", "line 1: an import that is not torch's or collections', import os"),
    ("from torch import nn\nnet = nn.Sequential(\n    nn.Conv9d(1))", "line 3: nn.Conv9d is no layer of torch.nn"),
    (
        'nn.Sequential(nn.Linear(1, 2, device="cuda"))',
        "line 1: nn.Linear cannot be given device here, which no file says",
    ),
    ("nn.Sequential(nn.Linear(1, 2, colour=3))", "line 1: nn.Linear has no argument colour"),
    ("nn.Sequential(nn.Linear(1, 2, out_features=3))", "line 1: nn.Linear is given out_features twice"),
    ("nn.Sequential(nn.ReLU(1, 2, 3))", "line 1: nn.ReLU takes 1 arguments, here are 3"),
    ("nn.Sequential(nn.Linear(n, 2))", "line 1: n is no plain value"),
    ("nn.Sequential(nn.Linear(1, 2 / 0))", "line 1: 2 / 0 has no value"),
    ("nn.Sequential(nn.Linear(1, 9 ** 9))", "line 1: 9 ** 9 is no plain value"),
    ("nn.Sequential(nn.Linear(1, 2 * 'x'))", "line 1: 'x' is no number"),
    (f"nn.Sequential(nn.Linear(1, {2**63}))", f"line 1: {2**63} is out of range"),
    ("nn.Sequential(*layers)", "line 1: *layers is no call of a layer"),
    ("nn.Sequential(OrderedDict([('a', nn.ReLU()),\n('a', nn.ReLU())]))", "line 2: there is a layer 'a' already"),
    ("nn.Sequential(OrderedDict([\n('a.b', nn.ReLU())]))", "line 2: 'a.b' cannot be the name of a layer: it has a dot"),
    ("nn.Sequential(OrderedDict([('', nn.ReLU())]))", "line 1: '' cannot be the name of a layer: it is empty"),
    ("nn.Sequential(OrderedDict([nn.ReLU()]))", "line 1: nn.ReLU() is no pair of a name and a layer"),
    ("nn.Sequential()\nnn.Sequential()", "line 2: a second network"),
    ("nn.ReLU()", "line 1: the network is a ReLU, not an nn.Sequential"),
    ("def f(): pass", "line 1: a statement that is not understood, def f():"),
    ("net = nn.Sequential(", "line 1: this is not Python: '(' was never closed"),
    ("", "there is no nn.Sequential in it"),
    ("x = 1", "there is no nn.Sequential in it"),
    ("input_shape = 'wide'\nnn.Sequential()", "input_shape = 'wide' is no input shape"),
    ("input_shape = (1,)\ninput_dtype = 'int7'\nnn.Sequential()", "input_dtype = 'int7' is no type of a tensor"),
    ("nn.Sequential(dict(a=nn.ReLU()))", "line 1: dict is no layer of torch.nn"),
    ("net = nn.Sequential()\nprint(net)", "line 2: a statement that is not understood, print(net)"),
    ("net = nn.Sequential()\nnet.eval()", "line 2: a statement that is not understood, net.eval()"),
    ("net = nn.Sequential().to(torch.int64)", "line 1: torch.int64 is no type that weights can have"),
    ("net = nn.Sequential().to('cuda')", "line 1: 'cuda' is no type that weights can have"),
    ("nn.Sequential(nn.Identity(), nn.Identity())  # off: nn.ReLU()", "line 1: one comment stands for two Identities"),
    ("nn.Sequential(nn.Identity(),)  # off: x = 1", "line 1: the comment keeps no call: off: x = 1"),
    ("net = nn.Sequential()\n# off: net.a.weight = ", "line 2: the comment keeps no call: net.a.weight ="),
    (f"x = {'1 + ' * 5000}1", ""),
    (f"nn.Sequential(nn.Linear({'-' * 5000}1, 2))", ""),
    ("net = nn.Sequential()\nnet.a.weight.requires_grad_(False)", "line 2: there is no layer a"),
    ("nn.Sequential(nn.Identity(),)  # off: nn.Dropout(", "line 1: the comment keeps no call: nn.Dropout("),
    ("nn.Sequential(" * 200 + ")" * 200, ""),
    ("(" * 5000, ""),
    ("x = '\0'", ""),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_is_not_understood_is_refused_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_source(text)
    assert caught.value.message.startswith(sentence)
    assert "\n" not in caught.value.line()


def test_a_model_that_is_no_sequential_has_no_code() -> None:
    with pytest.raises(UsageError, match="does not say how its layers are connected"):
        source_code(ModelSpec(LayerSpec("", None, origin="opaque")))
    guessed = sequential(LayerSpec("fc", "Linear", {"in_features": 1, "out_features": 2}, origin="guessed"))
    with pytest.raises(UsageError, match="fc is probably a Linear, no layer whose constructor call is known"):
        source_code(guessed)


def test_a_value_of_a_layer_that_is_a_layer() -> None:
    encoder = LayerValue("TransformerEncoderLayer", (("d_model", 8), ("nhead", 2), ("dropout", float("inf"))))
    args: dict[str, Value] = {"encoder_layer": encoder, "num_layers": 3}
    call = layer_call("TransformerEncoder", args)
    assert call == 'nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, dropout=float("inf")), 3)'
    assert read_source(f"nn.Sequential({call})").layer("0").args == args
