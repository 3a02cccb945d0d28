"""What was run, what will be, and how the tab says it: values, and lines of text made of them, without Textual."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from textwrap import wrap
from typing import NamedTuple

from seqtui.engine.door import State
from seqtui.engine.requests import IMPORTING, MOST_VALUES, Feed, Images, LayerRun, Progress, RunResult, RunSettings
from seqtui.errors import UsageError
from seqtui.model.spec import ModelSpec
from seqtui.rows import SIGNS
from seqtui.run_text import finding_lines, gradient_lines, output_lines, run_facts, run_table
from seqtui.safe_text import safe_text
from seqtui.summary_text import Piece as Styled
from seqtui.summary_text import Style
from seqtui.tui.texts import Ink, Piece, cut
from seqtui.view import Mode, View
from seqtui.words import flow, number_words, plural, shape_words

INKS: dict[Style, Ink] = {"": "", "dim": "quiet", "bold": "header", "red": "problem"}
"""What a style of the command line's is on the screen."""

WRONG: Ink = "problem"
RIGHT: Ink = ""
NOWHERE = "meta"
"""The device that holds no numbers: nothing is too large for it, and nothing comes out of it but shapes."""
STALE = "of the model before the last edit; R runs it as it is now"

STATE_WORDS: dict[State, str] = {
    "": "",
    "starting": "torch starting",
    "ready": "torch ready",
    "busy": "torch busy",
    "ended": "torch ended",
}
"""What is said of torch's process."""


class Ran(NamedTuple):
    """A run that came to its end."""

    model: ModelSpec
    settings: RunSettings
    result: RunResult


class Runs(NamedTuple):
    """The runs of a screen so far, and how the next one is to be."""

    feed: Feed = Feed()
    passes: int = 1
    with_backward: bool = False
    last: Ran | None = None
    before: Ran | None = None
    """The one before the last."""
    doing: str = ""
    """How far the run is that is under way; empty where none is."""
    seconds: int = 0
    """Since it began."""
    is_cancelling: bool = False
    """Whether it was called off, and has not ended yet."""
    failure: str = ""
    """Why the run after the last gave nothing; empty where none failed."""
    was_cancelled: bool = False
    """Whether the run after the last was called off."""
    images: Images | None = None
    """The maps that were asked for last."""
    no_images: str = ""
    """Why there are none."""

    def settings(self, mode: Mode) -> RunSettings:
        """Of the next run."""
        return RunSettings(mode.device, mode.dtype, mode.is_training, self.feed, self.passes, self.with_backward)

    def layer(self, path: str) -> LayerRun | None:
        """What the last run says of a layer; None where it says nothing."""
        layers = self.last.result.layers if self.last else ()
        return next((layer for layer in layers if layer.path == path), None)


NO_RUNS = Runs()


class RunLines(NamedTuple):
    """A run as lines: some that stand still, and below them others that scroll."""

    head: list[list[Piece]]
    body: Sequence[list[Piece]] = ()
    places: Mapping[str, int] = {}
    """The line in the body of each layer by its path."""
    titles: Sequence[tuple[int, list[Piece]]] = ()
    """What stands between head and body, by the line of the body from which it does: the titles of the columns in
    sight, nothing over what has no columns. Without any there is no line between them."""

    def title(self, top: int) -> list[Piece]:
        """What stands between head and body while this line of the body is the topmost in sight."""
        return [pieces for start, pieces in self.titles if start <= top][-1]

    @property
    def num_still(self) -> int:
        """Lines that stand still."""
        return len(self.head) + bool(self.titles)


def state_words(progress: Progress, name: str) -> str:
    """What torch does, for the status line: `running 3/10`, `running` before the first is done.

    `name` is that of the file that it writes.
    """
    if progress == IMPORTING:
        return STATE_WORDS["starting"]
    if name:
        return f"torch: writing {name} …"
    if not progress.total:
        return progress.words
    return f"running {progress.done:,}/{progress.total:,}" if progress.done else "running"


def run_lines(runs: Runs, view: View, width: int, remark: str = "") -> RunLines:
    """The last run with all that it found, and how the next one will be; a remark over them."""
    head = [*head_lines(runs, view, width), *([Piece(f" {line}", "quiet")] for line in _wrapped(remark, width))]
    if runs.last is None:
        return RunLines(head)
    result = runs.last.result
    table = run_table(result, width - 2)
    body: list[list[Piece]] = []
    places: dict[str, int] = {}
    columns = table.layout.columns
    titles = [(0, _inked([Styled(text, "bold") for text in table.layout.line([each.title for each in columns])]))]
    for layer, row in zip(result.layers, table.rows, strict=True):
        places[layer.path] = len(body)
        is_wrong = layer.is_nan_born or any(gradient.verdict for gradient in layer.gradients.values())
        sign, ink = (SIGNS["problem"], WRONG) if is_wrong else (" ", RIGHT)
        body.append([Piece(sign, ink), *(Piece(text, ink) for text in table.layout.line(row))])
    missing = [column.title for column in run_table(result).layout.columns if column.title and column not in columns]
    if missing:
        body += [[Piece(f" {line}", "quiet")] for line in _wrapped(f"no room for {', '.join(missing)}", width)]
    titles.append((len(places), []))
    gradients = [_inked(line) for line in gradient_lines(result, width - 2)]
    for lines in ([_inked(line) for line in finding_lines(result)], gradients):
        if lines:
            body += [[], *lines]
    if gradients:
        titles += [(len(body) - len(gradients) + 1, gradients[0]), (len(body), [])]
    body += [[], *(_inked(line) for line in output_lines(result, width - 2))]
    return RunLines([*head, []], body, places, titles)


def head_lines(runs: Runs, view: View, width: int) -> list[list[Piece]]:
    """What is under way, what the last run was, and the next where it differs from it."""
    lines: list[list[Piece]] = []
    if runs.doing:
        lines.append(_doing_line(runs))
    if runs.was_cancelled:
        lines.append([Piece(" cancelled", "quiet")])
    if runs.failure:
        lines += [[Piece(f" {line}", "problem")] for line in _wrapped(f"{SIGNS['problem']} {runs.failure}", width)]
    settings = runs.settings(view.mode)
    if runs.last is None:
        if not runs.doing and not runs.failure:
            facts = ["R runs the model", *_facts(settings, view.model)]
            lines += [[Piece(f" {line}")] for line in flow(facts, width - 2)]
        return lines
    facts = [_short(fact, runs.last.settings.feed) for fact in run_facts(runs.last.result)]
    lines += [[Piece(f" {line}")] for line in flow(facts, width - 2)]
    for words in compared(runs.last.result, runs.before):
        lines += [[Piece(f" {line}", "bold")] for line in _wrapped(words, width)]
    if is_stale(runs.last, view.model):
        lines += [[Piece(f" {line}", "quiet")] for line in _wrapped(STALE, width)]
    if settings != runs.last.settings:
        next_facts = ["the next run", *_facts(settings, view.model)]
        lines += [[Piece(f" {line}", "quiet")] for line in flow(next_facts, width - 2)]
    return [cut(line, width) for line in lines]


def _doing_line(runs: Runs) -> list[Piece]:
    """How far the run under way is, how long it has taken, and what ends it."""
    time = f"   {runs.seconds:,} s" if runs.seconds else ""
    how = "x again ends torch" if runs.is_cancelling else "x in this tab cancels"
    return [Piece(f" {runs.doing}", "bold"), Piece(time), Piece(f"   {how}", "quiet")]


def _facts(settings: RunSettings, model: ModelSpec) -> Iterator[str]:
    """What a run will be fed, where and how."""
    yield fed_words(settings.feed, model)
    yield settings.device
    yield settings.dtype or "types of the file"
    yield "train" if settings.is_training else "eval"
    yield "1 pass" if settings.passes == 1 else f"{settings.passes:,} passes"
    if settings.with_backward:
        yield f"no backward on {NOWHERE}" if settings.device == NOWHERE else "backward"


def fed_words(feed: Feed, model: ModelSpec) -> str:
    """`fed normal 1×1×28×28, seed 0`; of a file its name, since its own shape holds."""
    if feed.form == "file":
        return _short(f"fed {safe_text(feed.path)}", feed)
    shape = "".join(f" {shape_words(given.shape)}" for given in model.inputs[:1])
    return f"fed {feed.form}{shape}{f', seed {feed.seed}' if feed.form == 'normal' else ''}"


def _short(words: str, feed: Feed) -> str:
    """The words with the name of the file that is fed instead of its path."""
    return words.replace(safe_text(feed.path), safe_text(PurePath(feed.path).name)) if feed.path else words


def is_stale(ran: Ran, model: ModelSpec) -> bool:
    """Whether a run was of another model than the one looked at."""
    return ran.model.root is not model.root or ran.model.inputs != model.inputs


def compared(last: RunResult, before: Ran | None) -> Iterator[str]:
    """Whether the output of a run is that of the one before, where both were fed the same."""
    if before is None or not last.values or last.fed != before.result.fed or last.output != before.result.output:
        return
    found = difference(last.values, before.result.values)
    part = f", in its first {MOST_VALUES:,} values" if math.prod(last.output) > len(last.values) else ""
    if not found:
        yield f"output equal to the run before{part}"
    elif math.isfinite(found):
        yield f"output differs from the run before by {number_words(found)} at most{part}"
    else:
        yield f"output differs from the run before: NaN or Inf in one of them{part}"


def difference(values: tuple[float, ...], others: tuple[float, ...]) -> float:
    """The largest difference of two outputs; NaN is as NaN, and infinitely far from any number."""
    return max((_distance(a, b) for a, b in zip(values, others, strict=True)), default=0.0)


def _distance(one: float, other: float) -> float:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    return abs(one - other) if math.isfinite(one) and math.isfinite(other) else math.inf


def maps_line(runs: Runs, path: str, width: int) -> list[Piece]:
    """What stands over the feature maps of a layer that has some: whose, how many, on what scale; or why not yet."""
    images = runs.images
    name = Piece(f" {safe_text(path)}", "bold")
    if images is None or images.path != path:
        return cut([name, Piece(f"  {runs.no_images or 'drawing …'}", "quiet")], width)
    last = images.first + len(images.pixels)
    which = f"{images.first}…{last - 1} of " if len(images.pixels) < images.num_channels else ""
    scale = f"black {number_words(images.low)}, white {number_words(images.high)}"
    facts = f"  {which}{plural(images.num_channels, 'map')} {shape_words(images.shape)}   {scale}"
    return cut([name, Piece(facts)], width)


def without_maps(runs: Runs, path: str) -> str:
    """Why the last run has no feature maps of a layer; empty where it has some."""
    layer = runs.layer(path)
    if runs.last is None:
        return "Feature maps are those of a run: R runs the model."
    if layer is None:
        return "Feature maps are those of a layer that ran: move to one."
    return "" if layer.has_maps else f"{safe_text(path)} gives no maps: what comes out is {shape_words(layer.output)}."


def _inked(line: list[Styled]) -> list[Piece]:
    return [Piece(" "), *(Piece(text, INKS[style]) for text, style in line)]


def _wrapped(sentence: str, width: int) -> list[str]:
    return wrap(safe_text(sentence, limit=2000), max(width - 2, 1))


def parse_count(text: str, least: int, most: int) -> int:
    """A whole number in a range. Raises UsageError."""
    if not text.strip().isdecimal() or not least <= int(text) <= most:
        raise UsageError(f"a whole number from {least:,} to {most:,} is needed")
    return int(text)


def require_file(text: str) -> str:
    """The path of a file that is there, for a process that may work elsewhere. Raises UsageError."""
    path = os.path.abspath(os.path.expanduser(text.strip()))
    if not os.path.isfile(path):
        raise UsageError("there is no such file" if text.strip() else "the path of a file is needed")
    return path
