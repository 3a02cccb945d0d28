"""A live module as values: what a spec says of an `nn.Sequential`, read from the modules themselves.

torch keeps no constructor arguments, so they are read back from the attributes that a constructor leaves behind, and
no reading is believed: each layer is built anew from what was read and must come out the same. What a spec cannot
hold is refused with its path, never left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from numbers import Integral, Real
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, cast

from seqtui.errors import EngineError, UsageError
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.spec_json import MAX_DEPTH
from seqtui.model.tensors import TORCH_DTYPES, TensorInfo
from seqtui.words import shape_words

if TYPE_CHECKING:
    import torch
    from torch import nn

NO_ARGUMENTS = frozenset(
    ("device", "dtype", "_weight", "_freeze", "_random_samples", "size_average", "reduce", "min_value", "max_value")
)
"""Parameters of torch's constructors that no spec holds: where and from what a layer is made, and abandoned names."""

ENCODER_ATTRIBUTES = {
    "d_model": "self_attn.embed_dim",
    "nhead": "self_attn.num_heads",
    "dim_feedforward": "linear1.out_features",
    "dropout": "dropout.p",
    "activation": "activation.__name__",
    "layer_norm_eps": "norm1.eps",
    "batch_first": "self_attn.batch_first",
}
ATTRIBUTES: dict[tuple[str, str], str] = {
    ("PairwiseDistance", "p"): "norm",
    **{("TransformerEncoderLayer", name): attribute for name, attribute in ENCODER_ATTRIBUTES.items()},
    **{("TransformerDecoderLayer", name): attribute for name, attribute in ENCODER_ATTRIBUTES.items()},
}
"""(kind, argument) -> where it is kept, for those that are not kept under their own name."""

PRESENCE: dict[tuple[str, str], str] = {
    ("MultiheadAttention", "bias"): "in_proj_bias",
    ("MultiheadAttention", "add_bias_kv"): "bias_k",
    ("TransformerEncoderLayer", "bias"): "linear1.bias",
    ("TransformerDecoderLayer", "bias"): "linear1.bias",
}
"""(kind, flag) -> the parameter that exists only when the flag is on."""

POOLS = [f"{name}{dims}d" for name in ("MaxPool", "AvgPool", "MaxUnpool") for dims in (1, 2, 3)]
FOLLOWS: dict[tuple[str, str], str] = {
    **{(pool, "stride"): "kernel_size" for pool in POOLS},
    ("MultiheadAttention", "kdim"): "embed_dim",
    ("MultiheadAttention", "vdim"): "embed_dim",
    ("LayerNorm", "bias"): "elementwise_affine",
    **{(f"{name}Norm{dims}d", "bias"): "affine" for name in ("Batch", "Instance") for dims in (1, 2, 3)},
    ("SyncBatchNorm", "bias"): "affine",
}
"""(kind, argument) -> the argument whose value it takes when it is left out."""

UNSEEN = frozenset({"training", "_is_full_backward_hook"})
"""Attributes in which a layer may differ from a new one: its mode, and what hooks on gradients leave behind."""

STATE_DICT_HINT = "The weights of any module can be kept as a plain state dict: safetensors.torch.save_model."


class NamedTensor(NamedTuple):
    """A parameter or a persistent buffer of a live module."""

    name: str
    tensor: torch.Tensor
    is_parameter: bool


def spec_of(net: nn.Sequential, inputs: tuple[InputSpec, ...] = ()) -> ModelSpec:
    """The ModelSpec of an `nn.Sequential` of torch's own layers, Sequentials inside it included; `net` is not changed.

    A subclass counts as a Sequential unless it has a forward of its own. A parameter or buffer that stands at several
    places belongs to the first; at the others it is `tied`. Tensors have no `ref`: no file holds them.
    Raises UsageError when `net` is no Sequential, EngineError for what a spec cannot hold: a class of your own, hooks
    that change what a layer gives, parametrizations, lazy layers that have seen no input yet.
    """
    if not is_sequential(net):
        raise UsageError(
            f"{_class_name(net)} is no nn.Sequential, so its forward pass cannot be kept in a spec",
            hint=STATE_DICT_HINT,
        )
    return ModelSpec(_read_layer("", "", net, {}, ()), inputs)


def is_sequential(module: object) -> bool:
    """Whether it runs what it holds one after another, as `nn.Sequential` itself does."""
    from torch import nn

    return isinstance(module, nn.Sequential) and all(
        getattr(type(module), method) is getattr(nn.Sequential, method)
        for method in ("forward", "__call__", "__iter__")
    )


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

    `kind` must be in the catalogue. Raises whatever torch's constructor raises.
    """
    from torch import nn

    with _without_numbers():
        layer = getattr(nn, kind)(**args)
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


def _read_layer(
    name: str, path: str, module: nn.Module | None, owners: dict[int, str], above: tuple[nn.Module, ...]
) -> LayerSpec:
    """One layer and all inside. `owners` collects the full name of every tensor's first place, by its identity."""
    _refuse_foreign(path, module, above)
    assert module is not None  # refused above
    if is_sequential(module):
        prefix = f"{path}." if path else ""
        inside = (*above, module)
        layers = tuple(
            _read_layer(child_name, prefix + child_name, child, owners, inside)
            for child_name, child in module._modules.items()
        )
        return LayerSpec(name, "Sequential", layers=layers)
    own = list(named_tensors(module))
    places = {local: owners.setdefault(id(tensor), f"{path}.{local}") for local, tensor, _ in own}
    return LayerSpec(
        name,
        type(module).__name__,
        args=_read_arguments(path, module),
        tensors=tuple(tensor_info(f"{path}.{local}", tensor)._replace(name=local) for local, tensor, _ in own),
        tied={local: owner for local, owner in places.items() if owner != f"{path}.{local}"},
        frozen=frozenset(local for local, tensor, is_parameter in own if is_parameter and not tensor.requires_grad),
    )


def _refuse_foreign(path: str, module: nn.Module | None, above: tuple[nn.Module, ...]) -> None:
    """Raise EngineError for a module whose forward pass is not that of a Sequential or of a layer of torch.nn."""
    from torch import nn
    from torch.nn.modules.lazy import LazyModuleMixin
    from torch.nn.utils.parametrize import is_parametrized

    where = path or "the network"
    if module is None:
        raise EngineError(f"{where} is None, not a layer", hint="Put nn.Identity() there.")
    if any(module is outer for outer in above):
        raise EngineError(f"{where} contains itself")
    if len(above) > MAX_DEPTH:
        raise EngineError(f"the network has more than {MAX_DEPTH} Sequentials inside one another")
    if is_parametrized(module):
        raise EngineError(
            f"{where} has parametrized weights, which a spec cannot hold",
            hint="torch.nn.utils.parametrize.remove_parametrizations makes them plain weights.",
        )
    if isinstance(module, LazyModuleMixin):
        raise EngineError(
            f"{where} is a {type(module).__name__} that has seen no input, so its shapes are not known",
            hint="Run the network once on an input of the right shape.",
        )
    sequential = is_sequential(module)
    for part in (module,) if sequential else module.modules():
        _refuse_changed_forward(where, part)
    kind = type(module).__name__
    if not sequential and (type(module) is not getattr(nn, kind, None) or kind not in catalogue()):
        raise EngineError(
            f"{where} is a {_class_name(module)}, which is no layer that a spec can hold",
            hint=STATE_DICT_HINT,
        )
    if sequential and (module._parameters or module._buffers):
        name = next(iter({**module._parameters, **module._buffers}))
        raise EngineError(f"{where} is a Sequential with a tensor of its own, {name}, which a spec cannot hold")


def _refuse_changed_forward(where: str, module: nn.Module) -> None:
    """Raise EngineError when hooks or a forward set on this one object change what it gives."""
    hooks = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    if hooks:
        raise EngineError(
            f"{where} has a forward hook ({_hook_name(hooks[0])}), which a spec cannot hold",
            hint="Remove it first: its handle's remove(), remove_weight_norm, remove_spectral_norm or prune.remove.",
        )
    if "forward" in vars(module):
        raise EngineError(f"{where} was given another forward, which a spec cannot hold", hint="Delete its `forward`.")


def _hook_name(hook: object) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__name__))


def _class_name(module: object) -> str:
    """The class as an import would name it: `net.Block`."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def tensor_info(name: str, tensor: torch.Tensor) -> TensorInfo:
    """Type and shape. Raises EngineError for a type or a layout that safetensors has no word for."""
    import torch
    from torch import nn

    word = str(tensor.dtype).removeprefix("torch.")
    is_plain = tensor.layout is torch.strided and type(tensor) in (torch.Tensor, nn.Parameter)
    if not is_plain or word not in TORCH_DTYPES or TORCH_DTYPES[word].bits < 8:
        what = word if is_plain else f"{tensor.layout} {type(tensor).__name__}".removeprefix("torch.")
        raise EngineError(f"{name} is a tensor of {what}, which a file cannot hold")
    return TensorInfo(name, TORCH_DTYPES[word].name, tuple(tensor.shape), tensor.numel() * tensor.element_size())


def _read_arguments(path: str, module: nn.Module) -> dict[str, Value]:
    """The arguments that build this layer: those required, and those that differ from their default.

    A tuple of equal items is tried as one item first, `kernel_size=3`, which is how people write it.
    """
    kind = type(module).__name__
    given = _given(kind, module)
    tidy = {name: value[0] if _is_uniform(value) else value for name, value in given.items()}
    difference = ""
    for values in (tidy, given):
        args = {
            name: values[name]
            for name, _, is_required, default in catalogue()[kind].parameters
            if name in values and (is_required or repr(values[name]) != repr(default))
        }
        difference = _difference(kind, args, module)
        if not difference:
            return args
    raise EngineError(f"{path} is a {kind} that a spec cannot hold: {difference}", hint=STATE_DICT_HINT)


def _given(kind: str, module: nn.Module) -> dict[str, Value]:
    """What the constructor was given, as far as the layer still knows and a spec can say it."""
    given: dict[str, Value] = {}
    for name in (parameter.name for parameter in catalogue()[kind].parameters):
        presence = PRESENCE.get((kind, name), name if name == "bias" else "")
        attribute = presence or ATTRIBUTES.get((kind, name), name)
        with suppress(AttributeError, TypeError):  # not kept, or no plain value: left at its default, to be compared
            if name not in NO_ARGUMENTS:
                value = attrgetter(attribute)(module)
                given[name] = value is not None if presence and not isinstance(value, bool) else plain_value(value)
    return {
        name: value
        for name, value in given.items()
        if (kind, name) not in FOLLOWS or value != given.get(FOLLOWS[kind, name])
    }


def _is_uniform(value: Value) -> TypeGuard[tuple[Value, ...]]:
    return isinstance(value, tuple) and len(value) > 0 and value.count(value[0]) == len(value)


def plain_value(value: object) -> Value:
    """The same as a spec's value: lists as tuples, numpy's numbers as Python's. Raises TypeError for anything else."""
    if value is None or type(value) in (bool, int, float, str):
        return cast(Value, value)  # mypy does not narrow by membership
    if isinstance(value, list | tuple):
        return tuple(plain_value(item) for item in value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"{type(value).__name__} is no plain value")


def _difference(kind: str, args: Mapping[str, Value], module: nn.Module) -> str:
    """How a layer newly built from these arguments differs from this one, as a clause; empty when it does not.

    Compared are the names and shapes of all tensors, the classes inside, and every attribute that a new layer has:
    more than its `repr` shows. What else was set on the module is its owner's affair.
    """
    try:
        new = new_layer(kind, args)
    except Exception as error:  # noqa: BLE001  # torch's constructors raise what they like for arguments they refuse
        return f"torch refuses its arguments: {error}"
    shapes, new_shapes = _shapes(module), _shapes(new)
    for name in {**new_shapes, **shapes}:
        if shapes.get(name) != new_shapes.get(name):
            return f"its {name} is {shapes.get(name, 'missing')}, a new one has {new_shapes.get(name, 'none')}"
    attributes = _attributes(module)
    for name, value in _attributes(new).items():
        if attributes.get(name) != value and not _is_unseen(module, name):
            return f"its {name} is {attributes.get(name)}, a new one has {value}"
    return ""


def _shapes(module: nn.Module) -> dict[str, str]:
    return {name: shape_words(tensor.shape) for name, tensor, _ in named_tensors(module)}


def _attributes(module: nn.Module) -> dict[str, object]:
    """Every attribute of the layer and of what it is made of, by dotted name: plain values as text, and functions."""
    attributes: dict[str, object] = {}
    for path, part in module.named_modules(remove_duplicate=False):
        prefix = f"{path}." if path else ""
        attributes[f"{prefix}class"] = _class_name(part)
        for name, value in vars(part).items():
            if callable(value):
                attributes[prefix + name] = value
            with suppress(TypeError):
                attributes[prefix + name] = repr(plain_value(value))
    return attributes


def _is_unseen(module: nn.Module, attribute: str) -> bool:
    """Whether no forward pass asks for it: what a changed `padding` leaves behind is ignored by padding with zeros."""
    is_stale_padding = attribute == "_reversed_padding_repeated_twice" and module.padding_mode == "zeros"
    return is_stale_padding or attribute.rpartition(".")[2] in UNSEEN
