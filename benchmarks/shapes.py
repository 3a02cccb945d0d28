"""How long the shapes of a long model take after an edit in its middle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median

from benchmarks.comparison import OURS, Figures, Goal, Measure, Row
from seqtui.model.infer import infer_shapes
from seqtui.model.spec import InputSpec, LayerSpec, ModelSpec

LAYERS = 1_000
FEATURES = 64
REPEATS = 20
"""How often our side is repeated in a turn, since one takes less than a clock tells well."""


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


def shapes_after_edit(folder: Path) -> AbstractContextManager[Sequence[Measure]]:
    """Our rules, which know what the edit left alone, and torchinfo, which is asked anew."""
    model = long_model()
    known, edited = infer_shapes(model), with_layer_inserted(model)

    def ours() -> Figures:
        return {OURS: median(seconds(lambda: infer_shapes(edited, known)) for _ in range(REPEATS))}

    return nullcontext((ours, torchinfo_on_meta()))


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


ROWS = (Row("shapes.1000", (Goal("torchinfo", 0.005),), shapes_after_edit),)
