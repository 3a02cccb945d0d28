"""Several layers copied, moved and stepped at once, with their names and numbers; where the cursor goes then."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import pytest
from edited import checkpoint, done, model_of, named, nested, numbered, paths, sources
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seqtui.errors import EditError
from seqtui.model.edit import Edit, NothingToDoError
from seqtui.model.edits import Batch, parse_edits
from seqtui.model.language import Place
from seqtui.model.problems import concrete
from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.structure_edits import spot_at
from seqtui.model.tree import layer_at, outermost
from seqtui.rows import model_row, rows_below
from seqtui.tui.commands import COMMANDS, Selection, Yanked, put_by
from seqtui.tui.pasting import copies, moves


def at(model: ModelSpec, path: str, *marks: str, yanked: Yanked | None = None, is_open: bool = False) -> Selection:
    rows = [model_row(model), *rows_below(model_row(model), lambda _: True)]
    return Selection(model, next(row for row in rows if row.path == path), marks, yanked or Yanked(), is_open)


def after(name: str, chosen: Selection) -> ModelSpec:
    """The model after an action, whose edits say the same when they are read back."""
    edit: Edit = concrete(COMMANDS[name](chosen), chosen.model)
    model = edit.apply(chosen.model)
    assert Batch(tuple(parse_edits(str(edit).split("\n")))).apply(chosen.model) == model
    return model


def weights(model: ModelSpec) -> list[str]:
    """Where the weight of each layer that has one lay in the file, in the order of the layers."""
    return [source.removesuffix(".weight") for source in sources(model).values() if source.endswith(".weight")]


def kinds(model: ModelSpec) -> str:
    """`Linear ReLU`"""
    return " ".join(layer.kind or "" for _, layer in model.walk())


@pytest.mark.parametrize(
    ("action", "here", "yanked", "is_cut", "order", "cursor"),
    [
        ("paste", "4", ("0", "1"), False, "Linear ReLU Linear Tanh Linear Linear ReLU", "5"),
        ("paste", "0", ("2", "3"), False, "Linear Linear Tanh ReLU Linear Tanh Linear", "1"),
        ("paste.before", "0", ("2", "3"), False, "Linear Tanh Linear ReLU Linear Tanh Linear", "0"),
        ("paste.before", "4", ("1", "3"), False, "Linear ReLU Linear Tanh ReLU Tanh Linear", "4"),
        ("paste", "1", ("0", "1"), False, "Linear ReLU Linear ReLU Linear Tanh Linear", "2"),
        ("paste", "3", ("0", "1"), True, "Linear Tanh Linear ReLU Linear", "2"),
        ("paste", "0", ("3", "4"), True, "Linear Tanh Linear ReLU Linear", "1"),
        ("paste.before", "0", ("3", "4"), True, "Tanh Linear Linear ReLU Linear", "0"),
        ("paste.before", "2", ("0", "3"), True, "ReLU Linear Tanh Linear Linear", "1"),
        ("paste.before", "1", ("3",), True, "Linear Tanh ReLU Linear Linear", "1"),
    ],
)
def test_several_numbered_layers_are_pasted_in_their_order(
    action: str, here: str, yanked: tuple[str, ...], is_cut: bool, order: str, cursor: str
) -> None:
    chosen = at(numbered(), here, yanked=Yanked(yanked, is_cut))
    model = after(action, chosen)
    assert kinds(model) == order
    assert paths(model) == [str(number) for number in range(len(model.layers))]
    assert put_by(action, chosen, model) == cursor


def test_weights_go_with_several_numbered_layers() -> None:
    assert weights(after("paste", at(numbered(), "4", yanked=Yanked(("0", "2"), is_cut=True)))) == ["4", "0", "2"]
    assert weights(after("paste", at(numbered(), "4", yanked=Yanked(("0", "2"))))) == ["0", "2", "4", "0", "2"]


def two_blocks() -> ModelSpec:
    encoder = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 4), act=nn.ReLU(), fc2=nn.Linear(4, 4)))
    decoder = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 4)))
    plain = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    return model_of(nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder, plain=plain)))


def test_a_cut_layer_gets_a_free_name_where_its_own_is_taken() -> None:
    chosen = at(two_blocks(), "decoder.fc1", yanked=Yanked(("encoder.fc1", "encoder.fc2"), is_cut=True))
    model = after("paste", chosen)
    assert paths(model)[:6] == ["encoder", "encoder.act", "decoder", "decoder.fc1", "decoder.fc3", "decoder.fc2"]
    assert weights(model) == ["decoder.fc1", "encoder.fc1", "encoder.fc2", "plain.0"]
    assert put_by("paste", chosen, model) == "decoder.fc3"


def test_a_cut_layer_with_a_name_is_numbered_among_numbered_ones() -> None:
    model = after("paste", at(two_blocks(), "plain.0", yanked=Yanked(("encoder.fc1",), is_cut=True)))
    assert [path for path in paths(model) if path.startswith("plain")] == ["plain", "plain.0", "plain.1", "plain.2"]
    assert weights(model)[-2:] == ["plain.0", "encoder.fc1"]


@pytest.mark.parametrize("is_cut", [False, True], ids=["copied", "moved"])
@pytest.mark.parametrize(
    ("action", "here", "order", "cursor"),
    [
        ("paste", "decoder", "decoder decoder.fc1 decoder.fc2 decoder.act plain plain.0", "decoder.fc2"),
        ("paste", "", "decoder decoder.fc1 plain plain.0 plain.1 fc2 act", "fc2"),
        ("paste.before", "", "fc2 act encoder encoder.fc1", "fc2"),
    ],
)
def test_what_is_open_takes_what_is_pasted_as_it_takes_what_is_added(
    action: str, here: str, is_cut: bool, order: str, cursor: str
) -> None:
    chosen = at(two_blocks(), here, yanked=Yanked(("encoder.fc2", "encoder.act"), is_cut), is_open=True)
    model = after(action, chosen)
    assert order in " ".join(paths(model))
    assert put_by(action, chosen, model) == cursor


def test_an_empty_sequential_takes_what_is_pasted() -> None:
    model = done(two_blocks(), "insert empty Sequential last", "copy empty other")
    copied = after("paste", at(model, "empty", yanked=Yanked(("encoder.fc1", "encoder.fc2", "plain.0"))))
    assert paths(copied)[-4:] == ["empty.fc1", "empty.fc2", "empty.0", "other"]
    assert weights(copied)[-3:] == ["encoder.fc1", "encoder.fc2", "plain.0"]
    moved = after("paste", at(model, "empty", yanked=Yanked(("encoder.fc1", "decoder.fc1"), is_cut=True)))
    assert paths(moved)[-3:] == ["empty.fc1", "empty.fc2", "other"]
    within = at(done(model, "move other last in empty"), "empty.other", yanked=Yanked(("empty",), is_cut=True))
    with pytest.raises(EditError, match="empty cannot be moved into itself"):
        after("paste", within)


@pytest.mark.parametrize("is_cut", [False, True], ids=["copied", "moved"])
@pytest.mark.parametrize(
    ("action", "here", "order"),
    [
        ("paste", "decoder", "decoder.fc1 decoder.0 decoder.1"),
        ("paste.before", "decoder.fc1", "decoder.0 decoder.1 decoder.fc1"),
        ("paste", "", "plain 0 1"),
        ("paste", "empty", "empty.0 empty.1"),
    ],
)
def test_numbered_layers_go_among_named_ones(action: str, here: str, order: str, is_cut: bool) -> None:
    model = done(two_blocks(), "insert empty Sequential first")
    changed = after(action, at(model, here, yanked=Yanked(("plain.0", "plain.1"), is_cut), is_open=True))
    assert order in " ".join(path for path in paths(changed) if not path.startswith("plain."))


def test_a_block_is_pasted_beside_itself_though_it_is_open() -> None:
    copied = after("paste", at(two_blocks(), "decoder", yanked=Yanked(("decoder",)), is_open=True))
    assert [layer.name for layer in copied.layers] == ["encoder", "decoder", "decoder2", "plain"]
    both = Yanked(("encoder", "decoder"), is_cut=True)
    moved = after("paste", at(two_blocks(), "encoder", yanked=both, is_open=True))
    assert [layer.name for layer in moved.layers] == ["encoder", "decoder", "plain"]


# Against lists


@dataclass
class Node:
    """A layer as it is found again: by its mark, and by the nodes in it."""

    mark: object
    inside: list[Node]


def block(name: str, *layers: LayerSpec) -> LayerSpec:
    return LayerSpec(name, "Sequential", layers=layers)


def leaf(name: str, mark: int, is_called: bool = True) -> LayerSpec:
    return LayerSpec(name, "Dropout", {"p": mark}, is_called=is_called)


BLOCKS = ModelSpec(
    block(
        "",
        block("encoder", leaf("fc1", 1), leaf("act", 2), leaf("fc2", 3), block("empty")),
        block("decoder", leaf("fc1", 4), leaf("fc2", 5), leaf("stray", 6, is_called=False)),
        block("plain", leaf("0", 7), block("1", leaf("0", 8), leaf("1", 9)), leaf("2", 10)),
        block("gaps", leaf("0", 12), leaf("2", 13), leaf("5", 14)),
        leaf("head1", 11),
    )
)


def nodes(layer: LayerSpec) -> Node:
    return Node(layer.args.get("p"), [nodes(child) for child in layer.layers])


def by_lists(model: ModelSpec, moved: Sequence[str], target: Place, is_cut: bool) -> Node:
    """The same as `moves` and `copies`, of plain lists."""
    root = nodes(model.root)

    def find(path: str) -> Node:
        parent, _, name = path.rpartition(".")
        names = [layer.name for layer in layer_at(model, parent).layers]
        return find(parent).inside[names.index(name)] if path else root

    parent, place = spot_at(model, target)
    goal, mark = find(parent), Node("here", [])
    chosen = [find(path) for path in moved if not is_cut or path != target.path]
    holders = [find(path.rpartition(".")[0]) for path in moved]
    coming = chosen if is_cut else deepcopy(chosen)
    goal.inside.insert(place, mark)
    for holder in holders if is_cut else []:
        holder.inside = [node for node in holder.inside if not any(node is other for other in chosen)]
    at = next(at for at, node in enumerate(goal.inside) if node is mark)
    goal.inside[at : at + 1] = coming
    return root


PATHS = [path for path, _ in BLOCKS.walk()]
EDGES = [
    Place(where, path) for where in ("first", "last") for path in ("", "encoder.empty", "decoder", "plain", "gaps")
]
PLACES = [*EDGES, *(Place(where, path) for where in ("before", "after") for path in PATHS)]


@given(
    st.sets(st.sampled_from([path for path in PATHS if path != "decoder.stray"]), min_size=1, max_size=5),
    st.sampled_from(PLACES),
    st.booleans(),
)
def test_whatever_is_put_anywhere_stands_there_in_its_order(chosen: set[str], target: Place, is_cut: bool) -> None:
    moved = outermost([path for path in PATHS if path in chosen])
    goal = spot_at(BLOCKS, target).parent
    try:
        edits = (moves if is_cut else copies)(BLOCKS, moved, target)
        changed = Batch(tuple(edits)).apply(BLOCKS)
    except EditError as error:
        into_itself = any(f"{goal}.".startswith(f"{path}.") for path in moved)
        is_behind_others = is_cut or len(moved) > 1
        is_taken = any(path.startswith("plain.") for path in moved) and re.search(
            r"gaps\.[0-9] already$", error.message
        )
        assert (  # noqa: PT017
            (into_itself and is_behind_others and "into itself" in error.message)
            or (is_cut and moved == [target.path])
            or (is_cut and is_taken)
        ), error.message
        return
    assert nodes(changed.root) == by_lists(BLOCKS, moved, target, is_cut)


@pytest.mark.parametrize(
    ("action", "marks", "order"),
    [
        ("move.down", ("0", "1"), "Linear Linear ReLU Tanh Linear"),
        ("move.up", ("3", "4"), "Linear ReLU Tanh Linear Linear"),
        ("move.down", ("1", "3"), "Linear Linear ReLU Linear Tanh"),
        ("move.up", ("1", "3"), "ReLU Linear Tanh Linear Linear"),
    ],
)
def test_marked_neighbours_move_as_one(action: str, marks: tuple[str, ...], order: str) -> None:
    assert kinds(after(action, at(numbered(), "4", *marks))) == order


def test_a_block_moves_in_each_sequential_of_its_own() -> None:
    model = after("move.down", at(nested(), "stem", "stem", "body.fc1", "body.act"))
    assert paths(model)[:2] == ["body", "body.inner"]
    assert paths(model)[4:] == ["body.fc1", "body.act", "stem", "head"]


def test_a_block_at_the_end_says_which_layer_is_there() -> None:
    with pytest.raises(EditError, match="fc2 is the last already"):
        COMMANDS["move.down"](at(named(), "fc2", "drop2", "fc2"))
    with pytest.raises(EditError, match="0 is the first already"):
        COMMANDS["move.up"](at(numbered(), "0", "0", "1"))


def test_all_marked_layers_are_copied_below_the_last() -> None:
    chosen = at(named(), "conv1", "conv1", "bn1", "relu1")
    model = after("copy", chosen)
    assert paths(model)[:6] == ["conv1", "bn1", "relu1", "conv2", "bn2", "relu2"]
    assert put_by("copy", chosen, model) == "conv2"
    assert kinds(after("copy", at(numbered(), "0", "0", "1"))) == "Linear ReLU Linear ReLU Linear Tanh Linear"


# Edits that change nothing


@pytest.mark.parametrize(
    "line",
    [
        "enable conv1",
        "move bn1 after conv1",
        "set conv1 out_channels=4",
        "meta a b",
        "rename fc1 fc1",
        "cast fc1 float32",
        "freeze conv1 bn1",
        "unfreeze fc1",
    ],
)
def test_what_would_change_nothing_is_done_by_doing_nothing(line: str) -> None:
    model = replace(done(named(), "freeze conv1 bn1"), metadata={"a": "b"})
    with pytest.raises(NothingToDoError, match=f"{line} would change nothing"):
        concrete(Batch(tuple(parse_edits([line]))), model)
    both = concrete(Batch(tuple(parse_edits([line, "remove fc1"]))), model)
    assert str(both) == "remove fc1"


# Words


def test_d_on_a_tensor_of_a_plain_checkpoint_drops_it() -> None:
    model = checkpoint({"a.fc.weight": (4, 3), "a.fc.bias": (4,)})
    assert str(COMMANDS["remove"](at(model, "a.fc.bias"))) == "drop a.fc.bias"
    with pytest.raises(EditError, match=r"a\.fc cannot be removed") as caught:
        COMMANDS["remove"](at(model, "a.fc"))
    assert caught.value.hint == "d on a tensor drops that, :drop a.fc all in it."


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("set fc1 out_feature=3", "Did you mean out_features?"),
        ("set fc1 dtype=float16", "cast changes the type of weights; @ and --device choose where a model runs."),
        ("insert x Hardtanh min_value=0 first", "Did you mean min_val?"),
        ("insert x dropout first", "Did you mean Dropout?"),
        ("insert x nn.Dropout first", "Did you mean Dropout?"),
        ("replace fc1 torch.nn.linear", "Did you mean Linear?"),
        ("insert x Zzyzx first", ""),
    ],
)
def test_what_is_nearly_right_is_recognised(line: str, hint: str) -> None:
    with pytest.raises(EditError) as caught:
        done(named(), line)
    assert caught.value.hint == hint
