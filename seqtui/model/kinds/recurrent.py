"""RNN, LSTM and GRU: a sequence in, its outputs and the last states out; and the cells that take one step of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Output, ShapeError, Shapes, Signal, from_axis
from seqtui.model.kinds.misfits import Misfit
from seqtui.model.kinds.recognise import Evidence, Guess, Values, recogniser
from seqtui.model.kinds.sentences import (
    MAX_REPEATS,
    require_at_least,
    require_at_most,
    require_dimensions,
    require_dtype,
    require_size,
)

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
"""Rows of the weights for each hidden unit. Source: torch.nn.RNN, LSTM, GRU, "Variables"."""
NONLINEARITIES = ("tanh", "relu")
_KIND = {gates: kind for kind, gates in GATES.items()}


def _check(args: Arguments) -> None:
    for name in ("input_size", "hidden_size", "num_layers"):
        require_at_least(1, name, args.integer(name))
    require_at_most(MAX_REPEATS, "num_layers", args.integer("num_layers"))
    for name in ("bias", "batch_first"):
        if not isinstance(args[name], bool):
            raise ArgumentError(f"needs True or False for {name}, not {args[name]!r}")
    dropout = args["dropout"]
    if isinstance(dropout, bool) or not 0 <= args.number("dropout") <= 1:
        raise ArgumentError(f"needs dropout between 0 and 1, not {dropout}")
    if args.get("nonlinearity", "tanh") not in NONLINEARITIES:
        raise ArgumentError(f"needs nonlinearity tanh or relu, not {args['nonlinearity']}")
    if not 0 <= _projection(args) < args.integer("hidden_size"):
        raise ArgumentError(f"needs proj_size from 0 to below hidden_size, not {args['proj_size']}")


def _projection(args: Arguments) -> int:
    """Size that an LSTM projects its hidden state to, 0 for none."""
    return args.integer("proj_size") if "proj_size" in args else 0


def _state_size(args: Arguments) -> int:
    """Size of the hidden state as the next step sees it."""
    return _projection(args) or args.integer("hidden_size")


def _directions(args: Arguments) -> int:
    return 2 if args.flag("bidirectional") else 1


def _cells(gates: int, args: Arguments) -> Iterator[tuple[str, Shapes]]:
    """(suffix, parameters) of each layer and direction. Source: torch.nn.LSTM, "Variables"."""
    hidden, state, directions = args.integer("hidden_size"), _state_size(args), _directions(args)
    rows = gates * hidden
    for layer in range(args.integer("num_layers")):
        arriving = args.integer("input_size") if layer == 0 else state * directions
        shapes: Shapes = {"weight_ih": (rows, arriving), "weight_hh": (rows, state)}
        if args.flag("bias"):
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if _projection(args):
            shapes["weight_hr"] = (state, hidden)
        for suffix in ("", "_reverse")[:directions]:
            yield f"_l{layer}{suffix}", shapes


def _parameters(gates: int, args: Arguments) -> Shapes:
    return {f"{name}{suffix}": shape for suffix, cell in _cells(gates, args) for name, shape in cell.items()}


def _output(has_cell_state: bool, args: Arguments, x: Signal) -> Output:
    """(L, N, input) -> (L, N, D·H), (D·layers, N, H); an LSTM's cell state (D·layers, N, hidden) as well.

    (N, L, …) with batch_first, without N where the input has none. Source: torch.nn.LSTM, "Inputs" and "Outputs".
    """
    require_dimensions(x, 2, 3)
    require_size(x, -1, args.integer("input_size"), "features")
    require_dtype(x, args)
    is_batch_first = len(x.shape) == 3 and args.flag("batch_first")
    if x.shape[1 if is_batch_first else 0] == 0:
        raise ShapeError(Misfit.NO_STEP)
    batch = x.shape[0 if is_batch_first else 1 : 1 if is_batch_first else -1]
    state, directions = _state_size(args), _directions(args)
    layers = directions * args.integer("num_layers")
    hidden = Signal((layers, *batch, state), x.dtype)
    cell = (Signal((layers, *batch, args.integer("hidden_size")), x.dtype),) if has_cell_state else ()
    return Signal((*x.shape[:-1], state * directions), x.dtype), hidden, *cell


def _macs(gates: int, args: Arguments, x: Signal, y: Signal) -> int:
    """Each matrix once for each step of each sequence."""
    weights = (shape for _, cell in _cells(gates, args) for shape in cell.values() if len(shape) == 2)
    return math.prod(x.shape[:-1]) * sum(map(math.prod, weights))


def _sizes(args: Arguments) -> str:
    return f"{args['input_size']}→{args['hidden_size']}"


def _words(args: Arguments) -> str:
    layers = f" ×{args['num_layers']}" if args["num_layers"] != 1 else ""
    direction = " bidirectional" if args.flag("bidirectional") else ""
    return f"{_sizes(args)}{layers}{direction}"


def _cell_check(args: Arguments) -> None:
    for name in ("input_size", "hidden_size"):
        require_at_least(0, name, args.integer(name))


def _cell_parameters(gates: int, args: Arguments) -> Shapes:
    """(gates · hidden, input) and (gates · hidden, hidden), their biases. Source: torch.nn.LSTMCell, "Variables"."""
    inputs, hidden = args.integer("input_size"), args.integer("hidden_size")
    rows = gates * hidden
    shapes: Shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, hidden)}
    return shapes | ({"bias_ih": (rows,), "bias_hh": (rows,)} if args.flag("bias") else {})


def _cell_output(has_cell_state: bool, args: Arguments, x: Signal) -> Output:
    """(N, input) or (input,) -> (N, hidden) or (hidden,); an LSTM's cell state as well.

    Source: torch.nn.LSTMCell, "Inputs" and "Outputs".
    """
    require_dimensions(x, 1, 2)
    require_size(x, -1, args.integer("input_size"), "features")
    require_dtype(x, args)
    if args.get("nonlinearity", "tanh") not in NONLINEARITIES:
        raise ArgumentError(f"needs nonlinearity tanh or relu, not {args['nonlinearity']}")
    hidden = Signal((*x.shape[:-1], args.integer("hidden_size")), x.dtype)
    return (hidden, hidden) if has_cell_state else hidden


def _cell_macs(gates: int, args: Arguments, x: Signal, y: Signal) -> int:
    """Each matrix once for each row of the batch."""
    weights = (shape for shape in _cell_parameters(gates, args).values() if len(shape) == 2)
    return math.prod(x.shape[:-1]) * sum(map(math.prod, weights))


def _recognise(evidence: Evidence) -> Guess | None:
    """`weight_ih_l0` (gates · hidden, input), `weight_hh_l0` (gates · hidden, hidden or proj_size), of l layers."""
    shapes = evidence.shapes
    inputs, states = shapes["weight_ih_l0"], shapes["weight_hh_l0"]
    projection = shapes.get("weight_hr_l0")
    recurrent = ("weight_ih_l", "weight_hh_l", "weight_hr_l", "bias_ih_l", "bias_hh_l")
    if any(len(shape) != 2 for shape in (inputs, states, projection or states)):
        return None
    hidden = projection[1] if projection else states[1]
    kind = _KIND.get(inputs[0] // hidden) if hidden and inputs[0] % hidden == 0 else None
    if kind is None or not all(name.startswith(recurrent) for name in shapes):
        return None
    layers = sum(name.startswith("weight_ih_l") and not name.endswith("_reverse") for name in shapes)
    args: Values = {"input_size": inputs[1], "hidden_size": hidden}
    args |= {"num_layers": layers} if layers > 1 else {}
    args |= evidence.without("bias_ih_l0")
    args |= {"bidirectional": True} if "weight_ih_l0_reverse" in shapes else {}
    args |= {"proj_size": projection[0]} if projection else {}
    return Guess(kind, args)


def _recognise_cell(evidence: Evidence) -> Guess | None:
    """`weight_ih` (gates · hidden, input), `weight_hh` (gates · hidden, hidden)."""
    inputs, states = evidence.shapes["weight_ih"], evidence.shapes["weight_hh"]
    if len(inputs) != 2 or len(states) != 2 or not states[1] or inputs[0] % states[1]:
        return None
    kind = _KIND.get(inputs[0] // states[1])
    args: Values = {"input_size": inputs[1], "hidden_size": states[1]}
    return Guess(f"{kind}Cell", args | evidence.without("bias_ih")) if kind else None


_FROM_PLACE = from_axis(-1, "input_size", also="hidden_size")

_LAYERS = tuple(
    Kind(
        name=name,
        output=partial(_output, name == "LSTM"),
        check=_check,
        parameters=partial(_parameters, gates),
        macs=partial(_macs, gates),
        words=_words,
        recognisers=(recogniser("weight_ih_l0 weight_hh_l0", None, _recognise),) if name == "LSTM" else (),
        from_place=_FROM_PLACE,
    )
    for name, gates in GATES.items()
)
_CELLS = tuple(
    Kind(
        name=f"{name}Cell",
        output=partial(_cell_output, name == "LSTM"),
        check=_cell_check,
        parameters=partial(_cell_parameters, gates),
        macs=partial(_cell_macs, gates),
        words=_sizes,
        recognisers=(recogniser("weight_ih weight_hh", "bias_ih bias_hh", _recognise_cell),) if name == "LSTM" else (),
        from_place=_FROM_PLACE,
    )
    for name, gates in GATES.items()
)

KINDS = (*_LAYERS, *_CELLS)
