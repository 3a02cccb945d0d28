"""The process that torch lives in, and how it is asked: nothing here imports torch.

Requests and answers are values that cross a pair of pipes; weights stay in files. The process is started when it is
first needed. Whatever happens to it, a crash in a kernel or a lack of memory, is told in a sentence, and the next
request starts another.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from threading import Condition
from typing import IO, Literal, NamedTuple, TypeAlias

from seqtui.engine.requests import (
    IMPORTING,
    Devices,
    Export,
    Forward,
    Initialise,
    Maps,
    Progress,
    Request,
    TorchinfoTable,
    Trace,
)
from seqtui.errors import CancelledError, EngineError, OutOfMemoryError, SeqtuiError

LENGTH_BYTES = 8
"""Each message is its length, little-endian, and a pickle: both ends are this program."""
MOMENT = 2.0
"""Seconds that a process which was killed is waited for."""
QUIET_THREADS = {"OMP_WAIT_POLICY": "PASSIVE"}
"""torch's threads sleep where they wait for one another: on a busy machine those that spin make a pass of 0.3 ms last
200 ms. What the user's own environment says goes before."""

WITHOUT_TORCH: Mapping[type[Request], str] = {
    Initialise: "new weights are made",
    Forward: "models are run",
    Maps: "models are run",
    Devices: "devices are found",
    Trace: "shapes are followed",
    TorchinfoTable: "torchinfo's table is made",
    Export: "exports are written",
}
"""What of a request needs torch."""

WITHOUT_MEMORY = ("bad_alloc", "MemoryError", "annot allocate memory", "emory allocation")
"""What a process says last that ends for lack of memory."""

State: TypeAlias = Literal["", "starting", "ready", "busy", "ended"]
"""Of the process: not needed so far, importing torch, idle, at work, and gone until it is needed again."""
Told: TypeAlias = Callable[[Progress], None]


class LastWords(NamedTuple):
    """The answer of a process that cannot go on after it: an error on some devices leaves them useless to it."""

    error: SeqtuiError


class _Place:
    """That of one request in the line of those who ask."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.is_cancelled = False


class Engine:
    """torch in a process of its own. One request at a time; the others wait for their turn."""

    def __init__(self) -> None:
        self._state: State = ""
        self._guard = Condition()
        """Held for a moment by whoever reads or changes what stands below; told when the line moves."""
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        """What the process says, kept from the screen."""
        self._is_killed = False
        """Whether the process was ended from here."""
        self._line: list[_Place] = []
        """The first has the turn: it alone opens pipes, and closes them."""
        self._asked: _Place | None = None
        """Whom the process is to answer now."""
        self._unwanted: list[Request] = []
        """Those that were cancelled before they were asked."""
        self._is_closed = False

    @property
    def state(self) -> State:
        """What the process does. May be read from any thread, at any time: it waits for nobody who holds the guard."""
        process = self._process
        is_gone = self._state == "ready" and process is not None and process.poll() is not None
        return "ended" if is_gone else self._state

    def ask(self, request: Request, told: Told | None = None) -> object:
        """The answer, however long it takes: call it from a thread. `told` hears, in that thread, how far it is.

        Raises what the request raises, CancelledError after `cancel`, `end` and `close`, OutOfMemoryError where memory
        ran out, and EngineError for whatever else became of torch.
        """
        if find_spec("torch") is None:
            what = WITHOUT_TORCH[type(request)]
            raise EngineError(f"torch is not installed, and {what} by it alone", hint="pip install torch")
        with self._turn(request) as place:
            process = self._running(place)
            try:
                self._send(process, request)
                while isinstance(answer := self._receive(process), Progress):
                    if answer != IMPORTING:
                        self._state = "busy"
                    if told is not None:
                        told(answer)
            except BaseException:  # also what `told` raises: an answer is under way that nobody wants
                self._let_go()
                raise
            with self._guard:
                self._asked = None
                is_gone = self._is_killed or isinstance(answer, LastWords)
                self._state = "ended" if is_gone else "ready"
            if is_gone:
                self._let_go()
        answer = answer.error if isinstance(answer, LastWords) else answer
        if isinstance(answer, SeqtuiError):
            raise answer
        return answer

    def cancel(self, request: Request) -> None:
        """Whoever asks this gets a CancelledError, at once also where it waits for its turn, or is yet to be asked.

        May be called from any thread, as `end` and `close`. Where the process is at work on it, that is ended, and the
        next request starts anew.
        """
        with self._guard:
            places = [place for place in self._line if place.request is request]
            if not places:
                self._unwanted.append(request)
            for place in places:
                place.is_cancelled = True
            if self._asked in places:
                self._kill()
            self._guard.notify_all()

    def end(self) -> None:
        """End the process, whatever it does or fails to do: all who ask get a CancelledError, and the next request
        starts anew."""
        with self._guard:
            for place in self._line:
                place.is_cancelled = True
            self._kill()
            self._guard.notify_all()

    def close(self) -> None:
        """`end`, and let nobody ask any more. Waits a moment at most."""
        with self._guard:
            self._is_closed = True
            self.end()
            is_alone = self._guard.wait_for(lambda: not self._line, MOMENT)
        if is_alone:
            self._let_go()

    @contextlib.contextmanager
    def _turn(self, request: Request) -> Iterator[_Place]:
        """Wait in the line, and leave it at the end. Raises CancelledError."""
        place = _Place(request)
        try:
            with self._guard:
                self._line.append(place)
                if any(unwanted is request for unwanted in self._unwanted):
                    self._unwanted = [unwanted for unwanted in self._unwanted if unwanted is not request]
                    place.is_cancelled = True
                self._guard.wait_for(lambda: self._is_closed or place.is_cancelled or self._line[0] is place)
                self._require_wanted(place)
            yield place
        finally:
            with self._guard:
                self._line = [each for each in self._line if each is not place]
                self._guard.notify_all()

    def _require_wanted(self, place: _Place) -> None:
        """Raises CancelledError."""
        if self._is_closed:
            raise CancelledError("torch's process was closed")
        if place.is_cancelled:
            raise CancelledError("cancelled")

    def _running(self, place: _Place) -> subprocess.Popen[bytes]:
        """The process, started where none runs. Raises EngineError where it cannot be started, CancelledError."""
        if self._process is not None and (self._is_killed or self._process.poll() is not None):
            self._let_go()
        with self._guard:
            self._require_wanted(place)
            self._asked = place
            if self._process is None:
                self._state = "starting"
                self._words, self._process = _start()
            else:
                self._state = "busy"
            return self._process

    def _kill(self) -> None:
        """End the process where there is one; whoever has the turn lets go of it. Only under the guard."""
        if self._process is not None:
            self._is_killed = True
            self._state = "ended"
            _kill(self._process)

    def _send(self, process: subprocess.Popen[bytes], request: Request) -> None:
        assert process.stdin is not None
        try:
            write_message(process.stdin, request)
        except OSError:
            raise self._why_ended(process) from None

    def _receive(self, process: subprocess.Popen[bytes]) -> object:
        assert process.stdout is not None
        try:
            return read_message(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._why_ended(process) from None

    def _why_ended(self, process: subprocess.Popen[bytes]) -> EngineError:
        """Why there is no answer, once the pipes are at their end."""
        if self._is_killed:
            return CancelledError("cancelled")
        try:
            code = process.wait(MOMENT)
        except subprocess.TimeoutExpired:
            return EngineError("torch's process no longer answers")
        if code == -signal.SIGKILL:
            return OutOfMemoryError("torch's process was killed, most likely for lack of memory")
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        said = self._last_line()
        if any(words in said for words in WITHOUT_MEMORY):
            return OutOfMemoryError("torch's process ended for lack of memory")
        return EngineError(f"torch's process {how}{f': {said}' if said else ''}")

    def _last_line(self) -> str:
        """The last that the process said; empty where it said nothing."""
        assert self._words is not None
        self._words.seek(0, os.SEEK_END)
        self._words.seek(max(0, self._words.tell() - 4000))
        lines = self._words.read().decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _let_go(self) -> None:
        """End the process and forget it. Only for whoever has the turn."""
        with self._guard:
            process, words = self._process, self._words
            self._process = self._words = self._asked = None
            self._is_killed = False
            _kill(process)
        if process is None or words is None:
            return
        self._state = "ended"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(MOMENT)
        for pipe in (process.stdin, process.stdout, words):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _start() -> tuple[IO[bytes], subprocess.Popen[bytes]]:
    """A new process, and the file that takes what it says. Raises EngineError."""
    try:
        words = tempfile.TemporaryFile()  # noqa: SIM115  closed when the process is let go of
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seqtui.engine"],  # without -P a torch.py in the working directory would run
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=words,
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        raise EngineError(f"torch's process cannot be started: {error.strerror}") from None
    return words, process


def _environment() -> dict[str, str]:
    """That of the process: ours, but for empty entries of PYTHONPATH.

    Such a one is the working directory, and nobody meant it: `$PYTHONPATH:/more` leaves it where there was none.
    """
    environment = {**QUIET_THREADS, **os.environ}
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    return {**environment, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    """Kill a process, and all that it started, unless it has ended."""
    if process is not None and process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def write_message(pipe: IO[bytes], message: object) -> None:
    """One message, whole. Raises OSError when the other end is gone."""
    data = pickle.dumps(message)
    pipe.write(len(data).to_bytes(LENGTH_BYTES, "little") + data)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> object:
    """The next message. Raises EOFError when the other end is gone."""
    length = int.from_bytes(_exactly(pipe, LENGTH_BYTES), "little")
    return pickle.loads(_exactly(pipe, length))  # noqa: S301  written by this very program at the other end


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError
    return data
