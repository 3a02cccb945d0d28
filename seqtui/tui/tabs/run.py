"""Tab 3: what a run gave, layer by layer, or the feature maps of the layer under the cursor."""

from __future__ import annotations

from typing import ClassVar

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from seqtui.engine.requests import LayerRun
from seqtui.model.tensors import Shape
from seqtui.rows import Row
from seqtui.tui.actions import bindings
from seqtui.tui.inked import InkedLines
from seqtui.tui.mosaic import Grid, Tone, grid_for, mosaic
from seqtui.tui.movement import FAR, Scrolling
from seqtui.tui.runs import NO_RUNS, RunLines, Runs, head_lines, maps_line, run_lines, without_maps
from seqtui.tui.toasts import warn
from seqtui.view import View


class RunTab(InkedLines, Scrolling, can_focus=True):
    """The lines of a run. Its head stands still; its cursor is the layer table's, which it asks to move."""

    LOOKS = "run-tab"
    DEFAULT_CSS = """
    RunTab { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    RunTab > .run-tab--header, RunTab > .run-tab--quiet { color: $foreground-muted; }
    RunTab > .run-tab--bold { text-style: bold; }
    RunTab > .run-tab--problem { color: $text-error; }
    RunTab > .run-tab--cursor { background: $surface-lighten-1; }
    RunTab:focus > .run-tab--cursor { background: $primary-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement", "run")]
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"run-tab--{name}" for name in ("header", "quiet", "bold", "problem", "cursor"))
    }

    runs: reactive[Runs] = reactive(NO_RUNS, repaint=False)
    has_maps: reactive[bool] = reactive(False, repaint=False)
    """Whether feature maps are shown instead of numbers."""

    class Highlighted(Message):
        """The cursor is to rest on another layer."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class MapsWanted(Message):
        """Some feature maps of a layer are to be asked for, in at most so many pixels each."""

        def __init__(self, path: str, grid: Grid, first: int) -> None:
            super().__init__()
            self.path = path
            self.grid = grid
            self.first = first

    def __init__(self) -> None:
        super().__init__()
        self._view: View | None = None
        self._told = ""
        """The layer that the table's cursor stands on, as far as is known."""
        self._asked: list[str] = []
        """The layers that it was asked to go to since, in that order: keys come faster than its answers."""
        self._lines = RunLines([])
        self._tones: list[list[Tone]] = []
        self._grid: Grid | None = None
        """Of the maps that were asked for last."""
        self._wanted: tuple[object, ...] = ()
        """Which maps those were."""
        self._first = 0

    # What is shown

    def look_at(self, view: View, row: Row) -> None:
        """Show the runs beside a model, with the cursor on a row's layer."""
        path = row.path.rpartition(".")[0] if row.tensor else row.path
        before, is_other_view = self._path, view is not self._view
        if path != self._told:  # what was asked for, or a move of the table's own
            self._asked = self._asked[self._asked.index(path) + 1 :] if path in self._asked else []
        self._view, self._told = view, path
        has_moved = self._path != before
        if is_other_view or (self.has_maps and not has_moved):
            self._write()
        if has_moved:
            self._follow()

    @property
    def _path(self) -> str:
        """The layer under the cursor, which runs ahead of the table's."""
        return self._asked[-1] if self._asked else self._told

    def _follow(self) -> None:
        """Show that the cursor stands on another layer."""
        self._first = 0
        if self.has_maps:
            self._write()
        else:
            self.refresh()
        self._scroll_to_cursor()

    def on_hide(self) -> None:
        self._asked = []  # what is out of sight is told no answers

    def watch_runs(self, old: Runs, new: Runs) -> None:
        if old.last is not new.last and without_maps(new, self._path):
            self.has_maps = False  # why there are none was said of the run before
        self._write()

    def watch_has_maps(self) -> None:
        self._write()
        self.scroll_to(y=0, animate=False)
        self._scroll_to_cursor()

    def on_resize(self) -> None:
        self._write()
        self.call_after_refresh(self._scroll_to_cursor)  # only then is it known how far there is to scroll

    def _write(self) -> None:
        """Make the lines anew: of another run, model, layer or width."""
        if self._view is None or not self.size.width:
            return
        width = self.size.width
        layer = self.runs.layer(self._path)
        if self.has_maps and layer is not None and layer.has_maps:
            head = head_lines(self.runs, self._view, width)
            self._lines = RunLines([*head, [], maps_line(self.runs, self._path, width)])
            self._draw_maps(layer)
        else:
            remark = without_maps(self.runs, self._path) if self.has_maps else ""
            self._lines, self._tones = run_lines(self.runs, self._view, width, remark), []
        self.hold(self._lines.num_still + max(len(self._lines.body), len(self._tones)))

    def _draw_maps(self, layer: LayerRun) -> None:
        """Draw the maps that are there if they are the ones in question, else ask for them."""
        images = self.runs.images
        self._tones = []
        channels, shape = maps_of(layer.output)
        if images is not None and images.path == self._path:
            channels, shape = images.num_channels, images.shape
        lines = self.size.height - self._lines.num_still
        grid = grid_for(channels, shape, self.size.width - 2, lines)
        wanted = (self.runs.last and self.runs.last.result, self._path, grid, self._first)
        if wanted != self._wanted and not self.runs.doing:
            self._grid, self._wanted = grid, wanted
            self.call_later(self._want_maps)  # what is sent in the name of whoever said `look_at` goes no further
        elif images is not None and (images.path, images.first) == (self._path, self._first):
            self._tones = mosaic(images, grid)

    def _want_maps(self) -> None:
        if self._grid is not None:
            self.post_message(self.MapsWanted(self._path, self._grid, self._first))

    @property
    def _height(self) -> int:
        """Lines of the body that are in sight."""
        return max(self.size.height - self._lines.num_still, 1)

    def _scroll_to_cursor(self) -> None:
        at, top = self._lines.places.get(self._path), self.scroll_offset.y
        if at is not None and not top <= at < top + self._height:
            self.scroll_to(y=at if at < top else at - self._height + 1, animate=False, immediate=True)

    # Drawing

    def render_line(self, y: int) -> Strip:
        lines = self._lines
        at = y - lines.num_still + self.scroll_offset.y
        if y < len(lines.head):
            return self.inked(lines.head[y])
        if y < lines.num_still:
            return self.inked(lines.title(self.scroll_offset.y))
        if at < len(self._tones):
            pixels = [self._shade(tone) for tone in self._tones[at]]
            return Strip([Segment(" ", self.base), *pixels]).adjust_cell_length(self.size.width, self.base)
        if at < len(lines.body):
            return self.inked(lines.body[at], is_cursor=lines.places.get(self._path) == at)
        return self.inked(())

    def _shade(self, tone: Tone) -> Segment:
        if tone.upper is None:
            return Segment(tone.text, self.base + self.ink("quiet"))
        style = Style(color=_grey(tone.upper), bgcolor=_grey(tone.lower) if tone.lower is not None else None)
        return Segment(tone.text, self.base + style)

    # Keys

    def move_rows(self, rows: int) -> None:
        """Over the layers; beyond the last to what stands below them."""
        paths = list(self._lines.places) or [layer.path for layer in self._ran_layers()]
        here = paths.index(self._path) if self._path in paths else -1
        there = max(0, min(here + rows, len(paths) - 1))
        is_other = bool(paths) and there != here
        if is_other:
            self._asked.append(paths[there])
            self.post_message(self.Highlighted(paths[there]))
            self._follow()
        if not is_other or abs(rows) >= FAR:
            super().move_rows(rows)

    def _ran_layers(self) -> tuple[LayerRun, ...]:
        return self.runs.last.result.layers if self.runs.last else ()

    def page_rows(self) -> int:
        return self._height

    def action_run_maps(self) -> None:
        self.has_maps = not self.has_maps

    def action_maps_next(self) -> None:
        self._step_maps(1)

    def action_maps_prev(self) -> None:
        self._step_maps(-1)

    def _step_maps(self, step: int) -> None:
        """The next maps of the layer, round the end."""
        images = self.runs.images
        if not self._tones or self._grid is None or images is None or images.path != self._path:
            warn(self, "Feature maps are shown with m, on a layer that gives some.")
            return
        pages = -(-images.num_channels // self._grid.num_maps)
        page = (self._first // self._grid.num_maps + step) % pages
        if pages == 1:
            warn(self, "All maps of this layer are in sight.")
        self._first = page * self._grid.num_maps
        self._write()


def maps_of(output: Shape) -> tuple[int, tuple[int, int]]:
    """How many maps an output most likely holds and of which shape, before it is known: of the first sample."""
    if len(output) == 4:
        return output[1], (output[2], output[3])
    return (output[-2] if len(output) > 1 else 1), (1, output[-1])


def _grey(shade: int) -> Color:
    return Color.from_rgb(shade, shade, shade)
