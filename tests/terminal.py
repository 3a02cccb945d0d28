"""The real program on a pseudo-terminal: keys in, the screen out, as a person at a terminal has them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import pyte

SAMPLES = Path(__file__).parent.parent / "sample_models"
PATIENCE = 60.0
"""Seconds after which what is waited for counts as never coming. Long, since to be slow is no failure."""

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "down": "\x1b[B",
    "up": "\x1b[A",
    **{f"ctrl+{letter}": chr(ord(letter) - ord("a") + 1) for letter in "cdlpqtuz"},
}
"""What a terminal sends for the keys that are no character."""

TAKES_SCREEN = b"\x1b[?1049h"
TAKES_PASTES = b"\x1b[?2004h"
TEXTUAL_STARTS = b"\x1b[?1004h"
"""What Textual asks the terminal for before it draws."""
USUAL_MODES = {7: True, 25: True}
"""Lines wrap and the cursor shows; any other private mode of a terminal is off until a program asks for it."""


def seqtui(*arguments: str | Path) -> list[str]:
    """The program's command line, run by this interpreter."""
    return [sys.executable, "-m", "seqtui", *map(str, arguments)]


def environment(**changes: str) -> dict[str, str]:
    """This process's own, without what would change how the program looks, and with some changes."""
    unset = ("COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "TMUX", "TERM_PROGRAM")
    kept = {name: value for name, value in os.environ.items() if name not in unset and not name.startswith("TEXTUAL")}
    state = os.environ.get("XDG_STATE_HOME", os.path.join(os.devnull, "state"))  # not the home of whoever runs this
    return {**kept, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "XDG_STATE_HOME": state, **changes}


class Look(NamedTuple):
    """A cell as it is seen."""

    text: str
    ink: str
    """The colour of the text; of a blank there is none to be seen."""
    ground: str
    is_bold: bool
    is_underlined: bool


def _looks(screen: pyte.Screen) -> list[list[Look]]:
    return [[_look(screen.buffer[line][column]) for column in range(screen.columns)] for line in range(screen.lines)]


def _look(cell: pyte.screens.Char) -> Look:
    ink, ground = (cell.bg, cell.fg) if cell.reverse else (cell.fg, cell.bg)
    is_blank = cell.data == " "
    return Look(cell.data, "" if is_blank else ink, ground, not is_blank and cell.bold, cell.underscore)


class Terminal:
    """A program on a terminal of its own. Leaving the `with` block ends it, whatever state it is in."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.output = b""
        """All that was sent to the terminal so far."""
        self._master, self._slave = pty.openpty()
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._set_size(columns, lines)
        self._settings = termios.tcgetattr(self._slave)
        self.process = subprocess.Popen(
            command,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=env or environment(),
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.hang_up()
        os.close(self._slave)

    # What is seen

    @property
    def lines(self) -> list[str]:
        """The screen, line by line."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def cells(self, line: int) -> list[str]:
        """The characters of one line by column; after one of two columns stands an empty one."""
        return [self._screen.buffer[line][column].data for column in range(self._screen.columns)]

    def screen(self) -> list[list[Look]]:
        """The cells, line by line."""
        return _looks(self._screen)

    @staticmethod
    def showing(text: str, columns: int, lines: int) -> list[list[Look]]:
        """The cells of a terminal on which a text was written."""
        screen = pyte.Screen(columns, lines)
        pyte.Stream(screen).feed(text)
        return _looks(screen)

    def left_behind(self) -> list[object]:
        """What the terminal has of the program that a shell would stumble over; nothing, if all is as it was."""
        found: list[object] = []
        modes = dict(USUAL_MODES)
        for numbers, switch in re.findall(rb"\x1b\[\?([\d;]+)([hl])", self.output):
            modes.update(dict.fromkeys(map(int, numbers.split(b";")), switch == b"h"))
        found += [number for number, is_on in modes.items() if is_on != USUAL_MODES.get(number, False)]
        if self.output.count(b"\x1b[>25u") != self.output.count(b"\x1b[<u"):
            found.append("the kitty keyboard protocol")
        if termios.tcgetattr(self._slave) != self._settings:
            found.append("the settings of the line")
        return found

    # What is waited for

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Read what the program writes until the condition holds."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            may_come = self.process.poll() is None and time.monotonic() < deadline
            if not self._read(0.02) and not may_come and not condition():
                raise AssertionError(f"waited in vain for {what}:\n{self.text}\n{self.output[-300:]!r}")

    def sees(self, *texts: str) -> None:
        """Wait until all of these texts are on the screen."""
        self.wait(lambda: all(text in self.text for text in texts), repr(texts))

    def reads(self, *texts: str) -> None:
        """The same of texts that may flow over several lines."""
        self.wait(lambda: all(text in " ".join(self.text.split()) for text in texts), repr(texts))

    def draws(self, *texts: str) -> None:
        """Wait until Textual has drawn these over the first frame; signals are the app's then."""
        drawn = re.compile(re.escape(TEXTUAL_STARTS) + rb".*\x1b\[1;1H", re.DOTALL)
        self.wait(lambda: drawn.search(self.output) and all(text in self.text for text in texts), repr(texts))

    def rests(self) -> None:
        """Wait until it has nothing more to draw."""
        self.wait(lambda: not self._read(0.5), "the screen to rest")

    def stops(self) -> None:
        """Wait until the program sleeps, as after ctrl+z."""
        self.wait(lambda: os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG), "the program to stop")

    def ends(self) -> int:
        """Wait for the program's end; its exit code, negative for the number of the signal that killed it."""
        if self._master < 0:
            return self.process.wait(PATIENCE)
        self.wait(lambda: self.process.poll() is not None, "the end of the program")
        while self._read(0):
            pass
        return self.process.returncode

    def gives_back(self, code: int = 0) -> None:
        """The program ends with this code, and without a trace of it the terminal is as it was found."""
        assert self.ends() == code
        assert self.left_behind() == []
        assert b"Traceback" not in self.output

    # What is done

    def quit(self) -> None:
        """`q`, and nothing is left behind."""
        self.press("q")
        self.gives_back()

    def sleep_and_wake(self) -> None:
        """ctrl+z, which gives the terminal back meanwhile, and `fg`, which brings the same screen."""
        before = self.lines
        self.press("ctrl+z")
        self.stops()
        self.wait(lambda: b"\x1b[?1004l" in self.output, "the last of the program's words")
        assert self.left_behind() == []
        self.forget()
        self.process.send_signal(signal.SIGCONT)
        self.wait(lambda: self.lines == before, "the whole screen")

    def press(self, *keys: str) -> None:
        """Keys by name, characters, or several of them at once."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())

    def resize(self, columns: int, lines: int) -> None:
        """As a window manager does; the screen is blank until the program has drawn it again."""
        self._screen.resize(lines, columns)
        self.forget()
        self._set_size(columns, lines)

    def is_kept_asleep(self) -> None:
        """Stopped from outside, as by a batch system, without a word before."""
        self.process.send_signal(signal.SIGSTOP)
        self.stops()

    def resize_unseen(self, *sizes: tuple[int, int]) -> None:
        """To each of these sizes, while the program is kept from looking."""
        self.is_kept_asleep()
        for columns, lines in sizes:
            self.resize(columns, lines)
        self.process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Blank the screen: all that is seen from now on was drawn from now on."""
        self._screen.reset()

    def hang_up(self) -> None:
        """Close the terminal, as a dropped line does."""
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self, seconds: float) -> bool:
        """Take in what was written, waiting for it at most so long; whether there was anything."""
        if not select.select([self._master], [], [], seconds)[0]:
            return False
        data = os.read(self._master, 1 << 16)
        self.output += data
        self._stream.feed(data)
        return True

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
