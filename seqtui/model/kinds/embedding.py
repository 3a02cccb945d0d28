"""Embedding: whole numbers in, a row of the table for each out."""

from __future__ import annotations

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, ShapeError, Shapes, Signal
from seqtui.model.kinds.sentences import require_at_least


def _check(args: Arguments) -> None:
    rows = args.integer("num_embeddings")
    require_at_least(0, "num_embeddings", rows)
    require_at_least(0, "embedding_dim", args.integer("embedding_dim"))
    if args["padding_idx"] is not None and not -rows <= args.integer("padding_idx") < rows:
        raise ArgumentError(f"needs padding_idx within its {rows} embeddings, not {args['padding_idx']}")


def _parameters(args: Arguments) -> Shapes:
    """weight (num_embeddings, embedding_dim). Source: torch.nn.Embedding, "Variables"."""
    return {"weight": (args.integer("num_embeddings"), args.integer("embedding_dim"))}


def _output(args: Arguments, x: Signal) -> Signal:
    """(*) of whole numbers -> (*, embedding_dim) of floats. Source: torch.nn.Embedding, "Shape"."""
    if x.dtype not in ("int64", "int32"):
        raise ShapeError(f"takes int64 or int32, {x.dtype} arrives")
    if args.integer("num_embeddings") == 0 and 0 not in x.shape:
        raise ArgumentError("has no embeddings to look up")
    return Signal((*x.shape, args.integer("embedding_dim")), "float32")


KINDS = (
    Kind(
        name="Embedding",
        output=_output,
        check=_check,
        parameters=_parameters,
        words=lambda args: f"{args['num_embeddings']}→{args['embedding_dim']}",
    ),
)
