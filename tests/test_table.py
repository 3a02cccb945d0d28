"""Columns of text, and numbers in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtui.safe_text import MAX_MARKS, safe_text
from seqtui.table import Column, columns_for, fit, layout
from seqtui.words import (
    a,
    bytes_words,
    cell_width,
    count_words,
    flow,
    merged,
    number_words,
    output_words,
    shape_words,
    sparkline,
)

TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co", "Cf", "Mn", "Me", "Zl", "Zp")), max_size=30)


@given(TEXTS, st.integers(0, 40), st.booleans())
def test_a_cell_is_as_wide_as_its_column(text: str, width: int, right: bool) -> None:
    fitted = fit(text, width, right)
    assert cell_width(fitted) == width
    if cell_width(text) <= width:
        assert fitted.strip() == text.strip()
    elif width:
        assert fitted.rstrip(" ").endswith("…")


@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=5), st.integers(1, 120))
def test_a_line_is_never_wider_than_it_may_be(rows: list[tuple[str, str, str]], width: int) -> None:
    columns = (Column("a", "Name", least=4), Column("b", "Kind", least=4), Column("c", "More", least=3))
    table = layout(columns, rows, width)
    lines = ["".join(table.line(row)) for row in rows]
    assert len({cell_width(line) for line in lines}) == 1
    assert cell_width(lines[0]) <= max(width, len(columns) + 2 * 2)


def test_without_a_limit_nothing_is_cut() -> None:
    columns = (Column("a", "A"), Column("b", "B"))
    table = layout(columns, [("x" * 200, "y")], None)
    assert table.line(["x" * 200, "y"]) == ["x" * 200 + "  ", "y"]


def test_numbers_stand_right_and_are_never_cut() -> None:
    columns = (Column("a", "Name", least=2), Column("b", "Params", is_number=True))
    table = layout(columns, [("a long name indeed", "1,234,567")], 16)
    assert table.line(["a long name indeed", "12"])[1] == "       12"


@pytest.mark.parametrize(("width", "shown"), [(200, 6), (80, 4), (45, 3), (30, 2), (1, 1)])
def test_a_narrow_table_shows_fewer_columns(width: int, shown: int) -> None:
    assert len(columns_for(width)) == shown


def test_wide_and_marked_characters_take_their_cells() -> None:
    assert cell_width("卷积") == 4
    assert cell_width("é") == 1
    assert fit("卷积层", 4) == "卷… "


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (246_824, "247 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1.5e9, "1.5 GB"),
        (999 * 10**18, "999 EB"),
        (10**21, "over 999 EB"),
        (10**4000, "over 999 EB"),
    ],
)
def test_bytes(size: int, words: str) -> None:
    assert bytes_words(int(size)) == words


def test_counts_and_shapes() -> None:
    assert count_words(61706) == "61,706"
    assert count_words(0) == count_words(None) == "·"
    assert shape_words((1, 16, 30, 30)) == "1×16×30×30"
    assert shape_words(()) == "scalar"
    assert output_words(((5, 8), (1, 8))) == "5×8 +1"
    assert output_words(None) == "unknown"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (-0.12345, "-0.123"),
        (3.0, "3"),
        (1e-7, "1e-07"),
        (123456.0, "123456"),
        (None, "·"),
        (2.5e12, "2.5e+12"),
    ],
)
def test_statistics_in_few_digits(value: float | None, words: str) -> None:
    assert number_words(value) == words
    assert len(number_words(value)) <= 9


def test_a_sparkline_leaves_no_bin_blank_that_holds_anything() -> None:
    assert sparkline([0, 1, 1000, 500], 4) == " ▁█▄"
    assert sparkline([], 4) == sparkline([0, 0], 2) == ""
    assert merged([1, 2, 3, 4], 2) == [3, 7]


@given(
    st.lists(st.text("ab 漢", min_size=1, max_size=9), max_size=9),
    st.none() | st.integers(1, 30),
    st.sampled_from(["   ", " · "]),
)
def test_facts_flow_over_as_many_lines_as_they_need(facts: list[str], width: int | None, gap: str) -> None:
    lines = flow(facts, width, gap)
    assert gap.join(lines) == gap.join(facts)
    if width is None:
        assert len(lines) == 1
    else:
        assert all(cell_width(line) <= max(width, 18) for line in lines)


@given(st.text())
def test_safe_text_holds_nothing_that_a_terminal_obeys(text: str) -> None:
    safe = safe_text(text)
    assert all(character.isprintable() for character in safe)
    assert len(safe) <= 513 * 8


def test_safe_text_shows_what_it_took_away() -> None:
    assert safe_text("conv1") == "conv1"
    assert safe_text("\x1b[31mred\x7f") == "␛[31mred␡"
    assert safe_text("a\u202eb") == "a<202E>b"
    assert safe_text("x" * 600) == "x" * 512 + "…"
    assert safe_text("e" + "\u0301" * 50) == "e" + "\u0301" * MAX_MARKS


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("Conv2d", "a Conv2d"),
        ("Embedding", "an Embedding"),
        ("LSTM", "an LSTM"),
        ("ReLU", "a ReLU"),
        ("RReLU", "an RReLU"),
        ("SELU", "a SELU"),
        ("LayerNorm", "a LayerNorm"),
        ("NLLLoss", "an NLLLoss"),
        (None, "a layer of no known kind"),
    ],
)
def test_a_kind_is_called_as_it_is_spoken(kind: str | None, words: str) -> None:
    assert a(kind) == words
