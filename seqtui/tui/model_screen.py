"""ModelScreen: owns a Workspace, lays out the panes, and turns what they wish for into changes."""

from __future__ import annotations

import asyncio
import gc
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.dom import DOMNode
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from seqtui.rows import Row
from seqtui.tui import toasts
from seqtui.tui.actions import Action, Pane, bindings, method_name
from seqtui.tui.chrome import KeyLine, TitleLine, TotalsLine
from seqtui.tui.detail import Detail
from seqtui.tui.layer_table import LayerTable
from seqtui.tui.texts import TABLE_PANES, WIDE, useless_keys
from seqtui.tui.workers import begin
from seqtui.view import View
from seqtui.workspace import Workspace

if TYPE_CHECKING:
    from seqtui.tui.actions import Deeds
    from seqtui.tui.branches import Branches
    from seqtui.tui.editor import Editor
    from seqtui.tui.finder import Finder
    from seqtui.tui.prompts import SearchLine
    from seqtui.tui.runner import Runner
    from seqtui.tui.runs import Runs
    from seqtui.tui.tabs.problems import ProblemsTab
    from seqtui.tui.tabs.run import RunTab


REST = 0.5
"""Seconds that a model rests before torch is asked for its shapes."""


def _collect_garbage_again() -> None:
    """The collector rested while the program started; what there is by now stays, and need not be searched."""
    gc.freeze()
    gc.enable()


class ModelScreen(Screen[None]):
    """The layers of one model, and what is under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("everywhere")]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012 - Textual declares it without ClassVar
    AUTO_FOCUS: ClassVar[str | None] = "LayerTable"

    # The panes draw themselves: neither a cursor key nor a move from one to the other must draw the whole screen.
    focused: reactive[Widget | None] = reactive(None, repaint=False)
    view: reactive[View | None] = reactive(None, repaint=False)
    row: reactive[Row | None] = reactive(None, repaint=False, always_update=True)
    runs: reactive[Runs | None] = reactive(None, repaint=False)
    """What was run; None before anything was."""
    torch: reactive[str] = reactive("", repaint=False)
    """What torch's process does, in words."""

    tell, warn = toasts.tell, toasts.warn

    class Opened(Message):
        """Another model is to take this one's place."""

        def __init__(self, workspace: Workspace) -> None:
            super().__init__()
            self.workspace = workspace

    def __init__(self, workspace: Workspace, select: str = "", branches: Branches | None = None) -> None:
        """`select` is the path of the layer or tensor that the cursor starts on.

        `branches` are those of the model, where somebody has made them already.
        """
        super().__init__()
        self.workspace = workspace
        self.select = select
        self._branches = branches
        self._rest: Timer | None = None
        self._is_shown = False
        self.set_reactive(ModelScreen.view, workspace.view)

    def compose(self) -> ComposeResult:
        self.set_class(self.app.size.width >= WIDE, "-wide")  # Textual would draw a frame before it finds out
        yield TitleLine().data_bind(ModelScreen.view, ModelScreen.torch)
        with Horizontal(id="panes"):
            yield LayerTable(self.workspace.view, self._branches).data_bind(ModelScreen.view)
            yield Detail().data_bind(ModelScreen.view, ModelScreen.row, ModelScreen.runs)
        yield TotalsLine().data_bind(ModelScreen.view, ModelScreen.row)
        yield KeyLine()

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        """At first all widgets are styled already, by their mounting; Textual would style them again."""
        event.refresh_styles = event.refresh_styles and self._is_shown
        self._is_shown = True

    def on_screen_suspend(self) -> None:
        self.app.clear_notifications()  # none is to cover what is shown over this

    def on_mount(self) -> None:
        self.row = self.table.row
        if self.select:
            self.table.go_to(self.select)
        self.call_after_refresh(_collect_garbage_again)
        self.call_after_refresh(begin, self, self.start_journal)
        self.call_after_refresh(self._follow_soon)

    @property
    def table(self) -> LayerTable:
        return self.query_one(LayerTable)

    @property
    def detail(self) -> Detail:
        return self.query_one(Detail)

    @property
    def is_wide(self) -> bool:
        return self.size.width >= WIDE

    @property
    def is_on_table(self) -> bool:
        return isinstance(self.focused, LayerTable)

    # What keys do

    async def action_deed(self, doer: str, name: str) -> None:
        """Do what stands in a module's DEEDS under the id of an action; the module comes with the first of its keys."""
        deeds: Deeds = import_module(f"seqtui.tui.{doer}").DEEDS
        if (done := deeds[name](self)) is not None:
            await done

    async def do(self, action: Action) -> None:
        """Do what the action's key does in its pane."""
        owners: dict[Pane, DOMNode] = {"app": self.app, "everywhere": self, "table": self.table, "movement": self.table}
        owner = owners.get(action.pane) or self.detail.owner(action.pane)
        if owner is None:
            self.warn(f"Open the {action.pane} tab first: that belongs to it.")
        else:
            await self.app.run_action(method_name(action), owner)

    # The cursor and the panes

    def on_layer_table_highlighted(self, message: LayerTable.Highlighted) -> None:
        self.row = message.row

    async def on_layer_table_chosen(self, message: LayerTable.Chosen) -> None:
        await self.show_tab(2 if message.row.tensor else message.tab, focus=True)

    async def on_problems_tab_chosen(self, message: ProblemsTab.Chosen) -> None:
        self.table.go_to(message.path)
        await self.action_pane_next()

    def on_problems_tab_fix_wanted(self, message: ProblemsTab.FixWanted) -> None:
        self.editor.do(lambda _: message.edit)

    def write_keys(self) -> None:
        """Show the keys that matter now."""
        # what is not made yet is not busy, nor made for the question
        is_torch_busy = "runner" in vars(self) and self.runner.is_busy
        has_shapes = self.workspace.view.model.is_sequential
        for line in self.query(KeyLine):  # torch may answer when the screen is gone
            line.panes = self.panes_with_keys
            line.useless = useless_keys(self.is_on_table, self.is_wide, has_shapes, is_torch_busy)

    on_descendant_focus = write_keys

    def on_resize(self) -> None:
        """Where two panes no longer fit beside each other, show the one with the focus. Textual lays them out next."""
        self.set_class(self.focused is not None and self.detail in self.focused.ancestors, "-detail")
        self.write_keys()

    @property
    def panes_with_keys(self) -> tuple[Pane, ...]:
        """The parts of the table of actions that hold where the focus is."""
        return TABLE_PANES if self.is_on_table else self.detail.panes

    async def show_tab(self, tab: int, focus: bool) -> None:
        """Show the detail at a tab; with `focus` its keys hold from now on, as they do when it covers the table."""
        self.set_class(not self.is_wide, "-detail")  # for nothing it would draw both panes again
        self.remove_class("-zoom-table")
        await self.detail.show(tab)
        if focus or not self.is_wide or not self.is_on_table:
            self.detail.focus_tab()
            self.write_keys()

    async def action_tab(self, tab: int) -> None:
        await self.show_tab(tab, focus=False)

    async def action_tab_next(self) -> None:
        await self.show_tab(self.detail.next_tab(1), focus=False)

    async def action_tab_prev(self) -> None:
        await self.show_tab(self.detail.next_tab(-1), focus=False)

    async def action_pane_next(self) -> None:
        if self.is_on_table:
            await self.show_tab(self.detail.tab, focus=True)
        else:
            self.remove_class("-detail", "-zoom-detail")
            self.table.focus()

    action_pane_prev = action_pane_next  # of two panes the one before is the next

    async def action_cancel(self) -> None:
        """Out of zoom, back to the table, out of the search: the first that there is."""
        if self.has_class("-zoom-table") or self.has_class("-zoom-detail"):
            self.remove_class("-zoom-table", "-zoom-detail")
        elif not self.is_on_table:
            await self.action_pane_next()
        elif not self.table.clear_marks():
            self.table.needle = ""

    def action_zoom(self) -> None:
        if self.is_wide:
            self.toggle_class("-zoom-table" if self.is_on_table else "-zoom-detail")
        else:
            self.warn(f"This pane fills the screen already; from {WIDE} columns on there are two.")

    # Search

    @cached_property
    def finder(self) -> Finder:
        from seqtui.tui.finder import Finder

        return Finder(self)

    def on_search_line_changed(self, message: SearchLine.Changed) -> None:
        self.finder.look_for(message.text)

    async def on_search_line_ended(self, message: SearchLine.Ended) -> None:
        await self.finder.end(message.is_kept)

    # Edits: whoever only looks does not wait for the editor

    @cached_property
    def editor(self) -> Editor:
        from seqtui.tui.editor import Editor

        return Editor(self)

    async def start_journal(self) -> None:
        """Keep edits on disk; what earlier sessions left is offered, one after the other."""
        pending = await asyncio.to_thread(self.workspace.start_journal)
        if pending:
            from seqtui.tui.recovery import offer_recovery

            await offer_recovery(self, pending)
        elif not self.workspace.opened.path and not self.workspace.model.inputs:
            await self.editor.ask_input()
        elif self.workspace.read_only:
            self.view = self.workspace.view
            self.warn(f"Read-only: {self.workspace.read_only}.")
        self.tell_trouble()
        for doer in ("editor", "runner"):  # which the first edit and the first run are not to wait for
            await asyncio.to_thread(import_module, f"seqtui.tui.{doer}")

    def tell_trouble(self) -> None:
        """What went wrong with the keeping of edits, once."""
        if trouble := self.workspace.take_trouble():
            self.warn(f"{trouble[:1].upper()}{trouble[1:]}.")

    def show_model(self, path: str = "") -> None:
        """Show the workspace as it is now, with the cursor on a layer or a tensor."""
        self.view = self.workspace.view
        if path and path != self.table.row.path:
            self.table.go_to(path)

    def quits_when_saved(self) -> bool:
        return "editor" in vars(self) and self.editor.saver.quits_when_saved()

    # Torch: whoever only looks does not wait for it

    @cached_property
    def runner(self) -> Runner:
        from seqtui.tui.runner import Runner

        return Runner(self)

    def watch_view(self, old: View | None, new: View | None) -> None:
        if self.is_mounted and old and new and old.model is not new.model:
            self._follow_soon()

    def _follow_soon(self) -> None:
        """Once the model has rested, let torch say what the rules cannot; and all it says, where it is at hand."""
        if self._rest is not None:
            self._rest.stop()
        is_unknown = any(info.unknown for info in self.workspace.view.inference.infos.values())
        if is_unknown or self.torch:
            self._rest = self.set_timer(REST, lambda: self.runner.follow())

    def on_run_tab_highlighted(self, message: RunTab.Highlighted) -> None:
        self.table.go_to(message.path)

    def on_run_tab_maps_wanted(self, message: RunTab.MapsWanted) -> None:
        show = partial(self.runner.show_maps, message.path, message.grid, message.first)
        begin(self, show, exclusive=True, group="maps")
