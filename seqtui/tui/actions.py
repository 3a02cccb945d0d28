"""The table of actions: what can be done, by which key, where, in which words, and who does it.

Bindings, footer, help and palette are read from here. A pane's own method is found by the id, `maps.next` at
`action_maps_next`; what others do stands under the id in a table of theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from textual.binding import Binding

    from seqtui.tui.model_screen import ModelScreen

Pane = Literal["app", "everywhere", "movement", "table", "weights", "run", "code", "problems"]
"""Where a key holds, and whose method does it. Movement keys belong to whichever pane has the focus."""

Doer = Literal["pane", "clipboard", "editor", "finder", "looking", "runner"]
"""Who does it: the pane whose key it is, for `everywhere` the screen; or the module of this name beside this one."""

Deeds = Mapping[str, Callable[["ModelScreen"], Awaitable[None] | None]]
"""What such a module does on a screen, by the ids of the actions: its DEEDS."""

PANES: dict[Pane, str] = {
    "app": "The program",
    "everywhere": "Everywhere on a model",
    "movement": "Moving",
    "table": "On the layer table",
    "weights": "In the weights tab",
    "run": "In the run tab",
    "code": "In the code tab",
    "problems": "In the problems tab",
}


class Action(NamedTuple):
    """One thing that a key does."""

    id: str
    pane: Pane
    keys: tuple[str, ...]
    """Textual's names."""
    words: str
    """For help and palette."""
    short: str = ""
    """For the footer; empty where it does not stand there."""
    doer: Doer = "pane"
    also: tuple[Pane, ...] = ()
    """Other panes where the key holds: only for what no pane does itself."""

    def holds_in(self, pane: Pane) -> bool:
        """Whether the key is one of a pane's."""
        return pane == self.pane or pane in self.also


ACTIONS: tuple[Action, ...] = (
    Action("help", "app", ("question_mark",), "Keys for this pane", "keys"),
    Action("palette", "app", ("ctrl+p",), "Command palette: every action, layer, tensor and theme"),
    Action("quit", "app", ("q",), "Close popup, or quit", "quit"),
    Action("cancel", "everywhere", ("escape",), "Cancel, leave zoom, back to the layers", "back"),
    Action("quit.now", "app", ("ctrl+q",), "Quit"),
    Action("suspend", "app", ("ctrl+z",), "To the shell; fg returns"),
    Action("reload", "everywhere", ("ctrl+l",), "Reload from disk and redraw", doer="looking"),
    Action("pane.next", "everywhere", ("tab",), "Next pane"),
    Action("pane.prev", "everywhere", ("shift+tab",), "Previous pane"),
    Action("tab.1", "everywhere", ("1",), "Layer: arguments, shapes, its tensors at a glance"),
    Action("tab.2", "everywhere", ("2",), "Weights: statistics, histogram, values"),
    Action("tab.3", "everywhere", ("3",), "Run: outputs, times, gradients, feature maps"),
    Action("tab.4", "everywhere", ("4",), "Code: the model as Python"),
    Action("tab.6", "everywhere", ("6",), "Problems: shapes that do not fit, and their fixes"),
    Action("tab.next", "everywhere", ("right_square_bracket",), "Next tab"),
    Action("tab.prev", "everywhere", ("left_square_bracket",), "Previous tab"),
    Action("zoom", "everywhere", ("z",), "Maximise pane, or restore", "zoom"),
    Action("search", "everywhere", ("slash",), "Search as you type", "search", doer="finder"),
    Action("search.next", "everywhere", ("n",), "Next match", doer="finder"),
    Action("search.prev", "everywhere", ("N",), "Previous match", doer="finder"),
    Action("copy.name", "everywhere", ("Y",), "Copy qualified name (OSC 52)", doer="clipboard"),
    Action("copy.command", "everywhere", ("C",), "Copy the command that reopens this view", doer="clipboard"),
    Action("theme", "app", ("ctrl+t",), "Choose a theme"),
    Action("open.row", "table", ("enter",), "Open: a layer's detail, a tensor's values", "open"),
    Action("fix", "everywhere", ("exclamation_mark",), "Fix the problem at this layer", "fix", doer="editor"),
    Action("problem.next", "everywhere", ("right_curly_bracket",), "Next shape problem", doer="finder"),
    Action("problem.prev", "everywhere", ("left_curly_bracket",), "Previous shape problem", doer="finder"),
    Action("input", "everywhere", ("I",), "Set input shape and dtype", "input", doer="looking"),
    Action("run", "everywhere", ("R",), "Run a forward pass", "run", doer="runner"),
    Action("mode", "everywhere", ("T",), "Train mode or eval mode, for runs", "train/eval", doer="runner"),
    Action("device", "everywhere", ("at",), "Device to run on, and type of the numbers", "device", doer="runner"),
    Action(
        "command",
        "everywhere",
        ("colon",),
        "A line: an edit, or w q wq q! e recipe replay",
        "command",
        doer="editor",
    ),
    Action("save", "everywhere", ("ctrl+s",), "Save", doer="editor"),
    Action("undo", "everywhere", ("u",), "Undo", "undo", doer="editor"),
    Action("redo", "everywhere", ("U", "ctrl+r"), "Redo", doer="editor"),
    Action("add", "table", ("a",), "Add a layer after: every kind, with what it would do", "add", doer="editor"),
    Action("insert", "table", ("i",), "Insert a layer before", doer="editor"),
    Action("edit", "table", ("e",), "Edit arguments", "edit", doer="editor"),
    Action("replace", "table", ("s",), "Replace by another kind, keeping what fits", doer="editor"),
    Action("edit.source", "everywhere", ("E",), "Edit as Python in $EDITOR", "editor", doer="editor"),
    Action("rename", "table", ("r",), "Rename", "rename", doer="editor"),
    Action("remove", "table", ("d", "delete"), "Remove marked or current", "remove", doer="editor"),
    Action(
        "toggle",
        "table",
        ("t",),
        "On or off: dropout, or any other layer bypassed",
        "on/off",
        doer="editor",
        also=("run",),
    ),
    Action("toggle.dropout", "table", ("D",), "All dropout layers on or off", doer="editor", also=("run",)),
    Action("freeze", "table", ("F",), "Freeze or unfreeze parameters", doer="editor"),
    Action("copy", "table", ("c",), "Copy below, under a free name", doer="editor"),
    Action("yank", "table", ("y",), "Yank layers", doer="editor"),
    Action("cut", "table", ("x",), "Cut layers: pasting moves them", doer="editor"),
    Action("paste", "table", ("p",), "Paste after, or inside what is open or empty", doer="editor"),
    Action("paste.before", "table", ("P",), "Paste before", doer="editor"),
    Action("move.down", "table", ("J", "ctrl+j"), "Move down", doer="editor"),
    Action("move.up", "table", ("K",), "Move up", doer="editor"),
    Action("group", "table", ("greater_than_sign",), "Wrap marked layers in a Sequential", doer="editor"),
    Action("ungroup", "table", ("less_than_sign",), "Lift out of the Sequential", doer="editor"),
    Action("mark", "table", ("space",), "Mark and go down"),
    Action("range", "table", ("v",), "Mark a range: move, then v again"),
    Action("mark.all", "table", ("asterisk",), "Mark all matches of the search, or invert the marks"),
    Action("repeat", "table", ("full_stop",), "Repeat the last edit here", doer="editor"),
    Action("down", "movement", ("j", "down"), "Down"),
    Action("up", "movement", ("k", "up"), "Up"),
    Action("left", "movement", ("h", "left"), "Collapse, to parent, scroll left"),
    Action("right", "movement", ("l", "right"), "Expand, to first child, scroll right"),
    Action("top", "movement", ("g", "home"), "First row"),
    Action("bottom", "movement", ("G", "end"), "Last row"),
    Action("half.down", "movement", ("ctrl+d",), "Half page down"),
    Action("half.up", "movement", ("ctrl+u",), "Half page up"),
    Action("page.down", "movement", ("pagedown",), "Page down"),
    Action("page.up", "movement", ("pageup",), "Page up"),
    Action("expand.all", "table", ("plus",), "Expand all"),
    Action("collapse.all", "table", ("minus",), "Collapse all"),
    Action("weights", "table", ("w",), "Weights of this layer", "weights"),
    Action("bins", "weights", ("b",), "Histogram bins"),
    Action("scale", "weights", ("o",), "Linear or log scale", "log"),
    Action(
        "slice.next", "weights", ("right_parenthesis",), "Next slice of a tensor of more than two dimensions", "slice"
    ),
    Action("slice.prev", "weights", ("left_parenthesis",), "Previous slice"),
    Action("goto", "weights", ("i",), "Go to index 3,0,1,2", "go to"),
    Action("run.input", "run", ("i",), "Choose the input: normal, zeros, ones, a file", "fed", doer="runner"),
    Action("run.backward", "run", ("b",), "With backward: gradients too", "backward", doer="runner"),
    Action("run.passes", "run", ("p",), "Number of passes", "passes", doer="runner"),
    Action("run.cancel", "run", ("x",), "Cancel the run; again: end torch's process", "cancel", doer="runner"),
    Action("run.maps", "run", ("m",), "Feature maps of the layer under the cursor, or numbers", "maps"),
    Action("maps.next", "run", ("right_parenthesis",), "Next feature maps"),
    Action("maps.prev", "run", ("left_parenthesis",), "Previous feature maps"),
    Action("copy.code", "code", ("y",), "Copy the code (OSC 52)", "copy"),
    Action("problem.open", "problems", ("enter",), "To the layer of a problem; a fix: apply it", "choose"),
    Action("problem.fix", "problems", ("exclamation_mark",), "Apply the fix here, or the first of this problem"),
)

KEY_SIGNS: dict[str, str] = {
    "question_mark": "?",
    "slash": "/",
    "at": "@",
    "plus": "+",
    "minus": "-",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "right_curly_bracket": "}",
    "left_curly_bracket": "{",
    "right_parenthesis": ")",
    "left_parenthesis": "(",
    "colon": ":",
    "exclamation_mark": "!",
    "full_stop": ".",
    "asterisk": "*",
    "greater_than_sign": ">",
    "less_than_sign": "<",
}
"""Textual's names of keys -> what is printed on them."""


def key_sign(key: str) -> str:
    """The key as a person writes it."""
    return KEY_SIGNS.get(key, key)


def method_name(action: Action) -> str:
    """The action as a binding names it: what follows `action_` in the name of the method that does it."""
    if action.doer != "pane":
        return f"screen.deed('{action.doer}', '{action.id}')"
    stem, _, number = action.id.partition(".")
    if number.isdecimal():
        return f"{stem}({number})"
    return action.id.replace(".", "_")


def bindings(*panes: Pane) -> list[Binding]:
    """The bindings of some panes, for a BINDINGS class variable. Those that hold over any question come first."""
    from textual.binding import Binding  # not with the table, which is read before there is a screen

    return [
        Binding(
            ",".join(action.keys),
            method_name(action),
            action.words,
            show=False,
            id=action.id,
            priority=action.id in ("quit.now", "suspend"),
        )
        for action in ACTIONS
        if any(map(action.holds_in, panes))
    ]
