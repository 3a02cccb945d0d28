"""Kinds that move elements about and compute nothing: shuffles of channels, and windows to columns and back."""

from __future__ import annotations

import math
from typing import NamedTuple

from seqtui.model.kinds.kind import ArgumentError, Arguments, Given, Kind, ShapeError, Signal, Window, same_place
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.pooling import pooled_length
from seqtui.model.kinds.sentences import (
    arriving,
    brief,
    dilated,
    marks,
    require_at_least,
    require_dimensions,
    require_elements,
    require_float,
    require_least_dimensions,
    times,
    window_misfit,
)
from seqtui.model.tensors import Shape


def _factor(name: str, args: Arguments, x: Signal) -> int:
    """The one number of a shuffle, as all of them ask for it."""
    require_least_dimensions(x, 3)
    factor = args.integer(name)
    require_at_least(1, name, factor)
    return factor


def _pixel_shuffle(args: Arguments, x: Signal) -> Signal:
    """(*, C·r², H, W) -> (*, C, H·r, W·r). Source: torch.nn.PixelShuffle, "Shape"."""
    factor = _factor("upscale_factor", args, x)
    *front, channels, height, width = x.shape
    if channels % factor**2:
        raise ShapeError(Misfit.MULTIPLE, noun="channels", takes=factor**2, arrives=arriving(channels))
    return Signal((*front, channels // factor**2, height * factor, width * factor), x.dtype)


def _pixel_unshuffle(args: Arguments, x: Signal) -> Signal:
    """(*, C, H·r, W·r) -> (*, C·r², H, W). Source: torch.nn.PixelUnshuffle, "Shape"."""
    factor = _factor("downscale_factor", args, x)
    *front, channels, height, width = x.shape
    if height % factor or width % factor:
        raise ShapeError(Misfit.MULTIPLE, noun="lengths", takes=factor, arrives=f"{times((height, width))} arrives")
    if 0 in x.shape:  # handed on as it is
        return x
    return Signal((*front, channels * factor**2, height // factor, width // factor), x.dtype)


def _unshuffle_window(args: Arguments, x: Signal) -> Window | None:
    """Of a single image or a batch; of more, the channels that it mixes would stand among the places."""
    factors = args.sizes("downscale_factor", 2)
    return Window(factors, factors) if len(x.shape) <= 4 else None


def _channel_shuffle(args: Arguments, x: Signal) -> Signal:
    """(N, C, *) kept. Source: torch.nn.ChannelShuffle."""
    groups = _factor("groups", args, x)
    if x.shape[1] % groups:
        raise ShapeError(Misfit.GROUPED, takes=groups, arrives=arriving(x.shape[1]))
    return x


def _pair(args: Arguments, name: str, least: int) -> Shape:
    """Two numbers, or one for both; here torch takes no tuple of one."""
    sizes = args.integers(name, 2)
    if len(sizes) != 2:
        raise ArgumentError(f"needs 2 whole numbers for {name}, not {len(sizes)}")
    require_at_least(least, name, *sizes)
    return sizes


class _Slide(NamedTuple):
    """How a window slides, in elements a dimension."""

    kernel: Shape
    window: Shape
    """The kernel as it lies, dilated."""
    stride: Shape
    padding: Shape

    def blocks(self, lengths: Shape) -> Shape:
        """How many places it has in each length, below 1 where it does not fit."""
        sizes = zip(lengths, self.window, self.stride, self.padding, strict=True)
        return tuple(pooled_length(*each, ceil_mode=False) for each in sizes)


def _slide(args: Arguments) -> _Slide:
    kernel, dilation = _pair(args, "kernel_size", 1), _pair(args, "dilation", 1)
    return _Slide(kernel, dilated(kernel, dilation), _pair(args, "stride", 1), _pair(args, "padding", 0))


def _require_columns(x: Signal) -> None:
    """Raises ShapeError for whole numbers; torch moves floats and booleans."""
    if x.dtype != "bool":
        require_float(x)


def _unfold(args: Arguments, x: Signal) -> Signal:
    """(N, C, H, W) or (C, H, W) -> (…, C · kernel, blocks). Source: torch.nn.Unfold, "Shape"."""
    require_dimensions(x, 3, 4)
    slide = _slide(args)
    require_elements(x, -3)
    *front, channels, height, width = x.shape
    lengths = (height, width)
    blocks = slide.blocks(lengths)
    if min(blocks) < 1:
        padded = tuple(length + 2 * border for length, border in zip(lengths, slide.padding, strict=True))
        raise window_misfit(slide.window, lengths, padded)
    _require_columns(x)
    return Signal((*front, channels * math.prod(slide.kernel), math.prod(blocks)), x.dtype)


def _fold(args: Arguments, x: Signal) -> Signal:
    """(N, C · kernel, blocks) or (C · kernel, blocks) -> (…, C, *output_size). Source: torch.nn.Fold, "Shape"."""
    require_dimensions(x, 2, 3)
    slide, lengths = _slide(args), _pair(args, "output_size", 1)
    blocks, cells = slide.blocks(lengths), math.prod(slide.kernel)
    if min(blocks) < 1:
        raise ArgumentError(f"cannot fit a window of {times(slide.window)} into output_size {times(lengths)}")
    require_elements(x, -2)
    *front, channels, columns = x.shape
    if channels % cells:
        raise ShapeError(Misfit.MULTIPLE, noun="channels", takes=cells, arrives=arriving(channels))
    if columns != math.prod(blocks):
        raise ShapeError(Misfit.BLOCKS_FOR, takes=times(blocks), sizes=times(lengths), arrives=arriving(columns))
    _require_columns(x)
    return Signal((*front, channels // cells, *lengths), x.dtype)


def _lengths_from_place(given: Given, x: Signal) -> Given:
    """Of a new layer, whose kernel is 3: output_size for which as many blocks as arrive lie in one row."""
    return {} if "output_size" in given or not x.shape else {"output_size": (x.shape[-1] + 2, 3)}


def _block_words(args: Arguments) -> str:
    target = f"to {brief(args['output_size'])} " if "output_size" in args else ""
    kernel = f"k{brief(args['kernel_size'])}"
    return target + kernel + marks(args, ("stride", "s", 1), ("padding", "p", 0), ("dilation", "d", 1))


KINDS = (
    Kind(
        name="PixelShuffle",
        output=_pixel_shuffle,
        words=lambda args: f"×{brief(args['upscale_factor'])}",
        usual={"upscale_factor": 2},
    ),
    Kind(
        name="PixelUnshuffle",
        output=_pixel_unshuffle,
        window=_unshuffle_window,
        words=lambda args: f"/{brief(args['downscale_factor'])}",
        usual={"downscale_factor": 2},
    ),
    Kind(
        name="ChannelShuffle",
        output=_channel_shuffle,
        window=same_place,
        words=lambda args: f"{brief(args['groups'])} groups",
        usual={"groups": 2},
    ),
    Kind(name="Fold", output=_fold, words=_block_words, from_place=_lengths_from_place, usual={"kernel_size": 3}),
    Kind(name="Unfold", output=_unfold, words=_block_words, usual={"kernel_size": 3}),
)
