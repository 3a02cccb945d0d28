"""All edits: the table of verbs, and a line of text to an edit."""

from __future__ import annotations

from collections.abc import Iterable

from seqtui.errors import EditError
from seqtui.model import content_edits, problems, structure_edits, tensor_edits
from seqtui.model.edit import Batch as Batch  # whoever reads edits takes it from here
from seqtui.model.edit import Edit, Line
from seqtui.model.kinds.catalogue import did_you_mean
from seqtui.model.language import form_words, split_words

VERBS: dict[str, type[Line]] = {
    edit.verb: edit
    for edit in (
        structure_edits.Insert,
        structure_edits.Remove,
        structure_edits.Move,
        structure_edits.Rename,
        structure_edits.Copy,
        content_edits.Set,
        content_edits.Replace,
        structure_edits.Group,
        structure_edits.Ungroup,
        content_edits.Enable,
        content_edits.Disable,
        tensor_edits.Freeze,
        tensor_edits.Unfreeze,
        tensor_edits.Fill,
        tensor_edits.Cast,
        tensor_edits.Drop,
        content_edits.Input,
        content_edits.Meta,
        content_edits.Unmeta,
        tensor_edits.Untie,
        problems.Fix,
    )
}
"""Every edit that is written in a line, by the word that begins it."""


def parse_edit(line: str) -> Edit | None:
    """The edit that a line writes; None for an empty one and for a comment. Raises EditError."""
    verb, *_ = [*line.split(maxsplit=1), "#"]
    if verb.startswith("#"):
        return None
    if verb not in VERBS:
        hint = did_you_mean(verb, VERBS) or f"Edits are {', '.join(VERBS)}."
        raise EditError(f"there is no edit {verb[:60]}", hint)
    kind = VERBS[verb]
    try:
        _, *words = split_words(line)
        values = {slot.field: slot.read(words) for slot in kind.slots}
        if words:
            raise EditError(f"{words[0].text[:60]} is left over")
    except EditError as error:
        raise EditError(f"{verb}: {error.message}", error.hint or form_words(verb, kind.slots)) from None
    return kind(**values)


def parse_edits(lines: Iterable[str]) -> list[Edit]:
    """The edits of a recipe. Raises EditError that names the line."""
    return [edit for _, edit in numbered_edits(lines)]


def numbered_edits(lines: Iterable[str]) -> list[tuple[int, Edit]]:
    """The same, each with the number of its line."""
    edits: list[tuple[int, Edit]] = []
    for number, line in enumerate(lines, 1):
        try:
            edit = parse_edit(line)
        except EditError as error:
            raise EditError(f"line {number}: {error.message}", error.hint) from None
        if edit is not None:
            edits.append((number, edit))
    return edits
