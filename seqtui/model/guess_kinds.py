"""Which torch.nn layer a handful of named tensors belongs to: the rows of `kinds` are asked in their order."""

from __future__ import annotations

from functools import cache, lru_cache

from seqtui.model.kinds import KINDS
from seqtui.model.kinds.recognise import Evidence, Guess, Recogniser
from seqtui.model.tensors import DTYPES, Shape

Signature = tuple[tuple[str, str, Shape], ...]
"""(name, dtype, shape) of a layer's tensors."""


def guess_kind(name: str, signature: Signature) -> Guess | None:
    """What a layer is by its own name and its tensors; None where it is not near certain."""
    return _guess_kind(name.lower().rstrip("0123456789"), signature)


@lru_cache(maxsize=4096)
def _guess_kind(word: str, signature: Signature) -> Guess | None:
    evidence = Evidence(
        word,
        {name: shape for name, _, shape in signature},
        all(_is_plain(dtype) for name, dtype, _ in signature if name != "num_batches_tracked"),
    )
    guesses = (row.guess(evidence) for row in _fitting(frozenset(evidence.shapes), evidence.is_plain))
    return next((guess for guess in guesses if guess), None)


@cache
def recognisers() -> tuple[Recogniser, ...]:
    """Every way to tell a kind, in the order of the rows."""
    return tuple(way for kind in KINDS.values() for way in kind.recognisers)


@lru_cache(maxsize=1024)
def _fitting(names: frozenset[str], is_plain: bool) -> tuple[Recogniser, ...]:
    """The ways worth asking about tensors of these names."""
    return tuple(
        way
        for way in recognisers()
        if way.required <= names
        and (way.optional is None or names <= way.required | way.optional)
        and (way.is_packed or is_plain)
    )


def _is_plain(dtype: str) -> bool:
    row = DTYPES.get(dtype)
    return row is not None and row.family in ("float", "complex") and row.bits >= 8
