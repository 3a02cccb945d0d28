"""Models as the engine is asked about them: written to a file, opened, and referred to by it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

import seqtui
from seqtui.engine.requests import Forward, LayerRun, RunResult, RunSettings, SourceFile, Subject
from seqtui.engine.run import forward
from seqtui.engine.workbench import Workbench
from seqtui.formats import open_model
from seqtui.model.edits import Batch, parse_edits

TRAINING = RunSettings(is_training=True, seed=5)


def cnn() -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)
            ),
            drop=nn.Dropout(0.25),
            head=nn.Sequential(nn.Flatten(), nn.Linear(8 * 7 * 7, 10), nn.LogSoftmax(dim=1)),
        )
    )


CNN_INPUT = (4, 3, 16, 16)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """What `normal` feeds."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def subject_of(net: nn.Sequential, path: Path, shape: tuple[int, ...], dtype: str = "float32") -> Subject:
    """A network in a file of its own."""
    seqtui.save(net, path, shape, dtype)
    return subject_at(path)


def subject_at(path: Path) -> Subject:
    """The model in a file."""
    opened = open_model(str(path))
    files = tuple(SourceFile(name, str(path), source.stamp, "") for name, source in opened.sources.items())
    opened.close()
    return Subject(opened.model, files)


def edited(subject: Subject, *edits: str) -> Subject:
    """The same with edits, in the language of the `:` line."""
    return subject._replace(model=Batch(tuple(parse_edits(edits))).apply(subject.model))


def without_inputs(subject: Subject) -> Subject:
    """The same, of which nobody said what it is fed."""
    return subject._replace(model=replace(subject.model, inputs=()))


def run(subject: Subject, settings: RunSettings | None = None, workbench: Workbench | None = None) -> RunResult:
    """One run in this process."""
    return forward(Forward(subject, settings or RunSettings()), workbench or Workbench())


def layer_of(result: RunResult, path: str) -> LayerRun:
    return next(layer for layer in result.layers if layer.path == path)
