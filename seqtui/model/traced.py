"""What torch said of shapes, over what the rules said: where the two differ torch is right, and the row says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seqtui.model.infer import Inference
from seqtui.model.kinds.kind import Signal

Trace = Mapping[str, tuple[Signal, ...]]
"""By dotted path, what torch's own forward gave out there; the whole model at ""."""


ASKING = "asking torch"


def asked(inference: Inference) -> Inference:
    """The same, saying where no rule tells what comes out that torch is asked for it."""
    infos = {path: info._replace(unknown=ASKING) if info.unknown else info for path, info in inference.infos.items()}
    return replace(inference, infos=infos)


def with_trace(inference: Inference, trace: Trace) -> Inference:
    """The same, with torch's shapes where it gave others or the rules had none. What the rules refuse stays refused."""
    infos = dict(inference.infos)
    for path, leaving in trace.items():
        info = infos.get(path)
        if info is not None and leaving and info.leaving != leaving and info.problem is None:
            infos[path] = info._replace(leaving=leaving, is_torchs=True, unknown="")
    return replace(inference, infos=infos)
