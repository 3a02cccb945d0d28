"""Which torch.nn layer a handful of named tensors belongs to: one row a way to tell, tried in order.

A guess names the likeliest kind, the arguments that follow from the shapes, and what else it could be; what cannot be
told is left unsaid. stride, padding, heads, eps and the like leave no trace in tensors and are never guessed. A layer
that was quantised is guessed as the layer it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from seqtui.model.spec import Value
from seqtui.model.tensors import DTYPES, Shape

Signature = tuple[tuple[str, str, Shape], ...]
"""(name, dtype, shape) of a layer's tensors."""

LARGEST_KERNEL = 31
"""A longer last dimension of three is taken for features rather than for a kernel, unless the name says `conv`."""

Values = dict[str, Value]


class Guess(NamedTuple):
    """What a layer probably is."""

    kind: str
    """The class name in torch.nn."""
    args: Mapping[str, Value]
    """What the shapes tell, where it differs from torch's default. A convolution's `in_channels` is for groups=1."""
    alternatives: tuple[str, ...] = ()
    """Other class names, likeliest first; `Conv1D` is transformers' Linear with a transposed weight."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a layer's tensors show."""

    word: str
    """The layer's own name in lower case, without digits at its end: `conv` of `conv1`."""
    shapes: Mapping[str, Shape]
    is_plain: bool
    """Whether all numbers are floating, one an element, as torch.nn creates parameters."""

    @property
    def weight(self) -> Shape:
        return self.shapes["weight"]

    @property
    def bias(self) -> Shape | None:
        return self.shapes.get("bias")

    def without(self, name: str) -> Values:
        """`bias=False` when the named tensor is not there."""
        return {} if name in self.shapes else {"bias": False}


class Recogniser(NamedTuple):
    """One way to tell a kind."""

    required: frozenset[str]
    optional: frozenset[str] | None
    """Names that may stand beside; None for any."""
    guess: Callable[[Evidence], Guess | None]
    """Asked when the names fit; None when the shapes do not."""
    is_packed: bool = False
    """Whether the numbers may be stored otherwise than torch.nn creates them."""


_EMBEDDING_NAME = re.compile(r"emb|wte|wpe|token|vocab|position|attention_bias")
_LINEAR_NAME = re.compile(r"proj|lin|head|dense|(^|_)fc(_|$)")
_NORM_NAME = re.compile(r"norm|group|(^|_)(ln|gn)(_|$)")
_GROUP_NORM_NAME = re.compile(r"group|(^|_)gn(_|$)")
_ACTIVATION_NAME = re.compile(r"relu|(^|_)act")
_DEPTHWISE_NAME = re.compile(r"depthwise|(^|_)dw")
_TRANSPOSED_NAME = re.compile(r"transpose|deconv|conv_?t(rans)?(_|$)|(^|_)up(_|$|conv|samp)")

_GATES = {4: "LSTM", 3: "GRU", 1: "RNN"}
"""Rows of `weight_ih` for each hidden unit. Source: torch.nn.LSTM, GRU, RNN, "Variables"."""


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


@lru_cache(maxsize=1024)
def _fitting(names: frozenset[str], is_plain: bool) -> tuple[Recogniser, ...]:
    """The rows worth asking about tensors of these names."""
    return tuple(
        row
        for row in RECOGNISERS
        if row.required <= names
        and (row.optional is None or names <= row.required | row.optional)
        and (row.is_packed or is_plain)
    )


def _is_plain(dtype: str) -> bool:
    row = DTYPES.get(dtype)
    return row is not None and row.family in ("float", "complex") and row.bits >= 8


def _gptq_or_awq(evidence: Evidence) -> Guess | None:
    """GPTQ packs a word of inputs, (in / n, out), AWQ of outputs, (in, out / n); scales are (groups, out) in both."""
    packed, scales = evidence.shapes["qweight"], evidence.shapes["scales"]
    if len(packed) != 2 or len(scales) != 2:
        return None
    args: Values = {"out_features": scales[1], **evidence.without("bias")}
    inputs = evidence.shapes.get("g_idx", packed if packed[1] != scales[1] else ())
    return Guess("Linear", {"in_features": inputs[0], **args} if inputs else args)


def _packed_linear(evidence: Evidence) -> Guess:
    """bitsandbytes' 4 bits: the weight is a column of bytes, its shape stands in the quantisation state."""
    return Guess("Linear", {})


def _scaled_linear(evidence: Evidence) -> Guess | None:
    """A weight of one byte an element in its own shape, (out, in), with its scales beside it."""
    if len(evidence.weight) != 2:
        return None
    return Guess("Linear", _linear_args(evidence))


def _batch_norm(evidence: Evidence) -> Guess | None:
    """Running statistics of n channels; what they are channels of leaves no trace."""
    channels = evidence.shapes["running_mean"]
    vectors = {shape for name, shape in evidence.shapes.items() if name != "num_batches_tracked"}
    if len(channels) != 1 or vectors != {channels}:
        return None
    affine: Values = {} if "weight" in evidence.shapes else {"affine": False}
    others = ("BatchNorm1d", "BatchNorm3d", "SyncBatchNorm", "InstanceNorm2d", "InstanceNorm1d", "InstanceNorm3d")
    return Guess("BatchNorm2d", {"num_features": channels[0], **affine}, others)


def _packed_attention(evidence: Evidence) -> Guess | None:
    """`in_proj_weight` (3 · embed_dim, embed_dim). Source: torch.nn.MultiheadAttention."""
    weight = evidence.shapes["in_proj_weight"]
    if len(weight) != 2 or weight[0] != 3 * weight[1]:
        return None
    return Guess("MultiheadAttention", {"embed_dim": weight[1], **_attention_args(evidence)})


def _split_attention(evidence: Evidence) -> Guess | None:
    """One weight each, where keys or values are of another width: (embed_dim, kdim), (embed_dim, vdim)."""
    query, key, value = (evidence.shapes[f"{part}_proj_weight"] for part in "qkv")
    if not len(query) == len(key) == len(value) == 2:
        return None
    args: Values = {"embed_dim": query[0], "kdim": key[1], "vdim": value[1]}
    return Guess("MultiheadAttention", args | _attention_args(evidence))


def _attention_args(evidence: Evidence) -> Values:
    extra: Values = {"add_bias_kv": True} if "bias_k" in evidence.shapes else {}
    return evidence.without("in_proj_bias") | extra


def _recurrent(evidence: Evidence) -> Guess | None:
    """`weight_ih_l0` (gates · hidden, input), `weight_hh_l0` (gates · hidden, hidden or proj_size), of l layers."""
    shapes = evidence.shapes
    inputs, states = shapes["weight_ih_l0"], shapes["weight_hh_l0"]
    projection = shapes.get("weight_hr_l0")
    recurrent = ("weight_ih_l", "weight_hh_l", "weight_hr_l", "bias_ih_l", "bias_hh_l")
    if any(len(shape) != 2 for shape in (inputs, states, projection or states)):
        return None
    hidden = projection[1] if projection else states[1]
    kind = _GATES.get(inputs[0] // hidden) if hidden and inputs[0] % hidden == 0 else None
    if kind is None or not all(name.startswith(recurrent) for name in shapes):
        return None
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in shapes)
    args: Values = {"input_size": inputs[1], "hidden_size": hidden}
    args |= {"num_layers": layers} if layers > 1 else {}
    args |= evidence.without("bias_ih_l0")
    args |= {"bidirectional": True} if "weight_ih_l0_reverse" in shapes else {}
    args |= {"proj_size": projection[0]} if projection else {}
    return Guess(kind, args)


def _recurrent_cell(evidence: Evidence) -> Guess | None:
    """`weight_ih` (gates · hidden, input), `weight_hh` (gates · hidden, hidden)."""
    inputs, states = evidence.shapes["weight_ih"], evidence.shapes["weight_hh"]
    if len(inputs) != 2 or len(states) != 2 or not states[1] or inputs[0] % states[1]:
        return None
    kind = _GATES.get(inputs[0] // states[1])
    args: Values = {"input_size": inputs[1], "hidden_size": states[1]}
    return Guess(f"{kind}Cell", args | evidence.without("bias_ih")) if kind else None


def _vector(evidence: Evidence) -> Guess | None:
    """[n] alone: PReLU or RMSNorm, told apart by the name only; of one element it is a PReLU's."""
    if len(evidence.weight) != 1 or evidence.bias is not None:
        return None
    (size,) = evidence.weight
    if _NORM_NAME.search(evidence.word):
        return Guess("RMSNorm", {"normalized_shape": size}, ("LayerNorm", "PReLU"))
    if size == 1 or _ACTIVATION_NAME.search(evidence.word):
        return Guess("PReLU", {"num_parameters": size} if size != 1 else {}, ("RMSNorm", "LayerNorm"))
    return None


def _scale_and_shift(evidence: Evidence) -> Guess | None:
    """[n], [n]: some norm without statistics, where the name says norm; which one, shapes do not tell."""
    if len(evidence.weight) != 1 or evidence.bias != evidence.weight or not _NORM_NAME.search(evidence.word):
        return None
    (size,) = evidence.weight
    others = ("InstanceNorm2d", "BatchNorm2d")
    if _GROUP_NORM_NAME.search(evidence.word):
        return Guess("GroupNorm", {"num_channels": size}, ("LayerNorm", *others))
    return Guess("LayerNorm", {"normalized_shape": size}, ("GroupNorm", *others))


def _layer_norm(evidence: Evidence) -> Guess | None:
    """Weight and bias of one shape with several dimensions: nothing else in torch.nn has them."""
    if len(evidence.weight) < 2 or evidence.bias != evidence.weight:
        return None
    return Guess("LayerNorm", {"normalized_shape": evidence.weight})


def _linear(evidence: Evidence) -> Guess | None:
    """(out, in) with bias (out,), or without. Square with a bias it may be a Conv1D, whose weight is (in, out)."""
    if len(evidence.weight) != 2:
        return None
    if evidence.bias == evidence.weight[:1]:
        is_square = evidence.weight[0] == evidence.weight[1]
        return Guess("Linear", _linear_args(evidence), ("Conv1D",) if is_square else ())
    if evidence.bias is not None:
        return None
    if _EMBEDDING_NAME.search(evidence.word) and not _LINEAR_NAME.search(evidence.word):
        rows, width = evidence.weight
        return Guess("Embedding", {"num_embeddings": rows, "embedding_dim": width}, ("Linear", "EmbeddingBag"))
    return Guess("Linear", _linear_args(evidence), ("Embedding", "EmbeddingBag"))


def _linear_args(evidence: Evidence) -> Values:
    outputs, inputs = evidence.weight
    return {"in_features": inputs, "out_features": outputs, **evidence.without("bias")}


def _bilinear(evidence: Evidence) -> Guess | None:
    """(out, in1, in2), bias (out,), where the last dimension is too long for a kernel."""
    if len(evidence.weight) != 3 or evidence.bias != evidence.weight[:1] or _may_be_kernel(evidence):
        return None
    outputs, first, second = evidence.weight
    return Guess("Bilinear", {"in1_features": first, "in2_features": second, "out_features": outputs}, ("Conv1d",))


def _may_be_kernel(evidence: Evidence) -> bool:
    return evidence.weight[2] <= LARGEST_KERNEL or "conv" in evidence.word


def _convolution(evidence: Evidence) -> Guess | None:
    """(out, in / groups, *kernel), or transposed (in, out / groups, *kernel), with bias (out,) or without.

    A bias that is not as long as the first dimension proves it transposed. Else only the name can say so, and only
    where both would fit: without a bias, or with as many channels in as out.
    """
    weight, bias = evidence.weight, evidence.bias
    dims = len(weight) - 2
    if dims not in (1, 2, 3) or 0 in weight or (dims == 1 and not _may_be_kernel(evidence)):
        return None
    plain, transposed = f"Conv{dims}d", f"ConvTranspose{dims}d"
    if bias is not None and bias != weight[:1]:
        return _proven_transposed(transposed, evidence)
    others = ("Bilinear",) if dims == 1 and bias is not None else ()
    if bias is not None and weight[0] != weight[1]:
        return Guess(plain, _convolution_args(evidence), others)
    if _TRANSPOSED_NAME.search(evidence.word):
        return Guess(transposed, _transposed_args(evidence), (plain, *others))
    return Guess(plain, _convolution_args(evidence), (transposed, *others))


def _proven_transposed(kind: str, evidence: Evidence) -> Guess | None:
    """The bias counts the output channels, so here the groups are known."""
    inputs, outputs_in_group = evidence.weight[:2]
    outputs = evidence.bias[0] if evidence.bias and len(evidence.bias) == 1 else 0
    groups = outputs // outputs_in_group
    if not groups or outputs % outputs_in_group or inputs % groups:
        return None
    args = _transposed_args(evidence) | {"out_channels": outputs}
    return Guess(kind, args | ({"groups": groups} if groups > 1 else {}))


def _convolution_args(evidence: Evidence) -> Values:
    outputs, inputs = evidence.weight[:2]
    args: Values = {"in_channels": inputs, "out_channels": outputs, "kernel_size": _kernel(evidence)}
    if inputs == 1 and _DEPTHWISE_NAME.search(evidence.word):
        args |= {"in_channels": outputs, "groups": outputs}
    return args | evidence.without("bias")


def _transposed_args(evidence: Evidence) -> Values:
    inputs, outputs = evidence.weight[:2]
    args: Values = {"in_channels": inputs, "out_channels": outputs, "kernel_size": _kernel(evidence)}
    return args | evidence.without("bias")


def _kernel(evidence: Evidence) -> Value:
    """One number where all sides are alike, as it is usually written."""
    kernel = evidence.weight[2:]
    return kernel[0] if len(set(kernel)) == 1 else kernel


def _row(
    required: str, optional: str | None, guess: Callable[[Evidence], Guess | None], is_packed: bool = False
) -> Recogniser:
    """A row whose names are written as words."""
    beside = None if optional is None else frozenset(optional.split())
    return Recogniser(frozenset(required.split()), beside, guess, is_packed)


RECOGNISERS = (
    _row("qweight qzeros scales", "g_idx bias", _gptq_or_awq, is_packed=True),
    _row(
        "weight weight.absmax weight.quant_map",
        "bias weight.nested_absmax weight.nested_quant_map",
        _packed_linear,
        is_packed=True,
    ),
    _row("weight SCB", "weight_format bias", _scaled_linear, is_packed=True),
    _row("weight weight_scale_inv", "input_scale bias", _scaled_linear),
    _row("weight weight_scale", "input_scale bias", _scaled_linear),
    _row("running_mean running_var", "weight bias num_batches_tracked", _batch_norm),
    _row("in_proj_weight", "in_proj_bias bias_k bias_v", _packed_attention),
    _row("q_proj_weight k_proj_weight v_proj_weight", "in_proj_bias bias_k bias_v", _split_attention),
    _row("weight_ih_l0 weight_hh_l0", None, _recurrent),
    _row("weight_ih weight_hh", "bias_ih bias_hh", _recurrent_cell),
    _row("weight", "", _vector),
    _row("weight bias", "", _scale_and_shift),
    _row("weight bias", "", _layer_norm),
    _row("weight", "bias", _linear),
    _row("weight bias", "", _bilinear),
    _row("weight", "bias", _convolution),
)
"""Every way to tell a kind, quantised layers first. A tensor `x.weight.absmax` beside `x.weight` counts as x's."""
