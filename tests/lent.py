"""torch's process, lent to one app after another: it takes a second to start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seqtui.engine.door import Engine


class LentEngine(Engine):
    """Stays when an app that used it leaves."""

    def close(self) -> None:
        """Not the app's to end."""


@contextmanager
def lent_engine() -> Iterator[Engine]:
    """An engine that is ended after all tests."""
    engine = LentEngine()
    yield engine
    Engine.close(engine)
