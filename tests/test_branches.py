"""The rows of the layer table that are open."""

from __future__ import annotations

import gc
import random

import pytest

from seqtui.model.spec import LayerSpec, ModelSpec
from seqtui.model.tensors import TensorInfo
from seqtui.tui.branches import AT_ONCE, EASY, Branches
from seqtui.tui.search import Index, Place


def leaf(name: str) -> LayerSpec:
    return LayerSpec(name, "Linear", tensors=(TensorInfo("weight", "F32", (2, 2), 16),))


def block(name: str, *layers: LayerSpec) -> LayerSpec:
    return LayerSpec(name, "Sequential", layers=layers)


MODEL = ModelSpec(
    LayerSpec(
        "",
        "Sequential",
        tensors=(TensorInfo("scale", "F32", (), 4),),
        layers=(leaf("a"), block("b", leaf("a"), block("c", leaf("a"))), leaf("d")),
    )
)


def paths(branches: Branches) -> list[str]:
    return [row.path for row in branches.rows]


def test_containers_are_open_at_first_and_layers_closed() -> None:
    assert paths(Branches(MODEL)) == ["", "scale", "a", "b", "b.a", "b.c", "b.c.a", "d"]


def test_a_branch_opens_and_closes_in_place() -> None:
    branches = Branches(MODEL)
    branches.close(3)
    assert paths(branches) == ["", "scale", "a", "b", "d"]
    branches.open(3)
    assert paths(branches) == ["", "scale", "a", "b", "b.a", "b.c", "b.c.a", "d"]
    branches.open(2)
    assert paths(branches)[2:4] == ["a", "a.weight"]


def test_what_was_open_inside_is_open_again() -> None:
    branches = Branches(MODEL)
    branches.open(4)
    branches.close(0)
    assert paths(branches) == [""]
    branches.open(0)
    assert "b.a.weight" in paths(branches)


def test_the_parent_and_the_end_of_a_branch() -> None:
    branches = Branches(MODEL)
    assert [branches.parent(index) for index in range(len(branches.rows))] == [0, 0, 0, 0, 3, 3, 5, 0]
    assert branches.end(3) == 7
    assert branches.end(0) == len(branches.rows)


def test_everything_at_once() -> None:
    branches = Branches(MODEL)
    branches.set_all(is_open=True)
    assert paths(branches) == [
        "", "scale", "a", "a.weight", "b", "b.a", "b.a.weight", "b.c", "b.c.a", "b.c.a.weight", "d", "d.weight",
    ]  # fmt: skip
    branches.set_all(is_open=False)
    assert paths(branches) == ["", "scale", "a", "b", "d"]


def test_after_everything_every_branch_closes_and_opens_whole() -> None:
    branches = Branches(MODEL)
    branches.close(3)
    branches.set_all(is_open=True)
    whole = paths(branches)
    for index in range(len(whole)):
        branches.close(index)
        assert (len(branches.rows) < len(whole)) == branches.rows[index].can_open
        branches.open(index)
        assert paths(branches) == whole


@pytest.mark.parametrize("closed", [[], [3], [5, 2], [0]])
def test_another_state_is_opened_alike(closed: list[int]) -> None:
    other = Branches(MODEL)
    other.set_all(is_open=True)
    for index in closed:
        other.close(index)
    branches = Branches(MODEL, other)
    assert paths(branches) == paths(other)
    branches.open(0)
    assert branches.is_open(branches.root)


@pytest.mark.parametrize("is_enabled", [True, False])
def test_many_rows_are_no_work_for_the_garbage_collector(is_enabled: bool) -> None:
    many = ModelSpec(block("", *(leaf(str(index)) for index in range(EASY))))
    (gc.enable if is_enabled else gc.disable)()
    try:
        frozen, branches = gc.get_freeze_count(), Branches(many)
        branches.set_all(is_open=True)
        assert gc.get_freeze_count() - frozen > len(branches.rows) == 1 + 2 * EASY
        assert gc.isenabled() == is_enabled
    finally:
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize("path", ["b.c.a.weight", "d.weight", "scale", "b.c", ""])
def test_reveal_opens_what_hides_a_path(path: str) -> None:
    branches = Branches(MODEL)
    branches.set_all(is_open=False)
    index = branches.reveal(path)
    assert index is not None
    assert branches.rows[index].path == path


def test_reveal_of_nothing() -> None:
    assert Branches(MODEL).reveal("b.nothing") is None


def test_a_name_that_is_leaf_and_branch_at_once() -> None:
    inner = LayerSpec("weight", None, tensors=(TensorInfo("absmax", "F32", (2,), 8),), origin="opaque")
    layer = LayerSpec("x", None, tensors=(TensorInfo("weight", "U8", (2,), 2),), layers=(inner,), origin="opaque")
    branches = Branches(ModelSpec(LayerSpec("", layers=(layer,), origin="opaque")))
    branches.set_all(is_open=True)
    assert paths(branches) == ["", "x", "x.weight", "x.weight", "x.weight.absmax"]
    index = branches.reveal("x.weight.absmax")
    assert index == 4


def test_search_goes_round_and_knows_kinds() -> None:
    index = Index(Branches(MODEL).all_rows())
    assert index.go_on(10)

    def find(needle: str, start: str, step: int, is_tensor: bool = False) -> str | None:
        found = index.find(needle, Place(start, is_tensor), step)
        return found.path if found else None

    assert find("C.A", "", 1) == "b.c.a"
    assert find("linear", "d", 1) == "a"
    assert find("weight", "a.weight", 1, is_tensor=True) == "b.a.weight"
    assert find("weight", "a.weight", -1, is_tensor=True) == "d.weight"
    assert find("weight", "", -1) == "d.weight"
    assert find("nothing", "", 1) is None
    assert find("", "", 1) is None
    assert find("scale", "scale", 1, is_tensor=True) == "scale"


def test_an_index_is_made_in_slices() -> None:
    many = ModelSpec(block("", *(leaf(str(index)) for index in range(3000))))
    index = Index(Branches(many).all_rows())
    assert not index.go_on(0)
    slices = 0
    while not index.go_on(0):
        slices += 1
    assert slices > 2
    assert index.find("2999.weight", Place("", is_tensor=False), 1) == Place("2999.weight", is_tensor=True)


def test_of_a_large_model_only_the_outer_levels_are_open() -> None:
    blocks = [block(str(index), *(leaf(str(inner)) for inner in range(10))) for index in range(AT_ONCE // 5)]
    branches = Branches(ModelSpec(block("", *blocks)))
    assert len(branches.rows) == 1 + AT_ONCE // 5
    many = ModelSpec(block("", *(leaf(str(index)) for index in range(2 * AT_ONCE))))
    assert len(Branches(many).rows) == 1 + 2 * AT_ONCE


@pytest.mark.parametrize("seed", range(10))
def test_opening_and_closing_at_random_keeps_rows_and_depths_together(seed: int) -> None:
    draw = random.Random(seed)
    branches = Branches(MODEL)
    for _ in range(60):
        index = draw.randrange(len(branches.rows))
        (branches.open if draw.random() < 0.6 else branches.close)(index)
        for row in range(len(branches.rows)):
            inside = branches.rows[row + 1 : branches.end(row)]
            assert all(each.depth > branches.rows[row].depth for each in inside)
        assert len(set(paths(branches))) == len(branches.rows)
