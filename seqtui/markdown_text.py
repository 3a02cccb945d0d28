"""The layer table as GitHub's Markdown, for a README or an issue: the rows of the summary, by their full paths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqtui.model.infer import Inference
from seqtui.model.spec import ModelSpec
from seqtui.rows import Row, cells, model_row
from seqtui.safe_text import safe_text
from seqtui.summary_text import COLUMNS, remark_lines, shown_rows

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~])")
"""Characters that Markdown may take for its own."""


def summary_markdown(model: ModelSpec, inference: Inference, title: str, depth: int | None = None) -> list[str]:
    """The lines of a table with a row a layer, down to `depth` levels; then the problems and the totals."""
    lines = [_line([column.title for column in COLUMNS])]
    lines.append(_line(["---:" if column.is_number else "---" for column in COLUMNS]))
    lines += [_row(row, inference, title) for row in shown_rows(model_row(model), depth)]
    for line in remark_lines(model, inference):
        lines += ["", _escaped("".join(piece.text for piece in line))]
    return lines


def _row(row: Row, inference: Inference, title: str) -> str:
    text = cells(row, inference, title)
    label = _code(safe_text(row.path or title)) + (" ?" if text.state == "guessed" else "")
    return _line([label, *(_escaped(getattr(text, column.field)) for column in COLUMNS[1:])])


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _code(text: str) -> str:
    """A name as code. A bar ends a cell even there, unless a backslash stands before it."""
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    gap = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{gap}{text}{gap}{fence}".replace("|", "\\|")


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
