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
    Column("lost", "Lost", is_number=True),
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
    lost: str
    """Elements of what it was that are nowhere any more."""
    note: str
    """What is not told by the rest: the name, shape or type that it had."""


def plan_rows(plan: Sequence[Planned], view: View) -> list[PlanRow]:
    """The tensors of a plan that do not just stay what they are, in its order; `view` is of before the save."""
    changes = _changes(view)
    rows: list[PlanRow] = []
    for item in plan:
        name = f"{view.opened.prefix}{item.name}"
        notes = [f"from {item.source}"] if item.source not in ("", name) else []
        if item.action == "drop":
            notes += [f"its numbers stay in {view.opened.prefix}{item.shared_with}"] if item.shared_with else []
        else:
            notes += changes.get(item.name, ())
            notes += [f"untied from {view.opened.prefix}{item.untied_from}"] if item.untied_from else []
        if item.action != "keep" or notes:
            kept, new, lost = map(count_words, (item.num_kept, item.num_new, item.num_lost))
            note = safe_text(", ".join(notes))
            rows.append(PlanRow(item.action, safe_text(name), shape_words(item.shape), kept, new, lost, note))
    return rows


def plan_totals(plan: Sequence[Planned]) -> str:
    """`10 kept, 1 new, 1 tied · 61,706 elements kept, 200 new, 50 lost`; numbers that are shared count once."""
    own = [item for item in plan if not item.shared_with]
    counts = Counter(item.action for item in own)
    tensors = [f"{counts[action]:,} {words}" for action, words in WORDS.items() if counts[action]]
    num_tied = sum(bool(item.shared_with) and item.action != "drop" for item in plan)
    tensors += [f"{num_tied:,} tied"] if num_tied else []
    if not tensors:
        return "no weights"
    elements = plural(sum(item.num_kept for item in own), "element")
    lost = sum(item.num_lost for item in plan)
    words = f"{elements} kept, {sum(item.num_new for item in own):,} new{f', {lost:,} lost' if lost else ''}"
    return f"weights: {', '.join(tensors)} · {words}"


def plan_lines(plan: Sequence[Planned], view: View, width: int | None = None) -> list[list[Piece]]:
    """The rows of a plan under a heading, and its totals; without a `width` in cells no text is cut."""
    rows = plan_rows(plan, view)
    texts = [[row.name, row.action, row.shape, row.kept, row.new, row.lost, row.note] for row in rows]
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
