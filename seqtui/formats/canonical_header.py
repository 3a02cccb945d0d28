"""The header of a safetensors file as every common writer prints it, read and checked in bulk.

A hundred thousand tensors go through one regular expression and a few passes in C, a third of what the strict reader
takes. It only ever says yes: where anything at all is out of the ordinary it gives None, and the strict reader, which
can say what is wrong, decides.
"""

from __future__ import annotations

import json
import math
import re
from itertools import chain, repeat
from operator import sub

from seqtui.model.tensors import DTYPES, Shape, TensorInfo

_NUMBER = "(?:0|[1-9][0-9]{0,17})"
"""Below 2**63, and as JSON writes it."""
_ENTRY = re.compile(
    r'"([^"\\\x00-\x1f]*)":\{"dtype":"([A-Z0-9_]+)",'
    rf'"shape":\[((?:{_NUMBER}(?:,{_NUMBER}){{0,63}})?)\],"data_offsets":\[({_NUMBER}),({_NUMBER})\]\}}(,|\Z)'
)
_AROUND = len('"":{"dtype":"","shape":[],"data_offsets":[,]}')
"""Characters of an entry beside what the groups hold."""
_METADATA = '{"__metadata__":'

Metadata = dict[str, str]


def read_canonical(text: str, data_size: int) -> tuple[Metadata, dict[str, TensorInfo]] | None:
    """Metadata and tensors of a sound header in the usual layout, in the order of their bytes; None for any other.

    `data_size` is in bytes. What comes back is what the strict reader would give.
    """
    text = text.rstrip(" ")
    start, metadata = _metadata(text)
    if metadata is None or not text.endswith("}"):
        return None
    body = text[start:-1]
    entries = _ENTRY.findall(body)
    # Matches do not overlap: when they are as long together as the text, nothing stands between them.
    if not entries or sum(map(len, chain.from_iterable(entries))) + _AROUND * len(entries) != len(body):
        return None
    names, dtypes, shapes, begins, ends, commas = zip(*entries, strict=True)
    if commas[-1] or len(set(names)) != len(names) or "__metadata__" in names:
        return None
    if begins[0] != "0" or begins[1:] != ends[:-1]:
        return None
    sizes = _sizes(list(map(int, ends)), data_size)
    kinds = {kind: _shape_and_size(*kind) for kind in set(zip(dtypes, shapes, strict=True))}
    found = [kinds[kind] for kind in zip(dtypes, shapes, strict=True)]
    if sizes is None or [size for _, size in found] != sizes:
        return None
    rows = zip(names, dtypes, (shape for shape, _ in found), sizes, repeat(None), strict=False)
    return metadata, dict(zip(names, map(tuple.__new__, repeat(TensorInfo), rows), strict=False))


def _metadata(text: str) -> tuple[int, Metadata | None]:
    """Where the first entry begins, and the metadata, which stands first if at all."""
    if not text.startswith(_METADATA):
        return 1, {}
    try:
        pairs, end = json.JSONDecoder(object_pairs_hook=tuple).raw_decode(text, len(_METADATA))
    except ValueError:
        return 0, None
    if type(pairs) is not tuple or not all(type(value) is str for _, value in pairs):
        return 0, None
    metadata = dict(pairs)
    # half a surrogate pair can only come in by an escape, which the strict reader looks at
    is_usual = len(metadata) == len(pairs) and text[end : end + 1] == "," and r"\ud" not in text[:end].lower()
    return end + 1, metadata if is_usual else None


def _sizes(ends: list[int], data_size: int) -> list[int] | None:
    """Bytes of each tensor, if none ends before it begins and the last ends with the file."""
    sizes = list(map(sub, ends, chain((0,), ends)))
    return sizes if ends[-1] == data_size and min(sizes) >= 0 else None


def _shape_and_size(dtype: str, shape: str) -> tuple[Shape, int]:
    """The shape and its bytes; -1 bytes, which no tensor has, for a type or a size that the strict reader must see."""
    sizes = tuple(map(int, shape.split(","))) if shape else ()
    bits = math.prod(sizes) * DTYPES[dtype].bits if dtype in DTYPES else 1
    return sizes, -1 if bits % 8 or math.prod(filter(None, sizes)) >= 2**60 else bits // 8
