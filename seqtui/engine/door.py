"""What may be asked of torch, and the process that it lives in: nothing here imports torch.

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
from collections.abc import Mapping
from importlib.util import find_spec
from threading import Lock
from typing import IO, NamedTuple

from seqtui.errors import EngineError
from seqtui.model.spec import Value
from seqtui.model.tensors import Shape

LENGTH_BYTES = 8
"""Each message is its length, little-endian, and a pickle: both ends are this program."""


class Making(NamedTuple):
    """One tensor to be made."""

    name: str
    """Its full name, also in the file of what is kept."""
    kind: str
    args: Mapping[str, Value]
    """Of the layer that it belongs to."""
    own_name: str
    """In that layer: `weight`."""
    dtype: str
    """torch's word."""
    shape: Shape
    seed: int
    init: str | None
    """As in NewTensor."""
    kept: Shape | None
    """The leading block that is taken from the file of what is kept; None for nothing."""


class Initialise(NamedTuple):
    """Tensors made as torch makes them, into a safetensors file."""

    tensors: tuple[Making, ...]
    kept_path: str
    """A safetensors file with the tensors of which something is kept, each under its new full name."""
    path: str
    """The file to write. The answer is None."""


Request = Initialise


class Failure(NamedTuple):
    """The answer to what torch refused."""

    message: str
    hint: str = ""


class Engine:
    """torch in a process of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        """What the process says, kept from the screen."""
        self._lock = Lock()

    def ask(self, request: Request) -> object:
        """The answer, however long it takes: call it from a thread. Raises EngineError."""
        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                write_message(process.stdin, request)
                answer = read_message(process.stdout)
            except (OSError, EOFError, pickle.UnpicklingError):
                raise EngineError(self._last_words()) from None
        if isinstance(answer, Failure):
            raise EngineError(answer.message, answer.hint)
        return answer

    def cancel(self) -> None:
        """End what is running; whoever waits for it gets an EngineError, and the next request starts anew."""
        process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process, also one that hangs."""
        self.cancel()
        if self._process is not None:
            self._process.wait()
            self._forget()

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, started where none runs. Raises EngineError where torch is not installed."""
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self._process is not None:
            self._forget()
        if find_spec("torch") is None:
            raise EngineError("torch is not installed, and new weights are made by it alone", hint="pip install torch")
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed when the process is let go of
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seqtui.engine"],  # without -P a torch.py in the working directory would run
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            start_new_session=True,
        )
        return self._process

    def _last_words(self) -> str:
        """Why there is no answer, once the process has ended."""
        assert self._process is not None
        code = self._process.wait()
        said = ""
        if self._words is not None:
            self._words.seek(0)
            lines = self._words.read()[-4000:].decode("utf-8", "replace").split("\n")
            said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        self._forget()
        if code == -signal.SIGKILL:
            return "torch's process was killed, most likely for lack of memory"
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"torch's process {how}{f': {said}' if said else ''}"

    def _forget(self) -> None:
        """Let go of a process that has ended."""
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self._words is not None:
            self._words.close()
        self._process = self._words = None


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
