"""A live module as values: what a spec says of an `nn.Sequential`, read from the modules themselves.

To be saved, all of it must be what a spec can hold, and the first thing that is not is refused with its path. To be
shown, nothing is refused: a layer whose call tells only a part of it says what is missing, and one whose forward is not
torch's own, or whose call is not known, is opaque, with its tensors and what stands inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.arguments import (
    NOTHING_MADE,
    LostArgumentsError,
    class_name,
    named_tensors,
    read_arguments,
    torch_kind,
)
from seqtui.errors import EngineError, UsageError
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.spec_json import MAX_DEPTH
from seqtui.model.tensors import TORCH_DTYPES, Shape, TensorInfo
from seqtui.words import a

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.nn.utils.parametrize import ParametrizationList

STATE_DICT_HINT = "The weights of any module can be kept as a plain state dict: safetensors.torch.save_model."

WEIGHT_HOOKS = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm", "torch.nn.utils.prune")
"""Modules whose hooks only compute a weight anew before it is used."""
PARAMETRIZATIONS = "torch.nn.utils.parametrizations"
"""The module whose parametrizations all keep the shape of what they are given."""


class Obstacle(NamedTuple):
    """Why no constructor call carries all of a module."""

    reason: str
    """Continues a sentence that begins with its path: "has parametrized weights, which a spec cannot hold"."""
    brief: str
    """In a few words for its own row: "parametrized weight"."""
    hint: str = STATE_DICT_HINT
    made: Mapping[str, Shape] = NOTHING_MADE
    """Where all it does is to compute tensors of the layer anew before each use, their shapes."""


def spec_of(net: nn.Sequential, inputs: tuple[InputSpec, ...] = ()) -> ModelSpec:
    """The ModelSpec of an `nn.Sequential` of torch's own layers, Sequentials inside it included; `net` is not changed.

    A subclass counts as a Sequential unless it has a forward of its own. A parameter or buffer that stands at several
    places belongs to the first; at the others it is `tied`. Tensors have no `ref`: no file holds them.
    Raises UsageError when `net` is no Sequential, EngineError for what a spec cannot hold: a class of your own, hooks
    that change what a layer gives, parametrizations, lazy layers that have seen no input yet.
    """
    return _Reader(is_strict=True).model(net, inputs)


def described(net: nn.Sequential, inputs: tuple[InputSpec, ...] = ()) -> ModelSpec:
    """The same to be looked at, not to be saved: what a spec cannot hold stands in its layer's `uncarried`, in words.

    Raises UsageError when `net` is no Sequential, EngineError where it contains itself or is too deep.
    """
    return _Reader(is_strict=False).model(net, inputs)


def is_sequential(module: object) -> bool:
    """Whether it runs what it holds one after another, as `nn.Sequential` itself does."""
    from torch import nn

    return isinstance(module, nn.Sequential) and all(
        getattr(type(module), method) is getattr(nn.Sequential, method)
        for method in ("forward", "__call__", "__iter__")
    )


class _Reader:
    """One network being read; knows where each tensor was seen first."""

    def __init__(self, is_strict: bool) -> None:
        self.is_strict = is_strict
        """Whether what a spec cannot hold is refused."""
        self.owners: dict[int, str] = {}
        """The full name of every tensor's first place, by its identity."""

    def model(self, net: nn.Sequential, inputs: tuple[InputSpec, ...]) -> ModelSpec:
        if not is_sequential(net):
            raise UsageError(
                f"{class_name(net)} is no nn.Sequential, so its forward pass cannot be kept in a spec",
                hint=STATE_DICT_HINT,
            )
        return ModelSpec(self.layer("", "", net, ()), inputs)

    def layer(self, name: str, path: str, module: nn.Module | None, above: tuple[nn.Module, ...]) -> LayerSpec:
        """One layer and all inside."""
        where = path or "the network"
        if any(module is outer for outer in above):
            raise EngineError(f"{where} contains itself")
        if len(above) > MAX_DEPTH:
            raise EngineError(f"the network has more than {MAX_DEPTH} Sequentials inside one another")
        obstacles = list(_obstacles(module))
        if obstacles and self.is_strict:
            raise EngineError(f"{where} {obstacles[0].reason}", hint=obstacles[0].hint)
        if module is None:
            return LayerSpec(name, "None", origin="opaque", uncarried=("not a layer",))
        changes = [obstacle.brief for obstacle in obstacles if not obstacle.made]
        if changes:
            return self.opaque(name, path, module, changes, above)
        if is_sequential(module):
            return LayerSpec(name, "Sequential", layers=self.inside(path, module, above))
        return self.torch_layer(name, path, module, obstacles)

    def torch_layer(self, name: str, path: str, module: nn.Module, obstacles: Sequence[Obstacle]) -> LayerSpec:
        """A layer of torch.nn, and what of it a call cannot carry; opaque where no call is known."""
        bare = self.bare(name, path, module, is_deep=True)
        try:
            made = {name: shape for obstacle in obstacles for name, shape in obstacle.made.items()}
            args = read_arguments(module, made)
        except LostArgumentsError as error:
            if self.is_strict:
                message = f"{path} is {a(bare.kind)} that a spec cannot hold: {error}"
                raise EngineError(message, hint=STATE_DICT_HINT) from None
            return replace(bare, origin="opaque", lost=str(error))
        return replace(bare, args=args, uncarried=_once(obstacle.brief for obstacle in obstacles))

    def opaque(
        self, name: str, path: str, module: nn.Module, changes: Sequence[str], above: tuple[nn.Module, ...]
    ) -> LayerSpec:
        """A module whose forward is not ours: its class, its tensors, and of one of your own what stands inside."""
        is_own = not torch_kind(module)
        return replace(
            self.bare(name, path, module, is_deep=not is_own),
            layers=self.inside(path, module, above) if is_own else (),
            origin="opaque",
            uncarried=_once(changes),
        )

    def inside(self, path: str, module: nn.Module, above: tuple[nn.Module, ...]) -> tuple[LayerSpec, ...]:
        """The layers that stand in a module, in its order; a shared one at each of its places."""
        prefix, above = f"{path}." if path else "", (*above, module)
        return tuple(self.layer(name, prefix + name, child, above) for name, child in module._modules.items())

    def bare(self, name: str, path: str, module: nn.Module, is_deep: bool) -> LayerSpec:
        """Its class and its tensors, and which of them stand elsewhere first; deep with what it is made of."""
        from torch.nn.parameter import is_lazy
        from torch.nn.utils.parametrize import type_before_parametrizations

        prefix = f"{path}." if path else ""
        own = [named for named in named_tensors(module) if is_deep or "." not in named.name]
        unsized = frozenset() if self.is_strict else frozenset(named.name for named in own if is_lazy(named.tensor))
        sized = [named for named in own if named.name not in unsized]
        places = {name: self.owners.setdefault(id(tensor), prefix + name) for name, tensor, _ in sized}
        info = tensor_info if self.is_strict else _any_tensor_info
        return LayerSpec(
            name,
            type_before_parametrizations(module).__name__,
            tensors=tuple(info(prefix + name, tensor)._replace(name=name) for name, tensor, _ in sized),
            tied={name: owner for name, owner in places.items() if owner != prefix + name},
            frozen=frozenset(name for name, tensor, is_parameter in own if is_parameter and not tensor.requires_grad),
            buffers=None if self.is_strict else frozenset(name for name, _, is_parameter in own if not is_parameter),
            unsized=unsized,
        )


def _once(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _obstacles(module: nn.Module | None) -> Iterator[Obstacle]:
    """Why a module is neither a Sequential nor a layer of torch.nn and nothing else; none where it is."""
    from torch.nn.modules.lazy import LazyModuleMixin
    from torch.nn.utils.parametrize import is_parametrized

    if module is None:
        yield Obstacle("is None, not a layer", "not a layer", "Put nn.Identity() there.")
        return
    if isinstance(module, LazyModuleMixin):
        yield Obstacle(
            f"is {a(type(module).__name__)} that has seen no input, so its shapes are not known",
            "has seen no input yet",
            "Run the network once on an input of the right shape.",
        )
        return
    kind = torch_kind(module)
    if is_parametrized(module):
        obstacle = _parametrized(module.parametrizations)  # type: ignore[arg-type]  # a ModuleDict, by name
        yield obstacle._replace(made=NOTHING_MADE) if is_sequential(module) else obstacle
    yield from _changed_forward(module)
    for part in list(module.modules())[1:] if kind else ():
        yield from (obstacle._replace(made=NOTHING_MADE) for obstacle in _changed_forward(part))
    if is_sequential(module):
        for name in (*module._parameters, *module._buffers):
            reason = f"is a Sequential with a tensor of its own, {name}, which a spec cannot hold"
            yield Obstacle(reason, "a tensor of its own")
    elif not kind:
        yield Obstacle(f"is {a(class_name(module))}, which is no layer that a spec can hold", "a forward of its own")


def _parametrized(parametrizations: Mapping[str, ParametrizationList]) -> Obstacle:
    """That tensors of these names are computed by parametrizations."""
    made = {name: shape for name, parts in parametrizations.items() if (shape := _made_shape(parts)) is not None}
    return Obstacle(
        "has parametrized weights, which a spec cannot hold",
        f"parametrized {', '.join(parametrizations)}",
        "torch.nn.utils.parametrize.remove_parametrizations makes them plain weights.",
        made if len(made) == len(parametrizations) else NOTHING_MADE,
    )


def _made_shape(parts: ParametrizationList) -> Shape | None:
    """The shape of what parametrizations make, None where one would have to run them to know it.

    torch lets no other than an `unsafe` one change the shape, and its own keep it although they are called unsafe.
    """
    is_kept = not parts.unsafe or all(type(part).__module__ == PARAMETRIZATIONS for part in parts)
    # weight_norm keeps a length and a direction, which has the weight's shape
    direction = "original1" if type(parts[0]).__name__ == "_WeightNorm" else "original"
    original = getattr(parts, direction, None)
    return tuple(original.shape) if is_kept and original is not None else None


def _changed_forward(module: nn.Module) -> Iterator[Obstacle]:
    """What hooks, or a forward set on this one object, change of what it gives."""
    for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
        name = str(getattr(hook, "__qualname__", type(hook).__name__))
        yield Obstacle(
            f"has a forward hook ({name}), which a spec cannot hold",
            f"a forward hook, {name}",
            "Remove it first: its handle's remove(), remove_weight_norm, remove_spectral_norm or prune.remove.",
            _made_by_hook(module, hook) if type(hook).__module__ in WEIGHT_HOOKS else NOTHING_MADE,
        )
    if "forward" in vars(module):
        yield Obstacle(
            "was given another forward, which a spec cannot hold", "another forward", "Delete its `forward`."
        )


def _made_by_hook(module: nn.Module, hook: object) -> Mapping[str, Shape]:
    """The shape of the one tensor that a hook of torch computes, by its name."""
    name = next(vars(hook)[attribute] for attribute in ("name", "_tensor_name") if attribute in vars(hook))
    return {name: tuple(getattr(module, name).shape)}


def tensor_info(name: str, tensor: torch.Tensor) -> TensorInfo:
    """Type and shape. Raises EngineError for a type or a layout that safetensors has no word for."""
    if not _has_file_type(tensor):
        what = _dtype_word(tensor) if _is_plain(tensor) else f"{tensor.layout} {type(tensor).__name__}"
        raise EngineError(f"{name} is a tensor of {what.removeprefix('torch.')}, which a file cannot hold")
    return _any_tensor_info(name, tensor)


def _any_tensor_info(name: str, tensor: torch.Tensor) -> TensorInfo:
    """The same of any tensor that has a shape; where safetensors has no word for its type, with torch's."""
    row = TORCH_DTYPES.get(_dtype_word(tensor))
    dtype = row.name if row else _dtype_word(tensor)
    return TensorInfo(name, dtype, tuple(tensor.shape), tensor.numel() * tensor.element_size())


def _dtype_word(tensor: torch.Tensor) -> str:
    """torch's word for the type: `float32`."""
    return str(tensor.dtype).removeprefix("torch.")


def _has_file_type(tensor: torch.Tensor) -> bool:
    """Whether safetensors has a word for its type and layout."""
    row = TORCH_DTYPES.get(_dtype_word(tensor))
    return _is_plain(tensor) and row is not None and row.bits >= 8


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether its numbers lie in memory one after another, as those of most tensors do."""
    import torch
    from torch import nn

    return tensor.layout is torch.strided and type(tensor) in (torch.Tensor, nn.Parameter)
