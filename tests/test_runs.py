"""What is said of runs: values in, lines out."""

from __future__ import annotations

import math
from dataclasses import replace

from edited import numbered

from seqtui.engine.requests import IMPORTING, Feed, Gradient, LayerRun, Progress, RunResult, RunSettings
from seqtui.formats.opened import OpenedModel
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, ModelSpec
from seqtui.tui.runs import Ran, Runs, compared, difference, head_lines, run_lines, state_words
from seqtui.view import Mode, View

FED = "normal 1×4, seed 0"


def model() -> ModelSpec:
    return replace(numbered(), inputs=(InputSpec("input", (1, 4)),))


def view_of(model: ModelSpec, mode: Mode = Mode()) -> View:  # noqa: B008 - a value that nobody changes
    opened = OpenedModel(model, {}, "net.safetensors", "safetensors")
    return View(opened, model, infer_shapes(model), {}, mode=mode)


def layer(path: str, is_nan_born: bool = False, gradients: dict[str, Gradient] | None = None) -> LayerRun:
    return LayerRun(
        path, (1, 4), "float32", 1e-5, 0.5, 1.0, -1.0, 1.0, 0, 4 * is_nan_born, 0, is_nan_born, None, None, None, False,
        gradients or {},
    )  # fmt: skip


def result(values: tuple[float, ...], fed: str = FED, shape: tuple[int, ...] = (), *layers: LayerRun) -> RunResult:
    shape = shape or (1, len(values))
    return RunResult("cpu", "float32", False, 1, fed, 1e-4, shape, "float32", values, None, None, layers, None)


def ran(result: RunResult, model: ModelSpec) -> Ran:
    return Ran(model, RunSettings(), result)


def words(last: RunResult, before: RunResult) -> list[str]:
    return list(compared(last, ran(before, model())))


def text(runs: Runs, view: View, width: int = 78) -> list[str]:
    return ["".join(piece.text for piece in line) for line in head_lines(runs, view, width)]


def test_outputs_are_compared_where_both_were_fed_the_same() -> None:
    assert words(result((1.0, 2.0)), result((1.0, 2.0))) == ["output equal to the run before"]
    assert words(result((1.0, 2.0)), result((1.5, 1.75))) == ["output differs from the run before by 0.5 at most"]
    assert words(result((1.0,)), result((1.0,), "zeros 1×4")) == []
    assert words(result((1.0,)), result((1.0, 2.0))) == []
    assert words(result(()), result(())) == []
    assert list(compared(result((1.0,)), None)) == []
    large = result((1.0,), FED, (40, 50))
    assert words(large, large) == ["output equal to the run before, in its first 1,000 values"]


def test_nan_is_as_nan_and_unlike_any_number() -> None:
    assert difference((math.nan, math.inf, 1.0), (math.nan, math.inf, 1.0)) == 0
    assert difference((math.nan,), (1.0,)) == math.inf
    assert difference((math.inf,), (-math.inf,)) == math.inf
    assert words(result((math.nan,)), result((1.0,)))[0].endswith("NaN or Inf in one of them")


def test_before_the_first_run_the_tab_says_how_it_will_be() -> None:
    mode = Mode("cuda:0", "bfloat16", is_training=True)
    lines = text(Runs(passes=1_000, with_backward=True), view_of(model(), mode), 200)
    assert lines == [" R runs the model   fed normal 1×4, seed 0   cuda:0   bfloat16   train   1,000 passes   backward"]
    assert text(Runs(feed=Feed("ones")), view_of(model()), 200)[0].split("   ")[1] == "fed ones 1×4"
    assert text(Runs(feed=Feed("file", "/a/b/x.npy")), view_of(model()), 200)[0].split("   ")[1] == "fed x.npy"


def test_a_run_says_whether_it_is_of_this_model_and_how_the_next_will_be() -> None:
    first = model()
    runs = Runs(last=ran(result((1.0,)), first))
    stale, coming = " of the model before the last edit; R runs it as it is now", " the next run"
    assert not {stale, coming} & set(text(runs, view_of(first)))
    assert stale in text(runs, view_of(model()))
    assert stale in text(runs, view_of(replace(first, inputs=(InputSpec("input", (2, 4)),))))
    assert stale not in text(runs, view_of(replace(first, inputs=tuple(first.inputs))))
    assert any(line.startswith(coming) for line in text(runs, view_of(first, Mode(is_training=True))))
    assert any(line.startswith(coming) for line in text(runs._replace(passes=2), view_of(first)))


def test_what_is_under_way_and_what_failed_stand_first() -> None:
    lines = text(Runs(doing="pass 3 of 10", last=ran(result((1.0,)), model())), view_of(model()))
    assert lines[0] == " pass 3 of 10   x in this tab cancels"
    sentence = "torch's process was killed, most likely for lack of memory, and \x1b[31m"
    lines = text(Runs(failure=sentence), view_of(model()), 40)
    assert lines[0].startswith(" ! torch's process was killed")
    assert len(lines) > 1
    assert max(map(len, lines)) <= 40
    assert "\x1b" not in "".join(lines)


def test_layers_that_went_wrong_are_marked() -> None:
    gone = {"weight": Gradient(0.0, "vanishing")}
    layers = (layer("0"), layer("1", is_nan_born=True), layer("2", gradients=gone))
    lines = run_lines(Runs(last=ran(result((1.0,), FED, (), *layers), model())), view_of(model()), 100)
    rows = ["".join(piece.text for piece in line) for line in lines.body]
    assert [rows[lines.places[path]][0] for path in ("0", "1", "2")] == [" ", "!", "!"]
    assert any("2.weight" in row and "vanishing" in row for row in rows)


def test_the_state_counts_from_the_first_that_is_done() -> None:
    assert state_words(IMPORTING, "net.pt") == "torch starting"
    assert state_words(Progress(0, 12, "pass 1"), "") == "running"
    assert state_words(Progress(3, 12, "pass 4"), "") == "running 3/12"
    assert state_words(Progress(0, 0, "making weights"), "") == "making weights"
    assert state_words(Progress(3, 12, "pass 4"), "net.pt") == "torch: writing net.pt …"
