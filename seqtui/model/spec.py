"""A model as a frozen value: layers by name, what goes in, and what the file says beside.

Nothing here computes a shape or knows a kind; a change makes a new value that shares every layer it did not touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, overload

from seqtui.model.tensors import Shape, TensorInfo


@dataclass(frozen=True, slots=True)
class LayerValue:
    """A layer given as an argument: the first of `nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 6)`."""

    kind: str
    args: tuple[tuple[str, Value], ...] = ()
    """Its own arguments in the order of its constructor, those left at their default absent."""


Value = int | float | bool | str | None | LayerValue | tuple["Value", ...]
"""What an argument of a layer can be. Lists become tuples on the way in."""

Origin = Literal["declared", "guessed", "opaque"]
"""`declared`: a spec or code said so. `guessed`: read from names and shapes. `opaque`: its forward is not ours, or not
known."""


class Deferred(Sequence["LayerSpec"]):
    """Layers that are made when they are first looked at, and from then on are what they were made.

    A checkpoint can hold a hundred thousand tensors, of which the first screen shows twenty. What has to be said of the
    others before there are layers is counted.
    """

    __slots__ = ("_made", "make", "names", "num_buffers", "num_params", "num_tensors")

    def __init__(
        self,
        names: Sequence[str],
        make: Callable[[], tuple[LayerSpec, ...]],
        num_tensors: int,
        num_params: int,
        num_buffers: int,
    ) -> None:
        self.names = names
        """Of the layers, in their order; at least one."""
        self.make = make
        self.num_tensors = num_tensors
        """Of all that stands in the layer whose layers these are, its own tensors included; so are the elements."""
        self.num_params = num_params
        self.num_buffers = num_buffers
        self._made: tuple[LayerSpec, ...] | None = None

    @property
    def is_made(self) -> bool:
        return self._made is not None

    def layers(self) -> tuple[LayerSpec, ...]:
        """The layers, made now if they were not before."""
        if self._made is None:
            self._made = self.make()
        return self._made

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> LayerSpec: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[LayerSpec]: ...
    def __getitem__(self, index: int | slice) -> LayerSpec | Sequence[LayerSpec]:
        return self.layers()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.layers() == tuple(other)

    def __hash__(self) -> int:
        return hash(self.layers())

    def __reduce__(self) -> tuple[type, tuple[tuple[LayerSpec, ...]]]:
        return tuple, (self.layers(),)


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One named layer and what stands inside it."""

    name: str
    """One part of a dotted path: `conv1`, `0`. Empty for the root alone."""
    kind: str | None = None
    """The class name in torch.nn, or None where only tensors are known."""
    args: Mapping[str, Value] = field(default_factory=dict)
    """What its constructor is given, by name; arguments left at their default may be absent."""
    tensors: tuple[TensorInfo, ...] = ()
    """Its own parameters and buffers, named without the path: `weight`."""
    tied: Mapping[str, str] = field(default_factory=dict)
    """Own tensor name -> full name of the tensor that owns its numbers."""
    frozen: frozenset[str] = frozenset()
    """Names of own parameters with `requires_grad` off."""
    layers: Sequence[LayerSpec] = ()
    """A tuple; of a large model without a spec, Deferred."""
    enabled: bool = True
    """False bypasses the layer: it stays in the model and its input passes through."""
    is_called: bool = True
    """False for tensors that a file holds beside the layers of a Sequential: no part of its forward pass."""
    uncarried: tuple[str, ...] = ()
    """What of a live layer no constructor call carries, in words: "parametrized weight"."""
    origin: Origin = "declared"
    alternatives: tuple[str, ...] = ()
    """For a guess: what else the tensors could be, likeliest first."""
    lost: str = ""
    """Why the arguments of a live layer of torch.nn cannot be read back, as a clause; it is opaque then."""
    buffers: frozenset[str] | None = None
    """Names of own tensors that are no parameters, as a live module has them; None where only a rule can tell."""
    unsized: frozenset[str] = frozenset()
    """Names of own tensors that have no shape yet: of a live layer that takes it from its first input."""

    def walk(self, prefix: str = "") -> Iterator[tuple[str, LayerSpec]]:
        """(path, layer) of everything inside, depth first in order; not the layer itself."""
        for layer in self.layers:
            path = f"{prefix}{layer.name}"
            yield path, layer
            if layer.layers:
                yield from layer.walk(f"{path}.")


class InputSpec(NamedTuple):
    """What a model is fed."""

    name: str
    shape: Shape
    dtype: str = "float32"
    """torch's word."""


class Call(NamedTuple):
    """One use of a layer in a functional model: who feeds whom."""

    path: str
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A whole model. Its root is a Sequential, or an opaque tree of tensors."""

    root: LayerSpec
    """Nameless; its layers are the model's, its tensors those that belong to no layer."""
    inputs: tuple[InputSpec, ...] = ()
    calls: tuple[Call, ...] = ()
    """Empty for a Sequential."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the file carries beside tensors and spec, every key kept when it is written again."""

    @property
    def layers(self) -> Sequence[LayerSpec]:
        return self.root.layers

    @property
    def is_sequential(self) -> bool:
        """Whether layers run one after another, so that shapes can be followed."""
        return self.root.kind == "Sequential" and self.root.origin == "declared"

    def walk(self) -> Iterator[tuple[str, LayerSpec]]:
        """(dotted path, layer) of every layer, depth first in execution order; not the root."""
        return self.root.walk()

    def layer(self, path: str) -> LayerSpec:
        """The layer at a dotted path, the root at "". Raises KeyError where there is none."""
        layer = self.root
        for name in path.split(".") if path else ():
            matches = (child for child in layer.layers if child.name == name)
            found = next(matches, None)
            if found is None:
                raise KeyError(path)
            layer = found
        return layer
