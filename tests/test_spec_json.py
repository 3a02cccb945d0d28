"""The spec inside the file, both ways: what is written reads back the same, and nothing that is read is believed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from seqtui.model.kinds.catalogue import catalogue
from seqtui.model.spec import Call, InputSpec, LayerSpec, ModelSpec, Value
from seqtui.model.spec_json import MAX_BYTES, MAX_DEPTH, MAX_LAYERS, SpecError, spec_from_json, spec_to_json
from seqtui.model.tensors import TORCH_DTYPES


def model(*layers: LayerSpec, inputs: tuple[InputSpec, ...] = ()) -> ModelSpec:
    return ModelSpec(LayerSpec("", "Sequential", layers=layers), inputs)


CNN = model(
    LayerSpec(
        "conv1", "Conv2d", {"in_channels": 3, "out_channels": 16, "kernel_size": (3, 5)}, frozen=frozenset({"bias"})
    ),
    LayerSpec("dropout1", "Dropout", {"p": 0.5}, enabled=False),
    LayerSpec("block", "Sequential", layers=(LayerSpec("relu", "ReLU"),)),
    LayerSpec("fc", "Linear", {"in_features": 4, "out_features": 2}, tied={"weight": "conv1.weight"}),
    inputs=(InputSpec("input", (1, 3, 32, 32), "float32"),),
)


def document(**changes: Any) -> dict[str, Any]:
    """A sound spec as JSON values, with some replaced."""
    return {"seqtui": 1, "kind": "Sequential", "inputs": [], "layers": []} | changes


def layer(**changes: Any) -> dict[str, Any]:
    """A spec whose one layer is sound but for these values."""
    return document(layers=[{"name": "fc", "kind": "Linear", "args": {}} | changes])


def test_the_text_is_as_documented() -> None:
    assert json.loads(spec_to_json(CNN)) == {
        "seqtui": 1,
        "kind": "Sequential",
        "inputs": [{"shape": [1, 3, 32, 32], "dtype": "float32"}],
        "layers": [
            {
                "name": "conv1",
                "kind": "Conv2d",
                "args": {"in_channels": 3, "out_channels": 16, "kernel_size": [3, 5]},
                "frozen": ["bias"],
            },
            {"name": "dropout1", "kind": "Dropout", "args": {"p": 0.5}, "enabled": False},
            {"name": "block", "kind": "Sequential", "layers": [{"name": "relu", "kind": "ReLU"}]},
            {
                "name": "fc",
                "kind": "Linear",
                "args": {"in_features": 4, "out_features": 2},
                "tied": {"weight": "conv1.weight"},
            },
        ],
    }


def test_what_is_written_reads_back_the_same() -> None:
    assert spec_from_json(spec_to_json(CNN)) == CNN


VALUES: some.SearchStrategy[Value] = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**63), 2**63 - 1) | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)
NAMES = some.text(min_size=1).filter(lambda name: "." not in name)
LEAVES = some.builds(
    LayerSpec,
    NAMES,
    some.sampled_from(sorted(catalogue())),
    some.dictionaries(some.text().filter(lambda name: name != "num_layers"), VALUES, max_size=3),
    tied=some.dictionaries(some.text(), some.text(), max_size=2),
    frozen=some.frozensets(some.text(), max_size=2),
    enabled=some.booleans(),
)
OPAQUE = some.builds(LayerSpec, NAMES, origin=some.just("opaque"))
LAYERS = some.recursive(
    LEAVES | OPAQUE,
    lambda inner: some.builds(
        LayerSpec,
        NAMES,
        some.just("Sequential"),
        layers=some.lists(inner, max_size=3, unique_by=lambda layer: layer.name).map(tuple),
    ),
    max_leaves=8,
)
INPUTS = some.builds(
    InputSpec,
    some.text(min_size=1),
    some.lists(some.integers(0, 2**15), max_size=4).map(tuple) | some.tuples(some.integers(0, 2**63 - 1)),
    some.sampled_from(sorted(TORCH_DTYPES)),
)


@settings(max_examples=150, derandomize=True)
@given(
    some.lists(LAYERS, max_size=4, unique_by=lambda layer: layer.name),
    some.lists(INPUTS, max_size=2, unique_by=lambda given: given.name),
)
def test_any_model_reads_back_the_same(layers: list[LayerSpec], inputs: list[InputSpec]) -> None:
    written = model(*layers, inputs=tuple(inputs))
    assert spec_from_json(spec_to_json(written)) == written


@pytest.mark.parametrize(("number", "word"), [(math.inf, "inf"), (-math.inf, "-inf"), (math.nan, "nan")])
def test_numbers_that_json_lacks_have_a_form_of_their_own(number: float, word: str) -> None:
    text = spec_to_json(model(LayerSpec("clip", "Hardtanh", {"max_val": number})))
    assert json.loads(text)["layers"][0]["args"] == {"max_val": {"float": word}}
    assert str(spec_from_json(text).layers[0].args["max_val"]) == word


def test_an_opaque_layer_is_written_without_a_kind() -> None:
    written = model(LayerSpec("what", "Linear", origin="opaque", layers=(LayerSpec("inner", origin="opaque"),)))
    read = spec_from_json(spec_to_json(written))
    assert read.layer("what") == LayerSpec("what", origin="opaque", layers=(LayerSpec("inner", origin="opaque"),))


def test_tensors_that_no_layer_asks_for_are_no_part_of_the_text() -> None:
    stray = LayerSpec("ema", is_called=False, origin="opaque")
    block = LayerSpec("block", "Sequential", layers=(stray, LayerSpec("relu", "ReLU")))
    read = spec_from_json(spec_to_json(model(stray, block)))
    assert [path for path, _ in read.walk()] == ["block", "block.relu"]


def test_keys_that_a_later_version_adds_are_passed_over() -> None:
    text = json.dumps(document(colour="red", layers=[{"name": "a", "kind": "ReLU", "comment": [1]}]))
    assert spec_from_json(text).layers == (LayerSpec("a", "ReLU"),)


def nested(depth: int) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = [{"name": "relu", "kind": "ReLU"}]
    for _ in range(depth - 1):
        layers = [{"name": "block", "kind": "Sequential", "layers": layers}]
    return layers


def listed(depth: int) -> object:
    return [listed(depth - 1)] if depth else 0


def tupled(depth: int) -> Value:
    return (tupled(depth - 1),) if depth else 0


REFUSED: dict[str, tuple[object, str]] = {
    "a list": ([], "which version"),
    "null": (None, "which version"),
    "no version": (document(seqtui=None), "which version"),
    "a true version": (document(seqtui=True), "which version"),
    "version zero": (document(seqtui=0), "which version"),
    "a version in words": (document(seqtui="1"), "which version"),
    "a newer version": (document(seqtui=2), "of version 2, written by a newer seqtui"),
    "another kind": (document(kind="Module"), "other than a Sequential"),
    "a kind of lists": (document(kind=["Sequential"]), "other than a Sequential"),
    "inputs that are no list": (document(inputs={}), "something other than a list as inputs"),
    "an input that is no object": (document(inputs=[1]), "an input that is no JSON object"),
    "an input without a shape": (document(inputs=[{}]), "no possible shape"),
    "an input of negative size": (document(inputs=[{"shape": [-1]}]), "no possible shape"),
    "an input of true size": (document(inputs=[{"shape": [True]}]), "no possible shape"),
    "an input of vast size": (document(inputs=[{"shape": [2**63]}]), "no possible shape"),
    "an input of vast sizes": (document(inputs=[{"shape": [2**62] * 20}]), "no possible shape"),
    "an input of many dimensions": (document(inputs=[{"shape": [1] * 65}]), "no possible shape"),
    "an input of an unknown type": (document(inputs=[{"shape": [], "dtype": "float33"}]), "no possible dtype"),
    "an input of a listed type": (document(inputs=[{"shape": [], "dtype": []}]), "no possible dtype"),
    "an input named by a number": (document(inputs=[{"shape": [], "name": 1}]), "name is not text"),
    "two inputs of one name": (document(inputs=[{"shape": []}, {"shape": []}]), "two inputs 'input'"),
    "layers that are no list": (document(layers={}), "something other than a list as layers"),
    "a layer that is no object": (document(layers=["fc"]), "no JSON object"),
    "a layer without a name": (document(layers=[{"kind": "ReLU"}]), "name is empty, has a dot or is not text"),
    "an empty name": (layer(name=""), "name is empty"),
    "a dot in a name": (layer(name="a.b"), "has a dot"),
    "a name that is a number": (layer(name=1), "not text"),
    "two layers of one name": (document(layers=nested(1) * 2), "two layers in the model 'relu'"),
    "a kind that torch has not": (layer(kind="os.system"), "torch.nn has none"),
    "a kind from Python": (layer(kind="__class__"), "torch.nn has none"),
    "a kind that is a list": (layer(kind=["Linear"]), "torch.nn has none"),
    "layers inside a Linear": (layer(layers=nested(1)), "no Sequential"),
    "arguments that are a list": (layer(args=[1]), "something other than arguments"),
    "an argument that is an object": (layer(args={"p": {"a": 1}}), "no value"),
    "a float that is none": (layer(args={"p": {"float": "1"}}), "no value"),
    "a float that is a list": (layer(args={"p": {"float": []}}), "no value"),
    "a number too large": (layer(args={"p": 2**63}), "out of range"),
    "a long list": (layer(args={"p": [2**62] * 190_000}), "190,000 values as an argument; the limit is 64"),
    "lists too deep": (layer(args={"p": listed(MAX_DEPTH + 1)}), "nested more than 32 deep"),
    "lists far too deep": (layer(args={"p": listed(400)}), "nested more than 32 deep"),
    "enabled in words": (layer(enabled="yes"), "neither true nor false"),
    "enabled as a number": (layer(enabled=1), "neither true nor false"),
    "frozen that is no list": (layer(frozen="weight"), "something other than a list as frozen"),
    "frozen numbers": (layer(frozen=[1]), "other than names"),
    "tied that is a list": (layer(tied=[]), "other than names"),
    "tied to a number": (layer(tied={"weight": 1}), "other than names"),
    "layers too deep": (document(layers=nested(MAX_DEPTH + 1)), "nested more than 32 deep"),
    "too many layers": (
        document(layers=[{"name": str(place), "kind": "ReLU"} for place in range(MAX_LAYERS + 1)]),
        "10,001 layers; the limit is 10,000",
    ),
    "a recurrent layer of too many": (layer(kind="LSTM", args={"num_layers": 2**40}), "layers; the limit is 10,000"),
}


@pytest.mark.parametrize(("written", "words"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_in_a_sentence(written: object, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_from_json(json.dumps(written))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"seqtui":1,"seqtui":1}', "two values 'seqtui'"),
        ('{"seqtui":1,"kind":"Sequential","layers":[{"name":"a","kind":"ReLU","kind":"GELU"}]}', "two values 'kind'"),
        ('{"seqtui":NaN}', "NaN"),
        ('{"seqtui":' + "9" * 5000 + "}", "out of range"),
        ("[" * 100_000, "nested"),
        ('{"seqtui":' * 100_000, "nested"),
        ('"' + "x" * MAX_BYTES + '"', "4,194,306 bytes; the limit is 4,194,304"),
        ("\ud800", "half a character"),
    ],
)
def test_text_that_is_no_document_is_refused(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_from_json(text)


def test_the_limits_themselves_are_within_bounds() -> None:
    layers = [{"name": str(place), "kind": "ReLU"} for place in range(MAX_LAYERS)]
    assert len(spec_from_json(json.dumps(document(layers=layers))).layers) == MAX_LAYERS
    assert sum(1 for _ in spec_from_json(json.dumps(document(layers=nested(MAX_DEPTH)))).walk()) == MAX_DEPTH
    assert spec_from_json(json.dumps(layer(args={"p": listed(MAX_DEPTH)}))).layers


def test_a_wrong_value_anywhere_is_a_spec_error_or_nothing() -> None:
    """Each value of a real spec in turn is replaced by each of these."""
    strange: list[Any] = [None, True, 0, -1, 1.5, "", "x", [], [[]], {}, {"float": "inf"}, "\x1b[31m"]
    text = spec_to_json(CNN)
    paths = places(json.loads(text))
    assert len(paths) > 30
    for path in paths:
        for value in strange:
            changed = json.loads(text)
            inner = changed
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            try:
                spec_from_json(json.dumps(changed))
            except SpecError as error:
                assert error.line().isprintable()  # noqa: PT017 -- most of these are read, and that is right too


def places(value: object) -> list[list[Any]]:
    """The path to every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in ([key], *([key, *rest] for rest in places(inner)))]


CANNOT_WRITE: dict[str, tuple[Callable[[], ModelSpec], str]] = {
    "a model that is no Sequential": (lambda: ModelSpec(LayerSpec("", origin="opaque")), "only describe a Sequential"),
    "a guessed model": (lambda: ModelSpec(LayerSpec("", "Sequential", origin="guessed")), "only describe a Sequential"),
    "a functional model": (
        lambda: ModelSpec(LayerSpec("", "Sequential"), calls=(Call("a", ("input",), "b"),)),
        "only describe a Sequential",
    ),
    "a kind that torch has not": (lambda: model(LayerSpec("a", "Magic")), "no layer of torch.nn is called 'Magic'"),
    "too many layers": (
        lambda: model(*(LayerSpec(str(place), "ReLU") for place in range(MAX_LAYERS + 1))),
        "10,001 layers; the limit is 10,000",
    ),
    "layers too deep": (lambda: model(deep(MAX_DEPTH + 1)), "nested more than 32 deep"),
    "an argument too deep": (lambda: model(LayerSpec("a", "ReLU", {"p": tupled(33)})), "nested more than 32 deep"),
    "too much text": (lambda: model(LayerSpec("a" * MAX_BYTES, "ReLU")), "the limit is 4,194,304"),
    "half a character": (lambda: model(LayerSpec("\ud800", "ReLU")), "half a character"),
}


def deep(depth: int) -> LayerSpec:
    return LayerSpec("block", "Sequential", layers=(deep(depth - 1),) if depth > 1 else ())


@pytest.mark.parametrize(("make", "words"), CANNOT_WRITE.values(), ids=CANNOT_WRITE)
def test_what_no_spec_can_describe_is_not_written(make: Callable[[], ModelSpec], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        spec_to_json(make())
