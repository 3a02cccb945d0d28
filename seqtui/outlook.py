"""What an edit would do, told before it is done: shapes, costs, problems, and what becomes of a layer's weights.

Nothing here changes anything; the words are for a strip of text that follows every letter typed.
"""

from __future__ import annotations

from typing import NamedTuple

from seqtui.model.edit import Batch, Edit
from seqtui.model.infer import Inference, LayerInfo, infer_shapes
from seqtui.model.problems import fixes
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import Shape
from seqtui.model.weights_kept import Planned, weights_plan
from seqtui.safe_text import safe_text
from seqtui.words import UNKNOWN, bytes_words, count_words, shape_words


class Outlook(NamedTuple):
    """A model as an edit would leave it."""

    edit: Edit
    model: ModelSpec
    inference: Inference
    caused: tuple[str, ...]
    """Paths of the layers that do not fit then and did before, or that are new, in execution order."""

    @property
    def problem(self) -> str:
        """The sentence of the first problem caused; empty where there is none."""
        return safe_text(self.inference.infos[self.caused[0]].problem.message) if self.caused else ""  # type: ignore[union-attr]  # only layers with a problem are in `caused`


def outlook(model: ModelSpec, inference: Inference, edit: Edit) -> Outlook:
    """What an edit makes of a model, whose inference spares the layers that are left alone. Raises EditError."""
    after = edit.apply(model)
    inferred = infer_shapes(after, inference)
    return Outlook(edit, after, inferred, _caused(model, inference, after, inferred))


def _caused(model: ModelSpec, inference: Inference, after: ModelSpec, inferred: Inference) -> tuple[str, ...]:
    """The problems that were none before. A layer that only gets another name keeps its arguments, the same object."""
    known = {id(model.layer(path).args) for path in inference.problems}
    return tuple(path for path in inferred.problems if id(after.layer(path).args) not in known)


def mended(model: ModelSpec, inference: Inference, found: Outlook) -> Outlook | None:
    """The same edit in one step with fixes of what it would break; None where no fix is known."""
    edits, now = [found.edit], found
    while now.caused and len(edits) <= len(inference.infos):
        fix = next(iter(fixes(now.model, now.inference, now.caused[0])), None)
        if fix is None:
            break
        edits += fix.edits if isinstance(fix, Batch) else [fix]
        after = fix.apply(now.model)
        inferred = infer_shapes(after, inference)  # once mended, what is below is as it was before the edit
        now = Outlook(Batch(tuple(edits)), after, inferred, _caused(model, inference, after, inferred))
    return now if len(edits) > 1 else None


# Words


def cost_words(before: Inference, after: Inference, was: LayerInfo | None, now: LayerInfo | None) -> list[str]:
    """What the whole model costs, and what a layer of it sees of the input; both values where they differ."""
    old, new = before.total, after.total
    words = [
        _change("parameters", f"{old.num_params:,}", f"{new.num_params:,}"),
        _change("multiply-adds", _macs(old), _macs(new)),
        _change("activations", _activations(old), _activations(new)),
    ]
    seen = _seen(now)
    return [*words, _change("sees", _seen(was) or seen, seen)] if seen else words


def _change(name: str, old: str, new: str) -> str:
    return f"{name} {old}" if old == new else f"{name} {old} → {new}"


def _macs(info: LayerInfo) -> str:
    return count_words(info.macs) if info.leaving else UNKNOWN


def _activations(info: LayerInfo) -> str:
    return UNKNOWN if info.activation_bytes is None else bytes_words(info.activation_bytes)


def _seen(info: LayerInfo | None) -> str:
    return shape_words(info.receptive_field) if info and info.receptive_field else ""


def weights_words(before: LayerSpec | None, after: LayerSpec) -> list[str]:
    """What becomes of each tensor of a layer that changes: `weight 16×6×5×5 → 24×6×5×5   2,400 kept, 1,200 new`.

    `before` is None for a layer that is new.
    """
    old = {tensor.name: tensor for tensor in before.tensors} if before else {}
    same = {tensor.name for tensor in after.tensors if old.get(tensor.name) == tensor}
    shapes = {name: tensor.shape for name, tensor in old.items()}
    plan = weights_plan(ModelSpec(before or LayerSpec("")), ModelSpec(after))
    return [_planned_words(item, shapes.get(item.name)) for item in plan if item.name not in same]


def _planned_words(item: Planned, old: Shape | None) -> str:
    name = safe_text(item.name)
    if item.action == "drop":
        words = f"dropped, its numbers stay in {safe_text(item.shared_with)}" if item.shared_with else "dropped"
        return f"{name} {shape_words(item.shape)}   {words}"
    shapes = (
        shape_words(item.shape)
        if old in (None, item.shape)
        else f"{shape_words(old or ())} → {shape_words(item.shape)}"
    )
    counts = [f"{item.num_kept:,} kept"] if item.num_kept else []
    counts += [f"{item.num_new:,} new"] if item.num_new else []
    counts += [f"{item.num_lost:,} lost"] if item.num_lost else []
    return f"{name} {shapes}   {', '.join(counts) or 'empty'}"
