"""The edits between a model and its changed code: what they are, and that they give what the code says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
from edited import done, model_of, named, nested, numbered, sources, tied
from hypothesis import given, settings
from hypothesis import strategies as st
from test_edit_properties import NETWORKS, drawn
from torch import nn

from seqtui.errors import EditError
from seqtui.formats.source_code import source_code
from seqtui.formats.source_reader import read_source
from seqtui.model.edit import Batch
from seqtui.model.edits import parse_edit
from seqtui.model.literals import value_text
from seqtui.model.rewriting import edits_between
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import NewTensor, TensorRef
from seqtui.model.ties import tie_groups
from seqtui.model.tree import is_numbered

WORDS = ["disable {}", "freeze {}", "unfreeze {}", "replace {} Tanh", "replace {} Dropout p=0.25", "cast ** float16"]


def rewritten(before: ModelSpec, *changes: tuple[str, str]) -> list[str]:
    """The edits after some text of the code was replaced by another; what they give has that code."""
    code = source_code(before)
    for old, new in changes:
        assert old in code, code
        code = code.replace(old, new)
    edits = edits_between(before, read_source(code))
    assert source_code(Batch(tuple(edits)).apply(before)) == source_code(read_source(code))
    return [str(edit) for edit in edits]


def test_nothing_changed_is_no_edit() -> None:
    for model in (
        named(),
        numbered(),
        nested(),
        tied(),
        done(named(), "freeze conv1", "disable drop1", "input 1,3,8,8", "cast ** float16"),
    ):
        assert rewritten(model) == []


@pytest.mark.parametrize(
    ("before", "old", "new", "edits"),
    [
        (named(), '    ("relu1", nn.ReLU()),\n', "", ["remove relu1"]),
        (named(), '"relu1"', '"act"', ["rename relu1 act"]),
        (named(), "Linear(36, 8)", "Linear(36, 9)", ["set fc1 out_features=9"]),
        (named(), "Linear(8, 2, bias=False)", "Linear(8, 2)", ["set fc2 bias=True"]),
        (named(), '("relu1", nn.ReLU())', '("relu1", nn.GELU("tanh"))', ['replace relu1 GELU approximate="tanh"']),
        (
            named(),
            '    ("flat",',
            '    ("pool", nn.MaxPool2d(2)),\n    ("flat",',
            ["insert pool MaxPool2d kernel_size=2 after drop1"],
        ),
        (numbered(), "    nn.ReLU(),\n", "", ["remove 1"]),
        (
            numbered(),
            "    nn.ReLU(),\n",
            "    nn.ReLU(),\n    nn.Dropout(0.5),\n",
            ["insert _ Dropout p=0.5 after 1"],
        ),
        (numbered(), "nn.Tanh()", "nn.ELU()", ["replace 3 ELU"]),
        (numbered(), "Linear(4, 2)", "Linear(4, 3)", ["set 4 out_features=3"]),
        (
            numbered(),
            "    nn.Tanh(),\n    nn.Linear(4, 2),",
            "    nn.Linear(4, 2),\n    nn.Tanh(),",
            ["move 4 after 2"],
        ),
        (named(), '("drop1", nn.Dropout()),', '("drop1", nn.Identity()),  # off: nn.Dropout()', ["disable drop1"]),
        (
            named(),
            "]))\n",
            ']))\nnet.fc1.weight.requires_grad_(False)\nnet.get_submodule("fc1").bias.requires_grad_(False)\n',
            ["freeze fc1.bias fc1.weight"],
        ),
        (named(), "net = ", "input_shape = (1, 3, 8, 8)\nnet = ", ["input 1,3,8,8 float32 input"]),
        (named(), "]))\n", "])).to(torch.float16)\n", None),
    ],
)
def test_what_a_person_does_to_the_text_is_done_to_the_model(
    before: ModelSpec, old: str, new: str, edits: list[str] | None
) -> None:
    found = rewritten(before, (old, new))
    if edits is not None:
        assert found == edits


def test_layers_wrapped_in_a_sequential_keep_their_weights() -> None:
    before = named()
    code = source_code(before).replace('    ("conv1"', '    ("stem", nn.Sequential(OrderedDict([\n    ("conv1"')
    code = code.replace('    ("relu1", nn.ReLU()),\n', '    ("relu1", nn.ReLU()),\n    ]))),\n')
    after = Batch(tuple(edits_between(before, read_source(code)))).apply(before)
    kept = sources(after)
    assert kept["stem.conv1.weight"] == "conv1.weight"
    assert kept["stem.bn1.running_mean"] == "bn1.running_mean"
    assert len(kept) == len(sources(before))
    back = Batch(tuple(edits_between(after, read_source(source_code(before))))).apply(after)
    assert sources(back) == sources(before)


def test_names_that_change_places() -> None:
    before = named()
    found = rewritten(before, ("relu1", "x"), ("drop1", "relu1"), ('"x"', '"drop1"'))
    kept = sources(done(before, *found))
    assert kept == sources(before)


def test_names_given_to_numbered_layers_keep_the_weights() -> None:
    before = numbered()
    code = "net = nn.Sequential(OrderedDict(a=nn.Linear(4, 4), b=nn.ReLU(), c=nn.Linear(4, 4), d=nn.Tanh(),"
    code += " e=nn.Linear(4, 2)))"
    after = Batch(tuple(edits_between(before, read_source(code)))).apply(before)
    assert [layer.name for layer in after.layers] == list("abcde")
    assert sources(after)["c.bias"] == "2.bias"
    back = Batch(tuple(edits_between(after, read_source(source_code(before))))).apply(after)
    assert sources(back) == sources(before)


def test_a_wider_layer_keeps_the_block_that_both_have() -> None:
    before = named()
    after = done(before, *rewritten(before, ("Linear(36, 8)", "Linear(36, 9)")))
    ref = after.layer("fc1").tensors[0].ref
    assert isinstance(ref, NewTensor)
    assert ref.kept == (8, 36)


def test_tensors_that_part() -> None:
    before = tied()
    ties = [line for line in source_code(before).splitlines() if ".weight = " in line]
    after = done(before, *rewritten(before, (f"{ties[0]}\n", "")))
    assert len(tie_groups(after)) == 2


@pytest.mark.parametrize(
    ("before", "old", "new", "sentence"),
    [
        (named(), "nn.Linear(36, 8)", "nn.Linear(36)", "fc1 needs out_features, as every Linear does"),
        (named(), '"relu1"', '"forward"', "a layer cannot be called 'forward'"),
        (done(named(), "input 1,3,8,8"), "input_shape = (1, 3, 8, 8)", "", "input_shape is gone"),
        (
            numbered(),
            ")\n",
            ')\nnet.get_submodule("2").weight = net.get_submodule("0").weight\n',
            "0.weight and 2.weight are to be one",
        ),
    ],
)
def test_what_no_edit_does_is_refused(before: ModelSpec, old: str, new: str, sentence: str) -> None:
    code = source_code(before)
    assert old in code
    head, _, tail = code.rpartition(old)
    with pytest.raises(EditError) as caught:
        edits_between(before, read_source(head + new + tail))
    assert sentence in caught.value.message


@settings(max_examples=200)
@given(st.sampled_from(NETWORKS), st.data())
def test_any_change_of_the_code_is_found_again(network: Callable[[], nn.Sequential], data: st.DataObject) -> None:
    torch.set_num_threads(1)
    before = after = model_of(network())
    for _ in range(data.draw(st.integers(1, 6))):
        edit, _ = drawn(data, after)
        paths = [path for path, _ in after.walk()]
        word, path = data.draw(st.sampled_from(WORDS)), data.draw(st.sampled_from(paths or ["none"]))
        for change in (edit, parse_edit(word.format(value_text(path)))):
            assert change is not None
            with contextlib.suppress(EditError):
                after = change.apply(after)
    code = source_code(after)
    try:
        edits = edits_between(before, read_source(code))
    except EditError:
        if not tie_groups(before):
            raise
        return  # which tensors are one may rest on which layer is which
    result = Batch(tuple(edits)).apply(before)
    assert source_code(result) == code
    assert edits_between(result, read_source(code)) == []
    if not is_numbered(before.layers) and not is_numbered(after.layers):
        old = {layer.name: layer for layer in before.layers}
        for layer in result.layers:
            if layer.name in old and (layer.kind, layer.args) == (old[layer.name].kind, old[layer.name].args):
                assert layer.kind == "Sequential" or kept_of(layer) == kept_of(old[layer.name])


def kept_of(layer: LayerSpec) -> list[tuple[str, TensorRef | None]]:
    """Name of each tensor, and what is kept of it."""
    refs = [(tensor.name, tensor.ref) for tensor in layer.tensors]
    return [(name, ref.keep if isinstance(ref, NewTensor) else ref) for name, ref in refs]
