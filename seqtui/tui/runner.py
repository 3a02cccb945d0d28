"""Runner: what is asked of torch, in threads, and what becomes of the answers. The screen owns one.

The event loop never waits for torch: a question is a coroutine, its answer a value that flows down to the panes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from seqtui.engine.door import State, Told
from seqtui.engine.requests import (
    IMPORTING,
    Device,
    Devices,
    Feed,
    Forward,
    Images,
    Maps,
    Progress,
    Request,
    RunResult,
    RunSettings,
    Trace,
    Traced,
)
from seqtui.errors import CancelledError, OutOfMemoryError, SeqtuiError, UsageError
from seqtui.model.inputs import require_sequential
from seqtui.model.spec import ModelSpec
from seqtui.tui.prompts import Ask, Choose
from seqtui.tui.runs import STATE_WORDS, Ran, Runs, progress_words
from seqtui.view import Mode

if TYPE_CHECKING:
    from seqtui.tui.devices import DevicePicker
    from seqtui.tui.model_screen import ModelScreen
    from seqtui.tui.mosaic import Grid
    from seqtui.workspace import Workspace

TAB = 3
"""Of the runs."""
CPU = "cpu"
MOST_PASSES = 10_000
WITHOUT_INPUT = "Nothing says what this model is fed: I sets the input shape."
FIRST_WORDS: dict[State, str] = {"ready": "running", "busy": "waiting for torch"}
"""What a run is doing until it says so itself, by the state of torch's process; in any other it has to start."""


class Runner:
    """Runs of the model on a screen, and everything else that torch is asked there."""

    def __init__(self, screen: ModelScreen) -> None:
        self.screen = screen
        self.workspace: Workspace = screen.workspace
        self._followed: ModelSpec | None = None
        """The model whose shapes torch was asked for last."""
        self._request: Forward | None = None
        """The run that is under way."""

    async def deed(self, name: str) -> None:
        """Do what stands under the id of an action in DEEDS."""
        done = DEEDS[name](self)
        if done is not None:
            await done

    @property
    def runs(self) -> Runs:
        return self.screen.runs or Runs()

    def _note(self, **changes: object) -> None:
        """Show the runs with some fields changed."""
        self.screen.runs = self.runs._replace(**changes)  # type: ignore[arg-type]  # each by the name of its field

    async def ask(self, request: Request, told: Told | None = None) -> object:
        """The answer of torch's process, whose state is shown meanwhile. Raises what `Engine.ask` raises."""
        engine = self.workspace.engine
        self.screen.torch = STATE_WORDS["busy" if engine.state in ("ready", "busy") else "starting"]
        try:
            return await asyncio.to_thread(engine.ask, request, told)
        finally:
            self.screen.torch = STATE_WORDS[engine.state]

    # Runs

    async def run(self) -> None:
        """Run the model as it is now, and show the tab."""
        if not self._is_connected():
            return
        if not self.workspace.view.model.inputs:
            self.screen.warn(WITHOUT_INPUT)
            return
        await self.screen.show_tab(TAB, focus=False)
        if self.runs.doing:
            self.screen.warn("A run is under way; x in the run tab cancels it.")
        else:
            self._start(self.runs.settings(self.workspace.view.mode))

    def _is_connected(self) -> bool:
        """Whether the file says how its layers are connected; that it does not is shown."""
        try:
            require_sequential(self.workspace.view.model)
        except SeqtuiError as error:
            self.screen.warn(error.words())
            return False
        return True

    def _start(self, settings: RunSettings) -> None:
        self._note(doing=FIRST_WORDS.get(self.workspace.engine.state, IMPORTING.words), failure="")
        self.screen.run_worker(self._run(settings), group="run")

    async def _run(self, settings: RunSettings) -> None:
        model = self.workspace.view.model
        self._request = Forward(self.workspace.subject, settings)
        try:
            result = await self.ask(self._request, self._tell)
        except CancelledError:
            self._note(doing="", failure="cancelled")
        except SeqtuiError as error:
            self._note(doing="", failure=error.words())
            if isinstance(error, OutOfMemoryError) and settings.device != CPU:
                await self._offer_cpu(error)
            else:
                self.screen.warn(error.words())
        else:
            assert isinstance(result, RunResult)
            ran = Ran(model, settings, result)
            self._note(doing="", last=ran, before=self.runs.last, images=None, no_images="")
            self.follow()

    def _tell(self, progress: Progress) -> None:
        """Hear how far a run is, in the thread that waits for it."""
        self.screen.call_later(self._hear, progress)

    def _hear(self, progress: Progress) -> None:
        if self.runs.doing:
            self._note(doing=progress.words)
            self.screen.torch = STATE_WORDS["starting"] if progress == IMPORTING else progress_words(progress)

    async def _offer_cpu(self, error: SeqtuiError) -> None:
        """After too little memory on a device: the same on the cpu."""

        def answered(choice: str | None) -> None:
            if choice:
                self._set_mode(self.workspace.view.mode._replace(device=CPU))
                self._start(self.runs.settings(self.workspace.view.mode))

        await self.screen.app.push_screen(Choose(f"{error.line()}.", {"c": f"run on the {CPU}"}), answered)

    def cancel(self) -> None:
        """End the run that is under way."""
        if not self.runs.doing:
            self.screen.warn("Nothing is running.")
        elif self._request is not None:
            self._note(doing="cancelling")
            self.workspace.engine.cancel(self._request)

    async def show_maps(self, path: str, grid: Grid, first: int) -> None:
        """Ask for some feature maps of the last run."""
        try:
            images = await self.ask(Maps(path, grid.height, grid.width, first, grid.num_maps))
        except SeqtuiError as error:
            self._note(images=None, no_images=error.words())
        else:
            assert isinstance(images, Images)
            self._note(images=images, no_images="")

    # How the next run is to be

    def toggle_training(self) -> None:
        """Train mode, or eval mode."""
        mode = self.workspace.view.mode
        if self._is_connected():
            self._set_mode(mode._replace(is_training=not mode.is_training))

    def _set_mode(self, mode: Mode) -> None:
        self.workspace.set_mode(mode)
        self.screen.view = self.workspace.view

    def toggle_backward(self) -> None:
        self._note(with_backward=not self.runs.with_backward)

    async def ask_passes(self) -> None:
        """How often the next run goes through the model."""

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._note(passes=parse_count(answer, 1, MOST_PASSES))

        question = Ask("number of passes ", str(self.runs.passes), lambda text: parse_count(text, 1, MOST_PASSES))
        await self.screen.app.push_screen(question, answered)

    async def ask_feed(self) -> None:
        """What the next run is fed."""

        async def answered(choice: str | None) -> None:
            if choice == "n":
                await self._ask_seed()
            elif choice == "f":
                await self._ask_file()
            elif choice is not None:
                self._note(feed=Feed("zeros" if choice == "z" else "ones"))

        choices = {"n": "normal, of a seed", "z": "zeros", "o": "ones", "f": "a file"}
        await self.screen.app.push_screen(Choose("What the model is fed:", choices), answered)

    async def _ask_seed(self) -> None:
        def answered(answer: str | None) -> None:
            if answer is not None:
                self._note(feed=Feed("normal", seed=parse_count(answer, 0, 2**63 - 1)))

        question = Ask("seed ", str(self.runs.feed.seed), lambda text: parse_count(text, 0, 2**63 - 1))
        await self.screen.app.push_screen(question, answered)

    async def _ask_file(self) -> None:
        def answered(answer: str | None) -> None:
            if answer is not None:
                self._note(feed=Feed("file", require_file(answer)))

        question = Ask(".npy batch or image ", self.runs.feed.path, require_file)
        await self.screen.app.push_screen(question, answered)

    async def choose_device(self) -> None:
        """Where runs go, and in which type."""
        if not self._is_connected():
            return
        from seqtui.tui.devices import DevicePicker

        def chosen(mode: Mode | None) -> None:
            if mode is not None:
                self._set_mode(mode)

        picker = DevicePicker(self.workspace.view)
        await self.screen.app.push_screen(picker, chosen)
        self.screen.run_worker(self._list_devices(picker), group="devices")

    async def _list_devices(self, picker: DevicePicker) -> None:
        if self.runs.doing:
            picker.say("the list comes when the run is over …")
        try:
            devices = await self.ask(Devices())
        except SeqtuiError as error:
            picker.say(error.words())
        else:
            assert isinstance(devices, tuple)
            picker.show([device for device in devices if isinstance(device, Device)])

    # Shapes by torch

    def follow(self) -> None:
        """Where torch is at hand, or a shape is not known without it: let it follow the model's shapes, once each."""
        view = self.workspace.view
        is_fed = view.model.is_sequential and len(view.model.inputs) == 1
        if not is_fed or view.model is self._followed:
            return
        is_wanted = any(info.unknown for info in view.inference.infos.values())
        if is_wanted or self.workspace.engine.state in ("ready", "busy"):
            self._followed = view.model
            self.screen.run_worker(self._follow(view.model, is_wanted), group="follow")

    async def _follow(self, model: ModelSpec, is_wanted: bool) -> None:
        if is_wanted:
            self.workspace.hear(model, None)
            self._show_shapes()
        traced: tuple[Traced, ...] = ()
        try:
            answer = await self.ask(Trace(model))
            assert isinstance(answer, tuple)
            traced = tuple(step for step in answer if isinstance(step, Traced))
        except SeqtuiError:
            pass  # nobody asked for it: what the rules say stands
        self.workspace.hear(model, traced)
        self._show_shapes()

    def _show_shapes(self) -> None:
        if self.screen.view is not self.workspace.view:
            self.screen.view = self.workspace.view

    def saved(self, old: ModelSpec) -> None:
        """The model was saved: what was run of it before is a run of it now; and torch may be at hand."""
        last = self.runs.last
        if last is not None and last.model is old:
            self._note(last=last._replace(model=self.workspace.view.model))
        self.screen.torch = STATE_WORDS[self.workspace.engine.state]


DEEDS: dict[str, Callable[[Runner], Awaitable[None] | None]] = {
    "run": Runner.run,
    "mode": Runner.toggle_training,
    "device": Runner.choose_device,
    "run.input": Runner.ask_feed,
    "run.backward": Runner.toggle_backward,
    "run.passes": Runner.ask_passes,
    "run.cancel": Runner.cancel,
}
"""What the keys of the runner's do, by the ids of their actions."""


def parse_count(text: str, least: int, most: int) -> int:
    """A whole number in a range. Raises UsageError."""
    if not text.strip().isdecimal() or not least <= int(text) <= most:
        raise UsageError(f"a whole number from {least:,} to {most:,} is needed")
    return int(text)


def require_file(text: str) -> str:
    """The path of a file that is there, for a process that may work elsewhere. Raises UsageError."""
    path = os.path.abspath(os.path.expanduser(text.strip()))
    if not os.path.isfile(path):
        raise UsageError("there is no such file" if text.strip() else "the path of a file is needed")
    return path
