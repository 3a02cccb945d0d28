"""The layers of a transformer, and stacks of them, which are given the layer that they repeat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from seqtui.model.kinds import batch_norm, linear, normalization
from seqtui.model.kinds.attention import attention_parameters, require_heads
from seqtui.model.kinds.catalogue import bind
from seqtui.model.kinds.kind import ArgumentError, Arguments, Given, Kind, Output, ShapeError, Shapes, Signal
from seqtui.model.kinds.sentences import (
    MAX_REPEATS,
    marks,
    require_at_least,
    require_at_most,
    require_dimensions,
    require_dtype,
    require_size,
)
from seqtui.model.spec import LayerValue


class _Slot(NamedTuple):
    """An argument that is a layer itself, and the rows of the kinds that it may be."""

    name: str
    rows: Mapping[str, Kind]

    def read(self, args: Arguments) -> tuple[Kind, Arguments]:
        """Its row and its arguments. Raises ArgumentError for what is none, and for one that cannot be made."""
        value = args[self.name]
        if not isinstance(value, LayerValue):
            raise ArgumentError(f"needs a layer for {self.name}, not {value!r}")
        if value.kind not in self.rows:
            raise ArgumentError(f"takes no {value.kind} for {self.name}")
        row = self.rows[value.kind]
        try:
            inner = bind(row.name, dict(value.args))
            row.check(inner)
        except ArgumentError as error:
            raise ArgumentError(f"needs another {self.name}: it {error}") from None
        return row, Arguments({**inner, "dtype": args.get("dtype")})  # its weights are of its owner's type

    def followed(self, layer: LayerValue, x: Signal) -> LayerValue:
        """The layer with the arguments that what arrives asks for."""
        given = dict(layer.args)
        row = self.rows.get(layer.kind)
        return LayerValue(layer.kind, tuple({**given, **row.from_place(given, x)}.items())) if row else layer


def _under(prefix: str, shapes: Shapes) -> Shapes:
    """The tensors of a part as its owner names them."""
    return {f"{prefix}.{name}": shape for name, shape in shapes.items()}


def _linear(name: str, inputs: int, outputs: int, has_bias: bool) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), **({f"{name}.bias": (outputs,)} if has_bias else {})}


def _layer_check(args: Arguments) -> None:
    require_heads(args, "d_model", "nhead")
    require_at_least(0, "dim_feedforward", args.integer("dim_feedforward"))
    if not 0 <= args.number("dropout") <= 1:
        raise ArgumentError(f"needs dropout between 0 and 1, not {args['dropout']}")
    if args["activation"] not in ("relu", "gelu"):
        raise ArgumentError(f"needs activation relu or gelu, not {args['activation']}")


def _layer_parameters(attentions: tuple[str, ...], args: Arguments) -> Shapes:
    """The attentions, two linear layers, and a norm for each attention and one for the linear layers.

    Source: torch.nn.TransformerDecoderLayer, its constructor.
    """
    width, hidden, has_bias = args.integer("d_model"), args.integer("dim_feedforward"), args.flag("bias")
    attention = bind("MultiheadAttention", {"embed_dim": width, "num_heads": args["nhead"], "bias": has_bias})
    shapes: Shapes = {}
    for name in attentions:
        shapes |= _under(name, attention_parameters(attention))
    shapes |= _linear("linear1", width, hidden, has_bias) | _linear("linear2", hidden, width, has_bias)
    norm: Shapes = {"weight": (width,), **({"bias": (width,)} if has_bias else {})}
    for number in range(1, len(attentions) + 2):
        shapes |= _under(f"norm{number}", norm)
    return shapes


def _layer_output(args: Arguments, x: Signal) -> Signal:
    """(L, N, d_model) kept, (N, L, d_model) with batch_first, or (L, d_model). Source: torch.nn.Transformer, "Shape".

    Where torch computes the whole layer at once it hands back an empty batch unseen, whatever it is.
    """
    is_at_once = args.flag("batch_first") and args.flag("bias") and args.integer("nhead") % 2 == 0
    if is_at_once and len(x.shape) == 3 and 0 in x.shape:
        return x
    require_dimensions(x, 2, 3)
    require_size(x, -1, args.integer("d_model"), "features")
    require_dtype(x, args)
    return x


HEADS = 8
"""As many as a new layer has where they divide its width. Source: Vaswani et al., Attention Is All You Need, 2017."""


def _layer_from_place(given: Given, x: Signal) -> Given:
    """d_model, and heads that divide it."""
    if not x.shape:
        return {}
    heads = given.get("nhead", HEADS)
    followed = {"nhead": math.gcd(heads, x.shape[-1])} if isinstance(heads, int) else {}
    return {"d_model": x.shape[-1], **followed}


def _layer_macs(args: Arguments, x: Signal, y: Signal) -> int:
    """For each step four projections, two linear layers, and two products with all steps of its sequence."""
    *lengths, width = x.shape
    steps = lengths[1 if len(lengths) == 2 and args.flag("batch_first") else 0]
    return math.prod(x.shape) * (4 * width + 2 * args.integer("dim_feedforward") + 2 * steps)


def _layer_words(args: Arguments) -> str:
    return f"{args['d_model']} in {args['nhead']} heads" + marks(args, ("dim_feedforward", "ff", 2048))


_ENCODER_LAYER = Kind(
    name="TransformerEncoderLayer",
    output=_layer_output,
    check=_layer_check,
    parameters=partial(_layer_parameters, ("self_attn",)),
    macs=_layer_macs,
    words=_layer_words,
    from_place=_layer_from_place,
    kept_as={
        "d_model": "self_attn.embed_dim",
        "nhead": "self_attn.num_heads",
        "dim_feedforward": "linear1.out_features",
        "dropout": "dropout.p",
        "activation": "activation.__name__",
        "layer_norm_eps": "norm1.eps",
        "batch_first": "self_attn.batch_first",
        "bias": "linear1.bias",
    },
)
_DECODER_LAYER = Kind(
    name="TransformerDecoderLayer",
    check=_layer_check,
    parameters=partial(_layer_parameters, ("self_attn", "multihead_attn")),
    words=_layer_words,
    kept_as=_ENCODER_LAYER.kept_as,
)

_REPEATED_ENCODER = _Slot("encoder_layer", {_ENCODER_LAYER.name: _ENCODER_LAYER})
_REPEATED_DECODER = _Slot("decoder_layer", {_DECODER_LAYER.name: _DECODER_LAYER})
_NORM = _Slot("norm", {kind.name: kind for kind in (*normalization.KINDS, *batch_norm.KINDS, linear.IDENTITY)})


def _stack_check(layer: _Slot, args: Arguments) -> None:
    layer.read(args)
    require_at_most(MAX_REPEATS, "num_layers", args.integer("num_layers"))
    if args["norm"] is not None:
        _NORM.read(args)


def _stack_parameters(layer: _Slot, args: Arguments) -> Shapes:
    """Those of the layer as often as it is repeated, then those of the norm. Source: torch.nn.TransformerEncoder."""
    row, inner = layer.read(args)
    each = row.parameters(inner)
    shapes: Shapes = {}
    for number in range(args.integer("num_layers")):
        shapes |= _under(f"layers.{number}", each)
    if args["norm"] is not None:
        norm, inner = _NORM.read(args)
        shapes |= _under("norm", norm.parameters(inner))
    return shapes


def _stack_buffers(args: Arguments) -> Shapes:
    """Those of the norm; the layers have none."""
    if args["norm"] is None:
        return {}
    norm, inner = _NORM.read(args)
    return _under("norm", norm.buffers(inner))


def _encoder_output(args: Arguments, x: Signal) -> Output:
    """What every layer keeps, through the norm. Source: torch.nn.TransformerEncoder, "Shape"."""
    require_at_least(1, "num_layers", args.integer("num_layers"))
    _, inner = _REPEATED_ENCODER.read(args)
    y = _layer_output(inner, x)
    if args["norm"] is None:
        return y
    norm, inner = _NORM.read(args)
    try:
        return norm.output(inner, y)
    except (ArgumentError, ShapeError) as error:
        raise ArgumentError(f"needs another norm: it {error}") from None


def _encoder_from_place(given: Given, x: Signal) -> Given:
    """The same of the layer that is repeated, and of the norm; a new one has a layer as torch makes it."""
    layer = given.get(_REPEATED_ENCODER.name, LayerValue(_ENCODER_LAYER.name))
    parts = ((_REPEATED_ENCODER, layer), (_NORM, given.get(_NORM.name)))
    return {slot.name: slot.followed(part, x) for slot, part in parts if isinstance(part, LayerValue)}


def _encoder_macs(args: Arguments, x: Signal, y: Signal) -> int:
    _, inner = _REPEATED_ENCODER.read(args)
    return args.integer("num_layers") * _layer_macs(inner, x, x)


def _stack_words(layer: _Slot, args: Arguments) -> str:
    value = args[layer.name]
    given = dict(value.args) if isinstance(value, LayerValue) else {}
    return f"{given.get('d_model')} in {given.get('nhead')} heads ×{args['num_layers']}"


_ENCODER = Kind(
    name="TransformerEncoder",
    output=_encoder_output,
    check=partial(_stack_check, _REPEATED_ENCODER),
    parameters=partial(_stack_parameters, _REPEATED_ENCODER),
    buffers=_stack_buffers,
    macs=_encoder_macs,
    words=partial(_stack_words, _REPEATED_ENCODER),
    from_place=_encoder_from_place,
    usual={"num_layers": 6},
    kept_as={"encoder_layer": "layers.0"},
    not_kept={"num_layers": "of no layers none is left to read the others from"},
)
_DECODER = Kind(
    name="TransformerDecoder",
    check=partial(_stack_check, _REPEATED_DECODER),
    parameters=partial(_stack_parameters, _REPEATED_DECODER),
    buffers=_stack_buffers,
    words=partial(_stack_words, _REPEATED_DECODER),
    kept_as={"decoder_layer": "layers.0"},
    not_kept={"num_layers": "of no layers none is left to read the others from"},
)

_HALVES = {
    "encoder": _Slot("custom_encoder", {_ENCODER.name: _ENCODER}),
    "decoder": _Slot("custom_decoder", {_DECODER.name: _DECODER}),
}


def _transformer_check(args: Arguments) -> None:
    for name, custom in _HALVES.items():
        if args[custom.name] is None:
            _layer_check(args)
            require_at_most(MAX_REPEATS, f"num_{name}_layers", args.integer(f"num_{name}_layers"))
        else:
            custom.read(args)


def _made_half(name: str, args: Arguments) -> LayerValue:
    """The encoder or decoder that torch makes where none is given. Source: torch.nn.Transformer, its constructor."""
    given = tuple((argument, args[argument]) for argument in ("d_model", "nhead", "dim_feedforward", "bias"))
    layer = LayerValue(f"Transformer{name.capitalize()}Layer", given)
    norm = LayerValue("LayerNorm", (("normalized_shape", args["d_model"]), ("bias", args["bias"])))
    repeats = args[f"num_{name}_layers"]
    return LayerValue(
        f"Transformer{name.capitalize()}", ((f"{name}_layer", layer), ("num_layers", repeats), ("norm", norm))
    )


def _transformer_parts(args: Arguments) -> Iterator[tuple[str, Kind, Arguments]]:
    """(name, row, arguments) of the encoder and the decoder."""
    for name, custom in _HALVES.items():
        half = args[custom.name] or _made_half(name, args)
        yield name, *custom.read(Arguments({custom.name: half}))


def _transformer_parameters(args: Arguments) -> Shapes:
    shapes: Shapes = {}
    for name, row, inner in _transformer_parts(args):
        shapes |= _under(name, row.parameters(inner))
    return shapes


def _transformer_buffers(args: Arguments) -> Shapes:
    shapes: Shapes = {}
    for name, row, inner in _transformer_parts(args):
        shapes |= _under(name, row.buffers(inner))
    return shapes


_TRANSFORMER = Kind(
    name="Transformer",
    check=_transformer_check,
    parameters=_transformer_parameters,
    buffers=_transformer_buffers,
    words=lambda args: f"{_layer_words(args)} ×{args['num_encoder_layers']} ×{args['num_decoder_layers']}",
    not_kept={
        "custom_encoder": "",
        "custom_decoder": "",
        "num_encoder_layers": "of no layers none is left to read the others from",
    },
    kept_as={
        "num_encoder_layers": "encoder.num_layers",
        "num_decoder_layers": "decoder.num_layers",
        "norm_first": "encoder.layers.0.norm_first",
        "layer_norm_eps": "encoder.norm.eps",
        "bias": "encoder.norm.bias",
        "dim_feedforward": "encoder.layers.0.linear1.out_features",
        "dropout": "encoder.layers.0.dropout.p",
        "activation": "encoder.layers.0.activation.__name__",
    },
)

KINDS = (_ENCODER_LAYER, _DECODER_LAYER, _ENCODER, _DECODER, _TRANSFORMER)
