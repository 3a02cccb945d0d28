"""Tab 1: a layer's arguments, what goes in and out, what it costs, and its tensors at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content

from seqtui.model.infer import LayerInfo
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import parameters
from seqtui.model.spec import LayerSpec
from seqtui.model.tensors import TensorInfo, TensorRef
from seqtui.rows import (
    SIGNS,
    Row,
    description,
    kind_cell,
    making_words,
    others_words,
    sharers_of,
    tensor_path,
    value_words,
)
from seqtui.safe_text import safe_text
from seqtui.statistics_text import not_finite
from seqtui.table import fit
from seqtui.view import View
from seqtui.words import bytes_words, cell_width, number_words, output_words, shape_words, sparkline

if TYPE_CHECKING:
    from seqtui.weights.statistics import Statistics


class Fact(NamedTuple):
    """A name, a value, and a remark after it."""

    name: str
    value: str
    remark: str = ""
    is_quiet: bool = False
    """Whether the value is what it would be anyway."""


def detail(view: View, row: Row, measured: Mapping[TensorRef, Statistics], width: int) -> Content:
    """All that is known of what is under the cursor, in lines of `width` cells."""
    if row.tensor:
        owner = row.path.rpartition(".")[0] or view.title
        lines = [_title(row.tensor.name, f"tensor of {owner}", width), Content("")]
        sharers = sharers_of(view.model.root).get(row.path, [])
        return _lines([*lines, *_tensor_lines(row.tensor, measured, row.layer, sharers, width)])
    if not row.depth:
        return _lines(_model_lines(view, width))
    info = view.inference.info(row.path, row.layer)
    lines = [_title(row.layer.kind or kind_cell(row.layer), description(row.layer.kind or ""), width)]
    if info.problem:
        lines.append(Content(f"! {safe_text(info.problem.message)}").stylize("$text-error"))
    if row.layer.origin == "guessed":
        others = f"; could be {', '.join(row.layer.alternatives)}" if row.layer.alternatives else ""
        lines.append(Content(f"? guessed from names and shapes{others}").stylize("$text-warning"))
    if not row.layer.enabled:
        lines.append(Content("○ off: its input passes through"))
    elif words := _mode_words(row.layer.kind or "", view.mode.is_training):
        lines.append(Content(words).stylize("$foreground-muted"))
    lines += _beside(_arguments(row.layer), _costs(view, row, info), width)
    if row.layer.tensors:
        lines.append(Content(""))
    sharers_of_all = sharers_of(view.model.root) if row.layer.tensors else {}
    for tensor in row.layer.tensors:
        sharers = sharers_of_all.get(tensor_path(row, tensor), [])
        lines += _tensor_lines(tensor, measured, row.layer, sharers, width)
    return _lines(lines)


def _mode_words(kind: str, is_training: bool) -> str:
    """What train or eval mode means for a kind that is random in one of them."""
    if kind not in KINDS or not KINDS[kind].is_random:
        return ""
    if is_training:
        return f"{SIGNS['random']} random in train mode: no two passes are alike"
    return "in eval mode its input passes through" if "Dropout" in kind else "in eval mode its slope is fixed"


def _lines(lines: list[Content]) -> Content:
    return Content("\n").join(lines)


def _title(name: str, remark: str, width: int) -> Content:
    name = safe_text(name)
    room = max(width - cell_width(name) - 3, 0)
    text = fit(safe_text(remark), min(room, cell_width(safe_text(remark))))
    return Content.assemble((name, "bold"), "   ", (text, "$foreground-muted"))


def _arguments(layer: LayerSpec) -> list[Fact]:
    """Every argument with its value in the order of the constructor, those left at their default too, but quietly."""
    given = dict(layer.args)
    facts = []
    for parameter in parameters(layer.kind or ""):
        if parameter.name in given or (layer.origin == "declared" and not parameter.is_required):
            value = given.pop(parameter.name, parameter.default)
            is_quiet = not parameter.is_required and value == parameter.default
            facts.append(Fact(parameter.name, safe_text(value_words(value)), is_quiet=is_quiet))
    return facts + [Fact(safe_text(name), safe_text(value_words(value))) for name, value in given.items()]


def _costs(view: View, row: Row, info: LayerInfo) -> list[Fact]:
    total = view.inference.total
    facts: list[Fact] = []
    before, after = _neighbours(view, row)
    if info.input_shape is not None:
        facts.append(Fact("in", shape_words(info.input_shape), before))
    if info.output_shape is not None:
        facts.append(Fact("out", output_words(info.output_shape), f"{after}, by torch" if info.is_torchs else after))
        if info.output_dtype != "float32":
            facts.append(Fact("type", info.output_dtype))
    elif info.unknown:
        facts.append(Fact("out", "unknown", info.unknown))
    facts.append(Fact("params", f"{info.num_params:,}", _share(info.num_params, total.num_params)))
    if info.num_params != info.num_trainable:
        facts.append(Fact("frozen", f"{info.num_params - info.num_trainable:,}"))
    if info.num_buffers:
        facts.append(Fact("buffers", f"{info.num_buffers:,}"))
    if info.macs is not None:
        facts.append(Fact("multiply-adds", f"{info.macs:,}", _share(info.macs, total.macs)))
    if info.activation_bytes is not None:
        facts.append(Fact("activations", bytes_words(info.activation_bytes)))
    if info.receptive_field:
        facts.append(Fact("sees", shape_words(info.receptive_field), "of the input"))
    return facts


def _neighbours(view: View, row: Row) -> tuple[str, str]:
    """Where the input of a layer comes from and where its output goes: `from pool1`, `to tanh2`."""
    if row.layer.layers or not view.model.is_sequential:
        return "", ""
    paths = ["the input", *(path for path, layer in view.model.walk() if not layer.layers), ""]
    at = paths.index(row.path, 1)
    return f"from {safe_text(paths[at - 1])}", f"to {safe_text(paths[at + 1])}" if paths[at + 1] else "the output"


def _share(part: int, whole: int | None) -> str:
    share = 100 * part / whole if whole else 0
    return "" if not part or not whole else "< 1 %" if share < 1 else f"{share:.0f} %"


def _beside(left: list[Fact], right: list[Fact], width: int) -> list[Content]:
    """Two lists of facts side by side where they fit, below each other where not."""
    left_lines, right_lines = _fact_lines(left, width), _fact_lines(right, width)
    half = max((line.cell_length for line in left_lines), default=0) + 2
    if not left or half + max((line.cell_length for line in right_lines), default=0) > width:
        return [*left_lines, *([Content("")] if left and right else []), *right_lines]
    pairs = zip_longest(left_lines, right_lines, fillvalue=Content(""))
    return [Content.assemble(a.pad_right(half - a.cell_length), b) for a, b in pairs]


def _fact_lines(facts: list[Fact], width: int) -> list[Content]:
    """A fact a line, names and values in columns, each line `width` cells at the most."""
    if not facts:
        return []
    names = min(max(cell_width(fact.name) for fact in facts), max(width // 2, 8))
    values = min(max(cell_width(fact.value) for fact in facts), max(width - names - 4, 4))
    lines = []
    for fact in facts:
        value = fit(fact.value, values if fact.remark else min(cell_width(fact.value), values))
        line = Content.assemble("  ", (fit(fact.name, names), "$foreground-muted"), "  ")
        line = Content.assemble(line, (value, "$foreground-muted") if fact.is_quiet else value)
        if fact.remark:
            line = Content.assemble(line, "  ", (fact.remark, "$foreground-muted"))
        lines.append(line.truncate(width, ellipsis=True))
    return lines


def _tensor_lines(
    tensor: TensorInfo, measured: Mapping[TensorRef, Statistics], layer: LayerSpec, sharers: Sequence[str], width: int
) -> list[Content]:
    """A tensor's name and shape, and once measured how its numbers are spread; of a new one what it will be made of.

    `sharers` are the full names of those that are tied to it.
    """
    head = f"  {shape_words(tensor.shape)}  {safe_text(tensor.dtype)}"
    if tensor.name in layer.tied:
        head += f"  tied to {safe_text(layer.tied[tensor.name])}"
    if sharers:
        head += f"  shared with {safe_text(others_words(sharers))}"
    if tensor.name in layer.frozen:
        head += "  frozen"
    line = Content.assemble((safe_text(tensor.name), "bold"), head)
    if making := making_words(tensor):
        return [Content.assemble(line, (f"   {making}", "$foreground-muted"))]
    stats = measured.get(tensor.stored) if tensor.stored else None
    if stats is None:
        return [line]
    about = "≈ " if stats.is_estimate else ""
    line = Content.assemble(line, f"   {about}mean {number_words(stats.mean)}  std {number_words(stats.std)}")
    bars = sparkline(stats.histogram.counts, 16) if stats.histogram else ""
    spread = f"{number_words(stats.min)} … {number_words(stats.max)}"
    wrong = stats.nan + stats.posinf + stats.neginf
    warning = (f"   {not_finite(stats)}", "$text-error") if wrong else ("", "")
    return [line, Content.assemble("  ", (bars, "$text-primary"), f"  {spread}   zeros {stats.zeros:,}", warning)]


def _model_lines(view: View, width: int) -> list[Content]:
    """The file, its totals, what it says of itself, and what should be known of it."""
    total, opened = view.inference.total, view.opened
    facts: list[Fact] = [
        Fact("format", opened.format),
        Fact("tensors", f"{view.num_tensors:,}", bytes_words(view.num_bytes)),
        Fact("parameters", f"{total.num_params:,}"),
        Fact("trainable", f"{total.num_trainable:,}"),
    ]
    if total.num_buffers:
        facts.append(Fact("buffers", f"{total.num_buffers:,}"))
    facts += [Fact("input", shape_words(i.shape), i.dtype) for i in view.model.inputs]
    if total.output_shape is not None:
        facts.append(Fact("output", output_words(total.output_shape)))
    if total.macs is not None:
        facts.append(Fact("multiply-adds", f"{total.macs:,}", "one forward pass"))
    if total.activation_bytes is not None:
        facts.append(Fact("activations", bytes_words(total.activation_bytes)))
    if opened.prefix:
        facts.append(Fact("prefix", safe_text(opened.prefix), "left out of every name"))
    lines = [_title(view.title, kind_cell(view.model.root), width)]
    lines += [*_fact_lines([Fact("file", safe_text(opened.path))], width), *_fact_lines(facts, width)]
    if view.model.metadata:
        lines += [Content(""), Content("metadata").stylize("bold")]
        lines += _fact_lines([Fact(safe_text(k), safe_text(v)) for k, v in view.model.metadata.items()], width)
    if opened.notes:
        lines += [Content(""), Content("notes").stylize("bold")]
        lines += [Content(f"  {safe_text(note)}").stylize("$text-warning") for note in opened.notes]
    return lines
