"""How long the shapes of a long model take after an edit in its middle, and how long until a person sees them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.comparison import OURS, Figures, Goal, Measure, Row
from benchmarks.keys import AT_REST, FRAME, SIZES, p99
from benchmarks.programs import seqtui
from benchmarks.terminal import Terminal
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec
from seqtui.model.spec_json import spec_to_json

LAYERS = 1_000
FEATURES = 64
REPEATS = 20
"""How often our side is repeated in a turn, since one takes less than a clock tells well."""
EDITS = (b"t", b"t", b"d")
"""The layer under the cursor off, on again, and out of the model."""


def long_model() -> ModelSpec:
    """A Sequential of so many layers, half of them Linear and half ReLU."""
    linear = {"in_features": FEATURES, "out_features": FEATURES}
    layers = [
        LayerSpec(f"relu{number}", "ReLU") if number % 2 else LayerSpec(f"fc{number}", "Linear", linear)
        for number in range(LAYERS)
    ]
    return ModelSpec(LayerSpec("", "Sequential", layers=tuple(layers)), (InputSpec("input", (1, FEATURES)),))


def with_layer_inserted(model: ModelSpec) -> ModelSpec:
    """The model with one layer more, in its middle."""
    layers, middle = model.layers, len(model.layers) // 2
    inserted = (*layers[:middle], LayerSpec("inserted", "Dropout", {"p": 0.5}), *layers[middle:])
    return replace(model, root=replace(model.root, layers=inserted))


@contextmanager
def shapes_after_edit(folder: Path) -> Iterator[Sequence[Measure]]:
    """Our rules, which know what the edit left alone; torchinfo, which is asked anew; keys that edit, on a terminal."""
    model = long_model()
    known, edited = infer_shapes(model), with_layer_inserted(model)

    def ours() -> Figures:
        return {OURS: median(seconds(lambda: infer_shapes(edited, known)) for _ in range(REPEATS))}

    with _opened(model, folder) as terminal:
        yield ours, torchinfo_on_meta(), partial(_edits, terminal), lambda: FRAME


@contextmanager
def _opened(model: ModelSpec, folder: Path) -> Iterator[Terminal]:
    """The model on the smallest screen, the cursor in its middle."""
    file = folder / "long.json"
    file.write_text(spec_to_json(model), encoding="utf-8")
    middle = model.layers[LAYERS // 2].name
    with Terminal(seqtui("open", file, "--select", middle), SIZES["key.rows"]) as terminal:
        terminal.wait_for((middle, "parameters"))
        terminal.settle(AT_REST)
        yield terminal


def _edits(terminal: Terminal) -> Figures:
    """Seconds from a key that edits to its frame: shapes inferred, the edit kept on disk, the table drawn."""
    return {"edit to frame": p99([terminal.press(key) for _ in range(REPEATS) for key in EDITS])}


def torchinfo_on_meta() -> Measure:
    """torchinfo's summary of the same network, without numbers and without printing."""
    import torch
    import torchinfo
    from torch import nn

    with torch.device("meta"):
        net = nn.Sequential(*(nn.ReLU() if number % 2 else nn.Linear(FEATURES, FEATURES) for number in range(LAYERS)))
    return lambda: {
        "torchinfo": seconds(lambda: torchinfo.summary(net, input_size=(1, FEATURES), device="meta", verbose=0))
    }


def seconds(work: Callable[[], object]) -> float:
    """How long some work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


GOALS = (Goal("torchinfo", 0.005), Goal("60 Hz frame", 1, "edit to frame"))

ROWS = (Row("shapes.1000", GOALS, shapes_after_edit),)
