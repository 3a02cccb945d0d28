"""The list of devices to run on, with whether the model fits there, and of the types that it can be run in.

It changes nothing: what it ends in is a mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from seqtui.engine.requests import Device
from seqtui.model.footprint import Footprint, footprint
from seqtui.safe_text import safe_text
from seqtui.table import GAP, fit
from seqtui.tui.movement import FAR
from seqtui.tui.prompts import Dialog
from seqtui.tui.runs import NOWHERE
from seqtui.view import Mode, View
from seqtui.words import bytes_words, cell_width

DTYPES = {"": "as in the file", "float32": "float32", "bfloat16": "bfloat16", "float16": "float16"}
"""The types to choose from, by torch's word, in turn; the first leaves every tensor as it is."""
MARGIN = 3
"""Free memory over what is reckoned from below, so that torch's own does not fill it: twice as much was seen."""
TITLES = ("Device", "", "Free", "To run", "To train")
TYPE_TITLES = ("Type", "Weights", "To run", "To train")
LABEL = 1
"""The column that is cut where there is no room."""


class DevicePicker(Dialog[Mode | None]):
    """A device and a type; ends in the mode that has them, or None."""

    DEFAULT_CSS = """
    #devices { width: 97%; max-width: 90; max-height: 92%; }
    #devices-types { margin-top: 1; border-top: solid $surface-lighten-3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("g,home", f"move({-FAR})", show=False),
        Binding("G,end", f"move({FAR})", show=False),
        Binding("d", "dtype", show=False),
    ]

    def __init__(self, view: View) -> None:
        super().__init__()
        self.mode = view.mode
        self.footprints = {dtype: footprint(view.model, view.inference, dtype) for dtype in (*DTYPES, view.mode.dtype)}
        self.devices: Sequence[Device] = ()
        self.cursor = 0
        self.remark = "asking torch …"
        """What stands in place of the list, or below it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="devices"):
            yield Static(id="devices-list", markup=False)
            yield Static(id="devices-types", markup=False)

    def on_resize(self) -> None:
        self.call_after_refresh(self._write)

    def show(self, devices: Sequence[Device]) -> None:
        """List what torch reports, the cursor on the device that runs go to now."""
        names = [device.name for device in devices]
        self.devices, self.remark = devices, ""
        self.cursor = names.index(self.mode.device) if self.mode.device in names else 0
        self._write()

    def say(self, sentence: str) -> None:
        """Say why there is no list, or not yet."""
        self.remark = safe_text(sentence, limit=2000)
        self._write()

    # What is shown

    def _write(self) -> None:
        if self not in self.app.screen_stack or not self.children:  # torch may answer when nobody asks any more
            return
        rows = device_rows(self.devices, self.footprints[self.mode.dtype])
        width = self.query_one("#devices-list", Static).content_size.width
        lines = [Content("where the model runs, and the type of its numbers").stylize("bold"), Content("")]
        widths = _widths(rows, width)
        if rows:
            lines.append(Content(f" {_line(TITLES, widths)}").stylize("$foreground-muted"))
        for at, (device, row) in enumerate(zip(self.devices, rows, strict=True)):
            line = Content(f"{'›' if at == self.cursor else ' '}{_line(row, widths)}").truncate(width, pad=True)
            line = line.stylize("$foreground-muted" if device.absent else "")
            lines.append(line.stylize_before("on $primary-muted") if at == self.cursor else line)
        if self.remark:
            lines.append(Content(self.remark).stylize("$text-warning" if self.devices else ""))
        self.query_one("#devices-list", Static).update(Content("\n").join(lines))
        self.query_one("#devices-types", Static).update(self._types())

    def _types(self) -> Content:
        """What the model takes in each type, the chosen one marked; the keys."""
        named = {**DTYPES, self.mode.dtype: DTYPES.get(self.mode.dtype, self.mode.dtype)}
        rows = [(words, *map(_amount, self.footprints[dtype])) for dtype, words in named.items()]
        widths = [max(map(cell_width, column)) for column in zip(TYPE_TITLES, *rows, strict=True)]
        lines = [Content(f" {_line(TYPE_TITLES, widths)}").stylize("$foreground-muted")]
        for dtype, row in zip(named, rows, strict=True):
            is_chosen = dtype == self.mode.dtype
            lines.append(
                Content(f"{'›' if is_chosen else ' '}{_line(row, widths)}").stylize("bold" if is_chosen else "")
            )
        keys = {"enter": "choose", "d": "another type", "up down": "move", "escape": "cancel"}
        shown = [Content.assemble((key, "bold $text-primary"), f" {word}") for key, word in keys.items()]
        return Content("\n").join([*lines, Content(""), Content("   ").join(shown)])

    # Keys

    def action_move(self, step: int) -> None:
        self.cursor = max(0, min(self.cursor + step, len(self.devices) - 1))
        self.remark = self.remark if not self.devices else ""
        self._write()

    def action_dtype(self) -> None:
        dtypes = list(DTYPES)
        at = dtypes.index(self.mode.dtype) if self.mode.dtype in dtypes else -1
        self.mode = self.mode._replace(dtype=dtypes[(at + 1) % len(dtypes)])
        self._write()

    def action_choose(self) -> None:
        if not self.devices or not self.is_current:
            return
        device = self.devices[self.cursor]
        if device.absent:
            self.remark = f"{device.name} cannot be chosen: {safe_text(device.absent)}"
            self._write()
        else:
            self.dismiss(self.mode._replace(device=device.name))


def device_rows(devices: Sequence[Device], taken: Footprint) -> list[tuple[str, ...]]:
    """The cells of each device: name, what it is, free memory, and what fits; of an absent one its name and why."""
    return [_row(device, taken) for device in devices]


def _row(device: Device, taken: Footprint) -> tuple[str, ...]:
    if device.absent:
        return device.name, safe_text(device.absent)
    fits = (_fits(device, taken.to_run), _fits(device, taken.to_train))
    return device.name, safe_text(device.label), bytes_words(device.free), *fits


def _fits(device: Device, needed: int | None) -> str:
    """Whether so many bytes fit: `fits, 1.2 MB`, `tight, 9 GB`, `too large, 80 GB`; the bytes where nobody knows."""
    if device.name == NOWHERE:
        return "fits"
    words = _amount(needed)
    if needed is None:
        return words
    if device.free is None:
        return f"takes {words}"
    word = "too large" if needed > device.free else "tight" if needed * MARGIN > device.free else "fits"
    return f"{word}, {words}"


def _amount(needed: int | None) -> str:
    return bytes_words(needed) if needed is not None else "input not known"


def _widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Cells of each column; the label gives way. Why a device is absent may take the whole line."""
    names = max((cell_width(row[0]) for row in rows), default=0)
    whole = [row for row in rows if len(row) == len(TITLES)]
    widths = [max(map(cell_width, column)) for column in zip(TITLES, *whole, strict=True)]
    widths[0] = max(widths[0], names)
    over = 1 + sum(widths) + GAP * (len(widths) - 1) - width
    widths[LABEL] = max(widths[LABEL] - max(over, 0), 0)
    return widths


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    if len(texts) < len(widths):
        return f"{fit(texts[0], widths[0])}{' ' * GAP}{texts[1]}"
    return (" " * GAP).join(fit(text, width) for text, width in zip(texts, widths, strict=True))
