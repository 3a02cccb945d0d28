"""A layer whose arguments are being chosen: what its fields begin with, and the edit that they come to.

What one types is read and written as in the edit language.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from seqtui.errors import EditError
from seqtui.model.additions import Addition
from seqtui.model.content_edits import Replace, Set
from seqtui.model.edit import Edit
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import Parameter, parameters
from seqtui.model.language import Place
from seqtui.model.literals import value_text
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.structure_edits import Insert
from seqtui.model.tensor_edits import Fill
from seqtui.model.tree import ANY_NAME, layer_at
from seqtui.model.weights_kept import expected_tensors
from seqtui.words import a

WORDS: Mapping[str, tuple[str, ...]] = {
    "GELU.approximate": ("none", "tanh"),
    "RNN.nonlinearity": ("tanh", "relu"),
    "RNNCell.nonlinearity": ("tanh", "relu"),
    "EmbeddingBag.mode": ("mean", "sum", "max"),
    "Upsample.mode": ("nearest", "linear", "bilinear", "bicubic", "trilinear"),
    "TransformerEncoderLayer.activation": ("relu", "gelu"),
}
"""Kind and argument -> the words it can be, where torch's annotation says only that it is text."""


class Draft(NamedTuple):
    """A layer whose arguments are to be chosen: one that is there, a new one, or another kind in the place of one."""

    kind: str
    path: str
    """Of the layer that is there; empty for a new one."""
    args: Mapping[str, Value]
    """What the fields begin with; arguments left at their default absent."""
    base: Mapping[str, Value]
    """What those arguments are that the edit does not say."""
    to_edit: Callable[[str, Mapping[str, Value], bool], Edit]
    """From a name, the arguments to be said, and whether weights are made anew, to the edit."""
    name: str = ""
    """What a new layer is called; empty where that cannot be chosen."""
    is_change: bool = False
    """Whether the layer stays what it is, so that without another value there is nothing to do."""


def changing(model: ModelSpec, path: str) -> Draft:
    """Other arguments for a layer. Raises EditError where it has none that could change."""
    Set(path, {}).apply(model)
    layer = layer_at(model, path)
    kind = layer.kind or ""
    if not parameters(kind):
        raise EditError(f"{path} is {a(kind)}, which takes no arguments")
    base = {**_defaults(kind), **layer.args}

    def to_edit(_: str, args: Mapping[str, Value], is_fresh: bool) -> Edit:
        return Set(path, args, is_fresh) if args or not is_fresh else Fill(path, "default")

    return Draft(kind, path, layer.args, base, to_edit, is_change=True)


def replacing(path: str, layer: LayerSpec, addition: Addition) -> Draft:
    """Another kind in the place of a layer."""
    kind = addition.kind
    names = {parameter.name for parameter in parameters(kind)}
    base = {**_defaults(kind), **{name: value for name, value in layer.args.items() if name in names}}
    return Draft(kind, path, addition.args, base, lambda _, args, __: Replace(path, kind, args))


def adding(place: Place, addition: Addition) -> Draft:
    """A new layer."""
    kind = addition.kind
    name = "" if addition.name == ANY_NAME else addition.name
    return Draft(
        kind,
        "",
        addition.args,
        _defaults(kind),
        lambda name, args, _: Insert(name or ANY_NAME, kind, args, place),
        name,
    )


def _defaults(kind: str) -> dict[str, Value]:
    return {item.name: item.default for item in parameters(kind) if not item.is_required}


def edit_of(draft: Draft, name: str, args: Mapping[str, Value], is_fresh: bool = False) -> Edit:
    """The edit of a draft with all its arguments, of which it says those that have to be said.

    Raises EditError where they do not go together.
    """
    if draft.kind in KINDS:  # a Sequential has no arguments
        expected_tensors(draft.path or name, draft.kind, args)
    said = {key: value for key, value in args.items() if key not in draft.base or repr(value) != repr(draft.base[key])}
    return draft.to_edit(name, said, is_fresh)


def text_of(value: Value) -> str:
    """A value as it is typed: a plain word without quotes."""
    if (
        isinstance(value, str)
        and re.fullmatch(r"[A-Za-z_][\w-]*", value)
        and value.title() not in ("True", "False", "None")
    ):
        return value
    return value_text(value)


def choices_of(kind: str, parameter: Parameter) -> tuple[str, ...]:
    """What an argument can be, where that is a few words."""
    if parameter.annotation in ("bool", "bool | None"):
        return ("True", "False", "None") if "None" in parameter.annotation else ("True", "False")
    if parameter.annotation.startswith("Literal["):
        return tuple(ast.literal_eval(parameter.annotation.removeprefix("Literal")))
    return WORDS.get(f"{kind}.{parameter.name}", ())


def stepped(value: Value, step: int) -> Value:
    """The next value up or down: of a tuple each; of a fraction by one in its first digit. The same for others."""
    if isinstance(value, tuple):
        return tuple(stepped(item, step) for item in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return value + step
    if not math.isfinite(value):
        return value
    below = abs(value) * (0.999 if value * step < 0 else 1)  # from 0.1 down to 0.09, and back by as much
    digits = 1 if value == 0 else max(-math.floor(math.log10(below)), 1)
    return round(value + step * 10.0**-digits, digits)
