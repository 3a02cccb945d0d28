"""The engine's process: reads requests, writes answers, and leaves when nobody asks any more.

Started by `door`. What torch prints goes to the standard error, which `door` keeps from the screen.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from seqtui.engine import door
from seqtui.engine.initialise import initialise
from seqtui.errors import SeqtuiError

HANDLERS: dict[type[door.Request], Callable[[door.Request], object]] = {door.Initialise: initialise}


def main() -> None:
    """Answer until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            request = door.read_message(requests)
        except EOFError:
            return
        door.write_message(answers, _answer(request))


def _answer(request: object) -> object:
    """What the request gives, or why not; an error of torch is an answer too."""
    assert isinstance(request, door.Request)
    try:
        return HANDLERS[type(request)](request)
    except SeqtuiError as error:
        return door.Failure(error.line(), error.hint)
    except MemoryError:
        return door.Failure("there is not enough memory")
    except Exception as error:  # noqa: BLE001  torch raises what it likes, and whoever asked is told
        return door.Failure(f"torch: {type(error).__name__}: {error}".partition("\n")[0])


if __name__ == "__main__":
    main()
