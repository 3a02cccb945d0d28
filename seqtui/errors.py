"""Every failure that a person can cause or cure, as one class each with its exit code.

Raised anywhere, caught once, at the edge: the command line prints `line()` and leaves; the screens show it as a toast.
"""

from __future__ import annotations

from seqtui.safe_text import safe_text


class SeqtuiError(Exception):
    """Something to tell the user: what is wrong, where, and what to do about it."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "", file: str = "") -> None:
        super().__init__(message)
        self.message = message
        """One sentence without a full stop at its end. Text from a file is passed through `safe_text` by `line`."""
        self.hint = hint
        """What to do about it; empty when the message says so already."""
        self.file = file
        """The file or address it is about, as the user wrote it; empty when there is none."""

    def line(self) -> str:
        """The one line for stderr or a toast, safe to print: `FILE: what is wrong`."""
        return safe_text(f"{self.file}: {self.message}" if self.file else self.message, limit=2000)

    def words(self) -> str:
        """As one toast: the line, and what to do about it."""
        return f"{self.line()}. {self.hint}" if self.hint else self.line()


class UsageError(SeqtuiError):
    """An option, a name or an argument that does not parse or is not there."""

    exit_code = 2


class EditError(UsageError):
    """An edit that does not parse or cannot apply. Nothing has changed."""


class FormatError(SeqtuiError):
    """The file is refused: damaged, not a model, unsafe."""

    exit_code = 3


class FileError(SeqtuiError):
    """The file cannot be reached or written: missing, no permission, not a regular file, disk full."""

    exit_code = 4


class FileChangedError(FileError):
    """What stands where a file is to be written is not what was expected there: whoever asked may want it replaced."""


class EngineError(SeqtuiError):
    """torch is missing, or what was asked of it failed."""

    exit_code = 5


class OutOfMemoryError(EngineError):
    """A device has too little memory for what was asked: another device, or less at once, may do."""


class CancelledError(EngineError):
    """What was asked of torch was called off."""
