"""A layer's arguments held against the shapes of the tensors that a file has for it.

Where the shapes say without doubt what an argument must be, that is what it becomes; where they cannot be this kind at
all, the kind is given up. The rules in `model.kinds` are asked both times, so that nothing here repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import bind, parameters
from seqtui.model.kinds.kind import ArgumentError, Arguments
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape
from seqtui.words import a, shape_words

Shapes = Mapping[str, Shape]
"""By the tensors' own names: `weight`."""

Args = Mapping[str, Value]

MAX_PARTS = 5
"""Differences told of one layer."""


class Verdict(NamedTuple):
    """What a layer is, once its tensors were seen."""

    args: Args | None
    """The arguments given or, where the shapes contradict them, corrected; None when it cannot be of this kind."""
    expected: Shapes
    """What a layer with these arguments has, in torch's order; empty where no rule says."""
    note: str
    """Where the claim and the tensors disagree; continues a sentence that begins with the path. Empty where nowhere."""


def judge(kind: str, args: Args, found: Shapes) -> Verdict:
    """Hold a layer's claim against its tensors. A kind without a rule, or with impossible arguments, is left alone."""
    claimed = _expected(kind, args)
    if claimed is None:
        return Verdict(args, {}, "")
    if claimed == found:
        return Verdict(args, claimed, "")
    believed, expected = args, claimed
    better = _corrected(kind, args, found) if found else None
    better_expected = None if better is None else _expected(kind, better)
    if better is not None and better_expected is not None and _misfit(better_expected, found) < _misfit(claimed, found):
        believed, expected = better, better_expected
    note = _differences(claimed, found)
    if _misfit(expected, found)[0]:
        return Verdict(None, {}, f"{note}; it is no longer taken for {a(kind)}")
    if believed is not args:
        changes = ", ".join(f"{name}={value}" for name, value in believed.items() if args.get(name) != value)
        note = f"{note}; shown with {changes}"
    return Verdict(believed, expected, note)


def _expected(kind: str, args: Args) -> Shapes | None:
    """Parameters, then buffers, as torch would make them; None where no rule says."""
    if kind not in KINDS:
        return None
    rule = KINDS[kind]
    try:
        arguments = bind(kind, args)
        rule.check(arguments)
        return {**rule.parameters(arguments), **rule.buffers(arguments)}
    except ArgumentError:
        return None


def _misfit(expected: Shapes, found: Shapes) -> tuple[int, int]:
    """(tensors of another shape, tensors that only one side has)."""
    differing = sum(shape != expected[name] for name, shape in found.items() if name in expected)
    return differing, len(expected.keys() ^ found.keys())


def _differences(claimed: Shapes, found: Shapes) -> str:
    parts = [
        f"{name} {shape_words(found[name])} (the spec says {shape_words(shape)})" if name in found else f"no {name}"
        for name, shape in claimed.items()
        if found.get(name) != shape
    ]
    parts += [
        f"{name[:60]} {shape_words(shape)} (the spec has none)" for name, shape in found.items() if name not in claimed
    ]
    more = f" and {len(parts) - MAX_PARTS:,} more" if len(parts) > MAX_PARTS else ""
    return f"the file has {', '.join(parts[:MAX_PARTS])}{more}"


def _corrected(kind: str, args: Args, found: Shapes) -> Args | None:
    """The arguments as the shapes say them, those that they do not say as they were; None where they say nothing."""
    if kind not in _READERS:
        return None
    try:
        arguments = bind(kind, args)
        read = _READERS[kind](arguments, found)
    except (ArgumentError, KeyError, ValueError, IndexError):  # not even the number of tensors or dimensions fits
        return None
    known = {parameter.name for parameter in parameters(kind)}
    return {**args, **{name: value for name, value in read.items() if name in known and arguments[name] != value}}


# What shapes say of arguments. A reader may fail on shapes that cannot be its kind.


def _linear(args: Arguments, found: Shapes) -> Args:
    outputs, inputs = found["weight"]
    return {"in_features": inputs, "out_features": outputs, "bias": "bias" in found}


def _conv(dims: int, is_transposed: bool, args: Arguments, found: Shapes) -> Args:
    first, second, *kernel = found["weight"]
    if len(kernel) != dims:
        raise ValueError(f"{len(kernel)} dimensions of a kernel that has {dims}")
    second *= args.integer("groups")
    inputs, outputs = (first, second) if is_transposed else (second, first)
    is_as_given = args.sizes("kernel_size", dims) == tuple(kernel)
    size = args["kernel_size"] if is_as_given else kernel[0] if len(set(kernel)) == 1 else tuple(kernel)
    return {"in_channels": inputs, "out_channels": outputs, "kernel_size": size, "bias": "bias" in found}


def _channel_norm(size_name: str, args: Arguments, found: Shapes) -> Args:
    """BatchNorm and GroupNorm: one size, told by the weight or, without one, by the running statistics."""
    (size,) = found.get("weight") or found["running_mean"]
    has_weight = "weight" in found
    return {
        size_name: size,
        "affine": has_weight,
        "bias": "bias" in found if has_weight else args.get("bias"),
        "track_running_stats": "running_mean" in found,
    }


def _layer_norm(args: Arguments, found: Shapes) -> Args:
    shape = found["weight"]
    is_as_given = args.integers("normalized_shape", 1) == shape
    return {"normalized_shape": args["normalized_shape"] if is_as_given else shape, "bias": "bias" in found}


def _embedding(args: Arguments, found: Shapes) -> Args:
    rows, width = found["weight"]
    return {"num_embeddings": rows, "embedding_dim": width}


_READERS: dict[str, Callable[[Arguments, Shapes], Args]] = {
    "Linear": _linear,
    **{f"Conv{dims}d": partial(_conv, dims, False) for dims in (1, 2, 3)},
    **{f"ConvTranspose{dims}d": partial(_conv, dims, True) for dims in (1, 2, 3)},
    **{f"BatchNorm{dims}d": partial(_channel_norm, "num_features") for dims in (1, 2, 3)},
    "GroupNorm": partial(_channel_norm, "num_channels"),
    "LayerNorm": _layer_norm,
    "Embedding": _embedding,
}
"""Kinds whose arguments their tensors' shapes tell."""
