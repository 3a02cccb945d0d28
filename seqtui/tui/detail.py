"""Detail: what is under the cursor, as tabs. A tab is made when it is first shown."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from textual import work
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.worker import get_current_worker

from seqtui.errors import SeqtuiError
from seqtui.model.tensors import TensorInfo, TensorRef
from seqtui.rows import Row
from seqtui.tui.actions import Pane, bindings
from seqtui.tui.chrome import Line, content
from seqtui.tui.movement import Scrolling
from seqtui.tui.texts import detail_title
from seqtui.view import View

if TYPE_CHECKING:
    from seqtui.tui.runs import Runs
    from seqtui.tui.tabs.code import CodeTab
    from seqtui.tui.tabs.problems import ProblemsTab
    from seqtui.tui.tabs.run import RunTab
    from seqtui.tui.tabs.weights import WeightsTab
    from seqtui.weights.statistics import Statistics


class Tab(NamedTuple):
    """One of the looks at what is under the cursor."""

    focus: str
    """The name of the widget class that hears its keys."""
    pane: Pane | None = None
    """Where its own keys stand in the table of actions; None where it has none."""


TABS: Mapping[int, Tab] = {
    1: Tab("LayerTab"),
    2: Tab("ValueGrid", "weights"),
    3: Tab("RunTab", "run"),
    4: Tab("CodeTab", "code"),
    6: Tab("ProblemsTab", "problems"),
}
"""By the key that shows it; `texts.TAB_WORDS` says what each is called."""
REST = 0.1
"""Seconds that the cursor rests on a row before its tensors are measured."""
AT_A_GLANCE = 8
"""Tensors of one layer that are measured at a glance."""


class DetailTitle(Line):
    """What is under the cursor, and the tabs."""

    DEFAULT_CSS = "DetailTitle { margin-bottom: 1; }"

    row: reactive[Row | None] = reactive(None)
    title: reactive[str] = reactive("")
    tab: reactive[int] = reactive(1)

    def render(self) -> Content:
        name = self.row.path if self.row and self.row.depth else self.title
        return content(detail_title(name, self.tab, self.size.width))


class DetailText(Widget):
    """The text of tab 1. It fills the tab however short it is, so that another text needs no layout of the screen."""

    DEFAULT_CSS = "DetailText { width: 1fr; height: auto; min-height: 100%; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = Content("")

    def render(self) -> Content:
        return self._text

    def write(self, text: Content) -> None:
        """Show another text, drawing the lines that either stands on; with a layout where one reaches out of sight."""
        texts, width = (self._text, text), self.size.width
        self._text = text
        lines = max(each.get_height({}, width) for each in texts) if width else 0
        if 0 < lines <= self.container_size.height:
            self.refresh(Region(0, 0, width, lines))
        else:
            self.refresh(layout=True)


class LayerTab(VerticalScroll, Scrolling, can_focus=True):
    """Scrolls the text of tab 1."""

    DEFAULT_CSS = "LayerTab { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("movement")]


def _new_tab(tab: int) -> WeightsTab | RunTab | CodeTab | ProblemsTab:
    """A tab after the first. What it needs is imported with it."""
    if tab == 2:
        from seqtui.tui.tabs.weights import WeightsTab

        return WeightsTab()
    if tab == 3:
        from seqtui.tui.tabs.run import RunTab

        return RunTab()
    if tab == 4:
        from seqtui.tui.tabs.code import CodeTab

        return CodeTab()
    from seqtui.tui.tabs.problems import ProblemsTab

    return ProblemsTab()


class Detail(Vertical):
    """The tabs beside the table, or over it on a narrow screen."""

    view: reactive[View | None] = reactive(None, repaint=False)
    row: reactive[Row | None] = reactive(None, repaint=False, always_update=True)
    """The same row comes again after an edit elsewhere."""
    statistics: reactive[Mapping[TensorRef, Statistics]] = reactive(dict, repaint=False)
    """Of the tensors under the cursor, by where their numbers lie: an edit may give a name to others."""
    runs: reactive[Runs | None] = reactive(None, repaint=False)
    """What was run; None before anything was."""
    tab: reactive[int] = reactive(1, repaint=False)

    class Measured(Message):
        """A tensor's numbers, from a sample first and then from all of it."""

        def __init__(self, ref: TensorRef, statistics: Statistics) -> None:
            super().__init__()
            self.ref = ref
            self.statistics = statistics

    def __init__(self) -> None:
        super().__init__()
        self._rest: Timer | None = None
        self._wanted: Mapping[TensorRef, TensorInfo] = {}
        """The tensors under the cursor whose numbers lie in a file."""
        self._is_filled = False
        self._made: dict[int, WeightsTab | RunTab | CodeTab | ProblemsTab] = {}
        """The tabs after the first that were shown."""

    async def fill(self) -> None:
        """Make what the first tab needs, when it is first in sight: a narrow screen opens without it."""
        if not self.children:
            await self.mount(DetailTitle(), LayerTab(DetailText()))
            self._is_filled = True
            self._write()

    async def on_mount(self) -> None:
        if self.display:  # already in the first frame
            await self.fill()

    async def on_resize(self) -> None:
        if self.size.width:
            await self.fill()
        self._write()
        self._measure_soon()

    def watch_view(self, old: View | None, new: View | None) -> None:
        if old and new and old.opened is not new.opened:
            self.set_reactive(Detail.statistics, {})  # the row of the new file comes next, and is measured then

    def watch_row(self) -> None:
        self._write()
        self._measure_soon()

    def watch_statistics(self) -> None:
        self._write()

    def watch_runs(self) -> None:
        self._write()

    async def show(self, tab: int) -> None:
        """Show a tab; it is made when it is shown first."""
        await self.fill()
        if tab != 1 and tab not in self._made:
            self._made[tab] = _new_tab(tab)
            await self.mount(self._made[tab])
        self.query_one(LayerTab).display = tab == 1
        for number, widget in self._made.items():
            widget.display = number == tab
        self.tab = tab
        self._write()
        self._measure_soon()

    def focus_tab(self) -> None:
        """Put the focus where the keys of the tab in sight hold."""
        for widget in self.query(TABS[self.tab].focus):
            widget.focus()

    def next_tab(self, step: int) -> int:
        """The tab so many to the right of the one in sight, round the end."""
        numbers = list(TABS)
        return numbers[(numbers.index(self.tab) + step) % len(numbers)]

    @property
    def panes(self) -> tuple[Pane, ...]:
        """Where the keys of the tab in sight stand in the table of actions, its own first."""
        own = TABS[self.tab].pane
        return (*((own,) if own else ()), "everywhere", "app", "movement")

    def owner(self, pane: Pane) -> Widget | None:
        """What does the actions of a tab's own pane; None while that tab is not in sight."""
        return self._made[self.tab] if pane == TABS[self.tab].pane else None

    def _write(self) -> None:
        """Write the tab in sight; the other is written when it is shown."""
        if not self._is_filled or self.view is None:
            return
        title = self.query_one(DetailTitle)
        title.title, title.row, title.tab = self.view.title, self.row, self.tab
        if self.row is None or not self.size.width:
            return
        tab = self._made.get(self.tab)
        if tab is None:
            from seqtui.tui.tabs.layer import detail

            text = detail(self.view, self.row, self.statistics, max(self.size.width - 3, 1))
            self.query_one(DetailText).write(text)
            return
        tab.look_at(self.view, self.row)
        if self.tab == 2:
            self._write_statistics()
        elif self.tab == 3:
            self._write_runs()

    def _write_runs(self) -> None:
        from seqtui.tui.tabs.run import RunTab

        for tab in self.query(RunTab):
            tab.runs = self.runs or tab.runs

    def _write_statistics(self) -> None:
        from seqtui.tui.tabs.weights import WeightsTab

        for weights in self.query(WeightsTab):
            tensor = weights.tensor
            weights.statistics = self.statistics.get(tensor.stored) if tensor and tensor.stored else None

    # What is measured: the tensors under the cursor, once it has rested there and where they can be seen

    def _measure_soon(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        if self.is_mounted and self.size.width:
            self._rest = self.set_timer(REST, self._measure_row)

    def _measure_row(self) -> None:
        if self.row is None or not self.size.width:
            return
        tensors = (self.row.tensor,) if self.row.tensor else self.row.layer.tensors[:AT_A_GLANCE]
        self._wanted = {tensor.stored: tensor for tensor in tensors if tensor.stored}
        self.statistics = {ref: found for ref, found in self.statistics.items() if ref in self._wanted}
        self._measure({ref: tensor for ref, tensor in self._wanted.items() if ref not in self.statistics})

    @work(thread=True, exclusive=True, group="statistics", exit_on_error=False)
    def _measure(self, tensors: Mapping[TensorRef, TensorInfo]) -> None:
        from seqtui.weights import statistics  # numpy, 30 to 70 ms, never before the first frame

        worker = get_current_worker()
        measure = partial(statistics.measure, stop=lambda: worker.is_cancelled)
        for look in (statistics.estimate, measure):
            for ref, tensor in tensors.items():
                where = self.view.where(tensor) if self.view else None
                if where is None or worker.is_cancelled:
                    continue
                try:
                    found = look(*where)
                except SeqtuiError:
                    continue  # the grid says why it cannot be read
                if found is not None and not worker.is_cancelled:
                    self.post_message(self.Measured(ref, found))

    def on_detail_measured(self, message: Measured) -> None:
        """Take the numbers, unless the cursor has moved on."""
        if message.ref in self._wanted:
            self.statistics = {**self.statistics, message.ref: message.statistics}
