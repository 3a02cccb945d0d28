"""Embedding and EmbeddingBag: whole numbers in, a row of the table out for each, or for each bag of them."""

from __future__ import annotations

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, ShapeError, Shapes, Signal
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import EMBEDDING_NAME, LINEAR_NAME, Evidence, Guess, recogniser
from seqtui.model.kinds.sentences import marks, require_at_least, require_dimensions, require_elements, weights_dtype

BAG_MODES = ("mean", "sum", "max")


def _check(args: Arguments) -> None:
    rows = args.integer("num_embeddings")
    require_at_least(0, "num_embeddings", rows)
    require_at_least(0, "embedding_dim", args.integer("embedding_dim"))
    if args["padding_idx"] is not None and not -rows <= args.integer("padding_idx") < rows:
        raise ArgumentError(f"needs padding_idx within its {rows} embeddings, not {args['padding_idx']}")


def _parameters(args: Arguments) -> Shapes:
    """weight (num_embeddings, embedding_dim). Source: torch.nn.Embedding, "Variables"."""
    return {"weight": (args.integer("num_embeddings"), args.integer("embedding_dim"))}


def _require_rows(args: Arguments, x: Signal) -> None:
    """Raises ShapeError or ArgumentError where nothing can be looked up; which rows are asked for shapes do not say."""
    if x.dtype not in ("int64", "int32"):
        raise ShapeError(Misfit.NO_INDICES, arrives=x.dtype)
    if args.integer("num_embeddings") == 0 and 0 not in x.shape:
        raise ArgumentError("has no embeddings to look up")


def _output(args: Arguments, x: Signal) -> Signal:
    """(*) of whole numbers -> (*, embedding_dim) of the weights' type. Source: torch.nn.Embedding, "Shape"."""
    _require_rows(args, x)
    return Signal((*x.shape, args.integer("embedding_dim")), weights_dtype(args))


def _bag_output(args: Arguments, x: Signal) -> Signal:
    """(bags, size) of whole numbers -> (bags, embedding_dim). Source: torch.nn.EmbeddingBag.forward.

    Of one dimension it needs the bags' offsets as a second tensor.
    """
    require_dimensions(x, 2)
    require_elements(x, 1)
    _require_rows(args, x)
    mode = args["mode"]
    if mode not in BAG_MODES:
        raise ArgumentError(f"needs one of the modes {', '.join(BAG_MODES)}, not {mode}")
    for name in ("scale_grad_by_freq", "sparse"):
        if mode == "max" and args.flag(name):
            raise ArgumentError(f"cannot set {name} with mode max")
    return Signal((x.shape[0], args.integer("embedding_dim")), weights_dtype(args))


def _recognise(evidence: Evidence) -> Guess | None:
    """A matrix without bias, as a Linear may be, where the name speaks of tokens or places."""
    if len(evidence.weight) != 2 or not evidence.is_named(EMBEDDING_NAME) or evidence.is_named(LINEAR_NAME):
        return None
    rows, width = evidence.weight
    return Guess("Embedding", {"num_embeddings": rows, "embedding_dim": width}, ("Linear", "EmbeddingBag"))


def _words(args: Arguments) -> str:
    return f"{args['num_embeddings']}→{args['embedding_dim']}"


KINDS = (
    Kind(
        name="Embedding",
        output=_output,
        check=_check,
        parameters=_parameters,
        words=_words,
        recognisers=(recogniser("weight", "", _recognise),),
    ),
    Kind(
        name="EmbeddingBag",
        output=_bag_output,
        check=_check,
        parameters=_parameters,
        words=lambda args: _words(args) + marks(args, ("mode", "", "mean")),
    ),
)
