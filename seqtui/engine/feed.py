"""What a model is fed: drawn, constant, or from a file, in the shape and the type of its input."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from seqtui.engine.numbers import dtype_word
from seqtui.engine.refusal import is_out_of_memory
from seqtui.engine.requests import Feed
from seqtui.errors import EngineError, FileError, FormatError, OutOfMemoryError, UsageError
from seqtui.model.infer import infer_shapes
from seqtui.model.inputs import require_input
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.tensors import TORCH_DTYPES, Shape
from seqtui.words import shape_words

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL.Image import Image

    Array: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.generic]]

NPY_MAGIC = b"\x93NUMPY"
IMAGE_MODES = {1: "L", 3: "RGB"}
"""Channels -> Pillow's word for such an image."""
PASSED_OVER = frozenset(("Identity", "Flatten", "Unflatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d"))
"""Kinds that hand on the numbers they are given."""
BINARY = 2
"""Below this integers are drawn where no Embedding says how many there are."""


class Fed(NamedTuple):
    """What goes in."""

    tensor: torch.Tensor
    """On the CPU, or on meta."""
    words: str
    """`normal 1×1×28×28, seed 0`."""


def fed(model: ModelSpec, feed: Feed, dtype: str = "", is_meta: bool = False) -> Fed:
    """What a model is fed; floating numbers in `dtype` (torch's word) where one is given.

    Raises UsageError where it does not fit the model's input, FileError and FormatError for a file that cannot be read,
    OutOfMemoryError where it is too large.
    """
    given, limit = require_input(model), num_embeddings(model.root)
    if dtype and TORCH_DTYPES[given.dtype].family == "float":
        given = given._replace(dtype=dtype)
    try:
        if is_meta:
            return _on_meta(given, feed)
        if feed.form == "file":
            found = _from_file(given, feed.path, limit)
            _require_fit(model, tuple(found.tensor.shape), feed.path)
            return found
        return _made(given, feed, limit or BINARY)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        message = f"an input of {shape_words(given.shape)} does not fit into memory"
        raise OutOfMemoryError(message, hint="Feed a smaller batch.") from error


def num_embeddings(layer: LayerSpec) -> int | None:
    """Below which number integers must be: of the Embedding that leads inside a layer; None where none does."""
    leader = _leader(layer)
    if leader is None or leader.kind not in ("Embedding", "EmbeddingBag"):
        return None
    count = leader.args.get("num_embeddings")
    return count if isinstance(count, int) else None


def _leader(layer: LayerSpec) -> LayerSpec | None:
    """The first layer inside that does something with its numbers."""
    for child in layer.layers:
        if not (child.enabled and child.is_called) or child.kind in PASSED_OVER:
            continue
        if child.kind != "Sequential":
            return child
        if found := _leader(child):
            return found
    return None


# Without a file


def _on_meta(given: InputSpec, feed: Feed) -> Fed:
    import torch

    tensor = torch.empty(given.shape, dtype=getattr(torch, given.dtype), device="meta")
    return Fed(tensor, f"{feed.form} {shape_words(given.shape)}, on meta")


def _made(given: InputSpec, feed: Feed, limit: int) -> Fed:
    """Constant, or drawn from the seed: the same numbers in every type and for every device."""
    import torch

    dtype: torch.dtype = getattr(torch, given.dtype)
    words = f"{feed.form} {shape_words(given.shape)}"
    if feed.form != "normal":
        return Fed(torch.full(given.shape, float(feed.form == "ones")).to(dtype), words)
    generator = torch.Generator().manual_seed(feed.seed)
    if dtype.is_complex:
        tensor = torch.randn(given.shape, generator=generator, dtype=torch.complex64)
    elif dtype.is_floating_point:
        tensor = torch.randn(given.shape, generator=generator)
    else:
        most = BINARY if dtype is torch.bool else torch.iinfo(dtype).max
        limit = min(limit, most)
        tensor = torch.randint(limit, given.shape, generator=generator)
        words = f"integers below {limit:,}, {shape_words(given.shape)}"
    return Fed(tensor.to(dtype), f"{words}, seed {feed.seed}")


# From a file


def _from_file(given: InputSpec, path: str, limit: int | None) -> Fed:
    """A batch in a .npy file, else an image, told by what it holds. Integers must be below the limit, if any."""
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            raise FileError("it is a pipe, and what is fed is read more than once", hint="Feed a file.", file=path)
        with open(path, "rb") as file:
            is_array = file.read(len(NPY_MAGIC)) == NPY_MAGIC
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no file can have this name"
        raise FileError(f"it cannot be read: {why}", file=path) from None
    tensor = _batch(given, path) if is_array else _image(given, path)
    if limit is not None and not tensor.is_floating_point():
        _require_below(limit, tensor, path)
    return Fed(tensor, f"{path} {shape_words(tensor.shape)}")


def _batch(given: InputSpec, path: str) -> torch.Tensor:
    """The array of a .npy file, in the type of the input where that has room for all numbers of its own."""
    import numpy as np
    import torch

    try:
        array = np.load(path, allow_pickle=False)
        tensor = torch.from_numpy(_native(array))
    except (ValueError, TypeError, OSError, EOFError) as error:
        raise FormatError(f"it holds no numbers that can be fed: {error}".partition("\n")[0], file=path) from None
    if tensor.dim() != len(given.shape):
        message = f"it holds {shape_words(tensor.shape)}, the model takes {shape_words(given.shape)}"
        raise UsageError(message, hint="Give it as many dimensions, the batch included.", file=path)
    dtype: torch.dtype = getattr(torch, given.dtype)
    if _family(tensor.dtype) != _family(dtype):
        message = f"it holds {dtype_word(tensor.dtype)}, the model takes {given.dtype}"
        raise UsageError(message, hint=f"Convert it with astype({_numpy_word(given.dtype)!r}).", file=path)
    return tensor.to(dtype) if dtype.is_floating_point or _has_room(dtype, tensor.dtype) else tensor


def _require_fit(model: ModelSpec, shape: Shape, path: str) -> None:
    """Raises UsageError where the rules know of a layer that takes the model's own input, but not the file's."""
    given, *others = model.inputs
    if shape == given.shape:
        return
    as_fed = replace(model, inputs=(given._replace(shape=shape), *others))
    known = infer_shapes(model).problems
    problem = next((each for path, each in infer_shapes(as_fed).problems.items() if path not in known), None)
    if problem is not None:
        hint = f"The model takes {shape_words(given.shape)}."
        raise UsageError(f"it holds {shape_words(shape)}, and {problem.message}", hint=hint, file=path)


def _has_room(dtype: torch.dtype, other: torch.dtype) -> bool:
    """Whether a type of integers has all numbers of another."""
    import torch

    if dtype.is_complex or dtype is torch.bool:
        return False
    wide, narrow = torch.iinfo(dtype), torch.iinfo(other)
    return wide.min <= narrow.min and narrow.max <= wide.max


def _require_below(limit: int, indices: torch.Tensor, path: str) -> None:
    """Raises UsageError for what an Embedding has no row of."""
    indices = indices.long()  # torch compares no others of more than a byte without a sign
    outside = indices[(indices < 0) | (indices >= limit)]
    if outside.numel():
        value = int(outside[0])
        message = "is below 0" if value < 0 else f"is not below num_embeddings {limit:,}"
        raise UsageError(f"{value:,} {message}", file=path)


def _native(
    array: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    """The array in the byte order and the layout that torch takes."""
    import numpy as np

    return np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)


def _family(dtype: torch.dtype) -> str:
    return TORCH_DTYPES[dtype_word(dtype)].family


def _numpy_word(dtype: str) -> str:
    """A type that numpy has, for one of torch's."""
    return "float32" if dtype == "bfloat16" else dtype


def _image(given: InputSpec, path: str) -> torch.Tensor:
    """An image as a batch of one: grey or RGB, of the input's height and width, from 0 to 1."""
    import torch

    channels, height, width = _image_shape(given, path)
    pixels = _pixels(path, IMAGE_MODES[channels], (width, height))
    tensor = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(height, width, channels)
    tensor = (tensor.permute(2, 0, 1).float() / 255).contiguous().to(getattr(torch, given.dtype))
    return tensor if len(given.shape) == 3 else tensor[None]


def _image_shape(given: InputSpec, path: str) -> Shape:
    """(channels, height, width) of an input. Raises UsageError for one that takes no image."""
    shape = given.shape[-3:]
    is_image = len(given.shape) in (3, 4) and shape[0] in IMAGE_MODES and 0 not in shape
    if not is_image or TORCH_DTYPES[given.dtype].family != "float":
        message = f"it is no .npy batch, and an input of {shape_words(given.shape)} {given.dtype} takes no image"
        raise UsageError(message, hint="An image goes into an input such as 1×1×28×28 or 1×3×224×224.", file=path)
    return shape


def _pixels(path: str, mode: str, size: Sequence[int]) -> bytes:
    """The rows of an image file, one byte a channel, resized. Raises FormatError, EngineError without Pillow."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        message = "Pillow is not installed, and images are read by it alone"
        raise EngineError(message, hint="pip install pillow, or feed a .npy batch") from None
    try:
        with Image.open(path) as file:
            image = _in_bytes(ImageOps.exif_transpose(file)).convert(mode)
            return image.resize((size[0], size[1]), Image.Resampling.BILINEAR).tobytes()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise FormatError(f"it is neither a .npy batch nor an image: {error}".partition("\n")[0], file=path) from None


def _in_bytes(image: Image) -> Image:
    """The image with one byte a channel: of one with sixteen bits, which Pillow would cut off, the upper eight."""
    return image.point(lambda value: value / 256).convert("L") if image.mode.startswith("I;16") else image
