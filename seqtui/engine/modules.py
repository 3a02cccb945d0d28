"""A live module as values: what a spec says of an `nn.Sequential`, read from the modules themselves.

To be saved, all of it must be what a spec can hold, and the first thing that is not is refused with its path. To be
shown, nothing is refused: a layer whose call tells only a part of it says what is missing, and one whose forward is not
torch's own is opaque, with its tensors and what stands inside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.arguments import (
    LostArgumentsError,
    changed_arguments,
    class_name,
    given_arguments,
    is_torch_layer,
    named_tensors,
    read_arguments,
)
from seqtui.errors import EngineError, UsageError
from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.spec_json import MAX_DEPTH
from seqtui.model.tensors import TORCH_DTYPES, TensorInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

STATE_DICT_HINT = "The weights of any module can be kept as a plain state dict: safetensors.torch.save_model."

WEIGHT_HOOKS = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm", "torch.nn.utils.prune")
"""Modules whose hooks only compute a weight anew before it is used."""


class Obstacle(NamedTuple):
    """Why no constructor call carries all of a module."""

    reason: str
    """Continues a sentence that begins with its path: "has parametrized weights, which a spec cannot hold"."""
    brief: str
    """In a few words for its own row: "parametrized weight"."""
    hint: str = STATE_DICT_HINT
    kind: str = ""
    """The layer of torch.nn that it still computes; empty where its forward is its own."""


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
        obstacle = _obstacle(module)
        if obstacle and self.is_strict:
            raise EngineError(f"{where} {obstacle.reason}", hint=obstacle.hint)
        if module is None:
            return LayerSpec(name, "None", origin="opaque", uncarried=("not a layer",))
        if obstacle and not obstacle.kind:
            return self.opaque(name, path, module, obstacle, above)
        if is_sequential(module):
            return LayerSpec(name, "Sequential", layers=self.inside(path, module, above))
        return self.torch_layer(name, path, module, obstacle)

    def torch_layer(self, name: str, path: str, module: nn.Module, obstacle: Obstacle | None) -> LayerSpec:
        """A layer of torch.nn; with an obstacle, what of it a call cannot carry."""
        kind = obstacle.kind if obstacle else type(module).__name__
        uncarried = [obstacle.brief] if obstacle else []
        try:
            args = read_arguments(module, computes=obstacle.kind if obstacle else "")
        except LostArgumentsError as error:
            if self.is_strict:
                message = f"{path} is a {kind} that a spec cannot hold: {error}"
                raise EngineError(message, hint=STATE_DICT_HINT) from None
            args = changed_arguments(kind, given_arguments(kind, module))
            uncarried.append(str(error))
        tensors, tied, frozen = self.tensors(path, module, is_deep=True)
        return LayerSpec(name, kind, args, tensors=tensors, tied=tied, frozen=frozen, uncarried=tuple(uncarried))

    def opaque(
        self, name: str, path: str, module: nn.Module, obstacle: Obstacle, above: tuple[nn.Module, ...]
    ) -> LayerSpec:
        """A module whose forward is not ours: its class, its tensors, what stands inside."""
        tensors, tied, frozen = self.tensors(path, module, is_deep=False)
        return LayerSpec(
            name,
            type(module).__name__,
            tensors=tensors,
            tied=tied,
            frozen=frozen,
            layers=self.inside(path, module, above),
            origin="opaque",
            uncarried=(obstacle.brief,),
        )

    def inside(self, path: str, module: nn.Module, above: tuple[nn.Module, ...]) -> tuple[LayerSpec, ...]:
        """The layers that stand in a module, in its order; a shared one at each of its places."""
        prefix, above = f"{path}." if path else "", (*above, module)
        return tuple(self.layer(name, prefix + name, child, above) for name, child in module._modules.items())

    def tensors(
        self, path: str, module: nn.Module, is_deep: bool
    ) -> tuple[tuple[TensorInfo, ...], dict[str, str], frozenset[str]]:
        """Its tensors, those that stand elsewhere first, and those that do not learn; deep with what it is made of."""
        prefix = f"{path}." if path else ""
        own = [named for named in named_tensors(module) if is_deep or "." not in named.name]
        if not self.is_strict:  # of a lazy layer's tensors, for one, nothing is known
            own = [named for named in own if _has_file_type(named.tensor)]
        places = {name: self.owners.setdefault(id(tensor), prefix + name) for name, tensor, _ in own}
        return (
            tuple(tensor_info(prefix + name, tensor)._replace(name=name) for name, tensor, _ in own),
            {name: owner for name, owner in places.items() if owner != prefix + name},
            frozenset(name for name, tensor, is_parameter in own if is_parameter and not tensor.requires_grad),
        )


def _obstacle(module: nn.Module | None) -> Obstacle | None:
    """Why a module is neither a Sequential nor a layer of torch.nn and nothing else; None where it is."""
    from torch.nn.modules.lazy import LazyModuleMixin
    from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

    if module is None:
        return Obstacle("is None, not a layer", "not a layer", "Put nn.Identity() there.")
    if isinstance(module, LazyModuleMixin):
        return Obstacle(
            f"is a {type(module).__name__} that has seen no input, so its shapes are not known",
            "has seen no input yet",
            "Run the network once on an input of the right shape.",
        )
    if is_parametrized(module):
        kind = type_before_parametrizations(module).__name__
        return Obstacle(
            "has parametrized weights, which a spec cannot hold",
            f"parametrized {', '.join(module.parametrizations)}",  # type: ignore[arg-type]  # a ModuleDict, by name
            "torch.nn.utils.parametrize.remove_parametrizations makes them plain weights.",
            kind if kind in catalogue() else "",
        )
    parts = [module] if is_sequential(module) else list(module.modules())
    changed = next((obstacle for part in parts if (obstacle := _changed_forward(part))), None)
    if changed:
        return changed if len(parts) == 1 else changed._replace(kind="")
    if is_sequential(module):
        names = [*module._parameters, *module._buffers]
        reason = f"is a Sequential with a tensor of its own, {names[0]}, which a spec cannot hold" if names else ""
        return Obstacle(reason, "a tensor of its own") if names else None
    if not is_torch_layer(module):
        return Obstacle(f"is a {class_name(module)}, which is no layer that a spec can hold", "a forward of its own")
    return None


def _changed_forward(module: nn.Module) -> Obstacle | None:
    """What hooks, or a forward set on this one object, change of what it gives."""
    for hook in (*module._forward_pre_hooks.values(), *module._forward_hooks.values()):
        name = str(getattr(hook, "__qualname__", type(hook).__name__))
        is_harmless = type(hook).__module__ in WEIGHT_HOOKS and is_torch_layer(module)
        return Obstacle(
            f"has a forward hook ({name}), which a spec cannot hold",
            f"a forward hook, {name}",
            "Remove it first: its handle's remove(), remove_weight_norm, remove_spectral_norm or prune.remove.",
            type(module).__name__ if is_harmless else "",
        )
    if "forward" in vars(module):
        return Obstacle(
            "was given another forward, which a spec cannot hold", "another forward", "Delete its `forward`."
        )
    return None


def tensor_info(name: str, tensor: torch.Tensor) -> TensorInfo:
    """Type and shape. Raises EngineError for a type or a layout that safetensors has no word for."""
    word = str(tensor.dtype).removeprefix("torch.")
    if not _has_file_type(tensor):
        what = word if _is_plain(tensor) else f"{tensor.layout} {type(tensor).__name__}".removeprefix("torch.")
        raise EngineError(f"{name} is a tensor of {what}, which a file cannot hold")
    return TensorInfo(name, TORCH_DTYPES[word].name, tuple(tensor.shape), tensor.numel() * tensor.element_size())


def _has_file_type(tensor: torch.Tensor) -> bool:
    """Whether safetensors has a word for its type and layout."""
    row = TORCH_DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    return _is_plain(tensor) and row is not None and row.bits >= 8


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether its numbers lie in memory one after another, as those of most tensors do."""
    import torch
    from torch import nn

    return tensor.layout is torch.strided and type(tensor) in (torch.Tensor, nn.Parameter)
