"""Everything that needs torch. Importing a module here imports none; its functions do."""

from __future__ import annotations

from importlib.util import find_spec

from seqtui.errors import EngineError


def require_torch() -> None:
    """Raise EngineError where torch is not installed. torch itself is not imported."""
    if find_spec("torch") is None:
        raise EngineError(
            "torch is not installed, and modules are built and read by it alone", hint="pip install torch"
        )
