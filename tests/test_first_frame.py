"""The first frame is what Textual draws over it, cell by cell, and the terminal outlives what lies in between."""

from __future__ import annotations

import json
import re
import signal
import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from terminal import SAMPLES, TAKES_SCREEN, TEXTUAL_STARTS, Look, Terminal, environment, seqtui

from seqtui.formats import open_model
from seqtui.tui.branches import Branches
from seqtui.tui.first_frame import first_frame
from seqtui.workspace import Workspace

DATA = Path(__file__).parent / "data"
LENET = SAMPLES / "lenet5.safetensors"
TRUE = {"COLORTERM": "truecolor"}
FRAME = ("fc3", "850", "61,706 parameters", ": command")
TILL_KEY = "select.select([0], [], [])"
TILL_SIGNAL = "signal.pause()"
ITS_OWN = "--theme=textual-dark"
"""The theme that there is anyway; to ask for one is to wait for Textual."""

GAP = """
import os, select, signal, sys
from importlib.abc import MetaPathFinder

class Gap(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "seqtui.tui.app":
            {deed}

sys.meta_path.insert(0, Gap())
from seqtui.__main__ import main
sys.exit(main())
"""
"""The program, with something that it does when all is drawn that is drawn without Textual."""
FAULT = """
import sys
from seqtui.__main__ import main
from seqtui.tui.app import SeqtuiApp

def fail(self):
    1 / 0

SeqtuiApp.{method} = fail
sys.exit(main())
"""
"""The program, with a fault of its own before Textual has the terminal."""


def flat(folder: Path, names: list[str]) -> Path:
    """A file of tensors without a tree."""
    entries = {name: {"dtype": "U8", "shape": [1], "data_offsets": [at, at + 1]} for at, name in enumerate(names)}
    header = json.dumps(entries).encode()
    path = folder / "flat.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(len(names)))
    return path


def painted(path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> str:
    """The first frame of a file on a terminal."""
    monkeypatch.setenv("COLUMNS", str(size[0]))
    monkeypatch.setenv("LINES", str(size[1]))
    workspace = Workspace(open_model(str(path)))
    try:
        return first_frame(workspace.view, Branches(workspace.view.model), environment(**variables))
    finally:
        workspace.close()


def in_gap(deed: str, *arguments: str | Path, **changes: str) -> Terminal:
    """The program on a terminal, doing something of ours after the first frame."""
    command = [sys.executable, "-c", GAP.format(deed=deed), "open", *map(str, arguments)]
    return Terminal(command, env=environment(**changes))


# What is drawn


@pytest.mark.parametrize(
    ("file", "size", "variables"),
    [
        (LENET, (80, 24), {}),
        (LENET, (120, 40), {}),
        (LENET, (80, 24), TRUE),
        (LENET, (120, 40), {"NO_COLOR": "1"}),
        (LENET, (60, 12), TRUE | {"NO_COLOR": ""}),
        (LENET, (24, 6), {}),
        (SAMPLES / "broken_cnn.safetensors", (80, 24), TRUE),
        (SAMPLES / "broken_cnn.safetensors", (171, 30), {}),
        (SAMPLES / "text_classifier.safetensors", (99, 24), {}),
        (DATA / "hf_llama.safetensors", (100, 20), TRUE),
        (DATA / "diffusers_unet.safetensors", (125, 33), {}),
        (DATA / "seq_numbered_gaps.safetensors", (41, 15), {}),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "x".join(map(str, value)),
)
def test_the_first_frame_is_the_one_that_textual_draws(
    file: Path, size: tuple[int, int], variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_same(file, size, variables, monkeypatch)


@pytest.mark.parametrize("count", [20, 21, 22, 40, 1000, 20_000])
def test_a_scrollbar_is_as_long_as_textual_s(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_same(flat(tmp_path, [f"tensor_{index}" for index in range(count)]), (80, 24), TRUE, monkeypatch)


def test_names_of_any_kind_are_cut_by_cells_and_obeyed_by_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["漢字" * 30, "[bold]x[/]", "\x1b]52;c;aGk=\x07", "a\u202eb", "e\u0301" * 40, "plain", "ガ" * 7]
    path = flat(tmp_path, names)
    frame = painted(path, (80, 24), monkeypatch, {})
    assert "\x1b]" not in frame
    assert "\u202e" not in frame
    require_same(path, (80, 24), {}, monkeypatch)
    require_same(path, (110, 24), {}, monkeypatch)


def require_same(
    file: Path, size: tuple[int, int], variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame has the cells that the program shows without one; but for the detail's text, which comes later."""
    columns, lines = size
    frame = painted(file, size, monkeypatch, variables)
    drawn = Terminal.showing(frame, columns, lines)
    with Terminal(seqtui("open", file, ITS_OWN), columns, lines, environment(**variables)) as terminal:
        terminal.sees("Layer", "enter")
        terminal.wait(lambda: without_detail(terminal.screen()) == without_detail(drawn), "the same cells")


def without_detail(screen: list[list[Look]]) -> list[list[Look]]:
    """The cells but for the detail's text, which comes later: up to its border, below its title."""
    columns, lines = len(screen[0]), len(screen)
    width = columns if columns < 100 else max(columns // 2, 62) + 1
    return [line if number in (0, 1, lines - 2, lines - 1) else line[:width] for number, line in enumerate(screen)]


@pytest.mark.parametrize(
    ("arguments", "size", "variables"),
    [
        ([ITS_OWN], (80, 24), {}),
        (["--select=fc1"], (80, 24), {}),
        ([], (80, 24), {"TERM": "xterm"}),
        ([], (23, 24), {}),
        ([], (80, 5), {}),
        ([], (1, 1), {}),
    ],
    ids=["theme", "select", "16 colours", "narrow", "low", "one cell"],
)
def test_textual_is_waited_for_where_it_may_draw_otherwise(
    arguments: list[str], size: tuple[int, int], variables: dict[str, str]
) -> None:
    with Terminal(seqtui("open", LENET, *arguments), *size, environment(**variables)) as terminal:
        terminal.draws()
        assert terminal.output.startswith(TAKES_SCREEN)
        assert b"lenet5" not in terminal.output[: terminal.output.index(TEXTUAL_STARTS)]
        terminal.quit()


@pytest.mark.parametrize(("size", "detail"), [((80, 24), ""), ((120, 30), "multiply-adds  416,520")], ids=["80", "120"])
def test_nothing_moves_when_textual_takes_over(size: tuple[int, int], detail: str) -> None:
    columns, lines = size
    with Terminal(seqtui("open", LENET), columns, lines) as terminal:
        terminal.draws(*FRAME, detail)
        terminal.quit()
        output = terminal.output[: terminal.output.rindex(b"\x1b[?2004l")]  # up to where it leaves
    starts = [match.start() for match in re.finditer(rb"\x1b\[1;1H", output)][1:]  # of Textual's frames
    ours, *theirs = [Terminal.showing(output[:end].decode(), columns, lines) for end in (*starts, len(output))]
    assert len(theirs) > 2
    assert (theirs[-1] != ours) is bool(detail)
    for frame in theirs:
        assert without_detail(frame) == without_detail(ours)


# What comes before Textual


def test_the_frame_is_there_before_textual_and_by_the_standard_library_alone(tmp_path: Path) -> None:
    file = tmp_path / "modules"
    with in_gap(f"open({str(file)!r}, 'w').write(' '.join(sys.modules)); {TILL_KEY}", LENET) as terminal:
        terminal.sees(*FRAME)
        assert "1×1×28×28" in terminal.lines[0]
        assert TEXTUAL_STARTS not in terminal.output
        terminal.wait(file.exists, "the modules")
        terminal.quit()
        assert terminal.output.count(TAKES_SCREEN) == 1  # twice would blank it
    loaded = {name.partition(".")[0] for name in file.read_text().split()}
    assert not loaded & {"numpy", "platformdirs", "rich", "safetensors", "textual", "torch"}


def test_keys_typed_meanwhile_reach_the_app_as_they_are_and_are_not_echoed() -> None:
    with in_gap(TILL_KEY, LENET) as terminal:
        terminal.sees(*FRAME)
        before = terminal.lines
        terminal.press("j", "j", "k", "enter")  # ctrl+j, which enter was for a line, would move the layer
        terminal.draws("Conv2d   2D convolution")
        assert "jjk" not in terminal.text
        terminal.press("escape")
        terminal.wait(lambda: [line[1:] for line in terminal.lines] == [line[1:] for line in before], "the same model")
        assert terminal.lines[3].startswith("›  ▸ ● conv1")
        terminal.quit()


def test_ctrl_z_waits_for_the_app_which_gives_back_what_was_found_first() -> None:
    with in_gap(TILL_KEY, LENET) as terminal:
        terminal.sees(*FRAME)
        terminal.sleep_and_wake()
        assert terminal.output.count(TAKES_SCREEN) == 2
        terminal.quit()


def test_another_size_meanwhile_is_drawn_by_textual() -> None:
    with in_gap(TILL_KEY, LENET) as terminal:
        terminal.sees(*FRAME)
        terminal.resize(120, 40)
        terminal.press("j")
        terminal.draws("›  ▸ ● conv1", "2D convolution", *FRAME)
        assert max(map(len, terminal.lines)) > 80
        terminal.quit()


# However it ends


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131), (signal.SIGTERM, 143)],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_a_signal_meanwhile_gives_the_terminal_back(number: signal.Signals, code: int) -> None:
    with in_gap(TILL_SIGNAL, LENET) as terminal:
        terminal.sees(*FRAME)
        terminal.process.send_signal(number)
        terminal.gives_back(code)


@pytest.mark.parametrize(("key", "code"), [("ctrl+c", 130), ("\x1c", 131)], ids=["ctrl+c", "ctrl+backslash"])
def test_the_keys_that_end_a_program_end_it(key: str, code: int) -> None:
    with in_gap(TILL_SIGNAL, LENET) as terminal:
        terminal.sees(*FRAME)
        terminal.press(key)
        terminal.gives_back(code)


def test_a_dropped_line_ends_it() -> None:
    with in_gap(TILL_SIGNAL, LENET) as terminal:
        terminal.sees(*FRAME)
        terminal.hang_up()
        assert terminal.ends() == 129


@pytest.mark.parametrize(
    "program",
    [GAP.format(deed="1 / 0"), FAULT.format(method="on_load"), FAULT.format(method="get_default_screen")],
    ids=["import", "load", "screen"],
)
def test_a_fault_before_the_screens_gives_the_terminal_back_and_names_a_report(program: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", program, "open", str(LENET)]
    with Terminal(command, env=environment(XDG_STATE_HOME=str(tmp_path))) as terminal:
        terminal.gives_back(70)
        assert b"fc3" in terminal.output[: terminal.output.index(b"our own fault")]
    (report,) = tmp_path.rglob("report-*.txt")
    assert "division by zero" in report.read_text()
