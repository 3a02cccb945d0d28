"""How long a large model takes to be written after one layer got another name."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.comparison import OURS, Figures, Goal, Measure, Row
from benchmarks.files import gigabyte
from benchmarks.shapes import seconds
from seqtui.engine.door import Engine
from seqtui.formats import open_model
from seqtui.model.structure_edits import Rename
from seqtui.saving import Target, save_model


@contextmanager
def renamed_and_saved(folder: Path) -> Iterator[Sequence[Measure]]:
    """A save under another name, and the system's own copy of the same bytes, both forced to the disk."""
    source, target = folder / "dense.safetensors", folder / "saved.safetensors"
    subprocess.run(["cp", "--sparse=never", gigabyte(folder), source], check=True)
    opened = open_model(str(source))
    layer = opened.model.layers[0].name
    model = Rename(layer, f"{layer}_renamed").apply(opened.model)

    def ours() -> Figures:
        target.unlink(missing_ok=True)
        return {OURS: seconds(lambda: save_model(model, opened.sources, Target(str(target), Engine())))}

    def copied() -> Figures:
        target.unlink(missing_ok=True)
        return {"cp and fsync": seconds(lambda: _copy(source, target))}

    yield ours, copied
    opened.close()


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=never", source, target], check=True)
    descriptor = os.open(target, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


ROWS = (Row("save.1gb", (Goal("cp and fsync", 1.15),), renamed_and_saved),)
