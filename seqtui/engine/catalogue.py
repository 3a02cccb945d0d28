"""Writes `model/kinds/catalogue.json` from the installed torch, so that nothing known of a signature is typed by hand.

Run as `python -m seqtui.engine.catalogue` when torch is upgraded. Only what torch's own signatures and docstrings leave
out stands here, in small tables.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import seqtui.model.kinds

if TYPE_CHECKING:
    from torch import nn

PATH = Path(seqtui.model.kinds.__file__).with_name("catalogue.json")
"""Where the catalogue lies, beside the rules."""

JSONValue = bool | int | float | str | None | list["JSONValue"]
ParameterRow = list[JSONValue]
"""[name, annotation] of a required parameter, [name, annotation, default] of any other."""
LayerRow = dict[str, str | list[ParameterRow] | list[str]]
Document = dict[str, str | list[str] | dict[str, LayerRow]]

NOT_LAYERS = {
    *("Module", "Container", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"),
    *("DataParallel", "RNNBase", "RNNCellBase"),
}
"""Containers, wrappers and bases; classes named Lazy* turn into another class and are left out as well."""

DESCRIPTIONS = {
    "CrossMapLRN2d": "Local response normalization across the channels of an image.",
    "NLLLoss2d": "The negative log likelihood loss of an image; NLLLoss does the same.",
}
"""For the classes without a docstring."""

RECURRENT = ("RNN", "LSTM", "GRU")
"""Classes that take `*args`; their real signature is the first line of their docstring."""

ANNOTATIONS = {
    "device": "device | None",
    "dtype": "dtype | None",
    "size_average": "bool | None",
    "reduce": "bool | None",
    "embed_dim": "int",
    "num_heads": "int",
    "kdim": "int | None",
    "vdim": "int | None",
    "input_size": "int",
    "hidden_size": "int",
    "_random_samples": "Tensor | None",
}
"""For parameters that torch leaves without an annotation and whose default does not tell their type."""


def build_catalogue() -> Document:
    """The whole catalogue as a JSON document, every layer of the installed torch by name. Imports torch."""
    import torch

    layers = {layer.__name__: layer_row(layer) for layer in _layers()}
    taken = sorted(name for name in dir(torch.nn.Sequential()) if not name.startswith("__"))
    return {"torch": ".".join(torch.__version__.split(".")[:2]), "taken": taken, "layers": layers}


def catalogue_text(document: Document) -> str:
    """The document as it is written: one layer a line, so that a new torch shows as a short difference."""
    layers = document["layers"]
    assert isinstance(layers, dict)
    lines = (f"  {json.dumps(kind)}: {json.dumps(row)}" for kind, row in layers.items())
    head = ", ".join(f"{json.dumps(key)}: {json.dumps(document[key])}" for key in ("torch", "taken"))
    return f'{{{head}, "layers": {{\n' + ",\n".join(lines) + "\n}}\n"


def layer_row(layer: type[nn.Module]) -> LayerRow:
    """What stands in the catalogue of one layer; `inputs` where its forward pass needs more than one tensor."""
    row: LayerRow = {
        "group": layer.__module__.rpartition(".")[2],
        "description": _description(layer),
        "parameters": list(_parameters(layer)),
    }
    _, *inputs = inspect.signature(layer.forward).parameters.values()
    names = [parameter.name.rstrip("_") for parameter in inputs if parameter.default is parameter.empty]
    return {**row, "inputs": names} if len(names) > 1 else row


def _layers() -> Iterator[type[nn.Module]]:
    """Every class in torch.nn that a model can name as one layer, in alphabetical order."""
    from torch import nn

    for name, member in sorted(vars(nn).items()):
        is_module = inspect.isclass(member) and issubclass(member, nn.Module)
        if is_module and name not in NOT_LAYERS and not name.startswith("Lazy"):
            yield member


def _description(layer: type[nn.Module]) -> str:
    """The first sentence of the docstring as plain text, without the words that all of them begin with."""
    if layer.__name__ in DESCRIPTIONS:
        return DESCRIPTIONS[layer.__name__]
    paragraphs = inspect.cleandoc(layer.__doc__ or "").split("\n\n")
    text = " ".join(paragraphs[1 if layer.__name__ in RECURRENT else 0].split())
    sentence = re.split(r"(?<=[^.])\.(?:\s|$)|:$|:\s", _plain(text), maxsplit=1)[0]
    for pattern, replacement in SHORTER:
        sentence = re.sub(pattern, replacement, sentence)
    return textwrap.shorten(f"{sentence[0].upper()}{sentence[1:]}.", 100, placeholder="…")


SHORTER = (
    (r"^(Applies|Apply|Computes) (an? |the )?", ""),
    (r"^(This criterion computes|Creates a criterion that (measures|optimizes|uses)) (an? |the )?", ""),
    (r"^This loss combines", "Combines"),
    (r"^During training, randomly zeroes", "Zeroes in training"),
    (r" composed of several input (planes|channels)$", ""),
    (r" to (an n-dimensional input Tensor|an input sequence)$", ""),
    (r" to (the incoming data|an input signal)", r" of \1"),
)
"""What says nothing that the class's name and group do not say, from its docstring's first sentence."""


def _plain(text: str) -> str:
    """reStructuredText and LaTeX as the words and symbols that they set."""
    text = re.sub(r":\w+:`~?([^`]*)`", r"\1", text)
    text = re.sub(r"\\text\{([^}]*)\}", r"\1", text)
    return re.sub(r"[`\\]|\*\*", "", text)


def _parameters(layer: type[nn.Module]) -> Iterator[ParameterRow]:
    for parameter in _signature(layer):
        row: ParameterRow = [parameter.name, _annotation(parameter)]
        if parameter.default is not parameter.empty:
            row.append(_default(parameter.default))
        yield row


def _signature(layer: type[nn.Module]) -> Iterator[inspect.Parameter]:
    """The parameters that the constructor really takes; none where it only swallows whatever it is given."""
    if layer.__name__ in RECURRENT:
        yield from _documented_signature(layer)
        return
    for parameter in inspect.signature(layer).parameters.values():
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            yield parameter


def _documented_signature(layer: type[nn.Module]) -> Iterator[inspect.Parameter]:
    """The parameters in a docstring's first line, `__init__(input_size,hidden_size,num_layers=1,...)`."""
    line = inspect.cleandoc(layer.__doc__ or "").partition("\n")[0]
    function = ast.parse(f"def {line}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    names = [argument.arg for argument in function.args.args]
    defaults = [ast.literal_eval(default) for default in function.args.defaults]
    required = len(names) - len(defaults)
    for index, name in enumerate(names):
        default = defaults[index - required] if index >= required else inspect.Parameter.empty
        yield inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)


def _annotation(parameter: inspect.Parameter) -> str:
    """The type as `int | tuple[int, int]`, with `| None` wherever None is the default."""
    annotation, default = parameter.annotation, parameter.default
    if annotation is parameter.empty:
        text = ANNOTATIONS.get(parameter.name) or type(default).__name__
    else:
        text = " | ".join(dict.fromkeys(_type_names(annotation)))
    return f"{text} | None" if default is None and "None" not in text else text


def _type_names(annotation: object) -> Iterator[str]:
    """The members of a union, None last, in whichever way torch spelled it."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    is_union = not isinstance(annotation, str) and ("Union[" in text or " | " in text)
    members = typing.get_args(annotation) if is_union and typing.get_origin(annotation) is not tuple else ()
    for member in sorted(members, key=lambda member: member is type(None)):
        yield from _type_names(member)
    if not members:
        yield (
            re.sub(r"\b(typing|torch|collections|abc|nn|modules|\w+_options|module)\.", "", text)
            .strip("'")
            .replace("NoneType", "None")
        )


def _default(default: object) -> JSONValue:
    """A default as JSON; a function, such as a Transformer's activation, by its name, which torch takes as well."""
    if default is None or isinstance(default, bool | int | float | str):
        return default
    if isinstance(default, tuple | list):
        return [_default(item) for item in default]
    if inspect.isfunction(default) or inspect.isbuiltin(default):
        return default.__name__
    raise TypeError(f"{default!r} is no default that JSON can hold")


if __name__ == "__main__":
    PATH.write_text(catalogue_text(build_catalogue()), encoding="utf-8")
    sys.stdout.write(f"{PATH}\n")
