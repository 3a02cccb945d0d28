"""The list of kinds that a new layer can be, or that can take the place of one, found by a few letters.

It changes nothing: what it ends in is an edit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.fuzzy import Matcher
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from seqtui.draft import Draft, adding, edit_of, replacing
from seqtui.errors import EditError
from seqtui.model.additions import Addition, addable, arriving_at, replaceable
from seqtui.model.edit import Edit
from seqtui.model.kinds.kind import Signal
from seqtui.model.language import Place
from seqtui.model.layer_names import free_name
from seqtui.model.literals import layer_call
from seqtui.model.structure_edits import spot_at
from seqtui.model.tree import layer_at, spot_of
from seqtui.outlook import outlook
from seqtui.safe_text import safe_text
from seqtui.table import fit
from seqtui.tui import fuzzy
from seqtui.tui.form import Form
from seqtui.tui.movement import Movement
from seqtui.tui.prompts import Dialog, Line
from seqtui.view import View
from seqtui.words import cell_width, output_words, plural, shape_words

OUTPUT = 24
"""Cells that the shapes that would come out get at the most."""
SEQUENTIAL = "layers one after another; empty at first"
FEATURES = ("Embedding", "Linear", "ReLU", "BatchNorm1d", "Dropout", "LayerNorm", "GELU", "Sigmoid", "Tanh", "Softmax")
STEPS = ("Linear", "Conv1d", "ReLU", "LayerNorm", "BatchNorm1d", "Dropout", "MaxPool1d", "Flatten", "GELU", "LSTM")
IMAGES = (
    *("Conv2d", "ReLU", "BatchNorm2d", "MaxPool2d", "Dropout", "Linear", "Flatten"),
    *("AdaptiveAvgPool2d", "AvgPool2d", "Dropout2d", "Upsample", "GELU"),
)
VOLUMES = ("Conv3d", "ReLU", "BatchNorm3d", "MaxPool3d", "Dropout", "Linear", "Flatten", "AdaptiveAvgPool3d")
COMMON: Mapping[int, Sequence[str]] = {2: FEATURES, 3: STEPS, 4: IMAGES, 5: VOLUMES}
"""By the number of dimensions that arrive, what is added most, which comes first while no letter is typed.

Where it is not known what arrives, it is taken for images.
"""
ENDS = {"first": "at the start", "last": "at the end"}


class Offer(NamedTuple):
    """What can be chosen, and for which place."""

    title: str
    """`add after pool2`"""
    arriving: tuple[Signal, ...]
    additions: Sequence[Addition]
    draft: Callable[[Addition], Draft]
    """What is to be filled in for a kind."""
    do: str
    """What enter does, in a word."""


def offer_at(view: View, place: Place) -> Offer:
    """What can be added at a place. Raises EditError where nothing can."""
    spot = spot_at(view.model, place)
    arriving = arriving_at(view.model, view.inference, spot)
    additions = addable(view.model, view.inference, place)
    shape = (arriving[0].shape if len(arriving) == 1 else tuple(x.shape for x in arriving)) if arriving else None
    block = free_name(layer_at(view.model, spot.parent).layers, "Sequential")
    additions.append(Addition("Sequential", "container", SEQUENTIAL, block, {}, (), shape, 0, ""))
    title = ENDS.get(place.where, f"{place.where} {place.path}")
    inside = f" of {place.path}, inside" if place.where in ENDS and place.path else ""
    ordered = common_first(additions, arriving)
    return Offer(f"add {title}{inside}", arriving, ordered, lambda addition: adding(place, addition), "add")


def offer_for(view: View, path: str) -> Offer:
    """What can take the place of a layer. Raises EditError where nothing can."""
    layer = layer_at(view.model, path)
    additions = [item for item in replaceable(view.model, view.inference, path) if item.kind != layer.kind]
    arriving = arriving_at(view.model, view.inference, spot_of(view.model, path))
    title = f"replace {path}, {layer.kind}, by"
    ordered = common_first(additions, arriving)
    return Offer(title, arriving, ordered, lambda addition: replacing(path, layer, addition), "replace")


def common_first(additions: Sequence[Addition], arriving: tuple[Signal, ...]) -> list[Addition]:
    """What is added most where this arrives, then the others, last those that would take the batch for channels."""
    dims = len(arriving[0].shape) if len(arriving) == 1 else 0
    order = {kind: place for place, kind in enumerate(COMMON.get(dims, IMAGES))}
    return sorted(additions, key=lambda item: (_has_no_batch(item.kind, dims), order.get(item.kind, len(order))))


def _has_no_batch(kind: str, dims: int) -> bool:
    """Whether so many dimensions are an image without a batch for a kind, by its name: of BatchNorm1d two are none."""
    return kind.endswith(f"{dims - 1}d") and not kind.startswith("BatchNorm")


def found(additions: Sequence[Addition], wanted: str) -> list[Addition]:
    """Those whose kind or description holds what is typed: those that fit first, of these the best match."""
    matcher = Matcher(wanted)
    scores = {item.kind: fuzzy.score(matcher, item.kind) if wanted else 1.0 for item in additions}
    for item in additions:
        if not scores[item.kind] and wanted.casefold() in item.description.casefold():
            scores[item.kind] = 0.1  # behind all that are called so
    matches = [item for item in additions if scores[item.kind] > 0]
    return sorted(matches, key=lambda item: (bool(item.problem), -scores[item.kind]))


def output_cell(item: Addition) -> str:
    """What comes out of a kind that fits; empty for another."""
    if item.problem:
        return ""
    return "asks for sizes" if item.asked else output_words(item.output_shape)


class KindList(Movement, Widget):
    """The kinds that are found, one a line, those in sight drawn alone."""

    DEFAULT_CSS = "KindList { height: 1fr; }"
    COMPONENT_CLASSES: ClassVar[set[str]] = {"kind-list--cursor"}

    additions: reactive[Sequence[Addition]] = reactive(())
    cursor: reactive[int] = reactive(0)
    wanted: reactive[str] = reactive("")
    """What is typed: marked in the kinds."""

    class Highlighted(Message):
        """The cursor rests on another kind."""

    class Chosen(Message):
        """A second click on a kind."""

    @property
    def chosen(self) -> Addition | None:
        """The kind under the cursor; None where nothing is found."""
        return self.additions[self.cursor] if self.cursor < len(self.additions) else None

    def show(self, additions: Sequence[Addition], wanted: str) -> None:
        """Other kinds, the cursor on the first."""
        self.additions, self.wanted, self.cursor = additions, wanted, 0
        self.post_message(self.Highlighted())

    def move_rows(self, rows: int) -> None:
        self.cursor = max(0, min(self.cursor + rows, len(self.additions) - 1))
        self.post_message(self.Highlighted())

    def page_rows(self) -> int:
        return self.size.height

    @property
    def _top(self) -> int:
        """The first kind in sight: a page is turned when the cursor leaves it, and is full."""
        height = max(self.size.height, 1)
        return max(min(self.cursor - height // 2, len(self.additions) - height), 0)

    def render(self) -> Content:
        if not self.additions:
            return Content(f"no kind is called {safe_text(self.wanted)}").stylize("$foreground-muted")
        kinds = max(len(item.kind) for item in self.additions)
        outputs = min(max(map(cell_width, map(output_cell, self.additions))), OUTPUT)
        shown = range(self._top, min(self._top + self.size.height, len(self.additions)))
        return Content("\n").join(self._line(self.additions[at], kinds, outputs, at == self.cursor) for at in shown)

    def _line(self, item: Addition, kinds: int, outputs: int, is_cursor: bool) -> Content:
        width, quiet = self.size.width, "" if is_cursor else "$foreground-muted"
        kind = fuzzy.marked(Matcher(self.wanted), item.kind) if self.wanted else Content(item.kind)
        if item.problem:
            kind = kind.stylize(quiet)
            rest = Content(fit(f"does not fit: {safe_text(item.problem)}", max(width - kinds - 4, 0))).stylize(quiet)
        else:
            words = fit(item.description, max(width - kinds - outputs - 6, 0))
            rest = Content.assemble((words, quiet), "  ", fit(output_cell(item), outputs, right=True))
        sign = "›" if is_cursor else " "
        line = Content.assemble(f"{sign} ", kind, " " * (kinds - len(item.kind) + 2), rest).truncate(width, pad=True)
        return line.stylize_before("$foreground on $primary-muted") if is_cursor else line

    def on_click(self, event: events.Click) -> None:
        at = self._top + event.y
        if at < len(self.additions):
            is_again = event.chain == 2 and at == self.cursor
            self.move_rows(at - self.cursor)
            if is_again:
                self.post_message(self.Chosen())


class Picker(Dialog[Edit | None]):
    """A kind for a place; ends in the edit that puts it there, or None."""

    DEFAULT_CSS = """
    #picker { width: 97%; max-width: 100; height: 92%; max-height: 36; }
    #picker-title { height: 1; }
    #picker-filter { height: 1; margin-bottom: 1; }
    #picker-filter Static { width: 2; color: $text-primary; }
    #picker-filter Input { width: 1fr; background: $surface; }
    #picker-strip { height: 4; border-top: solid $surface-lighten-3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", show=False),
        Binding("tab", "arguments", show=False),
        Binding("down", "move('down')", show=False),
        Binding("up", "move('up')", show=False),
        Binding("pagedown", "move('page_down')", show=False),
        Binding("pageup", "move('page_up')", show=False),
    ]

    def __init__(self, view: View, offer: Offer) -> None:
        super().__init__()
        self.view = view
        self.offer = offer

    def compose(self) -> ComposeResult:
        with Vertical(id="picker"):
            yield Static(id="picker-title", markup=False)
            with Horizontal(id="picker-filter"):
                yield Static(">", markup=False)
                yield Line(compact=True, placeholder="letters of a kind, or of what it does")
            yield KindList()
            yield Static(id="picker-strip", markup=False)

    @property
    def kinds(self) -> KindList:
        return self.query_one(KindList)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))  # at once: over a slow line the next letters are here already
        self.kinds.show(found(self.offer.additions, ""), "")

    def on_resize(self) -> None:
        self.call_after_refresh(self._write_title)

    def _write_title(self) -> None:
        title = self.query_one("#picker-title", Static)
        width, arrives = title.content_size.width, arriving_words(self.offer.arriving)
        name = fit(safe_text(self.offer.title), max(width - cell_width(arrives) - 2, 0))
        title.update(Content.assemble((name, "bold"), "  ", (arrives, "$foreground-muted")))
        self._write_strip()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        wanted = event.value.strip()
        self.kinds.show(found(self.offer.additions, wanted), wanted)

    def on_kind_list_highlighted(self) -> None:
        self._write_strip()

    def _write_strip(self) -> None:
        """What the kind under the cursor would be called, cost and break; the keys."""
        strip, item = self.query_one("#picker-strip", Static), self.kinds.chosen
        width = strip.content_size.width
        lines = self._about(item) if item else [Content(""), Content("")]
        keys = {"enter": self.offer.do, "tab": "arguments", "up down": "move", "escape": "cancel"}
        parts = [Content.assemble((key, "bold $text-primary"), f" {word}") for key, word in keys.items()]
        lines = [line.truncate(width, ellipsis=True) for line in (*lines, Content("   ").join(parts))]
        strip.update(Content("\n").join(lines))

    def _about(self, item: Addition) -> list[Content]:
        """Its name and call; what it adds, and what does not fit then."""
        name = f"{safe_text(item.name)}  " if item.name != "_" else ""
        call = layer_call(item.kind, item.args).removeprefix("nn.") if item.kind != "Sequential" else "Sequential()"
        first = Content.assemble((name, "bold"), safe_text(call))
        if item.asked:
            return [first, Content(f"asks for {', '.join(item.asked)}").stylize("$foreground-muted")]
        try:
            after = outlook(self.view.model, self.view.inference, self._edit(item))
        except EditError as error:
            return [first, Content(f"! {safe_text(error.words())}").stylize("$text-error")]
        more = after.inference.total.num_params - self.view.inference.total.num_params
        counted = f"{more:+,} {'parameter' if abs(more) == 1 else 'parameters'}".replace("-", "−")
        broken = f"! {after.problem}" if after.caused else "nothing breaks below"
        if len(after.caused) > 1:
            broken = f"! {plural(len(after.caused), 'problem')}, first: {after.problem}"
        style = "$text-error" if after.caused else "$foreground-muted"
        return [first, Content.assemble(f"{counted}   ", (broken, style))]

    def _edit(self, item: Addition) -> Edit:
        """The kind with the arguments that are proposed. Raises EditError."""
        draft = self.offer.draft(item)
        return edit_of(draft, draft.name, draft.args)

    # Keys

    def action_move(self, movement: str) -> None:
        getattr(self.kinds, f"action_{movement}")()

    async def action_accept(self) -> None:
        """The kind as it is proposed; where something is asked for, its form."""
        item = self._wanted()
        if item is None or not self.is_current:
            return
        if item.asked:
            await self.action_arguments()
            return
        try:
            edit = self._edit(item)
            edit.apply(self.view.model)
        except EditError:
            return  # the strip says why
        self.dismiss(edit)

    async def action_arguments(self) -> None:
        """The form of the kind's arguments; from there back here, or on with the edit."""
        item = self._wanted()
        if item is None or not self.is_current:
            return

        def filled(edit: Edit | None) -> None:
            if edit is not None:
                self.dismiss(edit)

        await self.app.push_screen(Form(self.view, self.offer.draft(item)), filled)

    def _wanted(self) -> Addition | None:
        """The kind under the cursor; the list may not have heard of the last letters yet."""
        wanted = self.query_one(Input).value.strip()
        if wanted != self.kinds.wanted:
            self.kinds.show(found(self.offer.additions, wanted), wanted)
        return self.kinds.chosen

    async def on_kind_list_chosen(self) -> None:
        await self.action_accept()


def arriving_words(arriving: tuple[Signal, ...]) -> str:
    """`1×16×5×5 arrives`"""
    if len(arriving) > 1:
        return f"a tuple of {len(arriving)} arrives"
    if not arriving:
        return "what arrives is not known"
    (x,) = arriving
    return f"{shape_words(x.shape)}{'' if x.dtype == 'float32' else f' {x.dtype}'} arrives"
