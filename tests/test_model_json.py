"""A model as JSON: the very value comes back, whatever it holds, alone or beside another that it resembles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from edited import checkpoint, done, named, nested, numbered, opaque, tied
from torch import nn

from seqtui.engine.modules import spec_of
from seqtui.errors import FormatError
from seqtui.model.model_json import model_from_json, model_to_json, refs_of, with_refs
from seqtui.model.spec import Call, InputSpec, LayerSpec, LayerValue, ModelSpec
from seqtui.model.tensors import TensorRef

WHOLE = ModelSpec(
    LayerSpec(
        "",
        "Sequential",
        layers=(
            LayerSpec(
                "half \ud800 'quote\" \n",
                "TransformerEncoder",
                {
                    "encoder_layer": LayerValue("TransformerEncoderLayer", (("d_model", 8), ("nhead", 2))),
                    "num_layers": 6,
                },
                frozen=frozenset({"b", "a"}),
                enabled=False,
                is_called=False,
                uncarried=("a hook",),
                alternatives=("Linear", "Embedding"),
                lost="nobody knows them",
                buffers=frozenset(),
                unsized=frozenset({"weight"}),
            ),
            LayerSpec("1", None, {"p": float("inf"), "size": (3, (None, True)), "text": "é\0"}, origin="opaque"),
            LayerSpec("", None, tied={"weight": "x.weight"}),
        ),
    ),
    (InputSpec("x", (1, 3), "int64"), InputSpec("y", ())),
    (Call("1", ("x",), "z"),),
    {"format": "pt", "ключ": "\ud800"},
)
MODELS = {
    "whole": WHOLE,
    "named": named(),
    "numbered": numbered(),
    "nested": nested(),
    "tied": tied(),
    "opaque": opaque(),
    "checkpoint": checkpoint({"a.weight": (3, 4), "a.bias": (3,), "b.c.weight": (0,), "top": ()}),
    "edited": done(
        named(), "set fc1 out_features=5", "fill fc2 zeros seed=3", "cast bn1 float16", "insert x ReLU first"
    ),
    "live": spec_of(nn.Sequential(nn.Linear(3, 3), nn.LSTM(3, 4), nn.MultiheadAttention(4, 2))),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("other", ["", *MODELS])
def test_the_very_same_model_comes_back(name: str, other: str) -> None:
    known = MODELS[other] if other else ModelSpec(LayerSpec(""))
    text = model_to_json(MODELS[name], known)
    assert text.isascii()
    assert "\n" not in text
    assert model_from_json(text, known) == MODELS[name]


def test_what_the_other_has_in_the_same_place_is_not_written_again() -> None:
    model = nested()
    assert len(model_to_json(done(model, "freeze body.fc1"), model)) < len(model_to_json(model)) / 2
    assert len(model_to_json(model, model)) < 60


@pytest.mark.parametrize(
    "text",
    ["", "{", "3", "[]", "{}", '{"root":"gone","inputs":[],"calls":[],"metadata":{}}', "[" * 100_000]
    + [
        f'{{"root":{root},"inputs":{inputs},"calls":[],"metadata":{{}}}}'
        for root, inputs in (
            ('{"name":"","size":3}', "[]"),
            ("{}", "[]"),
            ("null", "[]"),
            ('{"name":"","tensors":[["a","F32"]]}', "[]"),
            ('{"name":"","tensors":[["a","F32",[],4,{"seed":1}]]}', "[]"),
            ('{"name":"","args":{"a":"print()"}}', "[]"),
            ('{"name":"","layers":[7]}', "[]"),
            ('{"name":""}', "[3]"),
        )
    ],
)
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="written in a way that this seqtui does not know"):
        model_from_json(text)


def test_references_are_found_and_replaced_wherever_they_are() -> None:
    model = done(named(), "set fc1 out_features=5", "cast bn1.weight float16", "remove conv1", "copy fc2 fc3")
    refs = set(refs_of(model))
    assert TensorRef("net", "fc1.weight") in refs  # of which a block is kept
    assert TensorRef("net", "conv1.weight") not in refs
    moved = with_refs(model, lambda ref: TensorRef("other", f"x.{ref.name}"))
    assert set(refs_of(moved)) == {TensorRef("other", f"x.{ref.name}") for ref in refs}
    assert with_refs(moved, lambda ref: TensorRef("net", ref.name[2:])) == model
    assert replace(moved, root=model.root) == model
