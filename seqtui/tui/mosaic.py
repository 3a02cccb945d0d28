"""Feature maps side by side, two pixels a cell: how large each is drawn, how many fit, and the lines that show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from seqtui.engine.requests import Images

AT_ONCE = 8
"""Maps that are to be in sight at once, before any is drawn larger."""
SMALLEST = 8
"""Pixels of the longer side below which a map is not shrunk to make room for others."""
LARGEST_ZOOM = 4
"""Cells that a pixel of a small map is drawn across at the most."""
GREYS = 24
"""Shades: as many as a terminal of 256 colours has, and few enough that neighbours often share one."""
UPPER = "▀"


class Grid(NamedTuple):
    """How maps are laid out."""

    height: int
    """Pixels of one map to ask for; the most that it is to have."""
    width: int
    zoom: int
    """Pixels of the screen that each of these takes, across and down."""
    columns: int
    rows: int

    @property
    def num_maps(self) -> int:
        """Maps in sight."""
        return self.columns * self.rows


class Tone(NamedTuple):
    """A stretch of a line in two greys, 0 to 255, one above the other; None is what stands behind."""

    text: str
    upper: int | None = None
    lower: int | None = None


def grid_for(channels: int, shape: tuple[int, int], columns: int, lines: int) -> Grid:
    """The largest maps of a shape of which AT_ONCE, or all where there are fewer, are in sight on so many cells.

    Where those would be smaller than SMALLEST fewer are in sight, one at the least.
    """
    wanted = min(channels, AT_ONCE)
    height, width = shape
    for zoom in range(LARGEST_ZOOM, 1, -1):
        grid = _grid(height, width, zoom, columns, lines)
        if grid.num_maps >= channels:
            return _even(grid, channels)
    longest = max(height, width)
    least = min(longest, SMALLEST)
    grid = _grid(height, width, 1, columns, lines)
    for side in range(longest, least - 1, -1):
        grid = _grid(_scaled(height, side, longest), _scaled(width, side, longest), 1, columns, lines)
        if grid.num_maps >= wanted:
            return _even(grid, channels)
    while not grid.num_maps and max(grid.height, grid.width) > 1:
        grid = _grid(max(grid.height // 2, 1), max(grid.width // 2, 1), 1, columns, lines)
    return grid._replace(columns=max(grid.columns, 1), rows=max(grid.rows, 1))


def _even(grid: Grid, channels: int) -> Grid:
    """Where all maps are in sight, as many in each row as in the others as far as that goes: six as 3 + 3."""
    if grid.num_maps < channels:
        return grid
    rows = -(-channels // grid.columns)
    return grid._replace(columns=-(-channels // rows), rows=rows)


def _scaled(size: int, side: int, longest: int) -> int:
    return max(round(size * side / longest), 1)


def _grid(height: int, width: int, zoom: int, columns: int, lines: int) -> Grid:
    """How many maps fit: a blank column between two, and a line with their numbers above each row."""
    return Grid(height, width, zoom, (columns + 1) // (width * zoom + 1), lines // (-(-height * zoom // 2) + 1))


def mosaic(images: Images, grid: Grid) -> list[list[Tone]]:
    """The lines of some maps, row by row."""
    lines: list[list[Tone]] = []
    shown = list(enumerate(images.pixels[: grid.num_maps], start=images.first))
    for start in range(0, len(shown), grid.columns):
        row = shown[start : start + grid.columns]
        width = images.width * grid.zoom
        lines.append([Tone("".join(f"{str(number)[:width]:<{width + 1}}" for number, _ in row))])
        lines += [_line(images, row, y, grid.zoom) for y in range(0, images.height * grid.zoom, 2)]
    return lines


def _line(images: Images, row: Sequence[tuple[int, bytes]], y: int, zoom: int) -> list[Tone]:
    """Two lines of pixels of some maps side by side."""
    return [tone for _, pixels in row for tone in (*_stretches(images, pixels, y, zoom), Tone(" "))]


def _stretches(images: Images, pixels: bytes, y: int, zoom: int) -> Iterator[Tone]:
    """Two lines of pixels of a map, y and the one below, neighbours of the same greys together."""
    upper = _greys(images, pixels, y // zoom)
    below = (y + 1) // zoom
    lower = _greys(images, pixels, below) if below < images.height else [None] * images.width
    tone = Tone("")
    for above, under in zip(upper, lower, strict=True):
        if tone.text and (above, under) != tone[1:]:
            yield tone
            tone = Tone("")
        tone = Tone(tone.text + UPPER * zoom, above, under)
    yield tone


def _greys(images: Images, pixels: bytes, y: int) -> list[int | None]:
    """A line of a map in GREYS shades."""
    row = pixels[y * images.width : (y + 1) * images.width]
    return [round(round(pixel * (GREYS - 1) / 255) * 255 / (GREYS - 1)) for pixel in row]
