"""What a save does with the weights, as rows of text: for `seqtui edit`, and for the screens before they save."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from seqtui.model.tensors import NewTensor
from seqtui.model.tree import joined, walk_layer
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece, Style
from seqtui.table import Column, layout
from seqtui.view import View
from seqtui.words import count_words, plural, shape_words

if TYPE_CHECKING:
    from seqtui.model.weights_kept import Action, Planned

COLUMNS = (
    Column("name", "Tensor", least=12),
    Column("action", "Weights", least=6),
    Column("shape", "Shape", least=6),
    Column("kept", "Kept", is_number=True),
    Column("new", "New", is_number=True),
    Column("note", "", least=6),
)
STYLES: dict[Action, Style] = {"keep": "dim", "resize": "", "fresh": "bold", "drop": "red"}
WORDS: dict[Action, str] = {"keep": "kept", "resize": "resized", "fresh": "new", "drop": "dropped"}
"""What is said of tensors that were counted."""


class PlanRow(NamedTuple):
    """One tensor as text, nothing padded."""

    action: Action
    name: str
    """Its full name in the file."""
    shape: str
    kept: str
    """Elements."""
    new: str
    """Elements."""
    note: str
    """What is not told by the rest: the name, shape or type that it had."""


def plan_rows(plan: Sequence[Planned], view: View) -> list[PlanRow]:
    """The tensors of a plan that do not just stay what they are, in its order; `view` is of before the save."""
    changes = _changes(view)
    rows: list[PlanRow] = []
    for item in plan:
        name = f"{view.opened.prefix}{item.name}"
        notes = [f"from {item.source}"] if item.source not in ("", name) else []
        notes += changes.get(item.name, ()) if item.action != "drop" else ()
        if item.action != "keep" or notes:
            kept, new = count_words(item.num_kept), count_words(item.num_new)
            note = safe_text(", ".join(notes))
            rows.append(PlanRow(item.action, safe_text(name), shape_words(item.shape), kept, new, note))
    return rows


def plan_totals(plan: Sequence[Planned]) -> str:
    """`10 tensors kept, 2 resized, 1 new · 61,706 elements kept, 200 new`."""
    counts = Counter(item.action for item in plan)
    tensors = [f"{counts[action]:,} {words}" for action, words in WORDS.items() if counts[action]]
    if not tensors:
        return "no weights"
    elements = plural(sum(item.num_kept for item in plan), "element")
    return f"weights: {', '.join(tensors)} · {elements} kept, {sum(item.num_new for item in plan):,} new"


def plan_lines(plan: Sequence[Planned], view: View, width: int | None = None) -> list[list[Piece]]:
    """The rows of a plan under a heading, and its totals; without a `width` in cells no text is cut."""
    rows = plan_rows(plan, view)
    texts = [[row.name, row.action, row.shape, row.kept, row.new, row.note] for row in rows]
    totals = [Piece(plan_totals(plan))]
    if not rows:
        return [totals]
    table = layout(COLUMNS, texts, width)
    heading = [Piece(text, "bold") for text in table.line([column.title for column in COLUMNS])]
    lines = [
        [Piece(text, STYLES[row.action]) for text in table.line(line)] for row, line in zip(rows, texts, strict=True)
    ]
    return [heading, *lines, [], totals]


def _changes(view: View) -> Mapping[str, list[str]]:
    """What becomes of type and shape, by the name of each tensor of which something is kept: `was 120×400`."""
    found: dict[str, list[str]] = {}
    for path, layer in walk_layer("", view.model.root):
        for tensor in layer.tensors:
            if isinstance(tensor.ref, NewTensor) and (keep := tensor.ref.keep):
                old = view.sources[keep.source_id].tensors[keep.name]
                words = [f"was {shape_words(old.shape)}"] if old.shape != tensor.shape else []
                words += [f"{old.dtype} → {tensor.dtype}"] if old.dtype != tensor.dtype else []
                found[joined(path, tensor.name)] = words
    return found
