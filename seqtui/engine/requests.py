"""What may be asked of torch, and what it answers: values that cross a pipe. Nothing here imports torch.

Weights stay in files, and activations come back reduced.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from seqtui.formats.byte_source import Stamp
from seqtui.formats.safetensors import SafetensorsFile
from seqtui.formats.tensor_source import TensorSource
from seqtui.model.kinds.kind import Signal
from seqtui.model.spec import LayerSpec, ModelSpec, Value
from seqtui.model.tensors import DTYPES, NewTensor, Shape, TensorInfo

# New weights


class Making(NamedTuple):
    """One tensor to be made."""

    name: str
    """Its full name, also in the file of what is kept."""
    kind: str
    args: Mapping[str, Value]
    """Of the layer that it belongs to."""
    own_name: str
    """In that layer: `weight`."""
    dtype: str
    """torch's word."""
    shape: Shape
    seed: int
    init: str | None
    """As in NewTensor."""
    kept: Shape | None
    """The leading block that is taken from the file of what is kept; None for nothing."""

    @classmethod
    def of(cls, name: str, layer: LayerSpec, tensor: TensorInfo, ref: NewTensor) -> Making:
        """How the tensor of a layer, of that full name, is made."""
        dtype = DTYPES[tensor.dtype].torch
        kept = ref.kept if ref.keep else None
        return cls(name, layer.kind or "", dict(layer.args), tensor.name, dtype, tensor.shape, ref.seed, ref.init, kept)


class Initialise(NamedTuple):
    """Tensors made as torch makes them, into a safetensors file. The answer is None."""

    tensors: tuple[Making, ...]
    kept_path: str
    """A safetensors file with the tensors of which something is kept, each under its new full name."""
    path: str
    """The file to write."""


# What a model is and how it is run


class SourceFile(NamedTuple):
    """An open file of tensors, as another process can open it too."""

    source_id: str
    path: str
    stamp: Stamp | None
    """The file as it was opened: the one that stands there now may be another."""
    open_path: str
    """Where a file that was replaced or removed can still be reached (`/proc/PID/fd/N`); empty where it cannot."""


class Subject(NamedTuple):
    """A model with all its edits, and where its numbers lie. New tensors are made as a save would make them."""

    model: ModelSpec
    """Its one input is the shape that is fed."""
    files: tuple[SourceFile, ...]

    @classmethod
    def of(cls, model: ModelSpec, sources: Mapping[str, TensorSource]) -> Subject:
        """A model whose numbers lie in these open sources."""
        files = (
            SourceFile(source_id, source.file.name, source.file.stamp, source.file.open_path)
            for source_id, source in sources.items()
            if isinstance(source, SafetensorsFile) and source.file
        )
        return cls(model, tuple(files))


class Feed(NamedTuple):
    """What a model is fed, in the shape and type of its input."""

    form: Literal["normal", "zeros", "ones", "file"] = "normal"
    """An integer input takes `normal` as integers drawn below the num_embeddings of the Embedding that leads."""
    path: str = ""
    """For `file`: a .npy batch, whose own shape holds, or an image, brought to the shape of the input."""
    seed: int = 0
    """Of what is drawn: the same seed is the same input."""


class RunSettings(NamedTuple):
    """How to run: not saved, not undone."""

    device: str = "cpu"
    dtype: str = ""
    """torch's word for the floating tensors and the input (`bfloat16`); empty for those of the file."""
    is_training: bool = False
    feed: Feed = Feed()
    passes: int = 1
    with_backward: bool = False
    seed: int | None = None
    """Of what is random in the model itself; None for another one at each run."""

    @property
    def is_as_inferred(self) -> bool:
        """Whether what flows is what the rules follow: in another type, or another shape, a model may fit."""
        return not self.dtype and self.feed.form != "file"


class Forward(NamedTuple):
    """Run a model. The answer is a `RunResult`."""

    subject: Subject
    settings: RunSettings


class LayerRun(NamedTuple):
    """What came out of one layer, over the whole batch. Numbers are over the finite values; None where there are none.

    Where a layer gives out several tensors the first is meant.
    """

    path: str
    output: Shape
    dtype: str
    seconds: float | None
    """Of its forward alone: the median of several, after one that warms up. None inside a layer that was not timed."""
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    zeros: int
    nan: int
    inf: int
    is_nan_born: bool
    """NaN or Inf came out and none went in; of a container the layer inside tells it."""
    dead: int | None
    """Units (channels, or features) that gave zero for every sample; None where that is no question."""
    units: int | None
    spread: float | None
    """The largest standard deviation of any element over the passes, of a very large output over elements evenly taken
    from it; None for one pass."""
    has_maps: bool
    """Whether `Maps` can be asked of it."""
    gradients: Mapping[str, Gradient]
    """By the parameter's own name, `weight`; empty without a backward pass, and without those that are frozen."""


VANISHING = 1e-6
EXPLODING = 1e4
"""A gradient's root mean square over the elements of its parameter, below and above which it is told."""


Verdict: TypeAlias = Literal["", "vanishing", "exploding", "none"]
"""What is told of a gradient, `none` where none arrives; empty for nothing."""


class Gradient(NamedTuple):
    """The gradient of a parameter."""

    norm: float
    verdict: Verdict


class RunResult(NamedTuple):
    """What a run gave."""

    device: str
    dtype: str
    is_training: bool
    passes: int
    fed: str
    """What went in, in words: `normal 1×1×28×28, seed 0`."""
    seconds: float | None
    """Of one forward pass, median; None on meta, where nothing is computed."""
    output: Shape
    output_dtype: str
    values: tuple[float, ...]
    """At most MOST_VALUES of the output of the last pass, row by row."""
    argmax: tuple[int, ...] | None
    """Of each sample, row by row: the place of the largest along the last dimension, where that holds the features of
    an output of at most three. None for others, for one with NaN, and for more than MOST_ARGMAX."""
    argmax_changed: float | None
    """Share of the passes' samples whose argmax is not the most frequent one; None for one pass or without argmax."""
    layers: tuple[LayerRun, ...]
    """Depth first, in order of execution; layers that are off too."""
    peak_bytes: int | None
    """The most memory that was taken on the device; None where the device does not tell."""
    given_nan: int = 0
    """Elements of the input that are NaN."""
    given_inf: int = 0
    with_backward: bool = False
    """Whether gradients were asked for: on meta there are none all the same."""
    off: frozenset[str] = frozenset()
    """Paths of the layers that were off: what went in came out."""
    num_new: int = 0
    """Tensors of which no number comes from a file: made for the run as a save would make them."""


MOST_VALUES = 1000
MOST_ARGMAX = 1 << 16


class Maps(NamedTuple):
    """The feature maps of a layer in the last run, first sample. The answer is an `Images`."""

    path: str
    height: int
    width: int
    """The most pixels that one map is to have; a larger one is averaged down."""
    first: int = 0
    limit: int = 64
    """Channels."""


class Images(NamedTuple):
    """Some channels as grey pixels, all on one scale."""

    path: str
    num_channels: int
    """Of the layer."""
    first: int
    shape: tuple[int, int]
    """Of a map as it came out of the layer."""
    height: int
    width: int
    low: float
    high: float
    """The values that 0 and 255 stand for."""
    pixels: tuple[bytes, ...]
    """A map's rows one after another, one byte a pixel."""


# What there is, and what torch knows


class Devices(NamedTuple):
    """Every device that torch could have. The answer is a tuple of `Device`."""


class Device(NamedTuple):
    """Where a model can run."""

    name: str
    """`cuda:0`, `cpu`, `meta`."""
    label: str
    """The hardware's own name, or what it is."""
    free: int | None
    total: int | None
    """Bytes; None where the device does not tell."""
    absent: str
    """Why it cannot be chosen, in a clause; empty where it can."""


class Trace(NamedTuple):
    """Follow a model's shapes through torch, on the meta device. The answer is a tuple of `Traced`, the model
    itself first at ""."""

    model: ModelSpec


class Traced(NamedTuple):
    """What torch says of one layer that its forward reached."""

    path: str
    leaving: tuple[Signal, ...]
    """What came out, several where it is a tuple; empty where it raised."""
    message: str = ""
    """What torch raised, one line; empty where it did not, and in what holds the layer that raised."""


class TorchinfoTable(NamedTuple):
    """torchinfo's own table of a model, from a meta twin. The answer is its text."""

    model: ModelSpec
    depth: int | None


STATE_DICT = ".pt"
"""The suffix of the one export that is no program: tensors alone, of a model that nobody can run too."""


class Export(NamedTuple):
    """Write a model as .pt, .onnx or .pt2, by its suffix, run both, and compare. The answer is an `Exported`."""

    subject: Subject
    path: str
    """A file that does not exist; the door's caller puts it in its place."""
    prefix: str = ""
    """What stands before the name of every tensor, where there are no layers but tensors alone."""
    before: Subject | None = None
    """The model as it was before its numbers were cast: how far it is from what was written is told too."""


class Exported(NamedTuple):
    """An export that was read back and run."""

    difference: float | None
    """The largest difference of any output element; None where there is no input to run it with."""
    note: str = ""
    cast_difference: float | None = None
    """The same from the model before its numbers were cast; None where they were not."""
    cast_from: str = ""
    """The type that it computes in: `float32`."""


Request: TypeAlias = Initialise | Forward | Maps | Devices | Trace | TorchinfoTable | Export


class Progress(NamedTuple):
    """How far a request is; comes any number of times before its answer."""

    done: int
    total: int
    words: str


IMPORTING = Progress(0, 0, "importing torch")
"""What comes first from a process that has just been started."""
