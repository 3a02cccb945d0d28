"""Runner: what is asked of torch, in threads, and what becomes of the answers. The screen owns one.

The event loop never waits for torch: a question is a coroutine, its answer a value that flows down to the panes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

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
from seqtui.errors import CancelledError, EngineError, OutOfMemoryError, SeqtuiError
from seqtui.model.inputs import require_sequential
from seqtui.model.spec import ModelSpec
from seqtui.safe_text import safe_text
from seqtui.tui.prompts import Ask, Choose
from seqtui.tui.runs import NOWHERE, STATE_WORDS, Ran, Runs, parse_count, require_file, state_words
from seqtui.tui.workers import begin
from seqtui.view import Mode

if TYPE_CHECKING:
    from seqtui.tui.actions import Deeds
    from seqtui.tui.devices import DevicePicker
    from seqtui.tui.model_screen import ModelScreen
    from seqtui.tui.mosaic import Grid
    from seqtui.workspace import Workspace

TAB = 3
"""Of the runs."""
CPU = "cpu"
MOST_PASSES = 10_000
WITHOUT_INPUT = "Nothing says what this model is fed: I sets the input shape."
WITHOUT_GRADIENTS = f"On {NOWHERE} there are no numbers, and so no gradients."
FIRST_WORDS: dict[State, str] = {"ready": "running", "busy": "waiting for torch"}
"""What a run is doing until it says so itself, by the state of torch's process; in any other it has to start."""


T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Asking:
    """Something that torch is asked, until the answer comes."""

    words: str
    """How far it is."""
    name: str = ""
    """What the user knows it by: a file that is written; empty for what is told elsewhere, or not at all."""


class Runner:
    """Runs of the model on a screen, and everything else that torch is asked there."""

    def __init__(self, screen: ModelScreen) -> None:
        self.screen = screen
        self.workspace: Workspace = screen.workspace
        self._followed: ModelSpec | None = None
        """The model whose shapes torch was asked for last."""
        self._request: Forward | None = None
        """The run that is under way."""
        self._asked: list[Asking] = []
        """All that torch is asked now, in that order."""
        screen.set_interval(1, self._notice_end)

    @property
    def runs(self) -> Runs:
        return self.screen.runs or Runs()

    def _note(self, **changes: object) -> None:
        """Show the runs with some fields changed."""
        self.screen.runs = self.runs._replace(**changes)  # type: ignore[arg-type]  # each by the name of its field

    async def ask(self, request: Request, told: Told | None = None) -> object:
        """The answer of torch's process, whose state is shown meanwhile. Raises what `Engine.ask` raises.

        `told` hears on the screen's side how far it is.
        """
        return await self.watch(lambda hear: self.workspace.engine.ask(request, hear), told=told)

    async def watch(self, work: Callable[[Told], T], name: str = "", told: Told | None = None) -> T:
        """What some work gives that asks torch, in a thread; the status line says meanwhile what torch does.

        `name` is that of the file that it writes. Raises what the work raises.
        """
        asking = Asking(STATE_WORDS["busy"], name)
        if self.workspace.engine.state not in ("ready", "busy"):
            asking.words = STATE_WORDS["starting"]
        elif name:
            asking.words = f"torch: writing {name} …"

        def hear(progress: Progress) -> None:
            if asking not in self._asked:
                return  # it is over
            asking.words = state_words(progress, name)
            self._show_state()
            if told is not None:
                told(progress)

        def tell(progress: Progress) -> None:  # in the thread
            self.screen.call_later(hear, progress)

        self._asked.append(asking)
        self._show_state()
        try:
            return await asyncio.to_thread(work, tell)
        finally:
            self._asked.remove(asking)
            self._show_state()

    def _show_state(self) -> None:
        """Say in the status line what torch does, and which files wait for it."""
        if self._asked:
            first, *others = self._asked
            self.screen.torch = "   ".join([first.words, *(f"{each.name} waits" for each in others if each.name)])
        else:
            self.screen.torch = STATE_WORDS[self.workspace.engine.state]
        self.screen.write_keys()

    def _notice_end(self) -> None:
        """A process that has nothing to do can end too: somebody, or a system without memory, may kill it."""
        is_shown = self.screen.torch in ("", STATE_WORDS[self.workspace.engine.state])
        if not is_shown and not self._asked:
            self._show_state()

    @property
    def is_busy(self) -> bool:
        """Whether torch is asked anything now."""
        return bool(self._asked)

    # Runs

    async def run(self) -> None:
        """Run the model as it is now, and show the tab."""
        if not self._is_connected():
            return
        if not self.workspace.view.model.inputs:
            self.screen.warn(WITHOUT_INPUT)
            return
        await self.screen.show_tab(TAB, focus=True)
        view = self.workspace.view
        settings = self.runs.settings(view.mode)
        problem = next(iter(view.inference.problems.values()), None)
        if self.runs.doing:
            self.screen.warn("A run is under way; x in the run tab cancels it.")
        elif problem and settings.is_as_inferred:
            self._note(failure=f"{safe_text(problem.message)}. 6 lists it with its fixes.")
        else:
            self._start(settings)

    def _is_connected(self) -> bool:
        """Whether the file says how its layers are connected; that it does not is shown."""
        try:
            require_sequential(self.workspace.view.model)
        except SeqtuiError as error:
            self.screen.warn(error.words())
            return False
        return True

    def _start(self, settings: RunSettings) -> None:
        doing = FIRST_WORDS.get(self.workspace.engine.state, IMPORTING.words)
        self._note(doing=doing, seconds=0, is_cancelling=False, failure="", was_cancelled=False, no_images="")
        begin(self.screen, partial(self._run, settings), group="run")

    async def _run(self, settings: RunSettings) -> None:
        model = self.workspace.view.model
        self._request = Forward(self.workspace.subject, settings)
        began = monotonic()
        clock = self.screen.set_interval(1, lambda: self._note(seconds=int(monotonic() - began)))
        try:
            result = await self.ask(self._request, self._hear)
        except CancelledError:
            self._note(doing="", was_cancelled=True)
        except SeqtuiError as error:
            self._note(doing="", failure=error.words())
            if self._may_do_on_cpu(error, settings.device):
                await self._offer_cpu(error)
            else:
                self.screen.warn(error.words())
        else:
            assert isinstance(result, RunResult)
            ran = Ran(model, settings, result)
            self._note(doing="", last=ran, before=self.runs.last, images=None)
            self.follow()
        finally:
            clock.stop()

    def _hear(self, progress: Progress) -> None:
        if self.runs.doing and not self.runs.is_cancelling:
            self._note(doing=safe_text(progress.words))

    def _may_do_on_cpu(self, error: SeqtuiError, device: str) -> bool:
        """Whether a run that failed may go well there: where the device had too little memory, or refused.

        What is wrong with the model itself is wrong everywhere.
        """
        if isinstance(error, OutOfMemoryError):
            return device != CPU
        has_problems = bool(self.workspace.view.inference.problems)
        return isinstance(error, EngineError) and device not in (CPU, NOWHERE) and not has_problems

    async def _offer_cpu(self, error: SeqtuiError) -> None:
        """After a failure on a device: the same on the cpu."""

        def answered(choice: str | None) -> None:
            if choice:
                self._set_mode(self.workspace.view.mode._replace(device=CPU))
                self._start(self.runs.settings(self.workspace.view.mode))

        question = Choose(f"{error.line()}.", {"c": f"run on the {CPU}"}, is_unexpected=True)
        await self.screen.app.push_screen(question, answered)

    def cancel(self) -> None:
        """Call off the run that is under way; without one, or a second time, end torch's process whatever it does."""
        if self.runs.doing and not self.runs.is_cancelling and self._request is not None:
            self._note(doing="cancelling", is_cancelling=True)
            self.workspace.engine.cancel(self._request)
        elif self.is_busy:
            self.workspace.engine.end()
        else:
            self.screen.warn("Nothing is running.")

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
        """With gradients, or without."""
        self._note(with_backward=not self.runs.with_backward)
        self._tell_without_gradients()

    def _tell_without_gradients(self) -> None:
        if self.runs.with_backward and self.workspace.view.mode.device == NOWHERE:
            self.screen.warn(WITHOUT_GRADIENTS)

    async def ask_passes(self) -> None:
        """How often the next run goes through the model."""

        count = partial(parse_count, least=1, most=MOST_PASSES)

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._note(passes=count(answer))

        await self.screen.app.push_screen(
            Ask("number of passes ", str(self.runs.passes), count, is_proposal=True), answered
        )

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
        count = partial(parse_count, least=0, most=2**63 - 1)

        def answered(answer: str | None) -> None:
            if answer is not None:
                self._note(feed=Feed("normal", seed=count(answer)))

        await self.screen.app.push_screen(Ask("seed ", str(self.runs.feed.seed), count, is_proposal=True), answered)

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
                self._tell_without_gradients()

        picker = DevicePicker(self.workspace.view)
        await self.screen.app.push_screen(picker, chosen)
        begin(self.screen, partial(self._list_devices, picker), group="devices")

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
            begin(self.screen, partial(self._follow, view.model, is_wanted), group="follow")

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


DEEDS: Deeds = {
    "run": lambda screen: screen.runner.run(),
    "mode": lambda screen: screen.runner.toggle_training(),
    "device": lambda screen: screen.runner.choose_device(),
    "run.input": lambda screen: screen.runner.ask_feed(),
    "run.backward": lambda screen: screen.runner.toggle_backward(),
    "run.passes": lambda screen: screen.runner.ask_passes(),
    "run.cancel": lambda screen: screen.runner.cancel(),
}
