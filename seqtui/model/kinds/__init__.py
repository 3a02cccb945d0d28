"""What is known of every kind of layer: one row a kind, one module a family. A new kind is one row in one of them."""

from __future__ import annotations

from seqtui.model.kinds import (
    activation,
    conv,
    dropout,
    embedding,
    flatten,
    linear,
    normalization,
    padding,
    pooling,
    recurrent,
    upsample,
)
from seqtui.model.kinds.kind import Kind

_FAMILIES = (
    linear,
    conv,
    pooling,
    activation,
    normalization,
    dropout,
    padding,
    flatten,
    upsample,
    embedding,
    recurrent,
)

KINDS: dict[str, Kind] = {kind.name: kind for family in _FAMILIES for kind in family.KINDS}
"""Every kind with a rule, by its class name in torch.nn."""
