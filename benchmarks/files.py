"""The models that are opened: large in tensors, in rows or in bytes, and made in a moment: nobody reads their numbers.

They are sparse: behind the header stand no blocks on the disk, and reading them gives zeros.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import TypedDict

import seqtui
from seqtui.model.spec import LayerSpec
from seqtui.model.spec_json import SPEC_KEY, spec_to_json
from seqtui.model.tensors import Shape

SMALL = Path(__file__).parent.parent / "sample_models" / "lenet5.safetensors"

BLOCK = (
    "input_layernorm",
    "mlp.down_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "post_attention_layernorm",
    "self_attn.k_proj",
    "self_attn.o_proj",
    "self_attn.q_proj",
    "self_attn.v_proj",
)
"""The layers of one block of a Llama, as transformers names them."""

HIDDEN = 16_384
"""Features of the gigabyte's hidden layers: one weight of that many by that many F32 is 1.07 GB."""


class Entry(TypedDict):
    """A tensor in a safetensors header."""

    dtype: str
    shape: Shape
    data_offsets: tuple[int, int]


def decoder(folder: Path, tensors: int) -> Path:
    """A language model of so many small tensors, in as many blocks as that takes."""
    blocks = (
        (f"model.layers.{block}.{layer}.weight", (8,) if "norm" in layer else (8, 8))
        for block in count()
        for layer in BLOCK
    )
    ends = (("lm_head.weight", (32, 8)), ("model.embed_tokens.weight", (32, 8)), ("model.norm.weight", (8,)))
    return _sparse(folder / f"decoder-{tensors}.safetensors", islice(chain(ends, blocks), tensors))


def flat(folder: Path, tensors: int) -> Path:
    """So many tensors that belong to no layer, as optimisers and dumps of arrays have them."""
    names = (f"tensor_{number:06}" for number in range(tensors))
    return _sparse(folder / f"flat-{tensors}.safetensors", ((name, (8,)) for name in names))


def rows(folder: Path, number: int) -> Path:
    """A model of so many rows, the model's own included: half of them layers, each with one tensor."""
    layers = (number - 2) // 2
    return _sparse(
        folder / f"rows-{number}.safetensors", ((f"layers.{layer}.weight", (4, 4)) for layer in range(layers))
    )


def gigabyte(folder: Path) -> Path:
    """LeNet-5 with wide hidden layers, 1.1 GB in all: the same rows as the small model has."""
    model = seqtui.load(SMALL)
    layers = tuple(_widened(layer) for layer in model.layers)
    text = spec_to_json(replace(model, root=replace(model.root, layers=layers)))
    tensors = ((f"{layer.name}.{tensor.name}", tensor.shape) for layer in layers for tensor in layer.tensors)
    return _sparse(folder / "gigabyte.safetensors", tensors, {SPEC_KEY: text})


def _widened(layer: LayerSpec) -> LayerSpec:
    sizes = {"fc1": (400, HIDDEN), "fc2": (HIDDEN, HIDDEN), "fc3": (HIDDEN, 10)}
    if layer.name not in sizes:
        return layer
    inputs, outputs = sizes[layer.name]
    shapes: dict[str, Shape] = {"weight": (outputs, inputs), "bias": (outputs,)}
    tensors = tuple(tensor._replace(shape=shapes[tensor.name]) for tensor in layer.tensors)
    return replace(layer, args={"in_features": inputs, "out_features": outputs}, tensors=tensors)


def _sparse(path: Path, tensors: Iterable[tuple[str, Shape]], metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file of F32 zeros, made once for a folder."""
    if not path.exists():
        entries = dict(_entries(tensors))
        size = max(entry["data_offsets"][1] for entry in entries.values())
        header = json.dumps({"__metadata__": metadata or {}, **entries}, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        with path.open("wb") as file:
            file.write(len(header).to_bytes(8, "little") + header)
            file.truncate(8 + len(header) + size)
    return path


def _entries(tensors: Iterable[tuple[str, Shape]]) -> Iterator[tuple[str, Entry]]:
    at = 0
    for name, shape in tensors:
        end = at + 4 * math.prod(shape)
        yield name, {"dtype": "F32", "shape": shape, "data_offsets": (at, end)}
        at = end
