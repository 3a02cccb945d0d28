"""What the JSON documents say of models that are out of the ordinary."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faults
import pytest

from seqtui.cli import main
from seqtui.documents import summary_document
from seqtui.formats import open_model
from seqtui.model.inputs import parse_input
from seqtui.workspace import Workspace

Layer = dict[str, Any]
"""A layer as the spec's JSON has it."""


def linear(name: str, inputs: int, outputs: int) -> Layer:
    args = {"in_features": inputs, "out_features": outputs, "bias": False}
    return {"name": name, "kind": "Linear", "args": args}


def block(name: str, *layers: Layer, enabled: bool = True) -> Layer:
    return {"name": name, "kind": "Sequential", "layers": layers, "enabled": enabled}


def document(folder: Path, tensors: dict[str, list[int]], *layers: Layer, given: str = "") -> Any:  # JSON
    """The summary of a file of these tensors, and of these layers if there are any, as a reader of its JSON has it."""
    text = json.dumps({"seqtui": 1, "kind": "Sequential", "layers": layers, "inputs": [{"shape": [1, 4]}]})
    file = folder / "net.safetensors"
    entries: dict[str, faults.Entry] = {name: ("F32", shape) for name, shape in tensors.items()}
    file.write_bytes(faults.sound(entries, {"seqtui.spec": text} if layers else None))
    workspace = Workspace(open_model(str(file)))
    if given:
        workspace.set_input(parse_input(given))
    workspace.close()
    return json.loads(json.dumps(summary_document(workspace.view), allow_nan=False))


def paths_fed(found: Any) -> dict[str, tuple[int, list[str] | None]]:  # JSON
    """Path -> how often a layer is called, and whose output goes in."""
    return {layer["path"]: (layer["calls"], layer["from"]) for layer in found["layers"]}


def test_tensors_beside_the_layers_are_fed_by_nobody_and_feed_nobody(tmp_path: Path) -> None:
    shapes = {"enc.fc.weight": [3, 4], "enc.ema.deep.decay": [1], "step.count": [1], "out.weight": [2, 3]}
    found = document(tmp_path, shapes, block("enc", linear("fc", 4, 3)), block("none"), linear("out", 3, 2))
    assert paths_fed(found) == {
        "enc": (1, []),
        "enc.fc": (1, []),
        "enc.ema": (0, None),
        "enc.ema.deep": (0, None),
        "none": (1, ["enc.fc"]),
        "out": (1, ["none"]),
        "step": (0, None),
    }
    assert {layer["path"]: layer["output"] for layer in found["layers"]}["out"] == [1, 2]
    assert (found["totals"]["params"], found["totals"]["macs"]) == (12 + 6 + 2, 12 + 6)


@pytest.mark.parametrize("features", [4, 5])
def test_what_stands_inside_a_layer_that_is_off_is_fed_by_nobody(features: int, tmp_path: Path) -> None:
    shapes = {"enc.fc.weight": [3, features], "out.weight": [2, 4]}
    off = block("enc", linear("fc", features, 3), block("in", {"name": "act", "kind": "ReLU"}), enabled=False)
    found = document(tmp_path, shapes, {"name": "drop", "kind": "Dropout"}, off, linear("out", 4, 2))
    assert paths_fed(found) == {
        "drop": (1, []),
        "enc": (1, ["drop"]),
        "enc.fc": (0, None),
        "enc.in": (0, None),
        "enc.in.act": (0, None),
        "out": (1, ["enc"]),
    }
    assert [layer["problem"] for layer in found["layers"]] == [None] * 6
    assert found["totals"]["macs"] == 8


def test_arguments_that_are_not_finite_are_written_as_in_the_spec(tmp_path: Path) -> None:
    clip = {"name": "clip", "kind": "Hardtanh", "args": {"min_val": 0, "max_val": {"float": "inf"}}}
    scale = {"name": "scale", "kind": "Upsample", "args": {"scale_factor": [{"float": "nan"}, 2.0]}}
    layers = document(tmp_path, {}, clip, scale)["layers"]
    assert [layer["args"] for layer in layers] == [clip["args"], scale["args"]]


def test_an_input_of_tensors_without_an_order_is_not_claimed(tmp_path: Path) -> None:
    found = document(tmp_path, {"fc.weight": [3, 4]}, given="1,4")
    assert found["inputs"] == []
    assert found["warnings"] == [
        "an input shape says nothing here: the file holds tensors, not layers in order",
    ]
    assert document(tmp_path, {"fc.weight": [3, 4]}, linear("fc", 4, 3), given="2,4")["warnings"] == []


@pytest.mark.parametrize(
    "layers",
    [
        [{"name": "norm", "kind": "LayerNorm", "args": {"normalized_shape": [2**62] * 64}}],
        [{"name": "norm", "kind": "LayerNorm", "args": {"normalized_shape": [2**62] * 190_000}}],
        [{"name": "up", "kind": "Upsample", "args": {"scale_factor": {"float": "inf"}}}],
        [{"name": f"up{number}", "kind": "Upsample", "args": {"scale_factor": 1e300}} for number in range(3)],
        [linear("fc", 2**62, 2**62)],
        [{"name": "emb", "kind": "Embedding", "args": {"num_embeddings": 2**62, "embedding_dim": 2**62}}],
    ],
    ids=["rank", "list", "infinite", "chain", "linear", "embedding"],
)
def test_sizes_that_no_machine_holds_are_counted_all_the_same(
    layers: list[Layer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(tmp_path, {}, *layers)
    assert main(["summary", found["file"]]) == int(any(layer["problem"] for layer in found["layers"]))
    assert f"{found['totals']['params']:,} parameters" in capsys.readouterr().out
