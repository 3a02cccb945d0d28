"""RNN, LSTM and GRU: a sequence in, its outputs and the last states out."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from seqtui.model.kinds.kind import ArgumentError, Arguments, Kind, Output, ShapeError, Shapes, Signal
from seqtui.model.kinds.sentences import require_at_least, require_dimensions, require_float, require_size

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
"""Rows of the weights for each hidden unit."""


def _check(args: Arguments) -> None:
    for name in ("input_size", "hidden_size", "num_layers"):
        require_at_least(1, name, args.integer(name))
    for name in ("bias", "batch_first"):
        if not isinstance(args[name], bool):
            raise ArgumentError(f"needs True or False for {name}, not {args[name]!r}")
    dropout = args["dropout"]
    if isinstance(dropout, bool) or not 0 <= args.number("dropout") <= 1:
        raise ArgumentError(f"needs dropout between 0 and 1, not {dropout}")
    if args.get("nonlinearity", "tanh") not in ("tanh", "relu"):
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
    require_float(x)
    is_batch_first = len(x.shape) == 3 and args.flag("batch_first")
    if x.shape[1 if is_batch_first else 0] == 0:
        raise ShapeError("needs a sequence of at least one step, none arrives")
    batch = x.shape[0 if is_batch_first else 1 : 1 if is_batch_first else -1]
    state, directions = _state_size(args), _directions(args)
    layers = directions * args.integer("num_layers")
    hidden = Signal((layers, *batch, state), x.dtype)
    cell = (Signal((layers, *batch, args.integer("hidden_size")), x.dtype),) if has_cell_state else ()
    return Signal((*x.shape[:-1], state * directions), x.dtype), hidden, *cell


def _macs(gates: int, args: Arguments, x: Signal, y: Signal) -> int:
    """Each matrix once for each step of each sequence."""
    steps = 1
    for length in x.shape[:-1]:
        steps *= length
    weights = (shape[0] * shape[1] for _, cell in _cells(gates, args) for shape in cell.values() if len(shape) == 2)
    return steps * sum(weights)


def _words(args: Arguments) -> str:
    layers = f" ×{args['num_layers']}" if args["num_layers"] != 1 else ""
    direction = " bidirectional" if args.flag("bidirectional") else ""
    return f"{args['input_size']}→{args['hidden_size']}{layers}{direction}"


KINDS = tuple(
    Kind(
        name=name,
        output=partial(_output, name == "LSTM"),
        check=_check,
        parameters=partial(_parameters, gates),
        macs=partial(_macs, gates),
        words=_words,
    )
    for name, gates in GATES.items()
)
