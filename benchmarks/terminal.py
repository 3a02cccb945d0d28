"""A program on a real pseudo-terminal, timed by what it writes there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from benchmarks.programs import Command, environment

PATIENCE = 60.0
"""Seconds without a byte after which a program is given up."""
FRAME_GAP = 0.008
"""Seconds without a byte that end a frame: half a period of Textual's 60 Hz, at which frames follow one another."""
QUIET = 0.05
"""Seconds without a byte after which nothing more is taken to follow from a key: three such periods."""

TEXTUAL_STARTS = b"\x1b[?1004h"
"""What Textual asks the terminal for before it draws; keys are heard from then on."""

_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
"""Control sequences, strings up to their end, and short escapes. Source: ECMA-48, 5.3 to 5.6."""


class ScreenSize(NamedTuple):
    """In cells."""

    columns: int
    rows: int


class Terminal:
    """A running program and the terminal that it believes to be on; leaving the context kills it."""

    def __init__(self, command: Command, size: ScreenSize) -> None:
        """Start it. The clock runs from just before the process is made."""
        self._output = bytearray()
        self._descriptor, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", size.rows, size.columns, 0, 0))
        self._started = self._read_at = time.perf_counter()
        self._process = subprocess.Popen(
            command, stdin=screen, stdout=screen, stderr=screen, env=environment(), start_new_session=True
        )
        os.close(screen)

    def wait_for(self, texts: Sequence[str], after: bytes = b"") -> float:
        """Seconds from the start until all texts have been written, whatever colours stand between their words.

        With `after` only what is written after these bytes counts. Raises TimeoutError when nothing more comes.
        """
        wanted = [text.encode() for text in texts]
        while missing := [text for text in wanted if text not in self._written(after)]:
            if not self._read(PATIENCE):
                raise TimeoutError(f"{missing} did not come; the end of what did: {bytes(self._output[-400:])!r}")
        return self._read_at - self._started

    def settle(self, quiet: float) -> None:
        """Wait until nothing has been written for so many seconds."""
        while self._read(quiet):
            pass

    def press(self, key: bytes) -> float:
        """Seconds from a key to the last byte of the frame that it draws; back when nothing more follows from it.

        Raises TimeoutError for a key that draws nothing.
        """
        pressed = time.perf_counter()
        os.write(self._descriptor, key)
        if not self._read(PATIENCE):
            raise TimeoutError(f"{key!r} draws nothing")
        self.settle(FRAME_GAP)
        drawn = self._read_at
        self.settle(QUIET)
        return drawn - pressed

    def resident_bytes(self) -> int:
        """Memory that the program holds now. Linux only."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def _written(self, after: bytes) -> bytes:
        """What can be read of the output, nothing before `after` has come."""
        return _ESCAPES.sub(b"", self._output.partition(after)[2] if after else self._output)

    def _read(self, timeout: float) -> bool:
        """Whether more came within so many seconds; False also when nothing ever will."""
        if not select.select([self._descriptor], [], [], timeout)[0]:
            return False
        try:
            read = os.read(self._descriptor, 1 << 16)
        except OSError:  # EIO: the program has left
            return False
        if read:
            self._output += read
            self._read_at = time.perf_counter()
        return bool(read)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._descriptor)
