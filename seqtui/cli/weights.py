"""`seqtui weights`: the tensors of a file, and the numbers of those that are named."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from seqtui.cli.output import about, say, width, write_json, write_lines
from seqtui.documents import SCHEMA, Document
from seqtui.errors import UsageError
from seqtui.formats import open_model
from seqtui.formats.opened import OpenedModel
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.tensors import Shape, TensorInfo
from seqtui.model.tree import walk_layer
from seqtui.safe_text import safe_text
from seqtui.statistics_text import histogram_lines, moments_facts, spread_facts
from seqtui.summary_text import Piece
from seqtui.table import Column, layout
from seqtui.weights.decode import unreadable_reason
from seqtui.weights.index import Index, selected_shape, split_name
from seqtui.words import bytes_words, flow, plural, shape_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seqtui.weights.statistics import Statistics
    from seqtui.weights.window import Nested

COLUMNS = (
    Column("name", "Tensor", least=12),
    Column("shape", "Shape", least=6),
    Column("dtype", "Type", least=4),
    Column("bytes", "Bytes", is_number=True),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor, or a part of one, that was asked for."""

    source: TensorSource
    name: str
    index: Index | None
    has_numbers: bool
    """Whether its statistics are wanted, or only that it is there."""

    @property
    def label(self) -> str:
        return f"{self.name}{self.index or ''}"

    @property
    def tensor(self) -> TensorInfo:
        return self.source.tensors[self.name]

    @property
    def shape(self) -> Shape:
        """Of the part, where one was asked for."""
        shape = self.tensor.shape
        return selected_shape(self.index.select(shape, self.name)) if self.index else shape

    @property
    def nbytes(self) -> int:
        """Of the part, where one was asked for."""
        count = math.prod(self.tensor.shape)
        return self.tensor.nbytes * math.prod(self.shape) // count if count else 0


def run(options: SimpleNamespace) -> int:
    """Print the listing, the numbers or the document."""
    with closing(open_model(options.model)) as opened, about(opened.path):
        _print(opened, options)
    return 0


def _print(opened: OpenedModel, options: SimpleNamespace) -> None:
    has_numbers = options.histogram or options.values
    wanted = list(_wanted(opened, options.names, has_numbers))
    if not opened.sources:  # code or a spec, of which the reader says so
        say(f"{opened.path}: {'; '.join(opened.notes)}")
    if options.json:
        shared = _shared_names(opened)
        tensors = [_document(item, shared.get(item.name, []), options.values) for item in wanted]
        write_json({"schema": SCHEMA, "file": opened.path, "tensors": tensors})
    elif options.names or has_numbers:
        lines = [line for item in wanted for line in (*_number_lines(item, options.values), [])]
        write_lines(lines[:-1], options)
    else:
        write_lines(_listing(wanted), options)


def _wanted(opened: OpenedModel, names: list[str], has_numbers: bool) -> Iterator[Wanted]:
    """What the names and globs mean, in order; without any, every tensor. Raises UsageError for a name of none."""
    refs = [tensor.stored for _, layer in walk_layer("", opened.model.root) for tensor in layer.tensors]
    everywhere = {ref.name: opened.sources[ref.source_id] for ref in refs if ref}
    if not names:
        for name, source in everywhere.items():
            yield Wanted(source, name, None, has_numbers)
    for text in names:
        name, index = split_name(text, everywhere)
        if name not in everywhere and f"{opened.prefix}{name}" in everywhere:
            name = f"{opened.prefix}{name}"
        matches = [name] if name in everywhere else [each for each in everywhere if fnmatchcase(each, text)]
        if not matches:
            lists = f"seqtui weights {opened.path} lists all; a * stands for any letters."
            raise UsageError(f"no tensor is called {text}", hint=lists if opened.sources else "; ".join(opened.notes))
        for match in matches:
            yield Wanted(everywhere[match], match, index if match == name else None, True)


def _shared_names(opened: OpenedModel) -> Mapping[str, list[str]]:
    """For each tensor that is tied to another, the others' names."""
    groups: dict[str, list[str]] = {}
    for path, layer in opened.model.walk():
        for name, owner in layer.tied.items():
            groups.setdefault(owner, [owner]).append(f"{path}.{name}")
    return {name: [other for other in group if other != name] for group in groups.values() for name in group}


def _statistics(item: Wanted) -> Statistics:
    from seqtui.weights.statistics import describe, measure
    from seqtui.weights.window import read_array

    if item.index is not None:
        return describe(read_array(item.source, item.name, item.index), item.tensor.dtype)
    found = measure(item.source, item.name)
    assert found is not None  # nothing stops it
    return found


def _document(item: Wanted, shared_with: list[str], has_values: bool) -> Document:
    from seqtui.weights.window import read_values

    document: Document = {
        "name": item.label,
        "shape": list(item.shape),
        "dtype": item.tensor.dtype,
        "bytes": item.nbytes,
        "shared_with": shared_with,
        "stats": None,
        "values": None,
        "unreadable": unreadable_reason(item.tensor.dtype),
    }
    if document["unreadable"]:
        return document
    if item.has_numbers:
        document["stats"] = _statistics(item).as_json()
    if has_values:
        document["values"] = _json_values(read_values(item.source, item.name, item.index))
    return document


def _json_values(values: Nested) -> object:
    """Nested lists that JSON can hold: a complex number as [real, imaginary], what is not finite by name."""
    if isinstance(values, list):
        return [_json_values(value) for value in values]
    if isinstance(values, complex):
        return [_json_values(values.real), _json_values(values.imag)]
    return values if math.isfinite(values) else str(values)


def _listing(wanted: list[Wanted]) -> list[list[Piece]]:
    """A line a tensor, and how many there are."""
    rows = [
        [safe_text(item.name), shape_words(item.shape), safe_text(item.tensor.dtype), bytes_words(item.nbytes)]
        for item in wanted
    ]
    table = layout(COLUMNS, rows, width())
    lines = [[Piece(text, "bold") for text in table.line([column.title for column in COLUMNS])]]
    lines += [[Piece(text) for text in table.line(row)] for row in rows]
    total = bytes_words(sum(item.nbytes for item in wanted))
    return [*lines, [], [Piece(f"{plural(len(wanted), 'tensor')} · {total}")]]


def _number_lines(item: Wanted, has_values: bool) -> list[list[Piece]]:
    """One tensor: what it is, its statistics, its histogram and, if wanted, its values."""
    from seqtui.weights.window import read_array

    about = f"   {shape_words(item.shape)}  {safe_text(item.tensor.dtype)}  {bytes_words(item.nbytes)}"
    lines = [[Piece(safe_text(item.label), "bold"), Piece(about)]]
    if reason := unreadable_reason(item.tensor.dtype):
        return [*lines, [Piece(f"  {safe_text(reason)}", "red")]]
    stats = _statistics(item)
    room = (width() or 120) - 2
    facts = [*flow(moments_facts(stats), room), *flow(spread_facts(stats), room)]
    lines += [[Piece(f"  {line}")] for line in facts]
    lines += [[Piece(f"  {' '.join(pieces)}")] for pieces in histogram_lines(stats, bars=32)]
    if has_values:
        lines += [[Piece(line)] for line in _value_text(read_array(item.source, item.name, item.index))]
    return lines


def _value_text(values: NDArray[Any]) -> list[str]:
    """All of an array as numpy writes it."""
    import sys

    import numpy as np

    return np.array2string(values, threshold=sys.maxsize, max_line_width=width() or 120).split("\n")
