"""The header of a safetensors file as every common writer prints it, read and checked in bulk.

A hundred thousand tensors take a few passes in C, a third of what the strict reader takes. It only ever says yes: where
anything at all is out of the ordinary it gives None, and the strict reader, which can say what is wrong, decides.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate, islice
from operator import lt

from seqtui.model.tensors import DTYPES, Form, TensorTable

_NUMBER = "(?:0|[1-9][0-9]{0,17})"
"""Below 2**63, and as JSON writes it."""
_KIND = re.compile(rf'"dtype":"([A-Z0-9_]+)","shape":\[((?:{_NUMBER}(?:,{_NUMBER}){{0,63}})?)\],"data_offsets":')
_QUOTES = 10
"""Quotes of an entry."""
_METADATA = '{"__metadata__":'

Metadata = dict[str, str]


def read_canonical(text: str, data_size: int) -> tuple[Metadata, TensorTable] | None:
    """Metadata and tensors of a sound header in the usual layout, in the order of their bytes; None for any other.

    `data_size` is in bytes. What comes back is what the strict reader would give.
    """
    start, metadata = _metadata(text)
    end = text.rfind("]}}")
    is_usual = text.startswith('"', start) and not text[end + 3 :].strip(" ") and text.find("\\", start) < 0
    if metadata is None or end < 0 or not is_usual:
        return None
    names, kinds, offsets = _taken_apart(text[start + 1 : end + 1])
    if (
        "__metadata__" in names
        or _stands_twice(names)
        or not "".join(names).isprintable()
        or text.count('"', start) != _QUOTES * len(names)
    ):
        return None
    known = {kind: read for kind in set(kinds) if (read := _read_kind(kind))}
    if len(known) != len(set(kinds)):
        return None
    forms = [known[kind] for kind in kinds]
    # Tensors follow each other without a hole: their sizes make the offsets that must stand there.
    sizes = [nbytes for _, _, nbytes in forms]
    ends = list(accumulate(sizes))
    if ends[-1] != data_size or offsets != [f"{end - size},{end}]" for end, size in zip(ends, sizes, strict=True)]:
        return None
    return metadata, TensorTable(names, forms)


def _taken_apart(body: str) -> tuple[list[str], list[str], list[str]]:
    """The names, the types and shapes, and the offsets of the entries, as they stand in the text.

    An entry is `name":{"dtype":"F32","shape":[2],"data_offsets":[0,8]`, the next one behind `},"`.
    """
    names: list[str] = []
    kinds: list[str] = []
    offsets: list[str] = []
    for entry in body.split('},"'):
        name, _, rest = entry.partition('":{')
        kind, _, offset = rest.rpartition("[")
        names.append(name)
        kinds.append(kind)
        offsets.append(offset)
    return names, kinds, offsets


def _stands_twice(names: list[str]) -> bool:
    """Whether there are two of any name; quick where they are sorted, as most writers sort them."""
    return not all(map(lt, names, islice(names, 1, None))) and len(set(names)) != len(names)


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


def _read_kind(text: str) -> Form | None:
    """Type, shape and bytes; None for a text, a type or a size that the strict reader must see."""
    match = _KIND.fullmatch(text)
    if match is None or match[1] not in DTYPES:
        return None
    shape = tuple(map(int, match[2].split(","))) if match[2] else ()
    bits = math.prod(shape) * DTYPES[match[1]].bits
    return None if bits % 8 or math.prod(filter(None, shape)) >= 2**60 else (match[1], shape, bits // 8)
