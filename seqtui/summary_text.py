"""The layer table as lines of text, for pipes and terminals and notebooks. Standard library only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from seqtui.model.infer import Inference
from seqtui.model.spec import ModelSpec
from seqtui.rows import Cells, Row, cells, has_long_reason, model_row, rows_below
from seqtui.safe_text import safe_text
from seqtui.table import KIND, LABEL, MACS, OUTPUT, PARAMS, layout
from seqtui.words import ASCII, bytes_words, cell_width, plural

Style = Literal["", "dim", "bold", "red"]
"""How a terminal may show a piece of a line; rich's words."""

COLUMNS = (LABEL, KIND, OUTPUT, PARAMS, MACS)
SIGNS = "".join(map(chr, ASCII))
"""All that is drawn with beyond ASCII."""
STYLES: dict[str, Style] = {"kind": "dim", "macs": "dim"}


class Piece(NamedTuple):
    """Some text of one line in one style."""

    text: str
    style: Style = ""


def summary_lines(
    model: ModelSpec, inference: Inference, title: str, depth: int | None = None, width: int | None = None
) -> list[list[Piece]]:
    """A line a layer, down to `depth` levels (all by default), then the problems, what is not known, and the totals.

    Without a `width` in cells no text is cut.
    """
    shown = shown_rows(model_row(model), depth)
    texts = [cells(row, inference, title) for row in shown]
    fields = [column.field for column in COLUMNS[1:]]
    lines = [
        [_label(row, text), *(getattr(text, field) for field in fields)] for row, text in zip(shown, texts, strict=True)
    ]
    table = layout(COLUMNS, lines, width)
    heading = [Piece(text, "bold") for text in table.line([column.title for column in COLUMNS])]
    result = [heading]
    for row_texts, text in zip(lines, texts, strict=True):
        style: Style = "red" if text.state == "problem" else ""
        pieces = zip(table.columns, table.line(row_texts), strict=True)
        result.append([Piece(piece, style or STYLES.get(column.field, "")) for column, piece in pieces])
    return [*result, [], *remark_lines(model, inference)]


def shown_rows(root: Row, depth: int | None) -> list[Row]:
    """The model's own row and those of its layers, down to `depth` levels, and of tensors that belong to none."""
    below = () if depth == 0 else rows_below(root, lambda row: depth is None or row.depth < depth)
    return [root, *filter(_is_shown, below)]


def remark_lines(model: ModelSpec, inference: Inference) -> list[list[Piece]]:
    """What stands below the table: what does not fit, what is not known, and the totals."""
    unknown = ((path, info.unknown) for path, info in inference.infos.items() if has_long_reason(info))
    return [
        *problem_lines(inference),
        *([Piece(f"{safe_text(path)}: {safe_text(reason)}")] for path, reason in unknown),
        [Piece(totals_words(model, inference))],
    ]


def problem_lines(inference: Inference) -> list[list[Piece]]:
    """The sentence of every layer that does not fit."""
    return [[Piece(f"! {safe_text(problem.message)}", "red")] for problem in inference.problems.values()]


def totals_words(model: ModelSpec, inference: Inference) -> str:
    """`5,088 parameters · 20.4 kB · 1,073,088 multiply-adds`; layers that have seen no input may have more."""
    total = inference.total
    layers = [model.root, *(layer for _, layer in model.walk())]
    least = "at least " if any(layer.unsized for layer in layers) else ""
    is_known = bool(total.num_params) or not least
    words = [f"{least}{plural(total.num_params, 'parameter')}" if is_known else "parameters unknown"]
    if total.num_params != total.num_trainable:
        words.append(f"{total.num_trainable:,} trainable")
    if total.num_buffers:
        words.append(plural(total.num_buffers, "buffer element"))
    size = sum(tensor.nbytes for layer in layers for tensor in layer.tensors)
    if size or not least:
        words.append(f"{least}{bytes_words(size)}")
    if total.macs is not None:
        words.append(f"{total.macs:,} multiply-adds")
    return " · ".join(words)


def plain_text(lines: Sequence[Sequence[Piece]]) -> str:
    """The lines without their styles, each with its line break."""
    return "".join("".join(piece.text for piece in line).rstrip() + "\n" for line in lines)


def encodable(
    lines: Sequence[Sequence[Piece]], encoding: str | None, is_plain: bool = False
) -> Sequence[Sequence[Piece]]:
    """The lines in characters that an encoding has (None is UTF-8), others escaped.

    Where it lacks the signs that we draw with, and where `is_plain`, they are in ASCII.
    """
    if is_plain or not _has(encoding or "utf-8", SIGNS):
        return [[Piece(_ascii(text), style) for text, style in line] for line in lines]
    if _has(encoding or "utf-8", plain_text(lines)):
        return lines
    return [[Piece(_escaped(text, encoding or "utf-8"), style) for text, style in line] for line in lines]


def _has(encoding: str, text: str) -> bool:
    """Whether an encoding has all characters of a text."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _ascii(text: str) -> str:
    """The text in ASCII. What it grows by is taken from the blanks at its end, so that columns stay in line."""
    plain = _escaped(text.translate(ASCII), "ascii")
    kept = len(plain.rstrip(" ")) + 1
    return plain[: max(kept, cell_width(text))]


def _label(row: Row, text: Cells) -> str:
    """The name, further in with every level, and a mark on what is only guessed."""
    return "  " * row.depth + text.label + (" ?" if text.state == "guessed" else "")


def _is_shown(row: Row) -> bool:
    """Layers, and the tensors that belong to none."""
    return row.tensor is None or row.depth == 1
