"""The header of a safetensors file, read strictly: every refusal names the fault in one sentence.

It is stricter than the reference reader where that one lets a file mean two things (a name that stands twice), and more
lenient where it refuses a whole file for one element type that it does not know. A header of 100,000 tensors is checked
in about the time that parsing its JSON takes, so the loops here are kept tight on purpose.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections import Counter
from typing import Any, NamedTuple, NoReturn

from seqtui.errors import FormatError
from seqtui.formats.byte_source import ByteSource
from seqtui.formats.canonical_header import read_canonical
from seqtui.formats.foreign import foreign_file
from seqtui.model.tensors import DTYPES, TensorInfo, TensorTable

MAX_HEADER = 100_000_000
"""Bytes; the reference implementation's limit."""

MAX_ELEMENTS = 2**63 - 1
"""What torch can count."""

MAX_RANK = 1_024
"""Dimensions; torch itself stops at 64. A bound, so that a product of sizes is always quick."""

_LENGTH_BYTES = 8
_MAX_DEPTH = 3
"""A header is an object of objects of lists."""

_BITS = {name: dtype.bits for name, dtype in DTYPES.items()}
_DENSE = 16
"""A tensor's entry has 3 brackets in at least 48 bytes; a header with more than one in so many may be a trap."""
_BRACKETS_AND_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')

Pairs = tuple[tuple[str, Any], ...]
"""A JSON object as it stands in the file, so that a name that stands twice is seen. JSON lists stay lists. Any: what is
inside is as yet unchecked."""

_Row = tuple[int, int, str, str, tuple[int, ...]]
"""begin, end, name, dtype, shape; begin and end in bytes from the start of the data."""


class Header(NamedTuple):
    """A header that holds together: its tensors fill the rest of the file without hole or overlap."""

    tensors: TensorTable
    """In the order of their bytes, each beginning where the one before ends."""
    data_start: int
    """Where the first begins, in bytes from the start of the file."""
    metadata: dict[str, str]
    notes: tuple[str, ...]
    """What cannot be read, in sentences."""


def read_header(source: ByteSource) -> Header:
    """The header, checked against the size of the file; no tensor's bytes are read.

    Raises FormatError when the file is anything but a sound safetensors file, FileError when it cannot be read.
    """
    try:
        text, data_start = _header_text(source)
        if (usual := read_canonical(text, source.size - data_start)) is not None:
            return Header(usual[1], data_start, usual[0], ())
        metadata, entries = _split(_parse(text))
        _check_unicode(text, metadata, entries)
        tensors = _laid_out(_rows(entries), source.size - data_start)
    except FormatError as error:
        raise FormatError(error.message, error.hint, source.name) from None
    return Header(TensorTable.of(tensors.values()), data_start, metadata, _notes(tensors))


def _header_text(source: ByteSource) -> tuple[str, int]:
    """The JSON, decoded, and where the data begins, in bytes from the start of the file."""
    if source.size == 0:
        raise FormatError("the file is empty", "Copy it again.")
    start = bytearray(min(64, source.size))
    source.read_into(0, memoryview(start))
    # A header of 640 bytes begins with 80 02, a pickle's magic: only what cannot be safetensors is asked what it is.
    if start[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{" and (what := foreign_file(bytes(start), source.name)):
        raise FormatError(what.message, what.hint)
    if source.size < _LENGTH_BYTES:
        raise _cut_off(f"the file has {source.size} bytes; a safetensors file has at least {_LENGTH_BYTES}")
    (length,) = struct.unpack_from("<Q", start)
    if length > MAX_HEADER:
        raise FormatError(f"its header claims {length:,} bytes; the limit is {MAX_HEADER:,}", _NOT_OURS)
    if _LENGTH_BYTES + length > source.size:
        raise _cut_off(f"its header claims {length:,} bytes; the file has {source.size:,}")
    raw = bytearray(length)
    source.read_into(_LENGTH_BYTES, memoryview(raw))
    if not raw.startswith(b"{"):
        raise FormatError("its header does not begin with a brace", _NOT_OURS)
    try:
        return raw.decode("utf-8"), _LENGTH_BYTES + length
    except UnicodeDecodeError as error:
        raise FormatError(f"its header is not UTF-8 at byte {error.start:,}", _NOT_OURS) from None


_NOT_OURS = "It is damaged, or not a safetensors file."


def _cut_off(message: str) -> FormatError:
    return FormatError(message, "It was cut off: copy it again.")


def _parse(text: str) -> Pairs:
    """The outermost JSON object. `tuple` as hook keeps names that stand twice and costs no call into Python."""
    _check_depth(text)
    try:
        document: Pairs = json.loads(text, object_pairs_hook=tuple, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise FormatError(f"its header is not JSON: {error.msg} at character {error.pos:,}", _NOT_OURS) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # Python converts no number of more than 4,300 digits
        raise FormatError("its header holds a number that is out of range", _NOT_OURS) from None
    return document


def _check_depth(text: str) -> None:
    """Refuse a header that is mostly brackets before it becomes gigabytes of lists; a sane one is only counted."""
    if (text.count("[") + text.count("{")) * _DENSE <= len(text) + 64 * _DENSE:
        return
    depth = 0
    for token in _BRACKETS_AND_TEXTS.finditer(text):
        character = token[0][0]
        if character in "[{":
            depth += 1
            if depth > _MAX_DEPTH:
                raise _too_deep()
        elif character in "]}":
            depth -= 1


def _too_deep() -> FormatError:
    return FormatError("its header is nested too deeply", _NOT_OURS)


def _refuse_constant(constant: str) -> NoReturn:
    raise FormatError(f"its header holds {constant}, which is not JSON", _NOT_OURS)


def _split(pairs: Pairs) -> tuple[dict[str, str], dict[str, Any]]:
    """(metadata, entries by tensor name). Raises FormatError for a name that stands twice and for metadata that is not
    text to text."""
    entries = _unique(pairs, "its header")
    found = entries.pop("__metadata__", None)
    if found is None:
        return {}, entries
    if type(found) is not tuple:
        raise FormatError("its metadata is not a JSON object", _NOT_OURS)
    metadata = _unique(found, "its metadata")
    for key, value in metadata.items():
        if type(value) is not str:
            raise FormatError(f"its metadata holds something other than text at {key[:60]!r}", _NOT_OURS)
    return metadata, entries


def _unique(pairs: Pairs, where: str) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        name, count = Counter(name for name, _ in pairs).most_common(1)[0]
        raise FormatError(f"{where} names {name[:60]!r} {'twice' if count == 2 else f'{count} times'}", _TWO_MEANINGS)
    return unique


_TWO_MEANINGS = "Such a file means two things; write it again with the tool that made it."


def _check_unicode(text: str, metadata: dict[str, str], entries: dict[str, Any]) -> None:
    r"""Refuse half a surrogate pair. Decoded UTF-8 has none, so that only an escape can bring one in."""
    if "\\" not in text:
        return
    for part in (*entries, *metadata, *metadata.values()):
        try:
            part.encode()
        except UnicodeEncodeError:
            raise FormatError(f"its header holds half a character in {part[:60]!r}", _NOT_OURS) from None


def _rows(entries: dict[str, Any]) -> list[_Row]:
    """Every entry with its types checked: dtype is text, sizes are whole numbers from 0 on, offsets whole numbers."""
    rows: list[_Row] = []
    add = rows.append
    for name, entry in entries.items():
        try:  # as every writer writes it; unpacking costs a third of a dictionary
            (first, dtype), (second, shape), (third, (begin, end)) = entry
            is_usual = first == "dtype" and second == "shape" and third == "data_offsets" and type(entry) is tuple
        except (TypeError, ValueError):
            is_usual = False
        if not is_usual:
            dtype, shape, (begin, end) = _fields(name, entry)
        if type(dtype) is not str or type(shape) is not list or type(begin) is not int or type(end) is not int:
            raise _bad_entry(name)
        for size in shape:
            if type(size) is not int or not 0 <= size <= MAX_ELEMENTS:
                raise FormatError(f"{name[:60]!r} has a size that is no possible number", _NOT_OURS)
        if len(shape) > MAX_RANK:
            raise FormatError(f"{name[:60]!r} has {len(shape):,} dimensions; the limit is {MAX_RANK:,}", _NOT_OURS)
        add((begin, end, name, dtype, tuple(shape)))
    return rows


def _fields(name: str, entry: object) -> tuple[Any, Any, list[Any]]:
    """dtype, shape and the two offsets of an entry that has them in another order, or more beside them."""
    if type(entry) is not tuple:
        raise _bad_entry(name)
    fields = _unique(entry, f"the entry of {name[:60]!r}")
    offsets = fields.get("data_offsets")
    if not {"dtype", "shape"} <= fields.keys() or type(offsets) is not list or len(offsets) != 2:
        raise _bad_entry(name)
    return fields["dtype"], fields["shape"], offsets


def _bad_entry(name: str) -> FormatError:
    return FormatError(f"the entry of {name[:60]!r} is not a dtype, a shape and two offsets", _NOT_OURS)


def _laid_out(rows: list[_Row], data_size: int) -> dict[str, TensorInfo]:
    """The tensors in the order of their bytes.

    Refuses holes, overlaps, ends beyond the data, and a shape that does not fill its range.
    """
    rows.sort()
    at = 0
    tensors: dict[str, TensorInfo] = {}
    bits_of, product = _BITS, math.prod
    for begin, end, name, dtype, shape in rows:
        if begin != at or end < begin or end > data_size:
            raise _bad_range(name, begin, end, at, data_size)
        at = end
        elements, bits = product(shape), bits_of.get(dtype)
        if bits and elements * bits != (end - begin) * 8:
            raise _bad_shape(name, dtype, shape, end - begin)
        if (not elements or not bits) and product(filter(None, shape)) > MAX_ELEMENTS:
            raise _too_many_elements(name)
        tensors[name] = TensorInfo(name, dtype, shape, end - begin)
    if at != data_size:
        raise FormatError(
            f"its tensors end at byte {at:,} of the data; the file has {data_size:,}",
            "Something was appended, or the file is a mix of two: copy it again.",
        )
    return tensors


def _bad_range(name: str, begin: int, end: int, at: int, data_size: int) -> FormatError:
    tensor = repr(name[:60])
    if end < begin:
        return FormatError(f"{tensor} ends before it begins", _NOT_OURS)
    if begin < at:
        return FormatError(f"{tensor} overlaps the tensor before it", _NOT_OURS)
    if begin > at:
        return FormatError(f"{tensor} begins at byte {begin:,} of the data; byte {at:,} belongs to none", _NOT_OURS)
    return _cut_off(f"{tensor} ends at byte {end:,} of the data; the file has {data_size:,}")


def _bad_shape(name: str, dtype: str, shape: tuple[int, ...], nbytes: int) -> FormatError:
    bits = math.prod(shape) * _BITS[dtype]
    if bits > MAX_ELEMENTS:
        return _too_many_elements(name)
    if bits % 8:
        return FormatError(f"the shape of {name[:60]!r} does not fill whole bytes", _NOT_OURS)
    return FormatError(f"the shape of {name[:60]!r} needs {bits // 8:,} bytes; its offsets hold {nbytes:,}", _NOT_OURS)


def _too_many_elements(name: str) -> FormatError:
    return FormatError(f"the shape of {name[:60]!r} has more elements than can be counted", _NOT_OURS)


def _notes(tensors: dict[str, TensorInfo]) -> tuple[str, ...]:
    """A sentence for each element type that is not known."""
    if all(dtype in _BITS for dtype in {info.dtype for info in tensors.values()}):
        return ()
    unknown = Counter(info.dtype for info in tensors.values() if info.dtype not in _BITS)
    return tuple(
        f"{count:,} {'tensor is' if count == 1 else 'tensors are'} of type {dtype[:20]!r}, which is not known: "
        "listed, not read"
        for dtype, count in unknown.items()
    )
