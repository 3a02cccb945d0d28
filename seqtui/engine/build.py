"""A ModelSpec made into an `nn.Sequential` and back into a file: the same network, the same outputs to the bit.

A file names kinds, and here they become classes: only those of the catalogue, looked up in torch.nn, so that nothing a
file says is ever imported or run. No number is drawn only to be overwritten, and none is read before its layer's
tensors are known to fit.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from operator import index
from typing import TYPE_CHECKING

from seqtui.engine import require_torch
from seqtui.engine.arguments import named_tensors, new_layer
from seqtui.engine.devices import require_device
from seqtui.engine.modules import STATE_DICT_HINT, spec_of, tensor_info
from seqtui.engine.numbers import NewNumbers, as_bytes, stored_tensor
from seqtui.engine.refusal import is_out_of_memory, refusal
from seqtui.engine.requests import Making
from seqtui.errors import EngineError, FormatError, OutOfMemoryError, SeqtuiError, UsageError
from seqtui.formats import open_model
from seqtui.formats.safetensors import TensorData, write_safetensors
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.inputs import require_sequential
from seqtui.model.kinds.catalogue import NO_ARGUMENTS, bind, catalogue
from seqtui.model.kinds.kind import ArgumentError
from seqtui.model.spec import InputSpec, LayerSpec, LayerValue, ModelSpec, Value
from seqtui.model.spec_json import REPEATS, SPEC_KEY, SpecError, spec_to_json
from seqtui.model.tensors import DTYPES, TORCH_DTYPES, NewTensor, Shape, TensorInfo, TensorRef, is_possible
from seqtui.model.tree import find_tensor
from seqtui.words import a, bytes_words, shape_words

if TYPE_CHECKING:
    import torch
    from torch import nn


def save(
    net: nn.Sequential,
    path: str | os.PathLike[str],
    input_shape: Sequence[int] | None = None,
    input_dtype: torch.dtype | str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write an `nn.Sequential` and its spec as one safetensors file, whole or not at all.

    Every other program reads it as an ordinary state dict; a shared tensor is written in full under each of its names.
    `input_shape` is what the network is fed, its batch included, of `input_dtype` (float32 when None). `metadata` is
    kept beside the spec. Raises UsageError and EngineError as `spec_of` does, FileError where nothing can be written.
    """
    require_torch()
    model = spec_of(net, (input_spec(input_shape, input_dtype),) if input_shape is not None else ())
    data = []
    for name, tensor, _ in named_tensors(net):
        if tensor.is_meta:
            raise EngineError(f"{name} is on the meta device and has no numbers to save")
        data.append(TensorData(tensor_info(name, tensor), partial(_chunks, tensor)))
    try:
        spec = spec_to_json(model)
    except SpecError as error:
        raise EngineError(f"the spec of this network {error.message}", hint=STATE_DICT_HINT) from None
    write_safetensors(os.fspath(path), data, {"format": "pt", **_checked(metadata or {}), SPEC_KEY: spec})


def load_sequential(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> nn.Sequential:
    """The network that `save` wrote, its numbers in place: the same outputs to the bit.

    Tensors that were one are one again, parameters that were frozen are frozen; a layer that is switched off is an
    Identity of its name. The network is in training mode, as torch makes one: call `eval()` before you use it.
    Raises FormatError when the file holds no Sequential of torch's own layers or tensors that do not fit it, FileError
    when it cannot be read, EngineError for a device that is not there or has no room, and where torch is not installed.
    """
    require_torch()
    opened = open_model(os.fspath(path))
    try:
        for name, layer in opened.model.walk():
            if opened.model.is_sequential and not layer.is_called:
                raise FormatError(f"{name} is beside the layers in the file, and no network would hold it")
        return build(opened.model, opened.sources, device)
    except SeqtuiError as error:
        error.file = error.file or opened.path
        raise
    finally:
        opened.close()


def build(
    model: ModelSpec, sources: Mapping[str, TensorSource], device: str | torch.device = "cpu", dtype: str = ""
) -> nn.Sequential:
    """The network that a spec describes, with the numbers of its tensors read from the open `sources`.

    Those that a save would make are made, the same. Tensors have the type that the file gives them, floating ones the
    `dtype` (torch's word) where one is given, and nothing else of the file stays in use. On the meta device none is
    read. For modes, ties and layers switched off, and for what is raised, see `load_sequential`; OutOfMemoryError where
    the device has no room.
    """
    require_sequential(model)
    return Builder(model, sources, require_device(device), dtype).sequential("", model.root)


def input_spec(shape: Sequence[int], dtype: torch.dtype | str | None = None) -> InputSpec:
    """The one input of a Sequential, float32 unless said otherwise. Raises UsageError for what is no shape or type."""
    word = "float32" if dtype is None else str(dtype).removeprefix("torch.")
    if word not in TORCH_DTYPES:
        raise UsageError(f"{word} is no type of tensor that an input can have", hint="For token ids: torch.int64.")
    try:
        sizes = tuple(index(size) for size in shape)
    except TypeError:
        sizes = (-1,)
    if not is_possible(sizes):
        raise UsageError(f"{shape!r} is no input shape", hint="Write it with its batch, (1, 3, 32, 32).")
    return InputSpec("input", sizes, word)


def _checked(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The same, once it is known to hold text alone, which is all that the format has room for."""
    for item in metadata.items():
        if not all(isinstance(part, str) for part in item):
            raise UsageError(f"metadata holds text alone, not {item!r}", hint="Make it text, with str or json.dumps.")
    return metadata


def _chunks(tensor: torch.Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor as a file holds them, wherever and however it lies; on the CPU for this moment only."""
    yield as_bytes(tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()).numpy().data


class Builder:
    """One network in the making: what it reads from, where its numbers go, and those already in place."""

    def __init__(
        self, model: ModelSpec, sources: Mapping[str, TensorSource], device: torch.device, dtype: str = ""
    ) -> None:
        self.model = model
        self.sources = sources
        self.device = device
        self.dtype = dtype
        """Of floating tensors, torch's word; empty for that of the file."""
        self.owners: dict[str, torch.Tensor] = {}
        """By the full name that a spec ties others to."""
        self.new = NewNumbers()

    def sequential(self, path: str, layer: LayerSpec) -> nn.Sequential:
        """A Sequential and all inside that is called, in order and under the names of the spec."""
        from torch import nn

        network = nn.Sequential()
        prefix = f"{path}." if path else ""
        for child in layer.layers:
            if not child.is_called:
                continue
            module = self.layer(prefix + child.name, child)
            try:
                network.add_module(child.name, module)
            except KeyError:
                raise FormatError(f"{child.name!r} cannot be the name of a layer in {path or 'the network'}") from None
        return network

    def layer(self, path: str, layer: LayerSpec) -> nn.Module:
        from torch import nn

        if not layer.enabled:
            return nn.Identity()
        if layer.kind == "Sequential":
            return self.sequential(path, layer)
        module = _empty_layer(path, layer)
        for name, _, is_parameter in list(named_tensors(module)):
            tensor = self.tensor(path, layer, name, is_parameter)
            place, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(place), attribute, tensor)
        if isinstance(module, nn.RNNBase):
            module.flatten_parameters()  # cuDNN wants them in one piece, and warns at every pass while they are not
        return module

    def tensor(self, path: str, layer: LayerSpec, name: str, is_parameter: bool) -> torch.Tensor:
        """The tensor of that name in a layer: the one it is tied to when their bytes agree, else one of its own.

        The spec says that two names are one tensor, the file has numbers for both; where they differ, no one is lost.
        """
        from torch import nn

        full_name = f"{path}.{name}"
        tensor = self.placed(full_name, layer, next(info for info in layer.tensors if info.name == name))
        if is_parameter:
            can_learn = tensor.is_floating_point() or tensor.is_complex()
            tensor = nn.Parameter(tensor, requires_grad=can_learn and name not in layer.frozen)
        owner = self.owners.setdefault(layer.tied.get(name, full_name), tensor)
        return owner if owner is tensor or _is_same(owner, tensor) else tensor

    def placed(self, name: str, layer: LayerSpec, info: TensorInfo) -> torch.Tensor:
        """A tensor's numbers on the device, of the type that was asked for; on meta without them."""
        import torch

        dtype = _torch_dtype(name, info)
        wanted: torch.dtype = getattr(torch, self.dtype) if self.dtype and dtype.is_floating_point else dtype
        if self.device.type == "meta":
            return torch.empty(info.shape, dtype=wanted, device=self.device)
        try:
            return self.numbers(name, layer, info).to(self.device, wanted)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise refusal(name, error) from error
            message = f"{name} does not fit on {self.device}: it needs {bytes_words(info.nbytes)}"
            raise OutOfMemoryError(message, hint="Try another device.") from error

    def numbers(self, name: str, layer: LayerSpec, info: TensorInfo) -> torch.Tensor:
        """A tensor's numbers on the CPU: from its source, or as a save makes them; what is tied is its owner's."""
        if info.name in layer.tied and isinstance(info.ref, NewTensor):
            name = layer.tied[info.name]
            place = find_tensor(self.model, name)
            if place is not None:
                layer = self.model.layer(place[0])
                info = next(tensor for tensor in layer.tensors if tensor.name == place[1])
        match info.ref:
            case TensorRef() as ref:
                return stored_tensor(self.sources[ref.source_id], ref.name)
            case NewTensor(keep=keep) as ref:
                kept = partial(stored_tensor, self.sources[keep.source_id], keep.name) if keep else None
                return self.new.tensor(Making.of(name, layer, info, ref), kept)
            case _:
                raise FormatError(f"{name} has no numbers in the file")


def _empty_layer(path: str, layer: LayerSpec) -> nn.Module:
    """A layer of that kind and arguments on the meta device, known to take the tensors that stand in the spec."""
    kind = layer.kind or ""
    if kind not in catalogue() or layer.origin == "opaque":
        raise FormatError(f"{path} is {a(kind) if kind else 'of no known kind'}, which is no layer of torch.nn")
    try:
        bind(kind, layer.args)
    except ArgumentError as error:
        raise FormatError(f"{path} {error}") from None
    for name, value in _all_arguments(layer.args.items()):
        if name in NO_ARGUMENTS:
            raise FormatError(f"{path} has an argument that a spec cannot give, {name}")
        if name in REPEATS and isinstance(value, int) and value > len(layer.tensors):
            raise FormatError(f"{path} takes tensors for {name}={value}, the file has {len(layer.tensors)} in all")
    try:
        module = new_layer(kind, layer.args)
    except Exception as error:  # torch's constructors raise what they like for arguments they refuse
        if is_out_of_memory(error):
            raise refusal(path, error) from error
        raise FormatError(f"{path}: torch refuses these arguments of {kind}: {error}") from error
    _check_shapes(path, layer, {name: tuple(tensor.shape) for name, tensor, _ in named_tensors(module)})
    return module


def _all_arguments(args: Iterable[tuple[str, Value]]) -> Iterator[tuple[str, Value]]:
    """The arguments of a layer and of the layers among them."""
    for name, value in args:
        yield name, value
        if isinstance(value, LayerValue):
            yield from _all_arguments(value.args)


def _check_shapes(path: str, layer: LayerSpec, expected: Mapping[str, Shape]) -> None:
    """Raise FormatError unless the layer has exactly these tensors."""
    found = {info.name: info.shape for info in layer.tensors}
    for name, shape in expected.items():
        if name not in found:
            raise FormatError(f"{path} takes a tensor {name} of {shape_words(shape)}, the file has none")
        if found[name] != shape:
            raise FormatError(f"{path} takes {name} as {shape_words(shape)}, the file has {shape_words(found[name])}")
    for name in found:
        if name not in expected:
            raise FormatError(f"{path} is {a(layer.kind)} without {name}, which the file has")


def _torch_dtype(name: str, info: TensorInfo) -> torch.dtype:
    """torch's type for a tensor of a file. Raises FormatError for those that it lacks, or packs in another way."""
    import torch

    row = DTYPES.get(info.dtype)
    dtype = getattr(torch, row.torch, None) if row and row.torch and row.bits >= 8 else None
    if not isinstance(dtype, torch.dtype):
        raise FormatError(f"{name} is of type {info.dtype}, which torch cannot compute with")
    return dtype


def _is_same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors are alike to the last bit; on meta, where there are none, alike in all else."""
    import torch

    if type(one) is not type(other) or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.is_meta or torch.equal(as_bytes(one), as_bytes(other))
