"""What the engine's process has at hand from one request to the next, and how it says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

from seqtui.engine.requests import Progress, SourceFile, Subject
from seqtui.engine.telling import Teller
from seqtui.errors import FileError, SeqtuiError
from seqtui.formats.safetensors import SafetensorsFile

if TYPE_CHECKING:
    import torch
    from torch import nn


class Workbench:
    """The network that was built last, and the maps of the last run."""

    def __init__(self, say: Callable[[Progress], None] = lambda progress: None) -> None:
        """`say` hears how far a request is."""
        self.teller = Teller(say)
        self._built: tuple[object, nn.Sequential] | None = None
        self.maps: dict[str, torch.Tensor] = {}
        """Feature maps by path, of shape (channels, height, width)."""

    def tell(self, done: int, total: int, words: str) -> None:
        """Say what of the request begins: `done` of `total` stages, none known where that is 0."""
        self.teller.stage(Progress(done, total, words))

    def network(self, subject: Subject, device: str = "cpu", dtype: str = "") -> nn.Sequential:
        """The network of a model on a device, of training mode unless somebody changed that; as it was built last
        where it is the same. Whoever changes its numbers puts them back.

        Floating tensors are converted to `dtype` (torch's word) where one is given. Raises what `build` raises, and
        FileError where a file is no longer there.
        """
        key = (subject.model.root, subject.files, device, dtype)
        if self._built is None or self._built[0] != key:
            import torch

            from seqtui.engine.build import build

            self._built = None  # first, so that there is room for the new one
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            self.tell(0, 0, "building the model")
            with opened(subject.files) as sources:
                self._built = key, build(subject.model, sources, device, dtype)
        return self._built[1]


@contextmanager
def opened(files: Iterable[SourceFile]) -> Iterator[Mapping[str, SafetensorsFile]]:
    """The files by source id, each opened when it is asked for, and closed at the end.

    Asking raises FileError for one that is no longer what it was.
    """
    with ExitStack() as stack:
        yield _Opened(files, stack)


class _Opened(Mapping[str, SafetensorsFile]):
    """Files by source id. Of the many that a session has saved to, a model mostly needs one."""

    def __init__(self, files: Iterable[SourceFile], stack: ExitStack) -> None:
        self._files = {file.source_id: file for file in files}
        self._stack = stack
        self._open: dict[str, SafetensorsFile] = {}

    def __getitem__(self, source_id: str) -> SafetensorsFile:
        if source_id not in self._open:
            self._open[source_id] = source = _open(self._files[source_id])
            self._stack.callback(source.close)
        return self._open[source_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _open(file: SourceFile) -> SafetensorsFile:
    """The very file that was opened, by its path or by the way in that is left to one that was replaced."""
    for path in filter(None, (file.path, file.open_path)):
        with suppress(SeqtuiError):
            source = SafetensorsFile.open(path, file.source_id)
            if file.stamp in (None, source.stamp):
                return source
            source.close()
    raise FileError("the file was replaced since it was opened", hint="Save the model, or reload it.", file=file.path)
