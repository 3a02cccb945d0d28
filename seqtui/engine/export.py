"""A model as .pt, .onnx or .pt2, read back, run beside the model itself, and compared.

What is written is in eval mode; a layer that is off is an Identity, as in every network that is built.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from seqtui.engine.feed import fed
from seqtui.engine.numbers import dtype_word
from seqtui.engine.refusal import reason, refusal
from seqtui.engine.requests import STATE_DICT, Export, Exported, Feed
from seqtui.engine.workbench import Workbench, opened
from seqtui.errors import EngineError
from seqtui.formats import form_of
from seqtui.model.infer import infer_shapes
from seqtui.model.inputs import require_input
from seqtui.model.tree import joined, walk_layer
from seqtui.words import plural, shape_words

if TYPE_CHECKING:
    import numpy
    import torch
    from numpy.typing import NDArray
    from torch import nn
    from torch.export import ExportedProgram

ONNX_PACKAGES = ("onnx", "onnxscript")
MOST_ONNX_BYTES = 2**31 - 2**20
"""One file of protobuf holds less than 2 GiB, and the graph needs some of that too."""
BATCH = "batch"
"""What the first dimension is called where it can be of any size."""
OUTPUT_SEED = 0
"""Of the few layers that are random in eval mode too."""

Outputs = tuple["torch.Tensor", ...]
"""All tensors that come out of a model, however they are nested there."""


class Copy(NamedTuple):
    """What the file gave that was written and read back."""

    outputs: Outputs | None
    """None where nothing here can run it."""
    note: str = ""
    """What a user should know, in a clause."""


def export(request: Export, workbench: Workbench) -> Exported:
    """Write the file of a request, and tell how far its outputs are from the model's.

    Raises FormatError where there is no network that could be run, UsageError where nothing says what it is fed,
    EngineError where it does not run, cannot be written in that form, or comes back as something else.
    """
    suffix = form_of(request.path)
    if suffix == STATE_DICT:
        return _export_state(request, workbench)
    require_input(request.subject.model)
    module = workbench.network(request.subject).eval()
    sample = _sample(request)
    try:
        outputs = _outputs(module, sample)
    except Exception as error:
        raise _refusal(request, error) from error
    workbench.tell(0, 0, f"writing {suffix}")
    copy = WRITERS[suffix](module, sample, request.path)
    return _beside_before(request, workbench, compared(outputs, copy), copy)


def _sample(request: Export) -> torch.Tensor:
    """What the model and what was written of it are both fed."""
    return fed(request.subject.model, Feed()).tensor


def _outputs(module: Callable[[torch.Tensor], object], sample: torch.Tensor) -> Outputs:
    import torch
    from torch.utils import _pytree

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(OUTPUT_SEED)
        leaves = _pytree.tree_leaves(module(sample.clone()))  # which the first layer may change in place
    return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))


def _refusal(request: Export, error: Exception) -> EngineError:
    """Why the model does not run: in our words where the rules know."""
    problem = next(iter(infer_shapes(request.subject.model).problems.values()), None)
    return EngineError(problem.message) if problem else refusal("the model does not run", error)


# The state dict


def _export_state(request: Export, workbench: Workbench) -> Exported:
    """A state dict. Where the model cannot be run, its tensors alone are compared, and the note says why."""
    import torch

    model = request.subject.model
    state = workbench.network(request.subject).state_dict() if model.is_sequential else _loose_tensors(request)
    workbench.tell(0, 0, f"writing {STATE_DICT}")
    torch.save(state, request.path)
    loaded = torch.load(request.path, weights_only=True)
    _require_same(state, loaded)
    off = _off_words(request)
    if not model.is_sequential:
        return _not_run("how its layers are connected is not known, so it was not run", off)
    if not model.inputs:
        return _not_run("nothing says what it is fed, so it was not run", off)
    module, sample = workbench.network(request.subject).eval(), _sample(request)
    try:
        outputs = _outputs(module, sample)
    except Exception as error:  # noqa: BLE001  the layers may raise what they like, and the tensors are written
        return _not_run(_refusal(request, error).message, off)
    copy = Copy(_outputs(_loaded(request, loaded), sample), off)
    return _beside_before(request, workbench, compared(outputs, copy), copy)


def _not_run(reason: str, off: str) -> Exported:
    """What is said of tensors that were compared alone."""
    return Exported(None, _joined("its tensors are the same", reason, off))


def _loose_tensors(request: Export) -> dict[str, torch.Tensor]:
    """Every tensor of a file that says nothing of its layers, under its name there."""
    from torch import device

    from seqtui.engine.build import Builder

    model = request.subject.model
    with opened(request.subject.files) as sources:
        builder = Builder(model, sources, device("cpu"))
        return {
            request.prefix + joined(path, tensor.name): builder.placed(joined(path, tensor.name), layer, tensor)
            for path, layer in walk_layer("", model.root)
            for tensor in layer.tensors
        }


def _loaded(request: Export, state: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """A new network that a state dict was loaded into, every name of it."""
    from seqtui.engine.build import build

    network = build(request.subject.model, {}, "meta").eval()
    network.load_state_dict(state, strict=True, assign=True)
    return network


def _require_same(state: Mapping[str, torch.Tensor], loaded: Mapping[str, torch.Tensor]) -> None:
    """Raises EngineError unless both are the same names and the same numbers to the bit."""
    import torch

    from seqtui.engine.numbers import as_bytes

    for name in {**state, **loaded}:
        one, other = state.get(name), loaded.get(name)
        if one is None or other is None or not torch.equal(as_bytes(one.contiguous()), as_bytes(other.contiguous())):
            raise EngineError(f"{name} did not come back from the file as it was written")


def _off_words(request: Export) -> str:
    """How many tensors of layers that are off a state dict does not have."""
    off = [layer for _, layer in request.subject.model.walk() if not layer.enabled]
    count = sum(len(inner.tensors) for layer in off for _, inner in walk_layer("", layer))
    return f"without {plural(count, 'tensor')} of layers that are off" if count else ""


# Programs


def _followed(module: nn.Sequential, sample: torch.Tensor) -> tuple[ExportedProgram, str]:
    """What torch.export makes of a network, for a batch of any size where it can be of any, and else a note.

    A batch of one is doubled: torch takes a size of 1 for a constant. Raises EngineError.
    """
    from torch.export import Dim, export

    batch = sample.repeat(2, *[1] * (sample.dim() - 1)) if sample.shape[:1] == (1,) else sample
    try:
        return export(module, (batch,), dynamic_shapes=({0: Dim(BATCH)},), strict=False), ""
    except Exception:  # noqa: BLE001  any layer may want this very size, and torch says so in many ways
        note = f"its first dimension is always {shape_words(sample.shape[:1])}"
    try:
        return export(module, (sample,), strict=False), note
    except Exception as error:
        raise refusal("torch.export", error) from error


def _write_program(module: nn.Sequential, sample: torch.Tensor, path: str) -> Copy:
    import torch

    program, note = _followed(module, sample)
    torch.export.save(program, path)
    return Copy(_outputs(torch.export.load(path).module(), sample), note)


# ONNX


def _write_onnx(module: nn.Sequential, sample: torch.Tensor, path: str) -> Copy:
    import torch

    if not all(map(find_spec, ONNX_PACKAGES)):
        raise EngineError("ONNX needs the packages onnx and onnxscript", hint="pip install 'seqtui[onnx]'")
    if sum(tensor.nbytes for tensor in module.parameters()) > MOST_ONNX_BYTES:
        raise EngineError("an .onnx file holds less than 2 GB, and the weights alone are more", hint="Write .pt2.")
    program, note = _followed(module, sample)
    shapes = None if note else ({0: BATCH},)  # for the name: torch writes s31 without
    try:
        written = torch.onnx.export(
            program, input_names=["input"], output_names=["output"], dynamic_shapes=shapes, dynamo=True, verbose=False
        )
    except Exception as error:
        operator = re.search(r"torch\.ops\.aten\.(\w+)", str(error.__cause__ or error))
        what = f"torch cannot say {operator[1]} in ONNX" if operator else f"torch.onnx: {reason(error)}"
        raise EngineError(what, hint=".pt2 holds every layer of torch.nn.") from error
    assert written is not None  # with dynamo it is a program
    written.save(path, external_data=False)
    try:
        return Copy(_onnx_outputs(path, sample), note)
    except Exception as error:  # noqa: BLE001  the evaluator has its own gaps, and the file is written all the same
        return Copy(None, _joined(note, f"onnx.reference cannot run it, so nothing was compared: {reason(error)}"))


def _onnx_outputs(path: str, sample: torch.Tensor) -> Outputs:
    """What ONNX's own reference makes of a file: numpy alone, with no other runtime."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(path)
    outputs = evaluator.run(None, {evaluator.input_names[0]: _array(sample)})
    assert isinstance(outputs, list)
    return tuple(map(_tensor, outputs))


def _array(tensor: torch.Tensor) -> NDArray[numpy.generic]:
    """The same in numpy, which has bfloat16 from the package that onnx brings."""
    import torch

    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    import ml_dtypes

    return tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)


def _tensor(given: NDArray[numpy.generic] | numpy.generic) -> torch.Tensor:
    """The same in torch; what has no dimensions comes as a number of numpy's."""
    import numpy
    import torch

    array = numpy.asarray(given)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(numpy.uint16)).view(torch.bfloat16)
    return torch.from_numpy(array)


WRITERS: Mapping[str, Callable[[nn.Sequential, torch.Tensor, str], Copy]] = {
    ".onnx": _write_onnx,
    ".pt2": _write_program,
}
"""What writes a network that runs, by suffix."""


# Comparing


def compared(outputs: Outputs, copy: Copy) -> Exported:
    """The largest difference, with a word where rounding does not explain it. Raises EngineError for other shapes."""
    if copy.outputs is None:
        return Exported(None, copy.note)
    forms, copied = ([f"{shape_words(one.shape)} {one.dtype}" for one in each] for each in (outputs, copy.outputs))
    if forms != copied:
        raise EngineError(f"what was written gives {', '.join(copied)} where the model gives {', '.join(forms)}")
    all_outputs = (*outputs, *copy.outputs)
    if any(each.numel() for each in all_outputs) and not any(bool(each.isfinite().any()) for each in all_outputs):
        return Exported(None, _joined("nothing finite to compare", copy.note))
    differences = [_difference(*pair) for pair in zip(outputs, copy.outputs, strict=True)]
    is_far = any(found > _rounding(output) for found, output in zip(differences, outputs, strict=True))
    return Exported(max(differences, default=0.0), _joined("more than rounding explains" if is_far else "", copy.note))


def _beside_before(request: Export, workbench: Workbench, exported: Exported, copy: Copy) -> Exported:
    """The same with how far the copy is from the model before its numbers were cast, where they were."""
    before = request.before
    if before is None or copy.outputs is None or exported.difference is None:
        return exported
    sample = fed(before.model, Feed()).tensor
    outputs = _outputs(workbench.network(before).eval(), sample)
    differences = [_difference(*pair) for pair in zip(outputs, copy.outputs, strict=True)]
    words = ", ".join(sorted({dtype_word(output.dtype) for output in outputs}))
    return exported._replace(cast_difference=max(differences, default=0.0), cast_from=words)


def _joined(*notes: str) -> str:
    """The clauses that say something."""
    return "; ".join(filter(None, notes))


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference of two elements; infinite where one alone is no number."""
    import torch

    wide = torch.promote_types(one.dtype, torch.float64)
    one, other = one.to(wide), other.to(wide)
    is_same = (one == other) | (one.isnan() & other.isnan())
    gaps = (one - other).abs()[~is_same]
    return float(gaps.nan_to_num(nan=math.inf, posinf=math.inf).max()) if gaps.numel() else 0.0


def _rounding(tensor: torch.Tensor) -> float:
    """The most that rounding in another order may change: half of the digits of the largest value."""
    import torch

    if not (tensor.is_floating_point() or tensor.is_complex()) or not tensor.numel():
        return 0.0
    largest = float(tensor.abs().nan_to_num(nan=0.0, posinf=0.0).max())
    return largest * math.sqrt(torch.finfo(tensor.dtype).eps)
