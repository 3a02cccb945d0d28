"""What torch raises, as a sentence for whoever asked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seqtui.errors import EngineError, OutOfMemoryError
from seqtui.words import bytes_words

NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "returned NULL without setting an exception",
)
"""What torch says where memory ran out, and last what Python does where there is none for a call; on a graphics card
torch also raises a class of its own."""
PAST_USE = ("device-side assert", "illegal memory access", "unspecified launch failure", "misaligned address")
"""What CUDA says after which it does nothing more for a process."""
SENTENCES: Mapping[str, str] = {
    "Expected more than 1 value per channel when training": "in train mode it needs more than one value per channel, "
    "so a larger batch",
    "Expected more than 1 spatial element when training": "in train mode it needs more than one place per channel",
}
"""What torch says -> the same for whoever did not write the model."""
ASKED = re.compile(r"tried to allocate ([0-9.]+ ?\w+)", re.IGNORECASE)
"""How much was asked for: bytes from the CPU, `20.00 GiB` from a graphics card."""


def refusal(where: str, error: BaseException) -> EngineError:
    """The error to be raised from one of torch's. `where` is the layer, or what was being done: "conv1"."""
    if is_out_of_memory(error):
        asked = ASKED.search(str(error))
        more = f": it asks for another {_size_words(asked[1])}" if asked else ""
        return OutOfMemoryError(
            f"{where}: there is not enough memory{more}", hint="A smaller batch or another device may do."
        )
    return EngineError(f"{where}: {reason(error)}")


def _size_words(asked: str) -> str:
    count, unit = asked.split() if " " in asked else (asked, "")
    return bytes_words(int(count)) if unit == "bytes" else asked


def reason(error: BaseException) -> str:
    """The first line of what torch said, or what it means; the name of the error where it said nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    said = next(filter(None, lines), type(error).__name__)
    return next((sentence for words, sentence in SENTENCES.items() if words in said), said)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out."""
    import torch

    said = str(error)
    is_kind = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return is_kind or (isinstance(error, RuntimeError | SystemError) and any(words in said for words in NO_MEMORY))


def is_past_use(error: BaseException | None) -> bool:
    """Whether a device does nothing more for this process after an error."""
    return isinstance(error, RuntimeError) and any(words in str(error) for words in PAST_USE)
