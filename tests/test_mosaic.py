"""Feature maps as half blocks: every pixel is where it was, and as many maps are in sight as were meant to be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqtui.engine.requests import Images
from seqtui.tui.mosaic import AT_ONCE, SMALLEST, Grid, Tone, grid_for, mosaic


def images(height: int, width: int, *maps: bytes, first: int = 0) -> Images:
    return Images("conv1", len(maps), first, (height, width), height, width, 0.0, 1.0, maps)


def pixels(lines: list[list[Tone]]) -> Iterator[list[int | None]]:
    """The lines of pixels that lines of half blocks show; between two maps stands None."""
    for line in lines:
        yield [tone.upper for tone in line for _ in tone.text]
        yield [tone.lower for tone in line for _ in tone.text]


def test_pixels_stand_where_they_were_two_lines_in_one() -> None:
    grid = Grid(height=3, width=2, zoom=1, columns=2, rows=1)
    lines = mosaic(images(3, 2, bytes([0, 255, 255, 0, 0, 0]), bytes(6), first=4), grid)
    assert lines[0] == [Tone("4  5  ")]
    assert list(pixels(lines[1:])) == [
        [0, 255, None, 0, 0, None],
        [255, 0, None, 0, 0, None],
        [0, 0, None, 0, 0, None],
        [None, None, None, None, None, None],
    ]


def test_a_pixel_is_drawn_as_large_as_the_zoom() -> None:
    grid = Grid(height=1, width=2, zoom=2, columns=1, rows=1)
    assert list(pixels(mosaic(images(1, 2, bytes([0, 255])), grid)[1:])) == [[0, 0, 255, 255, None]] * 2


def test_neighbours_of_one_grey_are_one_piece() -> None:
    grid = Grid(height=2, width=8, zoom=1, columns=1, rows=1)
    assert mosaic(images(2, 8, bytes(16)), grid)[1] == [Tone("▀" * 8, 0, 0), Tone(" ")]


def test_only_what_fits_is_drawn() -> None:
    grid = Grid(height=2, width=2, zoom=1, columns=2, rows=2)
    lines = mosaic(images(2, 2, *[bytes(4)] * 9), grid)
    assert len(lines) == 4
    assert lines[2] == [Tone("2  3  ")]


@pytest.mark.parametrize(
    ("channels", "shape", "columns", "lines", "wanted"),
    [
        (6, (28, 28), 200, 60, Grid(28, 28, 2, 3, 2)),  # all of them, each pixel twice as large
        (1, (5, 5), 78, 16, Grid(5, 5, 4, 1, 1)),
        (16, (5, 5), 78, 16, Grid(5, 5, 1, 8, 2)),
        (6, (10, 10), 60, 16, Grid(10, 10, 1, 3, 2)),  # not five and one
        (64, (112, 112), 78, 16, Grid(14, 14, 1, 5, 2)),
        (1, (512, 512), 78, 16, Grid(30, 30, 1, 1, 1)),
        (8, (1, 50), 60, 16, Grid(1, 50, 1, 1, 8)),
        (4, (100, 10), 20, 3, Grid(4, 1, 1, 10, 1)),
    ],
)
def test_maps_are_as_large_as_the_screen_allows(
    channels: int, shape: tuple[int, int], columns: int, lines: int, wanted: Grid
) -> None:
    assert grid_for(channels, shape, columns, lines) == wanted


@given(
    st.integers(1, 600),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.integers(10, 200),
    st.integers(3, 60),
)
def test_the_grid_stays_on_the_screen(channels: int, shape: tuple[int, int], columns: int, lines: int) -> None:
    grid = grid_for(channels, shape, columns, lines)
    assert grid.num_maps >= 1
    assert grid.height <= shape[0]
    assert grid.width <= shape[1]
    assert grid.columns * (grid.width * grid.zoom + 1) - 1 <= columns
    assert grid.rows * (-(-grid.height * grid.zoom // 2) + 1) <= lines
    if grid.num_maps < min(channels, AT_ONCE):
        assert max(grid.height, grid.width) <= max(SMALLEST, 1)
