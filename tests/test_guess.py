"""The guessed tree against look-alikes of real checkpoints, and against names that nobody should write."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtui.model.guess import MAX_DEPTH, MAX_GAPS, guess_model
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import Shape, TensorInfo, TensorTable

DATA = Path(__file__).parent / "data"
CASES: dict[str, dict[str, Any]] = json.loads((DATA / "expected.json").read_text())

CHECKED_HERE = {"tensors", "elements", "prefix", "order", "gaps", "layers", "ambiguous", "sequential"}
NOT_YET = {
    "params": "counted when shapes are inferred",
    "quantization": "the layer is guessed, its scheme is not named",
    "rank": "an adapter's two layers are guessed, its rank is not named",
    "repeat": "blocks are not folded",
    "note": "for the reader",
}
SEQUENTIAL_BY_SHAPES_ALONE = {"seq_named"}
"""A Sequential whose names are words: not told yet."""


def read_header(path: Path) -> tuple[list[TensorInfo], dict[str, str]]:
    """A safetensors file's tensors and metadata."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__", {})
    return [
        TensorInfo(name, row["dtype"], tuple(row["shape"]), row["data_offsets"][1] - row["data_offsets"][0])
        for name, row in header.items()
    ], metadata


def guess_case(case: str) -> tuple[ModelSpec, str]:
    """The guess for a file, or for all shards of a directory."""
    path = DATA / case
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path.with_suffix(".safetensors")]
    headers = [read_header(file) for file in files]
    return guess_model(TensorTable.of(tensor for tensors, _ in headers for tensor in tensors), case, headers[0][1])


def guess_shapes(shapes: Mapping[str, Shape]) -> ModelSpec:
    tensors = [TensorInfo(name, "F32", shape, 0) for name, shape in shapes.items()]
    return guess_model(TensorTable.of(tensors), "file", {})[0]


def guess_names(*names: str) -> tuple[ModelSpec, str]:
    return guess_model(TensorTable.of(TensorInfo(name, "F32", (2, 3), 24) for name in names), "file", {})


def paths(model: ModelSpec) -> list[str]:
    return [path for path, _ in model.walk()]


def all_tensors(model: ModelSpec) -> list[tuple[str, TensorInfo]]:
    """(full name by path and own name, tensor) of everything in the model."""
    rows = [(tensor.name, tensor) for tensor in model.root.tensors]
    return rows + [(f"{path}.{tensor.name}", tensor) for path, layer in model.walk() for tensor in layer.tensors]


def gaps(layer: LayerSpec) -> list[int]:
    return [int(inner.name) for inner in layer.layers if inner.kind is None and not inner.tensors and not inner.layers]


# Look-alikes of real checkpoints


def test_each_expectation_is_checked_or_known_to_be_open() -> None:
    assert {key for case in CASES.values() for key in case} == CHECKED_HERE | NOT_YET.keys()


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_is_there_once(case: str) -> None:
    model, prefix = guess_case(case)
    tensors = all_tensors(model)
    assert prefix == CASES[case].get("prefix", "")
    assert len(tensors) == CASES[case]["tensors"]
    assert sum(math.prod(tensor.shape) for _, tensor in tensors) == CASES[case]["elements"]
    for name, tensor in tensors:
        assert tensor.ref == (case, prefix + name)


@pytest.mark.parametrize(
    ("case", "path", "expected"),
    [(case, path, kind) for case, row in CASES.items() for path, kind in row.get("layers", {}).items()],
)
def test_layer_kind(case: str, path: str, expected: str | None) -> None:
    layer = guess_case(case)[0].layer(path)
    if expected is None:
        assert (layer.kind, layer.origin) == (None, "opaque")
        return
    kinds = set(expected.split("|"))
    assert layer.origin == "guessed"
    assert layer.kind in kinds
    assert kinds - {layer.kind} <= set(layer.alternatives)
    assert layer.kind not in layer.alternatives


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if "gaps" in row])
def test_missing_numbers_are_layers_without_a_kind(case: str) -> None:
    model = guess_case(case)[0]
    expected = CASES[case]["gaps"]
    for path, numbers in expected.items() if isinstance(expected, dict) else [("", expected)]:
        container = model.layer(path) if path else model.root
        assert gaps(container) == numbers
        assert [layer.name for layer in container.layers] == [str(index) for index in range(len(container.layers))]
        assert (container.kind, container.origin, container.alternatives) == ("Sequential", "guessed", ("ModuleList",))
        assert {container.layers[index].origin for index in numbers} == {"guessed"}


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if "order" in row])
def test_numbers_sort_as_numbers(case: str) -> None:
    model = guess_case(case)[0]
    assert [path for path, layer in model.walk() if layer.tensors] == CASES[case]["order"]


@pytest.mark.parametrize(
    ("case", "path"), [(case, path) for case, row in CASES.items() for path in row.get("ambiguous", ())]
)
def test_what_looks_like_a_layer_norm_may_be_a_group_norm(case: str, path: str) -> None:
    layer = guess_case(case)[0].layer(path)
    assert layer.origin == "guessed"
    assert {"LayerNorm", "GroupNorm"} <= {layer.kind, *layer.alternatives}


@pytest.mark.parametrize("case", [case for case, row in CASES.items() if "sequential" in row])
def test_only_a_sequential_is_guessed_as_one(case: str) -> None:
    is_expected = CASES[case]["sequential"] is True and case not in SEQUENTIAL_BY_SHAPES_ALONE
    root = guess_case(case)[0].root
    assert (root.kind, root.origin) == (("Sequential", "guessed") if is_expected else (None, "opaque"))


def test_blocks_of_a_transformer_have_no_gaps_and_no_kind() -> None:
    layers = guess_case("hf_llama")[0].layer("model.layers")
    assert (layers.kind, [block.name for block in layers.layers]) == (None, ["0", "1"])


def test_quantised_layers_keep_the_sizes_they_stand_for() -> None:
    sizes = {
        case: dict(guess_case(case)[0].layer("model.layers.0.mlp.up_proj").args)
        for case in ("hf_llama_gptq", "hf_llama_awq", "hf_llama_bnb8", "hf_fp8_block", "hf_llama_bnb4")
    }
    linear = {"in_features": 16, "out_features": 24, "bias": False}
    assert sizes == dict.fromkeys(sizes, linear) | {"hf_llama_bnb4": {}}  # its sizes stand in bytes


def test_a_name_that_is_leaf_and_branch_is_both() -> None:
    layer = guess_case("hf_llama_bnb4")[0].layer("model.layers.0.mlp.up_proj")
    assert [tensor.name for tensor in layer.tensors] == ["weight"]
    (below,) = layer.layers
    assert [tensor.name for tensor in below.tensors] == ["absmax", "nested_absmax", "nested_quant_map", "quant_map"]


# Trees of names


def test_tensors_stand_in_torchs_order() -> None:
    names = ["extra10", "num_batches_tracked", "bias", "extra2", "running_var", "weight", "running_mean"]
    layer = guess_names(*(f"bn.{name}" for name in names))[0].layer("bn")
    torchs = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    assert [tensor.name for tensor in layer.tensors] == [*torchs, "extra2", "extra10"]


def test_siblings_stand_in_natural_order() -> None:
    model, _ = guess_names("b10.w", "b9.w", "a.w", "b.w", "10.w", "9.w", "b9.c.w")
    assert paths(model) == ["9", "10", "a", "b", "b9", "b9.c", "b10"]


def test_names_without_a_dot_belong_to_the_root() -> None:
    model, _ = guess_names("scale", "bias", "fc.weight")
    assert [tensor.name for tensor in model.root.tensors] == ["bias", "scale"]
    assert (model.root.kind, model.root.origin, model.metadata) == (None, "opaque", {})


@pytest.mark.parametrize(
    ("names", "prefix"),
    [
        (["module.fc.weight", "module.fc.bias"], "module."),
        (["module._orig_mod.fc.weight"], "module._orig_mod."),
        (["_orig_mod.module.net.state_dict.w"], "_orig_mod.module.net.state_dict."),
        (["module.fc.weight", "fc.bias"], ""),
        (["module.fc.weight", "module."], ""),
        (["module.module."], "module."),
        (["module.net.fc.weight", "module.fc.weight"], "module."),
        (["model.fc.weight"], ""),
        (["modules.fc.weight"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_wrapper_that_all_names_carry(names: list[str], prefix: str) -> None:
    assert guess_names(*names)[1] == prefix


STRANGE = [
    ["", ".", "..", "...", ".a", "a.", "a..b", "a.b.", "x.w"],
    ["module..w", "module.a"],
    ["x.weight", "x.weight.absmax", "x.weight.absmax.y"],
    ["." * 5000, ".".join("a" * 5000), ".".join("b" * (MAX_DEPTH + 1)), ".".join("c" * (MAX_DEPTH + 2))],
    ["²", "٣.w", "0٣.w", "9" * 5000 + ".w", "1" * 5000 + ".w", "1.w"],
    ["a b.w", "#x.w", "conv*.w", "\x1b[2J.w", "\ud800.w", "[/].w"],
]


@pytest.mark.parametrize("names", STRANGE)
def test_strange_names_are_kept_in_full(names: list[str]) -> None:
    model, prefix = guess_names(*names)
    assert sorted(prefix + name for name, _ in all_tensors(model)) == sorted(names)
    assert all(tensor.ref == ("file", prefix + name) for name, tensor in all_tensors(model))
    for path, layer in model.walk():
        assert model.layer(path) is layer


def test_a_path_is_as_deep_as_allowed_and_no_deeper() -> None:
    deepest, deeper = ".".join("a" * MAX_DEPTH), ".".join("b" * (MAX_DEPTH + 1))
    model, _ = guess_names(f"{deepest}.w", f"{deeper}.w")
    assert [tensor.name for tensor in model.layer(deepest).tensors] == ["w"]
    assert [tensor.name for tensor in model.layer(deeper.removesuffix(".b")).tensors] == ["b.w"]


PART = st.sampled_from(["", "0", "1", "2", "10", "007", "weight", "bias", "a", "conv1", "module", "net", "é", " "])
NAMES = st.lists(st.lists(PART, max_size=5).map(".".join), unique=True, max_size=12)


@given(NAMES)
def test_any_names_make_a_tree_that_keeps_them(names: list[str]) -> None:
    model, prefix = guess_names(*names)
    assert sorted(prefix + name for name, _ in all_tensors(model)) == sorted(names)
    assert len(set(paths(model))) == len(paths(model))


# Gaps


def linears(*numbers: int | str) -> ModelSpec:
    """Equal Linear layers of these names."""
    shapes: dict[str, Shape] = {"weight": (4, 3), "bias": (4,)}
    return guess_shapes({f"{number}.{name}": shape for number in numbers for name, shape in shapes.items()})


@pytest.mark.parametrize("numbers", [(0, 999_999_999), (6,), (0, 2, int("9" * 5)), ("0", "9" * 5000), ("0", "02")])
def test_numbers_that_no_sequential_has_are_not_filled(numbers: tuple[int | str, ...]) -> None:
    model = linears(*numbers)
    assert model.root.kind is None
    assert paths(model) == [str(number) for number in numbers]


def test_gaps_are_filled_up_to_the_limit() -> None:
    half = linears(*range(0, 2 * MAX_GAPS + 1, 2))
    assert len(half.layers) == 2 * MAX_GAPS + 1
    assert gaps(half.root) == list(range(1, 2 * MAX_GAPS, 2))
    assert gaps(linears(*range(0, 2 * MAX_GAPS + 3, 2)).root) == []


def test_a_complete_run_of_equals_may_be_any_list() -> None:
    assert linears(0, 1, 2).root.kind is None


def test_a_complete_run_of_unlike_layers_is_a_sequential() -> None:
    model = guess_shapes({"0.weight": (4, 3, 3, 3), "1.weight": (4, 4), "1.bias": (4,)})
    assert (model.root.kind, paths(model)) == ("Sequential", ["0", "1"])


def test_partly_adapted_blocks_are_not_a_sequential() -> None:
    model = guess_shapes({f"layers.{index}.q.lora_A.weight": (4, 16) for index in (3, 5)})
    assert [layer.name for layer in model.layer("layers").layers] == ["3", "5"]


def test_equal_files_give_equal_models() -> None:
    assert guess_case("zoo") == guess_case("zoo")
