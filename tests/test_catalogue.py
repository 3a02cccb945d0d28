"""The generated catalogue of layers: still what the installed torch says, and whole."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

from seqtui.engine.catalogue import PATH, build_catalogue, catalogue_text
from seqtui.model.kinds.catalogue import catalogue

TORCH = "2.13"
"""The torch that the catalogue is made from; another one's signatures may differ."""

is_same_torch = pytest.mark.skipif(
    not torch.__version__.startswith(f"{TORCH}."), reason=f"the catalogue is of torch {TORCH}, not {torch.__version__}"
)

CONTAINERS = {"Container", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "DataParallel"}
BASES = {"Module", "RNNBase", "RNNCellBase"}


def layers() -> dict[str, type[nn.Module]]:
    """Every class in torch.nn that stands for one layer."""
    classes = {name: member for name, member in vars(nn).items() if inspect.isclass(member)}
    return {
        name: member
        for name, member in classes.items()
        if issubclass(member, nn.Module) and name not in CONTAINERS | BASES and not name.startswith("Lazy")
    }


@is_same_torch
def test_the_file_is_what_torch_says() -> None:
    assert PATH.read_text(encoding="utf-8") == catalogue_text(build_catalogue())


@is_same_torch
def test_every_layer_is_listed() -> None:
    assert set(catalogue()) == set(layers())


@is_same_torch
def test_parameters_are_those_of_the_signature() -> None:
    for name, layer in layers().items():
        signature = inspect.signature(layer).parameters.values()
        named = [
            parameter
            for parameter in signature
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if not named:
            continue  # the recurrent ones are below; the others take nothing
        entry = catalogue()[name].parameters
        assert [parameter.name for parameter in entry] == [parameter.name for parameter in named]
        assert [parameter.is_required for parameter in entry] == [one.default is one.empty for one in named]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("RNN", "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional device dtype"),
        ("LSTM", "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size device dtype"),
        ("GRU", "input_size hidden_size num_layers bias batch_first dropout bidirectional device dtype"),
    ],
)
def test_recurrent_layers_have_their_real_parameters(kind: str, names: str) -> None:
    assert [parameter.name for parameter in catalogue()[kind].parameters] == names.split()


def test_defaults_make_the_same_layer_as_no_arguments() -> None:
    """Whatever needs no argument, made from the catalogue's defaults written out; two that warn are left out."""
    free = [
        (name, {parameter.name: parameter.default for parameter in entry.parameters})
        for name, entry in catalogue().items()
        if name not in ("NLLLoss2d", "Transformer") and not any(parameter.is_required for parameter in entry.parameters)
    ]
    assert len(free) > 50
    for name, defaults in free:
        assert repr(getattr(nn, name)(**defaults)) == repr(getattr(nn, name)())


def test_descriptions_are_one_plain_line() -> None:
    for entry in catalogue().values():
        assert 5 < len(entry.description) <= 100
        assert not set("`\\\n").intersection(entry.description)
        assert entry.group


@pytest.mark.parametrize(
    ("kind", "name", "annotation"),
    [
        ("Conv2d", "padding", "str | int | tuple[int, int]"),
        ("Conv2d", "padding_mode", "Literal['zeros', 'reflect', 'replicate', 'circular']"),
        ("MultiheadAttention", "embed_dim", "int"),
        ("MultiheadAttention", "dropout", "float"),
        ("MultiheadAttention", "kdim", "int | None"),
        ("AvgPool1d", "stride", "int | tuple[int] | None"),
        ("LSTM", "bidirectional", "bool"),
    ],
)
def test_annotations_are_readable(kind: str, name: str, annotation: str) -> None:
    found = {parameter.name: parameter.annotation for parameter in catalogue()[kind].parameters}
    assert found[name] == annotation
