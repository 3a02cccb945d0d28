"""The arguments of a live layer, read back: torch keeps no constructor call.

They are read from the attributes that a constructor leaves behind, where a kind's row says otherwise from those it
names, and no reading is believed: each layer is built anew from what was read and must come out the same.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from numbers import Integral, Real
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import catalogue, parameters
from seqtui.model.spec import LayerValue, Value
from seqtui.model.tensors import Shape
from seqtui.words import shape_words

if TYPE_CHECKING:
    import torch
    from torch import nn

UNSEEN = frozenset({"training", "_is_full_backward_hook"})
"""Attributes in which a layer may differ from a new one: its mode, and what hooks on gradients leave behind."""

NOTHING_MADE: Mapping[str, Shape] = MappingProxyType({})


ALL_BUT_LAST = "[:-1]"
"""After an attribute that holds an argument with one more at its end."""


class NamedTensor(NamedTuple):
    """A parameter or a persistent buffer of a live module."""

    name: str
    tensor: torch.Tensor
    is_parameter: bool


def named_tensors(module: nn.Module) -> Iterator[NamedTensor]:
    """Every parameter and persistent buffer by full name, in layer order; a shared one at each of its places."""
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        for name, parameter in part._parameters.items():
            if parameter is not None:
                yield NamedTensor(prefix + name, parameter, is_parameter=True)
        for name, buffer in part._buffers.items():
            if buffer is not None and name not in part._non_persistent_buffers_set:
                yield NamedTensor(prefix + name, buffer, is_parameter=False)


def new_layer(kind: str, args: Mapping[str, Value]) -> nn.Module:
    """A layer of torch.nn on the meta device: no memory, no numbers, the random state untouched.

    `kind` must be in the catalogue, and so must those of layers given as arguments. Raises whatever torch's
    constructor raises.
    """
    with _without_numbers():
        return torch_layer(kind, args)


def torch_layer(kind: str, args: Mapping[str, Value]) -> nn.Module:
    """A layer of torch.nn as torch makes it. Raises whatever its constructor raises."""
    from torch import nn

    given = {
        name: torch_layer(value.kind, dict(value.args)) if isinstance(value, LayerValue) else value
        for name, value in args.items()
    }
    layer = getattr(nn, kind)(**given)
    assert isinstance(layer, nn.Module)  # the catalogue holds nothing else
    return layer


@contextmanager
def _without_numbers() -> Iterator[None]:
    """New tensors are made on meta, and nothing is drawn or said about them."""
    import torch
    from torch.overrides import TorchFunctionMode

    class SkipNormal(TorchFunctionMode):
        """On meta, torch decomposes `normal_`, and for that imports sympy: a second for no number at all."""

        def __torch_function__(  # type: ignore[no-untyped-def]  # torch leaves this protocol untyped
            self, func, types, args=(), kwargs=None
        ):
            if func in (torch.Tensor.normal_, torch.nn.init.normal_):
                return args[0] if args else kwargs["tensor"]
            return func(*args, **(kwargs or {}))

    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # advice on the arguments went to whoever chose them
        stack.enter_context(torch.device("meta"))
        stack.enter_context(SkipNormal())
        yield


def class_name(module: object) -> str:
    """The class as an import would name it: `net.Block`."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


class LostArgumentsError(Exception):
    """No constructor call makes this layer. The message is a clause: "its weight is 3×5, a new one has 3×2"."""


def read_arguments(module: nn.Module, made: Mapping[str, Shape] = NOTHING_MADE) -> dict[str, Value]:
    """The arguments that build this layer of torch.nn: those required, and those that differ from their default.

    `made` has the shapes of those of its tensors that something else computes before each use; in such a layer other
    tensors may stand beside. A tuple of equal items is tried as one item first, `kernel_size=3`, which is how people
    write it. Raises LostArgumentsError.
    """
    kind = torch_kind(module)
    given = _given_arguments(kind, module)
    tidy = {name: value[0] if _is_uniform(value) else value for name, value in given.items()}
    difference = ""
    for values in (tidy, given):
        args = _changed_arguments(kind, values)
        difference = _difference(kind, args, module, made)
        if not difference:
            return args
    not_kept = (clause for name, clause in KINDS[kind].not_kept.items() if given.get(name) == 0)
    raise LostArgumentsError(next(not_kept, "") or difference)


def _changed_arguments(kind: str, values: Mapping[str, Value]) -> dict[str, Value]:
    """Of a kind's arguments those that a call has to name, in the order of its constructor."""
    return {
        name: values[name]
        for name, _, is_required, default in catalogue()[kind].parameters
        if name in values and (is_required or repr(values[name]) != repr(default))
    }


def _given_arguments(kind: str, module: nn.Module) -> dict[str, Value]:
    """What the constructor was given, as far as the layer still knows and a spec can say it; not yet believed."""
    rule = KINDS[kind]
    given: dict[str, Value] = {}
    for name, annotation, _, _ in parameters(kind):
        with suppress(AttributeError, TypeError):  # not kept, or no plain value: left at its default, to be compared
            path = rule.kept_as.get(name, name)
            value = attrgetter(path.removesuffix(ALL_BUT_LAST))(module)
            value = value[:-1] if path.endswith(ALL_BUT_LAST) else value
            is_flag = annotation == "bool" and not isinstance(value, bool)
            given[name] = value is not None if is_flag else plain_value(value)
    return {
        name: value
        for name, value in given.items()
        if name not in rule.follows or value != given.get(rule.follows[name])
    }


def _is_uniform(value: Value) -> TypeGuard[tuple[Value, ...]]:
    return isinstance(value, tuple) and len(value) > 0 and value.count(value[0]) == len(value)


def plain_value(value: object) -> Value:
    """The same as a spec's value: lists as tuples, numpy's numbers as Python's, a layer as the call that makes it.

    Raises TypeError for anything else.
    """
    from torch import nn

    if value is None or type(value) in (bool, int, float, str):
        return cast(Value, value)  # mypy does not narrow by membership
    if isinstance(value, list | tuple):
        return tuple(plain_value(item) for item in value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, nn.Module) and is_torch_layer(value):
        with suppress(LostArgumentsError):
            return LayerValue(type(value).__name__, tuple(read_arguments(value).items()))
    raise TypeError(f"{type(value).__name__} is no plain value")


def is_torch_layer(module: nn.Module) -> bool:
    """Whether it is of a class in the catalogue, not of one derived from it."""
    return type(module).__name__ == torch_kind(module)


def torch_kind(module: nn.Module) -> str:
    """The class in the catalogue that it is of, parametrized or not; empty for one of any other, derived ones too."""
    from torch import nn
    from torch.nn.utils.parametrize import type_before_parametrizations

    before = type_before_parametrizations(module)
    kind = before.__name__
    return kind if before is getattr(nn, kind, None) and kind in catalogue() else ""


def _difference(kind: str, args: Mapping[str, Value], module: nn.Module, made: Mapping[str, Shape]) -> str:
    """How a layer newly built from these arguments differs from this one, as a clause; empty when it does not.

    Compared are the names and shapes of all tensors, the classes inside, and every attribute that a new layer has:
    more than its `repr` shows. What else was set on the module is its owner's affair.
    """
    try:
        new = new_layer(kind, args)
    except Exception as error:  # noqa: BLE001  # torch's constructors raise what they like for arguments they refuse
        return f"a new one cannot be made: {error}"
    shapes, new_shapes = _shapes(module), _shapes(new)
    names = new_shapes if made else {**new_shapes, **shapes}
    shapes |= {name: shape_words(shape) for name, shape in made.items()}
    for name in names:
        if shapes.get(name) != new_shapes.get(name):
            return f"its {name} is {shapes.get(name, 'missing')}, a new one has {new_shapes.get(name, 'none')}"
    attributes = _attributes(module)
    for name, value in _attributes(new).items():
        if attributes.get(name) != value and not _is_unseen(module, name):
            found = attributes.get(name, attributes.get(f"{name}.class", "missing"))
            return f"its {name} is {_attribute_words(found)}, a new one has {_attribute_words(value)}"
    return ""


def _shapes(module: nn.Module) -> dict[str, str]:
    return {name: shape_words(tensor.shape) for name, tensor, _ in named_tensors(module)}


def _attributes(module: nn.Module) -> dict[str, object]:
    """Every attribute of the layer and of what it is made of, by dotted name: plain values as text, and functions."""
    attributes: dict[str, object] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        if path:
            attributes[f"{prefix}class"] = class_name(part)
        for name, value in vars(part).items():
            if callable(value):
                attributes[prefix + name] = value
            with suppress(TypeError):
                attributes[prefix + name] = repr(plain_value(value))
    return attributes


def _attribute_words(value: object) -> str:
    """An attribute in a sentence: a function by its name, never by where it lies in memory."""
    return value if isinstance(value, str) else str(getattr(value, "__name__", class_name(value)))


def _is_unseen(module: nn.Module, attribute: str) -> bool:
    """Whether no forward pass asks for it: what a changed `padding` leaves behind is ignored by padding with zeros."""
    is_stale_padding = attribute == "_reversed_padding_repeated_twice" and module.padding_mode == "zeros"
    return is_stale_padding or attribute.rpartition(".")[2] in UNSEEN
