"""What is known of every kind of layer: one row a kind, one module a family. A new kind is one row in one of them."""

from __future__ import annotations

from seqtui.model.kinds import (
    activation,
    attention,
    batch_norm,
    conv,
    dropout,
    embedding,
    flatten,
    linear,
    losses,
    normalization,
    padding,
    pooling,
    rearrange,
    recurrent,
    transformer,
    upsample,
)
from seqtui.model.kinds.kind import Kind

_FAMILIES = (
    embedding,
    linear,
    conv,
    pooling,
    activation,
    batch_norm,
    normalization,
    dropout,
    padding,
    flatten,
    rearrange,
    upsample,
    recurrent,
    attention,
    transformer,
    losses,
)

KINDS: dict[str, Kind] = {kind.name: kind for family in _FAMILIES for kind in family.KINDS}
"""Every kind with a rule, by its class name in torch.nn."""
