"""The form of a layer's arguments: checked as one types, with what they would do to the model below.

It changes nothing: what it ends in is an edit.
"""

from __future__ import annotations

import textwrap
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Input, Static

from seqtui.draft import Draft, choices_of, edit_of, stepped, text_of
from seqtui.errors import EditError
from seqtui.model.edit import Batch, Edit
from seqtui.model.infer import Inference
from seqtui.model.kinds import KINDS
from seqtui.model.kinds.catalogue import parameters
from seqtui.model.kinds.kind import Signal
from seqtui.model.language import read_value
from seqtui.model.spec import Value
from seqtui.model.tree import layer_at
from seqtui.outlook import Outlook, cost_words, mended, outlook, weights_words
from seqtui.rows import description
from seqtui.safe_text import safe_text
from seqtui.table import fit
from seqtui.tui.landing import made_by
from seqtui.tui.prompts import Dialog, Line
from seqtui.view import View
from seqtui.words import cell_width, flow, plural

NAME = "name"
"""The field of a new layer's name; no argument of a layer is called that."""
FRAME = 12
"""Lines of the form that are no fields: its border, its title and the strip."""
ANY_IMAGE = Signal((1, 1, 1, 1), "float32")
"""Something to ask a kind which of its arguments follow from what arrives."""
STRIP = 6
"""Lines of the strip above its keys."""


class Field(Line):
    """One value: typed, stepped, or one of a few words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(1)", show=False),
        Binding("down", "step(-1)", show=False),
        Binding("ctrl+k", "screen.fresh", show=False),
    ]

    def __init__(self, name: str, text: str, choices: tuple[str, ...] = (), placeholder: str = "") -> None:
        """`name` is the argument's."""
        super().__init__(text, name=name, compact=True, placeholder=placeholder)
        self.choices = (*choices, text) if choices and text and text not in choices else choices

    def action_step(self, step: int) -> None:
        """Another value: the next number, or the next word."""
        if self.choices:
            at = self.choices.index(self.value) - step if self.value in self.choices else 0
            self._put(self.choices[at % len(self.choices)])
            return
        try:
            old = read_value(self.value)
        except EditError:
            return
        new = stepped(old, step)
        if new is not old:
            self._put(text_of(new))

    def _put(self, text: str) -> None:
        """Show another value, all of it selected: what is typed next takes its place."""
        self.value = text
        self.action_select_all()

    def insert_text_at_cursor(self, text: str) -> None:
        """What is typed, early or now; a word of few is chosen by its first letter, the next by a blank."""
        if self.choices:
            words = [word for word in self.choices if word.casefold().startswith(text.casefold())]
            if words:
                self._put(words[0])
            elif text == " ":
                self.action_step(-1)
        else:
            super().insert_text_at_cursor(text)

    async def on_key(self, event: events.Key) -> None:
        if self.choices and event.character and event.is_printable:
            event.stop()
            event.prevent_default()
            self.insert_text_at_cursor(event.character)


class Prospect(NamedTuple):
    """What the fields come to."""

    plain: Outlook
    fixed: Outlook | None
    """The same with fixes of what it would break, where there are some."""


class Form(Dialog[Edit | None]):
    """The arguments of a layer; ends in the edit, or None."""

    DEFAULT_CSS = """
    #form { width: 78; max-height: 100%; }
    #form-title, #form-strip { text-wrap: nowrap; text-overflow: ellipsis; }
    #form-title { height: 1; }
    #form-fields { height: auto; scrollbar-size-vertical: 1; }
    #form-fields Horizontal { height: auto; }
    #form-names { width: 23; height: auto; }
    #form-values { width: 19; height: auto; padding-right: 1; }
    #form-remarks { width: 1fr; height: auto; color: $foreground-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    Field { background: transparent; }
    Field:focus { background: $surface-lighten-2; }
    Field.-default { color: $foreground-muted; }
    Field.-wrong { color: $text-error; }
    #form-strip { height: 8; border-top: solid $surface-lighten-3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "accept", show=False),
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
        Binding("ctrl+f", "fix", show=False),
        Binding("ctrl+k", "fresh", show=False),
    ]

    def __init__(self, view: View, draft: Draft) -> None:
        super().__init__()
        self.view = view
        self.draft = draft
        self.is_fresh = False
        self.is_fixing = False
        self._inferred = view.inference
        """The model's shapes, with the steps of the last look: the next value leaves most of them as they are."""
        self._seen: dict[str | None, str] = {}
        """The values that are shown for: Textual tells also of those that the fields begin with."""

    def compose(self) -> ComposeResult:
        with Vertical(id="form"):
            yield Static(id="form-title", markup=False)
            with VerticalScroll(id="form-fields", can_focus=False), Horizontal():
                yield Static(id="form-names", markup=False)
                yield Vertical(*self._fields(), id="form-values")
                yield Static(id="form-remarks", markup=False)
            yield Static(id="form-strip", markup=False)

    def _fields(self) -> list[Field]:
        fields = [Field(NAME, self.draft.name)] if self.draft.name else []
        for item in parameters(self.draft.kind):
            values = {**({} if item.is_required else {item.name: item.default}), **self.draft.args}
            text = text_of(values[item.name]) if item.name in values else ""
            default = "" if item.is_required else text_of(item.default)
            fields.append(Field(item.name, text, choices_of(self.draft.kind, item), default))
        return fields

    def on_mount(self) -> None:
        kind = self.draft.kind
        title = (safe_text(self.draft.path), "bold") if self.draft.path else "new"
        words = (f"   {description(kind)}", "$foreground-muted")
        self.query_one("#form-title", Static).update(Content.assemble(title, f"  {kind}", words))
        self.set_focus(self._first())  # at once: over a slow line the next letters are here already

    def _first(self) -> Field:
        """The field where one begins: an argument that is asked for, else one that does not follow from the place."""
        fields = [field for field in self.query(Field) if field.name != NAME] or list(self.query(Field))
        if empty := [field for field in fields if not field.value]:
            return empty[0]
        follow = KINDS[self.draft.kind].from_place(self.draft.args, ANY_IMAGE) if self.draft.kind in KINDS else {}
        return next((field for field in fields if field.name not in follow), fields[0])

    def on_resize(self) -> None:
        room = self.size.height - FRAME
        self.query_one("#form-fields").styles.max_height = max(room, 1)
        self.look()

    # What is typed

    def read(self) -> tuple[str, dict[str, Value]]:
        """The name and the arguments. Raises EditError for what is no value, with its field."""
        name, args = "", {}
        for field in self.query(Field):
            if field.name == NAME:
                name = field.value.strip()
                if not name:
                    raise EditError("the layer needs a name")
            else:
                args[field.name or ""] = self._value(field)
        return name, args

    def _value(self, field: Field) -> Value:
        """What a field says; its default where it is empty."""
        text = field.value.strip()
        if not text and field.placeholder:
            text = str(field.placeholder)
        if not text:
            raise EditError(f"{field.name} needs a value")
        if field.choices and text not in field.choices:
            raise EditError(f"{field.name} is one of {', '.join(field.choices)}")
        try:
            return read_value(text)
        except EditError as error:
            raise EditError(f"{field.name}: {error.message}") from None

    def prospect(self) -> Prospect:
        """What the fields come to. Raises EditError where that cannot be done."""
        model, inferred = self.view.model, self._inferred
        name, args = self.read()
        plain = outlook(model, inferred, edit_of(self.draft, name, args, self.is_fresh))
        steps = {**self.view.inference.steps, **plain.inference.steps}
        self._inferred = Inference(self.view.inference.infos, steps)
        return Prospect(plain, mended(model, inferred, plain) if plain.caused else None)

    def action_accept(self) -> None:
        """End in the edit; where it cannot be done that is shown already, and nothing happens."""
        if not self.is_current:
            return
        try:
            plain, fixed = self.prospect()
        except EditError:
            return
        nothing = self.draft.to_edit("", {}, False)
        chosen = fixed if fixed and self.is_fixing else plain
        self.dismiss(None if self.draft.is_change and plain.edit == nothing else chosen.edit)

    def action_fix(self) -> None:
        """With the fixes of what would break, or without."""
        self.is_fixing = not self.is_fixing
        self.look()

    def action_fresh(self) -> None:
        """Of tensors whose shape changes keep what fits, or make them anew; all of them where no shape changes."""
        self.is_fresh = self._holds_weights and not self.is_fresh
        self.look()

    @property
    def _holds_weights(self) -> bool:
        """Whether there are weights that could be kept or not."""
        return self.draft.is_change and bool(layer_at(self.view.model, self.draft.path).tensors)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if event.value != self._seen.get(event.input.name):
            self.look()

    def on_descendant_focus(self) -> None:
        self.look()

    # What is shown

    def look(self) -> None:
        """Show what the fields come to."""
        fields = list(self.query(Field))
        self._seen = {field.name: field.value for field in fields}
        names = [Content(safe_text(field.name or "")).stylize("bold" if field.has_focus else "") for field in fields]
        self.query_one("#form-names", Static).update(Content("\n").join(names))
        remarks = "\n".join(safe_text(self._remark(field)) for field in fields)
        self.query_one("#form-remarks", Static).update(remarks)
        width = self.query_one("#form-strip").content_size.width or 74
        try:
            lines = self._strip(self.prospect(), width)
        except EditError as error:
            words = textwrap.wrap(f"! {safe_text(error.words())}", width)[:STRIP]
            lines = [Content(line).stylize("$text-error") for line in words]
        blank = [Content("")] * (STRIP - len(lines))
        self.query_one("#form-strip", Static).update(Content("\n").join([*lines, *blank, self._keys(width)]))

    def _remark(self, field: Field) -> str:
        """What a value was, what is wrong with it, or what can be put there."""
        name, wrong = field.name or "", ""
        try:
            value = field.value.strip() if name == NAME else self._value(field)
        except EditError as error:
            value, wrong = None, "needed" if not field.value.strip() else error.message.removeprefix(f"{name}: ")
        base = self.draft.base.get(name)
        is_said = bool(wrong) or name not in self.draft.base or repr(value) != repr(base)
        field.set_class(bool(wrong), "-wrong")
        field.set_class(not is_said and name not in self.draft.args, "-default")
        if wrong:
            return wrong
        if is_said and self.draft.path and name in self.draft.base:
            return f"was {text_of(base)}"
        return (" ".join(field.choices) or _annotation(self.draft.kind, name)) if field.has_focus else ""

    def _strip(self, prospect: Prospect, width: int) -> list[Content]:
        """Costs, weights, and what would not fit any more."""
        plain, fixed = prospect
        chosen = fixed if fixed and self.is_fixing else plain
        before, inference = self.view.model, self.view.inference
        path = self.draft.path or made_by(plain.edit, plain.model)
        old = layer_at(before, path) if self.draft.path else None
        was, now = inference.infos.get(path) if old else None, plain.inference.infos.get(path)
        costs = flow(cost_words(inference, chosen.inference, was, now), width)
        weights = weights_words(old, layer_at(plain.model, path))
        problem = self._problem(prospect, width)
        room = STRIP - len(costs) - len(problem)
        if len(weights) > room:
            weights = [*weights[: room - 1], f"and {plural(len(weights) - room + 1, 'tensor')} more"]
        return [*(Content(line).truncate(width, ellipsis=True) for line in [*costs, *weights]), *problem]

    def _problem(self, prospect: Prospect, width: int) -> list[Content]:
        """The first problem, and the way out of it, in one line."""
        plain, fixed = prospect
        if not plain.caused:
            return []
        if fixed and self.is_fixing:
            assert isinstance(fixed.edit, Batch)  # the edit itself, then its fixes
            words, way = f"fixed too: {', '.join(map(str, fixed.edit.edits[1:]))}", "   ctrl+f do not"
            words = fit(safe_text(words), min(cell_width(safe_text(words)), width - cell_width(way)))
            return [Content.assemble((words, "$text-success"), (way, "$text-primary"))]
        way = long_way = ""
        if fixed:
            total, way = fixed.inference.total, "   ctrl+f fix it too"
            macs = f", {total.macs:,} multiply-adds" if total.macs else ""
            long_way = f"{way}: {total.num_params:,} parameters{macs}"
        sentence = f"! {plain.problem}"
        if cell_width(sentence) + cell_width(long_way) <= width:
            way = long_way
        sentence = fit(sentence, min(cell_width(sentence), width - cell_width(way)))
        return [Content.assemble((sentence, "$text-error"), (way, "$text-primary"))]

    def _keys(self, width: int) -> Content:
        """The keys that do something here."""
        keys = {"enter": "apply" if self.draft.path else "add", "up down": "step", "tab": "next"}
        if self._holds_weights:
            keys["ctrl+k"] = "keep" if self.is_fresh else "fresh"
        keys["escape"] = "cancel"
        parts = [Content.assemble((key, "bold $text-primary"), f" {word}") for key, word in keys.items()]
        return Content("   ").join(parts).truncate(width, ellipsis=True)


def _annotation(kind: str, name: str) -> str:
    """What torch's signature says that an argument is."""
    found = next((item.annotation for item in parameters(kind) if item.name == name), "")
    return found.replace(" | ", " or ")
