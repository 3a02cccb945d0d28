"""torch's shapes over those of the rules: where they differ torch's are shown, what the rules refuse stays refused."""

from __future__ import annotations

from pathlib import Path

from seqtui.formats import open_model
from seqtui.model.infer import infer_shapes
from seqtui.model.kinds.kind import Signal
from seqtui.model.traced import with_trace

SAMPLES = Path(__file__).parent.parent / "sample_models"


def test_what_differs_is_torchs_and_marked() -> None:
    inference = infer_shapes(open_model(str(SAMPLES / "lenet5.safetensors")).model)
    same = inference.infos["conv1"].leaving
    traced = with_trace(inference, {"conv1": same, "fc3": (Signal((1, 11), "float32"),), "absent": same})
    assert traced.infos["conv1"] == inference.infos["conv1"]
    assert traced.infos["fc3"].output_shape == (1, 11)
    assert traced.infos["fc3"].is_torchs
    assert inference.infos["fc3"].output_shape == (1, 10)
    assert [path for path, info in traced.infos.items() if info.is_torchs] == ["fc3"]


def test_a_layer_that_the_rules_refuse_stays_a_problem() -> None:
    inference = infer_shapes(open_model(str(SAMPLES / "broken_cnn.safetensors")).model)
    assert set(inference.problems) == {"fc1"}
    traced = with_trace(inference, {"fc1": (Signal((1, 2), "float32"),)})
    assert traced.problems == inference.problems
    assert traced.infos["fc1"].output_shape is None


def test_a_shape_that_no_rule_knows_is_told() -> None:
    inference = infer_shapes(open_model(str(SAMPLES / "lenet5.safetensors")).model)
    inference.infos["tanh1"] = inference.infos["tanh1"]._replace(leaving=(), unknown="no rule for complex64")
    traced = with_trace(inference, {"tanh1": (Signal((1, 6, 28, 28), "complex64"),)})
    assert traced.infos["tanh1"].unknown == ""
    assert traced.infos["tanh1"].output_dtype == "complex64"
