"""What a row about a kind of layer is made of. The rows stand in the modules beside this one, one a family.

A rule must agree with torch: the same shapes and types, and a failure exactly where a small CPU tensor of one of the
types in `RULED` fails in eval mode. The tests ask torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import Recogniser
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape


class ShapeError(Exception):
    """What arrives does not fit.

    The message continues a sentence that begins with the layer's path and, with `names_source`, ends in what arrives,
    so that the layer it comes from can be added: "takes 400 features, 600 arrive" (+ " from flatten").
    """

    def __init__(self, misfit: Misfit, names_source: bool = True, **words: object) -> None:
        super().__init__(misfit.format(**words))
        self.names_source = names_source


class ArgumentError(Exception):
    """torch's constructor would refuse these arguments. The message continues a sentence that begins with the path."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What to do about it; empty when the message says so already."""


class UnruledTypeError(Exception):
    """No rule is known to hold for numbers of a type. The message is torch's word for it."""


FLOATS = ("float32", "float16", "bfloat16", "float64")
WHOLE = ("int64", "int32", "int16", "int8", "uint8")
RULED = frozenset((*FLOATS, *WHOLE, "bool"))
"""The types that the rules are judged with, by torch's words: the floats, the whole numbers, and bool."""


class Signal(NamedTuple):
    """What flows from one layer to the next."""

    shape: Shape
    dtype: str
    """torch's word, `float32`."""


class Window(NamedTuple):
    """How far one output element reaches into its input, for each of the last dimensions, in elements."""

    extent: tuple[int, ...]
    stride: tuple[int, ...]


class Arguments(Mapping[str, Value]):
    """A kind's arguments with every default filled in, and typed ways to ask for one."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def with_dtype(self, dtype: str | None) -> Arguments:
        """The same for a layer whose weights are of a type, by torch's word for it; None for torch's own choice."""
        return Arguments({**self._values, "dtype": dtype})

    def integer(self, name: str) -> int:
        """A whole number. Raises ArgumentError for anything else, True and False too."""
        value = self._values[name]
        if type(value) is not int:
            raise ArgumentError(f"needs a whole number for {name}, not {value!r}")
        return value

    def number(self, name: str) -> float:
        """A whole number or a fraction. Raises ArgumentError for anything else."""
        value = self._values[name]
        if not isinstance(value, int | float):
            raise ArgumentError(f"needs a number for {name}, not {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """What Python holds for true in the argument, as torch itself asks."""
        return bool(self._values[name])

    def integers(self, name: str, dims: int) -> tuple[int, ...]:
        """The whole numbers of a tuple as they are, or a single number `dims` times. Raises ArgumentError otherwise."""
        value = self._values[name]
        if type(value) is int:
            return (value,) * dims
        sizes = tuple(size for size in value if type(size) is int) if isinstance(value, tuple) else ()
        if not sizes or sizes != value:
            raise ArgumentError(f"needs whole numbers for {name}, not {value!r}")
        return sizes

    def sizes(self, name: str, dims: int) -> tuple[int, ...]:
        """One whole number a dimension; a single one counts for all. Raises ArgumentError for anything else."""
        sizes = self.integers(name, dims)
        if len(sizes) == 1:
            return sizes * dims
        if len(sizes) != dims:
            raise ArgumentError(f"needs {dims} whole numbers for {name}, not {len(sizes)}")
        return sizes


Given = Mapping[str, Value]
"""Arguments as they are given, those left at their default absent."""
FromPlace = Callable[[Given, Signal], Given]
Shapes = dict[str, Shape]
Output = Signal | tuple[Signal, ...]
"""What comes out: one tensor, or several (a recurrent layer gives its output and its states, flattened in order)."""


def no_tensors(args: Arguments) -> Shapes:
    """The parameters or buffers of a kind that has none."""
    return {}


def no_single_output(args: Arguments, x: Signal) -> Output:
    """The output of a kind that needs several tensors: nothing that a Sequential could hand on. Raises ShapeError."""
    raise ShapeError(Misfit.NO_SINGLE, names_source=False)


def accept(args: Arguments) -> None:
    """The check of a kind whose constructor refuses nothing that its parameters do not."""


def same_place(args: Arguments, x: Signal) -> Window:
    """The window of a kind that may mix the channels of (N, C, ...) but sees one place of them."""
    dims = len(x.shape) - 2
    return Window((1,) * dims, (1,) * dims)


def nothing_follows(given: Given, x: Signal) -> Given:
    """The arguments that follow from what arrives, for a kind of which none does."""
    return {}


def from_axis(axis: int, name: str, also: str = "") -> FromPlace:
    """An argument is the size of a dimension of what arrives, and of a new layer another one is too."""

    def follow(given: Given, x: Signal) -> Given:
        if not -len(x.shape) <= axis < len(x.shape):
            return {}
        size = x.shape[axis]
        return {name: size, also: size} if also and also not in given else {name: size}

    return follow


def no_words(args: Arguments) -> str:
    """The words of a kind that needs none."""
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """All that is known of one class in torch.nn."""

    name: str
    output: Callable[[Arguments, Signal], Output] = no_single_output
    """What comes out for what goes in. Raises ShapeError where torch's forward raises, ArgumentError where the
    arguments only show themselves wrong in the forward pass. Left out for a kind that needs several tensors."""
    check: Callable[[Arguments], None] = accept
    """Raises ArgumentError where torch's constructor raises."""
    parameters: Callable[[Arguments], Shapes] = no_tensors
    """Names and shapes in torch's order. Only asked once `check` has passed."""
    buffers: Callable[[Arguments], Shapes] = no_tensors
    """The same for persistent buffers. `num_batches_tracked` is int64, all others float."""
    macs: Callable[[Arguments, Signal, Signal], int] | None = None
    """Multiply-adds of (input, first output), half of what torch.utils.flop_counter counts; None where it skips."""
    window: Callable[[Arguments, Signal], Window | None] | None = None
    """The receptive field's step; None for a kind after which an output element may see the whole input."""
    is_elementwise: bool = False
    """Whether each output element sees only the input element at its place, so that the receptive field stays."""
    is_random: bool = False
    """Whether in train mode, and there alone, it draws random numbers whatever its arguments are."""
    words: Callable[[Arguments], str] = no_words
    """Its arguments in a few cells for the table, without the kind's name: `3→16 k3 p1`."""
    recognisers: tuple[Recogniser, ...] = ()
    """How it is told from its tensors, in a file that does not name its layers."""
    kept_as: Mapping[str, str] = field(default_factory=dict)
    """Argument -> dotted attribute in which a live layer keeps it, for those not kept under their own name. Where a
    flag is asked for and a tensor is found, its presence is the flag. With "[:-1]" after it, all but the last."""
    follows: Mapping[str, str] = field(default_factory=dict)
    """Argument -> the argument whose value it takes when it is left out."""
    from_place: FromPlace = nothing_follows
    """The arguments that what arrives asks for, by those that are given: `in_channels`, and what has to go with it. Of
    a new layer also those that are as usual the same: `out_channels`."""
    usual: Given = field(default_factory=dict)
    """Argument -> what a new layer begins with, where torch has no default or none that anyone uses."""
    not_kept: Mapping[str, str] = field(default_factory=dict)
    """Argument -> why no call can be read back from a layer that has none of it: "of no layers none is left to read the
    others from"; empty where what differs in the layer says more."""
