"""Attention of queries to keys and values."""

from __future__ import annotations

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Shapes
from seqtui.model.kinds.recognise import Evidence, Guess, Values, recogniser
from seqtui.model.kinds.sentences import require_at_least


def require_heads(args: Arguments, width_name: str, heads_name: str) -> None:
    """Raises ArgumentError when the features cannot be shared out among the heads."""
    width, heads = args.integer(width_name), args.integer(heads_name)
    require_at_least(1, width_name, width)
    require_at_least(1, heads_name, heads)
    if width % heads:
        raise ArgumentError(f"needs {width_name} that {heads_name} divides, not {width} by {heads}")


def _key_and_value_sizes(args: Arguments) -> tuple[int, int]:
    """Features of keys and of values, embed_dim where none are given."""
    keys, values = ("embed_dim" if args[name] is None else name for name in ("kdim", "vdim"))
    return args.integer(keys), args.integer(values)


def _check(args: Arguments) -> None:
    require_heads(args, "embed_dim", "num_heads")
    keys, values = _key_and_value_sizes(args)
    require_at_least(0, "kdim", keys)
    require_at_least(0, "vdim", values)


def attention_parameters(args: Arguments) -> Shapes:
    """One weight for query, key and value, or one each where their features differ.

    Source: torch.nn.MultiheadAttention, its constructor.
    """
    width = args.integer("embed_dim")
    keys, values = _key_and_value_sizes(args)
    shapes: Shapes = {"in_proj_weight": (3 * width, width)}
    if not keys == values == width:
        sizes = {"q": width, "k": keys, "v": values}
        shapes = {f"{part}_proj_weight": (width, size) for part, size in sizes.items()}
    if args.flag("bias"):
        shapes["in_proj_bias"] = (3 * width,)
    if args.flag("add_bias_kv"):
        shapes |= {"bias_k": (1, 1, width), "bias_v": (1, 1, width)}
    return {**shapes, "out_proj.weight": (width, width), **({"out_proj.bias": (width,)} if args.flag("bias") else {})}


def _packed(evidence: Evidence) -> Guess | None:
    """`in_proj_weight` (3 · embed_dim, embed_dim). Source: torch.nn.MultiheadAttention."""
    weight = evidence.shapes["in_proj_weight"]
    if len(weight) != 2 or weight[0] != 3 * weight[1]:
        return None
    return Guess("MultiheadAttention", {"embed_dim": weight[1], **_extra_args(evidence)})


def _split(evidence: Evidence) -> Guess | None:
    """One weight each, where keys or values are of another width: (embed_dim, kdim), (embed_dim, vdim)."""
    query, key, value = (evidence.shapes[f"{part}_proj_weight"] for part in "qkv")
    if not len(query) == len(key) == len(value) == 2:
        return None
    args: Values = {"embed_dim": query[0], "kdim": key[1], "vdim": value[1]}
    return Guess("MultiheadAttention", args | _extra_args(evidence))


def _extra_args(evidence: Evidence) -> Values:
    extra: Values = {"add_bias_kv": True} if "bias_k" in evidence.shapes else {}
    return evidence.without("in_proj_bias") | extra


KINDS = (
    Kind(
        name="MultiheadAttention",
        check=_check,
        parameters=attention_parameters,
        words=lambda args: f"{args['embed_dim']} in {args['num_heads']} heads",
        recognisers=(
            recogniser("in_proj_weight", "in_proj_bias bias_k bias_v", _packed),
            recogniser("q_proj_weight k_proj_weight v_proj_weight", "in_proj_bias bias_k bias_v", _split),
        ),
        kept_as={"bias": "in_proj_bias", "add_bias_kv": "bias_k"},
        follows={"kdim": "embed_dim", "vdim": "embed_dim"},
    ),
)
