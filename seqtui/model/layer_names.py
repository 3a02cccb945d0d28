"""Names for new layers, as people write them: `conv3` after `conv2`, `fc1` for the first Linear."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import digits

from seqtui.model.spec import LayerSpec
from seqtui.model.tree import ANY_NAME, is_numbered

STEMS = {
    "Conv": "conv",
    "ConvTranspose": "deconv",
    "Linear": "fc",
    "BatchNorm": "bn",
    "SyncBatchNorm": "bn",
    "LayerNorm": "ln",
    "GroupNorm": "gn",
    "InstanceNorm": "norm",
    "RMSNorm": "norm",
    "LocalResponseNorm": "lrn",
    "CrossMapLRN": "lrn",
    **dict.fromkeys(("MaxPool", "AvgPool", "LPPool", "FractionalMaxPool"), "pool"),
    **dict.fromkeys(("AdaptiveAvgPool", "AdaptiveMaxPool"), "pool"),
    **dict.fromkeys(("AlphaDropout", "FeatureAlphaDropout"), "dropout"),
    **dict.fromkeys(("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"), "pad"),
    **dict.fromkeys(("UpsamplingNearest", "UpsamplingBilinear"), "upsample"),
    **dict.fromkeys(("PixelShuffle", "PixelUnshuffle", "ChannelShuffle"), "shuffle"),
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerEncoder"), "encoder"),
    "ReLU6": "relu",
    "Sequential": "block",
}
"""Class name in torch.nn, without its dimensions -> how names begin; for others it is the class name in lower case."""

_DIMENSIONS = re.compile(r"[123]d$")
_MOST_DIGITS = 9
"""Of a number that others are counted on from; more are no count."""


def free_name(layers: Iterable[LayerSpec], kind: str) -> str:
    """The next free name for a layer of a kind among the layers of a container; `_` where these are numbered."""
    return free_names(layers, [kind])[kind]


def free_names(layers: Iterable[LayerSpec], kinds: Iterable[str]) -> dict[str, str]:
    """The same for several kinds, each as if it came alone."""
    there = tuple(layers)
    if there and is_numbered(there):
        return dict.fromkeys(kinds, ANY_NAME)
    highest = _highest(layer.name for layer in there)
    stems = {kind: _stem(kind) for kind in kinds}
    return {kind: f"{stem}{highest.get(stem, 0) + 1}" for kind, stem in stems.items()}


def free_copy_name(layers: Iterable[LayerSpec], wanted: str, taken: Iterable[str] = ()) -> str:
    """The wanted name, or with its next number where a layer has it or it is taken; `_` where layers are numbered."""
    there = tuple(layers)
    if there and is_numbered(there):
        return ANY_NAME
    names = {*taken, *(layer.name for layer in there)}
    if wanted not in names:
        return wanted
    stem = wanted.rstrip(digits) or f"{wanted}_"
    return f"{stem}{_highest(names).get(stem, 1) + 1}"


def _highest(names: Iterable[str]) -> dict[str, int]:
    """The highest number that stands behind each beginning of a name."""
    highest: dict[str, int] = {}
    for name in names:
        stem = name.rstrip(digits)
        number = name[len(stem) :]
        if 0 < len(number) <= _MOST_DIGITS:
            highest[stem] = max(highest.get(stem, 0), int(number))
    return highest


def _stem(kind: str) -> str:
    family = _DIMENSIONS.sub("", kind)
    return STEMS.get(family, family.lower())
