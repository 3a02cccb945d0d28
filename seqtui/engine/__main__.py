"""The engine's process: reads requests, writes answers, and leaves when nobody asks any more.

Started by `door`. What torch prints goes to the standard error, which `door` keeps from the screen.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from queue import SimpleQueue
from threading import Thread
from typing import IO, TypeAlias

from seqtui.engine import requests
from seqtui.engine.door import LastWords, read_message, write_message
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError, OutOfMemoryError, SeqtuiError

Handler: TypeAlias = Callable[[requests.Request, Workbench], object]

HANDLERS: Mapping[type[requests.Request], str] = {
    requests.Initialise: "seqtui.engine.initialise:initialise",
    requests.Forward: "seqtui.engine.run:forward",
    requests.Maps: "seqtui.engine.maps:maps",
    requests.Devices: "seqtui.engine.devices:devices",
    requests.Trace: "seqtui.engine.trace:trace",
    requests.TorchinfoTable: "seqtui.engine.torchinfo_table:torchinfo_table",
    requests.Export: "seqtui.engine.export:export",
}
"""What answers a request: a module, and in it a function of the request and the workbench. It raises SeqtuiError."""


LIBRARIES_WITHOUT_MEMORY = ("failed to map segment from shared object", "annot allocate memory")
"""How a sentence of the system ends whose room for a library is too small; more follows for other reasons."""


def main() -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    waiting: SimpleQueue[requests.Request] = SimpleQueue()
    Thread(target=_listen, args=(incoming, waiting), daemon=True).start()
    write = partial(write_message, answers)
    workbench = Workbench(write)
    Thread(target=workbench.teller.say_late, daemon=True).start()
    while True:
        request = waiting.get()
        if "torch" not in sys.modules:
            write(requests.IMPORTING)
        answer = _answer(request, workbench)
        workbench.teller.fall_silent()
        write(answer)


def _listen(incoming: IO[bytes], waiting: SimpleQueue[requests.Request]) -> None:
    """Take requests in; end the process, whatever it is doing, once the other end is closed."""
    code = 0
    try:
        while isinstance(request := read_message(incoming), requests.Request):
            waiting.put(request)
    except EOFError:
        pass
    except BaseException as error:  # noqa: BLE001  one that cannot be read, for lack of memory above all
        code = 1
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)  # noqa: T201  where torch prints too
    finally:
        os._exit(code)


def _answer(request: requests.Request, workbench: Workbench) -> object:
    """What the request gives, or why not; an error of torch is an answer too."""
    try:
        import_module("torch.nn")  # what is left of a removed torch can be imported, but holds nothing
    except Exception as error:  # noqa: BLE001  a broken installation may raise anything
        return LastWords(_why_not_imported(error))  # half of it may be there
    from seqtui.engine.refusal import is_out_of_memory, is_past_use, refusal

    module, _, function = HANDLERS[type(request)].partition(":")
    try:
        handler: Handler = getattr(import_module(module), function)
        return handler(request, workbench)
    except SeqtuiError as error:
        is_last = is_past_use(error.__cause__)
        # the frames that it was raised in hold all that was computed there
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return LastWords(error) if is_last else error
    except Exception as error:  # noqa: BLE001  torch raises what it likes, and whoever asked is told
        told = refusal("torch" if is_out_of_memory(error) else f"torch: {type(error).__name__}", error)
        return LastWords(told) if is_past_use(error) else told


def _why_not_imported(error: Exception) -> EngineError:
    """The sentence for what importing torch raised."""
    said = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
    if isinstance(error, MemoryError) or said.endswith(LIBRARIES_WITHOUT_MEMORY):
        return OutOfMemoryError("there is not enough memory to import torch")
    return EngineError(f"torch cannot be imported: {said}", hint="Installing it again may do: pip install torch")


if __name__ == "__main__":
    main()
