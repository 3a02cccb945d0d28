"""The program on a real terminal: what is on the screen, and that the terminal comes back however it ends."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import faults
import pytest
from terminal import KEYS, SAMPLES, TAKES_PASTES, TAKES_SCREEN, Terminal, environment, seqtui

LENET = SAMPLES / "lenet5.safetensors"
BOTTOM = ("61,706 parameters", ": command")
"""What the last two lines say; with them the frame is whole."""

ROWS = """
lenet5    Sequential, 13 layers  1×10        61,706
conv1     Conv2d 1→6 k5 p2       1×6×28×28      156
tanh1     Tanh                   1×6×28×28        ·
pool1     AvgPool2d 2            1×6×14×14        ·
conv2     Conv2d 6→16 k5         1×16×10×10   2,416
tanh2     Tanh                   1×16×10×10       ·
pool2     AvgPool2d 2            1×16×5×5         ·
dropout1  Dropout 0.5            1×16×5×5         ·
flatten   Flatten                1×400            ·
fc1       Linear 400→120         1×120       48,120
tanh3     Tanh                   1×120            ·
fc2       Linear 120→84          1×84        10,164
tanh4     Tanh                   1×84             ·
fc3       Linear 84→10           1×10           850
""".strip().splitlines()

BROKEN_SCREEN = """
import sys
from seqtui.__main__ import main
from seqtui.tui.finder import Finder

def fail(self, step):
    name = "\\x1b[31mlocal"
    raise RuntimeError("\\x1b[31mdeliberate")

Finder.to_match = fail
sys.exit(main())
"""
"""The program with a fault of its own behind the key `n`."""

SMALLER_AT_ONCE = """
import fcntl, signal, struct, sys, termios
from seqtui.__main__ import main
from textual.drivers.linux_driver import LinuxDriver

asked = LinuxDriver._get_terminal_size

def answered_late(self):
    size = asked(self)
    if signal.getsignal(signal.SIGWINCH) is signal.SIG_DFL:
        return size
    LinuxDriver._get_terminal_size = asked
    fcntl.ioctl(self.fileno, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    return size

LinuxDriver._get_terminal_size = answered_late
sys.exit(main())
"""
"""The program on a terminal that gets smaller while Textual asks for its size."""


def opened(columns: int = 80, lines: int = 24, **changes: str) -> Terminal:
    return Terminal(seqtui("open", LENET), columns, lines, environment(**changes))


def columns(line: str) -> list[str]:
    """The cells of a row, without its signs."""
    return re.split(r"\s{2,}", re.sub(r"[›▸▾●○]", " ", line).strip())


def test_first_frame_shows_all_of_lenet5_and_q_gives_the_terminal_back() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        assert [columns(line) for line in terminal.lines[2:16]] == [columns(row) for row in ROWS]
        assert "lenet5.safetensors" in terminal.lines[0]
        assert "1×1×28×28" in terminal.lines[0]
        terminal.press("j", "l")
        terminal.sees("weight", "6×1×5×5", "150")
        terminal.press("g", "j", "Y")
        terminal.sees("the terminal's clipboard")
        assert f"\x1b]52;c;{base64.b64encode(b'conv1').decode()}\x07".encode() in terminal.output
        terminal.quit()
        assert TAKES_SCREEN in terminal.output


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGQUIT, 131), (signal.SIGTERM, 143)],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else "",
)
def test_signal_ends_it_and_gives_the_terminal_back(number: signal.Signals, code: int, tmp_path: Path) -> None:
    with opened(XDG_STATE_HOME=str(tmp_path)) as terminal:
        terminal.draws(*BOTTOM)
        terminal.process.send_signal(number)
        terminal.gives_back(code)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_signal_while_the_screen_is_being_taken_gives_it_back() -> None:
    with opened() as terminal:
        terminal.wait(lambda: TAKES_SCREEN in terminal.output, "the screen to be taken")
        terminal.process.terminate()
        terminal.gives_back(143)


@pytest.mark.parametrize("moment", ["whole", "being taken", "busy"])
def test_dropped_line_ends_it(moment: str, tmp_path: Path) -> None:
    with opened(XDG_STATE_HOME=str(tmp_path)) as terminal:
        terminal.wait(lambda: TAKES_SCREEN in terminal.output, "the screen to be taken")
        if moment != "being taken":
            terminal.draws(*BOTTOM)
        if moment == "busy":
            terminal.press("2jjjj1jjzz]" * 20)
        terminal.hang_up()
        assert terminal.ends() in (129, -signal.SIGHUP)  # 129 to a shell, both of them
        with pytest.raises(ProcessLookupError):
            os.killpg(terminal.process.pid, 0)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_edit_sends_the_lines_that_look_different(tmp_path: Path) -> None:
    command = seqtui("open", LENET, "--select", "pool2")
    with Terminal(command, env=environment(XDG_STATE_HOME=str(tmp_path))) as terminal:
        terminal.draws(*BOTTOM)
        terminal.press("j")
        terminal.sees("›    ● dropout1")
        terminal.rests()
        written = len(terminal.output)
        terminal.press("t")
        terminal.sees("›    ○ dropout1")
        sent = terminal.output[written:]
        assert b"dropout1" in sent
        assert not re.search(rb"conv1|tanh2|flatten", sent)


def test_ctrl_z_gives_the_terminal_back_and_fg_the_screen() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        terminal.sleep_and_wake()
        terminal.quit()


def test_ctrl_z_held_down_is_one_sleep() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        before = terminal.lines
        terminal.press(KEYS["ctrl+z"] * 6)  # at once: of one that finds the line given back the kernel drops output
        terminal.stops()
        terminal.forget()
        terminal.process.send_signal(signal.SIGCONT)
        terminal.wait(lambda: terminal.lines == before, "the whole screen")
        terminal.quit()


def test_started_in_the_background_it_waits_for_fg() -> None:
    script = 'set -m; "$@" & until jobs | grep -q Stopped; do sleep 0.1; done; fg'
    with Terminal(["bash", "--norc", "-c", script, "bash", *seqtui("open", LENET)], env=environment()) as terminal:
        terminal.draws(*BOTTOM)
        terminal.press("j")
        terminal.sees("›  ▸ ● conv1")
        terminal.press("q")
        assert terminal.ends() == 0
        assert b"our own fault" not in terminal.output


@pytest.mark.parametrize("pane", ["", "2", "?", "/"], ids=["table", "weights", "help", "search"])
def test_any_size_is_drawn(pane: str) -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        before = terminal.lines
        terminal.press(pane)
        for size in [(10, 3), (2, 2), (1, 1), (1, 24), (80, 1), (24, 5)]:
            written = len(terminal.output)
            terminal.resize(*size)
            terminal.wait(lambda: len(terminal.output) > written, f"anything at {size}")  # noqa: B023 - waited for here
        terminal.resize(80, 24)
        terminal.press("escape")
        terminal.wait(lambda: terminal.lines == before, "the screen of before")
        terminal.resize(124, 40)
        terminal.sees("fc3", "1 Layer", "2 Weights", "61,706 parameters")
        assert max(map(len, terminal.lines)) > 80
        terminal.press("ctrl+q")
        assert terminal.ends() == 0


def is_stopped_and_woken(terminal: Terminal, screen: list[str]) -> None:
    """From outside; a draw that was under way may bring the whole screen before the program is awake."""
    terminal.is_kept_asleep()
    terminal.forget()
    asleep = len(terminal.output)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait(lambda: TAKES_PASTES in terminal.output[asleep:], "the terminal to be set again")
    terminal.wait(lambda: terminal.lines == screen, "the whole screen")


def test_a_sleep_that_it_was_not_told_of_takes_nothing_from_the_terminal() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        before = terminal.lines
        for _ in range(3):
            is_stopped_and_woken(terminal, before)
        terminal.press("j")
        terminal.wait(lambda: "›  ▸ ● conv1" in terminal.text, "a row further, and no more")
        terminal.quit()


def test_being_woken_while_it_draws_holds_nothing_up() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        for _ in range(60):
            terminal.press("j", "k")
            terminal.process.send_signal(signal.SIGCONT)
        terminal.sees(*BOTTOM)
        terminal.quit()


def test_the_old_size_again_before_anybody_looked_is_drawn_again() -> None:
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        before = terminal.lines
        terminal.resize_unseen((24, 5), (80, 24))
        terminal.wait(lambda: terminal.lines == before, "the screen of before")
        terminal.quit()


def test_a_size_that_changes_while_it_is_asked_for_is_drawn() -> None:
    with Terminal([sys.executable, "-c", SMALLER_AT_ONCE, "open", str(LENET)], env=environment()) as terminal:
        terminal.draws(*BOTTOM)
        for tab in "212":  # each drawn whole, and later than the size that was told last
            terminal.forget()
            terminal.press(tab)
            terminal.wait(lambda: "? keys" in terminal.lines[19], "the keys in the last of 20 lines")
        terminal.quit()


def test_fault_of_our_own_gives_the_terminal_back_and_names_a_report(tmp_path: Path) -> None:
    command = [sys.executable, "-c", BROKEN_SCREEN, "open", str(LENET)]
    with Terminal(command, env=environment(XDG_STATE_HOME=str(tmp_path))) as terminal:
        terminal.draws(*BOTTOM)
        terminal.press("n")
        terminal.gives_back(70)
        assert b"\x1b[31m" not in terminal.output
        (report,) = tmp_path.rglob("report-*.txt")
        assert "deliberate" in report.read_text()
        assert str(report).encode() in re.sub(rb"\s", b"", terminal.output)


# Where there is no screen to take


def test_dumb_terminal_gets_the_summary_and_a_line_of_advice() -> None:
    with opened(TERM="dumb") as terminal:
        assert terminal.ends() == 0
        assert [columns(line)[:4] for line in terminal.lines[1:15]] == [columns(row) for row in ROWS]
        assert "seqtui: no screen to open here" in terminal.text
        assert b"\x1b" not in terminal.output


@pytest.mark.parametrize("stream", ["stdin", "stdout", "stderr"])
def test_without_a_terminal_on_any_side_it_prints_the_summary(stream: str, tmp_path: Path) -> None:
    redirect = {"stdin": "< /dev/null", "stdout": "> out", "stderr": "2> err"}[stream]
    with Terminal(["sh", "-c", f'cd "$0" && exec "$@" {redirect}', str(tmp_path), *seqtui("open", LENET)]) as terminal:
        assert terminal.ends() == 0
        written = terminal.output + b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert b"Linear 84" in written
        assert b"seqtui: no screen to open here" in written
        assert TAKES_SCREEN not in written


def test_no_color_sends_greys_alone() -> None:
    with opened(NO_COLOR="1") as terminal:
        terminal.draws(*BOTTOM)
        assert not [colour for colour in colours(terminal.output) if len(set(colour)) > 1]
    with opened() as terminal:
        terminal.draws(*BOTTOM)
        assert [colour for colour in colours(terminal.output) if len(set(colour)) > 1]


def colours(output: bytes) -> list[tuple[int, int, int]]:
    """The colours of the 256 that were asked for, as red, green, blue."""
    found = []
    for text in re.findall(rb"[34]8;5;(\d+)[;m]", output):
        number = int(text)
        cube = ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)
        found.append(cube if 16 <= number < 232 else (0, 0, 0) if number > 231 else (number, 0, 1))
    return found


@pytest.mark.parametrize(("option", "is_asked_for"), [("--no-mouse", False), ("--theme=textual-dark", True)])
def test_no_mouse_leaves_it_to_the_terminal(option: str, is_asked_for: bool) -> None:
    with Terminal(seqtui("open", LENET, option)) as terminal:
        terminal.draws(*BOTTOM)
        assert bool(re.search(rb"\x1b\[\?(1000|1003|1006)h", terminal.output)) is is_asked_for


def test_read_only_and_the_device_are_those_asked_for(tmp_path: Path) -> None:
    file = shutil.copy(LENET, tmp_path / "net.safetensors")
    with Terminal(seqtui("open", file, "--read-only", "--device", "Meta")) as terminal:
        terminal.draws("eval · meta", "Read-only: it was opened")
        terminal.press("jd")
        terminal.sees("nothing can be edited:")
        terminal.quit()


# Files that are damaged, or change under the program's hands


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 200_000)


@pytest.mark.parametrize("spoil", [cut, Path.unlink], ids=["cut short", "removed"])
def test_file_that_changes_while_open_harms_nothing(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    shutil.copy(LENET, path)
    with Terminal(seqtui("open", path.name, "--select", "fc3.weight"), folder=tmp_path) as terminal:
        terminal.draws(*BOTTOM, "10×84")
        spoil(path)
        terminal.press("enter")
        if spoil is cut:
            terminal.sees("the file ends at byte")
        else:
            terminal.sees("count 840")  # an open file stays readable after its name is gone
            terminal.press("ctrl+l")
            terminal.sees("there is no such")
        terminal.press("escape")
        terminal.sees("conv1", *BOTTOM)
        terminal.quit()


@pytest.mark.parametrize("name", ["empty", "half_the_data", "web_page", "missing", "empty_folder", "pipe"])
def test_file_that_is_refused_takes_no_screen(name: str, tmp_path: Path) -> None:
    (fault,) = [fault for fault in faults.FAULTS if fault.name == name]
    path = tmp_path / "net.safetensors"
    fault.make(path)
    assert fault.error is not None
    with Terminal(seqtui("open", path), columns=500) as terminal:
        assert terminal.ends() == fault.error.exit_code
        written = terminal.output.decode()
    assert "\x1b" not in written
    lines = written.splitlines()
    assert lines[0].startswith(f"seqtui: {path}: ")
    assert fault.words in lines[0]
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: "))
