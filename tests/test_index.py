"""The slice language, against numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices

from seqtui.errors import UsageError
from seqtui.weights.index import Index, Item, parse_items, selected_shape, split_name


def message_of(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return caught.value.message


@pytest.mark.parametrize(
    ("inside", "items"),
    [
        ("3, :, 1:4", (3, slice(None), slice(1, 4))),
        ("-1", (-1,)),
        ("+1", (1,)),
        ("...,::-2", (..., slice(None, None, -2))),
        (" 0 , -3 : -1 : 1 ", (0, slice(-3, -1, 1))),
        ("4,", (4,)),
    ],
)
def test_what_stands_between_the_brackets(inside: str, items: tuple[Item, ...]) -> None:
    assert parse_items(inside) == Index(items)
    assert split_name(f"w[{inside}]", {"w"}) == ("w", Index(items))


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("", "'' in [] is not an index"),
        ("x", "'x' in [x] is not an index"),
        ("1.5", "'1.5' in [1.5] is not an index"),
        ("1,,2", "'' in [1,,2] is not an index"),
        (",", "'' in [,] is not an index"),
        ("1:2:3:4", "'1:2:3:4' in [1:2:3:4] is not an index"),
        ("١", "'١' in [١] is not an index"),
        ("None", "'None' in [None] is not an index"),
        ("9" * 5000, f"'{'9' * 5000}' in [{'9' * 5000}] is not an index"),
        ("::0", "'::0' in [::0] has a step of 0"),
        ("..., ...", "[..., ...] has more than one ..."),
    ],
)
def test_what_is_no_index(inside: str, message: str) -> None:
    assert message_of(lambda: parse_items(inside)) == message


def test_a_name_that_exists_in_full_wins() -> None:
    names = {"w", "w[0]", "layers[relu].weight"}
    assert split_name("w[0]", names) == ("w[0]", None)
    assert split_name("w[1]", names) == ("w", Index((1,)))
    assert split_name("w[0][1]", names) == ("w[0]", Index((1,)))
    assert split_name("layers[relu].weight[0]", names) == ("layers[relu].weight", Index((0,)))
    assert split_name("conv[12].*[ab]", names) == ("conv[12].*[ab]", None)
    assert split_name("other[1]", names) == ("other[1]", None)
    assert split_name("w[3", names) == ("w[3", None)
    assert split_name("[3]", names) == ("[3]", None)
    assert message_of(lambda: split_name("w[a]", names)) == "'a' in [a] is not an index"


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("9", "index 9 is out of range for dimension 0 of conv1.weight, which has 6"),
        ("-7", "index -7 is out of range for dimension 0 of conv1.weight, which has 6"),
        ("0, 1", "index 1 is out of range for dimension 1 of conv1.weight, which has 1"),
        ("..., 5", "index 5 is out of range for dimension 3 of conv1.weight, which has 5"),
        ("0,0,0,0,0", "conv1.weight has 4 dimensions, 5 indices are given"),
    ],
)
def test_what_does_not_fit(inside: str, message: str) -> None:
    index = parse_items(inside)
    assert message_of(lambda: index.select((6, 1, 5, 5), "conv1.weight")) == message


def test_a_scalar_takes_no_index() -> None:
    assert message_of(lambda: parse_items("0").select((), "scale")) == "scale has 0 dimensions, 1 indices are given"
    assert parse_items("...").select((), "scale") == ()


SHAPES = array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@given(st.data())
def test_positions_are_numpys(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    drawn = data.draw(basic_indices(shape, allow_newaxis=False))
    items: tuple[Item, ...] = drawn if isinstance(drawn, tuple) else (drawn,)
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    selection = Index(items).select(shape, "w")
    expected = array[items]
    assert selected_shape(selection) == np.shape(expected)
    ranges = [[part] if isinstance(part, int) else list(part) for part in selection]
    np.testing.assert_array_equal(array[np.ix_(*ranges)].reshape(np.shape(expected)), expected)


@given(st.data())
def test_an_index_reads_back_to_itself(data: st.DataObject) -> None:
    shape = data.draw(array_shapes(min_dims=1, max_dims=4, max_side=5))
    drawn = data.draw(basic_indices(shape, min_dims=0, allow_newaxis=False))
    index = Index(drawn if isinstance(drawn, tuple) and drawn else (..., 0))
    assert split_name(f"a.b{index}", {"a.b"}) == ("a.b", index)
