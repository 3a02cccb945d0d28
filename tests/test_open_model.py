"""Opening a model: the spec in the file held against its tensors, where the tensors win."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from seqtui.formats import open_model
from seqtui.formats.opened import OpenedModel
from seqtui.model.infer import infer_shapes
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import LayerSpec
from seqtui.model.spec_json import SPEC_KEY
from seqtui.model.tensors import Shape, TensorRef
from seqtui.model.tree import walk_layer
from seqtui.words import a

Layer = dict[str, Any]
"""A layer as the spec's JSON has it."""
Opener = Callable[..., OpenedModel]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    """Opens a file of these tensors and these layers; what is read later needs no open file."""

    def open_it(
        tensors: Mapping[str, torch.Tensor], layers: Sequence[Layer], metadata: Mapping[str, str] | None = None
    ) -> OpenedModel:
        spec = json.dumps({"seqtui": 1, "kind": "Sequential", "layers": list(layers)})
        path = tmp_path / "model.safetensors"
        safetensors.torch.save_file(dict(tensors), path, {SPEC_KEY: spec, **(metadata or {})})
        model = open_model(str(path))
        model.close()
        return model

    return open_it


def weights(**shapes: Shape) -> dict[str, torch.Tensor]:
    """Tensors of zeros; `__` in a name stands for a dot."""
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


def layer(name: str, kind: str | None, layers: Sequence[Layer] | None = None, **args: Any) -> Layer:
    return {"name": name, "kind": kind, "args": args} | ({} if layers is None else {"layers": list(layers)})


def shapes(spec: LayerSpec) -> dict[str, Shape]:
    return {info.name: info.shape for info in spec.tensors}


FC = layer("fc", "Linear", in_features=3, out_features=4)


# What agrees


def test_layers_come_from_the_spec_and_tensors_from_the_file(opened: Opener) -> None:
    model = opened(
        weights(fc__weight=(4, 3), fc__bias=(4,), block__norm__weight=(4,), block__norm__bias=(4,)),
        [FC, layer("relu", "ReLU"), layer("block", "Sequential", [layer("norm", "LayerNorm", normalized_shape=4)])],
    )
    assert model.notes == ()
    assert [(path, found.kind) for path, found in model.model.walk()] == [
        ("fc", "Linear"),
        ("relu", "ReLU"),
        ("block", "Sequential"),
        ("block.norm", "LayerNorm"),
    ]
    (file,) = model.sources
    assert [(info.name, info.ref) for info in model.model.layer("block.norm").tensors] == [
        ("weight", TensorRef(file, "block.norm.weight")),
        ("bias", TensorRef(file, "block.norm.bias")),
    ]
    assert all(found.origin == "declared" for _, found in model.model.walk())


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 4),
        nn.Linear(3, 4, bias=False),
        nn.Conv2d(4, 6, (3, 2), groups=2),
        nn.ConvTranspose1d(4, 6, 3, groups=2),
        nn.BatchNorm2d(5),
        nn.BatchNorm1d(5, affine=False),
        nn.LayerNorm((2, 3)),
        nn.GroupNorm(2, 4),
        nn.Embedding(7, 2),
        nn.LSTM(3, 4, 2, bidirectional=True),
        nn.GRU(3, 4, bias=False),
    ],
    ids=str,
)
def test_tensors_stand_in_torch_s_order(opened: Opener, module: nn.Module) -> None:
    """torch is asked for names, shapes and order; the arguments are read off the module."""
    kind = type(module).__name__
    args = {
        parameter.name: getattr(module, parameter.name)
        for parameter in catalogue()[kind].parameters
        if isinstance(getattr(module, parameter.name, None), int | float | tuple)
    }
    args |= {"bias": module.bias is not None} if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) else {}
    state = module.state_dict()
    model = opened({f"a.{name}": tensor for name, tensor in state.items()}, [layer("a", kind, **args)])
    assert model.notes == ()
    assert list(shapes(model.model.layer("a")).items()) == [(name, tuple(t.shape)) for name, t in state.items()]


def test_other_metadata_is_kept_and_the_spec_is_not_repeated(opened: Opener) -> None:
    model = opened(weights(fc__weight=(4, 3), fc__bias=(4,)), [FC], {"format": "pt", "licence": "é"})
    assert model.model.metadata == {"format": "pt", "licence": "é"}


def test_disabled_frozen_and_tied_are_kept(opened: Opener) -> None:
    model = opened(
        weights(a__weight=(4, 3), b__weight=(4, 3)),
        [
            layer("a", "Linear", in_features=3, out_features=4, bias=False) | {"frozen": ["weight"]},
            layer("b", "Linear", in_features=3, out_features=4, bias=False) | {"tied": {"weight": "a.weight"}},
            layer("drop", "Dropout") | {"enabled": False},
        ],
    )
    assert model.notes == ()
    assert repr(model.model.layer("a").frozen) == "frozenset({'weight'})"
    assert model.model.layer("b").tied == {"weight": "a.weight"}
    assert not model.model.layer("drop").enabled


# What does not


@pytest.mark.parametrize(
    ("claim", "tensors", "args", "words"),
    [
        (
            layer("a", "Linear", in_features=9, out_features=9),
            {"weight": (4, 3), "bias": (4,)},
            {"in_features": 3, "out_features": 4},
            "weight 4×3 (the spec says 9×9), bias 4 (the spec says 9); shown with in_features=3, out_features=4",
        ),
        (
            layer("a", "Linear", in_features=3, out_features=4),
            {"weight": (4, 3)},
            {"in_features": 3, "out_features": 4, "bias": False},
            "the file has no bias; shown with bias=False",
        ),
        (
            layer("a", "Linear", in_features=3, out_features=4, bias=False),
            {"weight": (4, 3), "bias": (4,)},
            {"in_features": 3, "out_features": 4, "bias": True},
            "the file has bias 4 (the spec has none); shown with bias=True",
        ),
        (
            layer("a", "Conv2d", in_channels=4, out_channels=8, kernel_size=3, groups=2, padding=1),
            {"weight": (6, 4, 5, 5), "bias": (6,)},
            {"in_channels": 8, "out_channels": 6, "kernel_size": 5, "groups": 2, "padding": 1},
            "shown with in_channels=8, out_channels=6, kernel_size=5",
        ),
        (
            layer("a", "Conv1d", in_channels=4, out_channels=8, kernel_size=[3]),
            {"weight": (8, 2, 3), "bias": (8,)},
            {"in_channels": 2, "out_channels": 8, "kernel_size": (3,)},
            "shown with in_channels=2",
        ),
        (
            layer("a", "Conv2d", in_channels=4, out_channels=8, kernel_size=3),
            {"weight": (8, 4, 3, 2), "bias": (8,)},
            {"in_channels": 4, "out_channels": 8, "kernel_size": (3, 2)},
            "shown with kernel_size=(3, 2)",
        ),
        (
            layer("a", "ConvTranspose2d", in_channels=4, out_channels=8, kernel_size=3),
            {"weight": (5, 7, 3, 3), "bias": (7,)},
            {"in_channels": 5, "out_channels": 7, "kernel_size": 3},
            "shown with in_channels=5, out_channels=7",
        ),
        (
            layer("a", "BatchNorm2d", num_features=8),
            {"weight": (6,), "bias": (6,), "running_mean": (6,), "running_var": (6,), "num_batches_tracked": ()},
            {"num_features": 6},
            "shown with num_features=6",
        ),
        (
            layer("a", "BatchNorm2d", num_features=8),
            {"running_mean": (8,), "running_var": (8,), "num_batches_tracked": ()},
            {"num_features": 8, "affine": False},
            "the file has no weight, no bias; shown with affine=False",
        ),
        (
            layer("a", "LayerNorm", normalized_shape=8),
            {"weight": (2, 4), "bias": (2, 4)},
            {"normalized_shape": (2, 4)},
            "shown with normalized_shape=(2, 4)",
        ),
        (
            layer("a", "GroupNorm", num_groups=2, num_channels=8),
            {"weight": (6,), "bias": (6,)},
            {"num_groups": 2, "num_channels": 6},
            "shown with num_channels=6",
        ),
        (
            layer("a", "Embedding", num_embeddings=10, embedding_dim=4),
            {"weight": (9, 3)},
            {"num_embeddings": 9, "embedding_dim": 3},
            "shown with num_embeddings=9, embedding_dim=3",
        ),
    ],
)
def test_arguments_are_corrected_where_shapes_say_them(
    opened: Opener, claim: Layer, tensors: dict[str, Shape], args: dict[str, object], words: str
) -> None:
    model = opened({f"a.{name}": torch.zeros(shape) for name, shape in tensors.items()}, [claim])
    found = model.model.layer("a")
    assert (found.kind, dict(found.args), found.origin) == (claim["kind"], args, "declared")
    assert shapes(found) == tensors
    (note,) = model.notes
    assert note.startswith("a: the file has ")
    assert words in note


@pytest.mark.parametrize(
    ("claim", "tensors"),
    [
        (layer("a", "Linear", in_features=3, out_features=4), {"weight": (4, 3, 3, 3), "bias": (4,)}),
        (layer("a", "Linear", in_features=3, out_features=4), {"weight": (4, 3), "bias": (5,)}),
        (layer("a", "Conv2d", in_channels=3, out_channels=4, kernel_size=3), {"weight": (4, 3), "bias": (4,)}),
        (layer("a", "Conv2d", in_channels=2, out_channels=4, kernel_size=3, groups=2), {"weight": (5, 1, 3, 3)}),
        (layer("a", "GroupNorm", num_groups=4, num_channels=8), {"weight": (6,), "bias": (6,)}),
        (layer("a", "Embedding", num_embeddings=10, embedding_dim=4, padding_idx=9), {"weight": (5, 4)}),
        (layer("a", "LSTM", input_size=3, hidden_size=4), {"weight_ih_l0": (5, 5)}),
    ],
)
def test_a_layer_that_its_tensors_contradict_is_no_longer_believed(
    opened: Opener, claim: Layer, tensors: dict[str, Shape]
) -> None:
    model = opened({f"a.{name}": torch.zeros(shape) for name, shape in tensors.items()}, [claim])
    found = model.model.layer("a")
    assert (found.kind, found.args, found.origin) == (None, {}, "opaque")
    assert shapes(found) == tensors
    (note,) = model.notes
    assert note.endswith(f"it is no longer taken for {a(claim['kind'])}")


def test_what_the_file_lacks_is_listed_without_a_reference(opened: Opener) -> None:
    model = opened(weights(fc__bias=(4,)), [FC, layer("norm", "BatchNorm1d", num_features=4)])
    weight, bias = model.model.layer("fc").tensors
    assert (weight.name, weight.shape, weight.nbytes, weight.ref) == ("weight", (4, 3), 48, None)
    assert bias.ref is not None
    assert [info.dtype for info in model.model.layer("norm").tensors] == ["F32", "F32", "F32", "F32", "I64"]
    assert model.notes == (
        "fc: the file has no weight",
        "norm: the file has no weight, no bias, no running_mean, no running_var, no num_batches_tracked",
    )


def test_tensors_that_no_layer_asks_for_are_kept_where_their_names_say(opened: Opener) -> None:
    model = opened(
        weights(
            fc__weight=(4, 3), fc__bias=(4,), fc__scale=(1,), fc__deep__er=(1,), step=(), block__x=(1,),
            head__out__weight=(2, 2), head__scale=(1,),
        )
        | {"..": torch.zeros(1)},
        [FC, layer("block", "Sequential", [])],
    )  # fmt: skip
    root = model.model.root
    assert list(shapes(model.model.layer("fc"))) == ["weight", "bias", "deep.er", "scale"]
    assert set(shapes(root)) == {"step", ".."}
    assert shapes(model.model.layer("block")) == {"x": (1,)}
    assert shapes(model.model.layer("head")) == {"scale": (1,)}
    assert shapes(model.model.layer("head.out")) == {"weight": (2, 2)}
    assert [child.name for child in root.layers] == ["fc", "block", "head"]
    assert model.model.layer("head.out").origin == "opaque"
    assert len(model.notes) == 3


def test_every_tensor_is_in_the_model_once_and_its_name_can_be_told_again(opened: Opener) -> None:
    draw = random.Random(7)
    names = {".".join(draw.choices(["fc", "block", "a", "b", ""], k=draw.randint(1, 5))) for _ in range(300)}
    names |= {"a." * 70 + "w", "block." * 40 + "w"}
    model = opened({name: torch.zeros(1) for name in names}, [FC, layer("block", "Sequential", [FC])])
    everywhere = list(walk_layer("", model.model.root))
    told = {
        info.stored.name: f"{path}.{info.name}" if path else info.name
        for path, found in everywhere
        for info in found.tensors
        if info.stored
    }
    assert told == {name: name for name in names}
    assert sum(bool(info.ref) for _, found in everywhere for info in found.tensors) == len(names)


def test_a_name_of_a_million_dots_is_no_path_to_walk(opened: Opener) -> None:
    name = "fc." + "." * 1_000_000
    model = opened({name: torch.zeros(1)}, [layer("fc", "Sequential", [])])
    assert list(shapes(model.model.layer("fc"))) == ["." * 1_000_000]


@pytest.mark.parametrize(
    ("owner", "shape"), [("a.weight", (4, 4)), ("nobody.weight", (4, 3)), ("b.weight", (4, 3)), ("", (4, 3))]
)
def test_tensors_that_cannot_be_one_are_not_tied(opened: Opener, owner: str, shape: Shape) -> None:
    model = opened(
        weights(a__weight=shape, b__weight=(4, 3)),
        [
            layer("a", "Linear", in_features=shape[1], out_features=4, bias=False),
            layer("b", "Linear", in_features=3, out_features=4, bias=False) | {"tied": {"weight": owner}},
        ],
    )
    assert model.model.layer("b").tied == {}
    assert model.notes == (f"b: weight cannot share the numbers of {owner}, as the spec says",)


def test_two_tensors_that_name_each_other_as_owner_are_not_tied(opened: Opener) -> None:
    model = opened(
        weights(a__weight=(4, 3), b__weight=(4, 3)),
        [
            layer(one, "Linear", in_features=3, out_features=4, bias=False) | {"tied": {"weight": f"{other}.weight"}}
            for one, other in ("ab", "ba")
        ],
    )
    assert [found.tied for _, found in model.model.walk()] == [{}, {}]
    assert len(model.notes) == 2


def test_a_frozen_name_that_is_not_there_is_told(opened: Opener) -> None:
    model = opened(weights(fc__weight=(4, 3), fc__bias=(4,)), [FC | {"frozen": ["weight", "wait"]}])
    assert model.model.layer("fc").frozen == {"weight"}
    assert model.notes == ("fc: the spec freezes wait, which the layer does not have",)


def test_a_kind_without_a_rule_takes_all_tensors_of_its_name(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(KINDS, "TransformerEncoderLayer")
    encoder = nn.TransformerEncoderLayer(4, 2, 8)
    state = {f"a.{name}": tensor for name, tensor in encoder.state_dict().items()}
    model = opened(state, [layer("a", "TransformerEncoderLayer", d_model=4, nhead=2, dim_feedforward=8)])
    assert model.notes == ()
    assert set(shapes(model.model.layer("a"))) == set(encoder.state_dict())


def test_arguments_that_torch_refuses_are_left_for_the_layer_s_own_row_to_tell(opened: Opener) -> None:
    model = opened(weights(a__weight=(4, 3)), [layer("a", "Linear", in_features="many", out_features=4)])
    assert model.notes == ()
    assert model.model.layer("a").args == {"in_features": "many", "out_features": 4}
    assert shapes(model.model.layer("a")) == {"weight": (4, 3)}


def test_a_thousand_disagreements_are_counted_and_not_listed(opened: Opener) -> None:
    model = opened({}, [FC | {"name": str(place)} for place in range(1000)])
    assert len(model.notes) == 21
    assert model.notes[-1] == "spec and tensors disagree in 980 more places"


def test_any_arguments_of_any_kind_open_and_show(opened: Opener) -> None:
    """Whatever a spec says of a layer, its file opens, and the walk over its shapes ends."""
    draw = random.Random(11)
    values = [
        None,
        True,
        -1,
        0,
        1,
        3,
        2**62,
        0.5,
        -1e308,
        {"float": "nan"},
        "",
        "same",
        [],
        [1],
        [3, 3],
        [[1]],
        [2**62] * 3,
    ]
    state = weights(a__weight=(4, 3), a__bias=(4,), a__running_mean=(4,), a__weight_ih_l0=(4, 4))
    layers = []
    for number in range(1500):
        entry = draw.choice(list(catalogue().values()))
        args: dict[str, Any] = {
            parameter.name: draw.choice(values) for parameter in entry.parameters if draw.random() < 0.6
        }
        args.pop("num_layers", None)
        layers.append(layer(f"l{number}", entry.kind, **args))
    model = opened(state, layers).model
    assert len(infer_shapes(model).infos) >= 1500
