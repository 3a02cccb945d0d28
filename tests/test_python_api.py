"""`import seqtui`: the few functions that people call from their own code and notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

import seqtui
from seqtui.errors import EngineError, FileError, FormatError, SeqtuiError, UsageError
from seqtui.model.spec import InputSpec

torch.set_num_threads(1)


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), flat=nn.Flatten()))


def output_of(code: str, *arguments: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


# The door


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = set(sys.modules); import seqtui; print(*sorted(set(sys.modules) - before))"
    assert output_of(code) in ("seqtui", "__future__ seqtui")


def test_every_public_name_is_there() -> None:
    assert set(seqtui.__all__) <= set(dir(seqtui))
    assert all(callable(getattr(seqtui, name)) for name in seqtui.__all__ if name != "__version__")


def test_any_other_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'unknown'"):
        seqtui.unknown  # type: ignore[attr-defined]  # noqa: B018  # the very thing to be refused


def test_load_and_summary_of_a_file_need_no_torch(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path, input_shape=(1, 1, 8, 8))
    code = (
        "import sys, seqtui; model = seqtui.load(sys.argv[1]); seqtui.summary(sys.argv[1]);"
        "print(len(model.layers), *sorted({'torch', 'numpy', 'textual', 'rich'} & set(sys.modules)))"
    )
    assert output_of(code, str(path)).splitlines()[-1] == "3"


def test_loading_a_network_does_not_import_what_only_slows_it(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(nn.Sequential(nn.Embedding(4, 3), nn.LSTM(3, 2)), path)
    code = (
        "import sys, torch; before = 'sympy' in sys.modules; import seqtui;"
        "net = seqtui.load_sequential(sys.argv[1]); seqtui.save(net, sys.argv[1]);"
        "print('sympy' in sys.modules and not before)"
    )
    assert output_of(code, str(path)) == "False"


# What save writes


def test_every_other_program_reads_it_as_a_state_dict(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    model = net()
    model.add_module("again", nn.Sequential(model.get_submodule("conv")))
    seqtui.save(model, path)
    found = load_file(path)
    expected = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    model.load_state_dict(found, strict=True)


def test_the_file_says_what_the_spec_is(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(nn.Sequential(nn.Embedding(9, 4)), path, input_shape=(2, 5), input_dtype=torch.int64)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["seqtui.spec"]) == {
        "seqtui": 1,
        "kind": "Sequential",
        "inputs": [{"shape": [2, 5], "dtype": "int64"}],
        "layers": [{"name": "0", "kind": "Embedding", "args": {"num_embeddings": 9, "embedding_dim": 4}}],
    }


def test_metadata_of_others_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path, metadata={"author": "Ada", "note": "ünïcode\n\x1b[31m"})
    assert seqtui.load(path).metadata == {"format": "pt", "author": "Ada", "note": "ünïcode\n\x1b[31m"}


def test_a_file_without_an_input_opens_too(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path)
    assert seqtui.load(path).inputs == ()
    seqtui.save(net(), path, input_shape=torch.Size([4, 1, 8, 8]), input_dtype="float16")
    assert seqtui.load(path).inputs == (InputSpec("input", (4, 1, 8, 8), "float16"),)


def test_load_gives_layers_arguments_and_tensors(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path)
    conv, norm, flat = seqtui.load(path).layers
    assert (conv.kind, conv.args) == ("Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 3})
    assert [tensor.name for tensor in norm.tensors] == [*norm_tensors()]
    assert (flat.kind, flat.tensors, flat.origin) == ("Flatten", (), "declared")


def norm_tensors() -> list[str]:
    return list(nn.BatchNorm2d(2).state_dict())


# What goes wrong


def test_a_network_that_cannot_be_saved_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path)
    before = path.read_bytes()
    for broken in (nn.Sequential(nn.ModuleList()), nn.Sequential(nn.Linear(2, 2, device="meta"))):
        with pytest.raises(EngineError):
            seqtui.save(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path)
    before = path.read_bytes()
    path.chmod(0o400)
    with pytest.raises(FileError, match="read-only"):
        seqtui.save(nn.Sequential(nn.Linear(2, 2)), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        seqtui.save(net(), tmp_path / "missing" / "net.safetensors")


@pytest.mark.parametrize("metadata", [{"epoch": 3}, {3: "epoch"}, {"author": None}])
def test_metadata_that_is_not_text_is_refused(metadata: Mapping[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="metadata holds text alone"):
        seqtui.save(net(), tmp_path / "net.safetensors", metadata=metadata)


@pytest.mark.parametrize("shape", [(1, -3), (1, "3"), (2.5,), (10**30,), "1x3", 7])
def test_an_input_shape_that_is_none_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no input shape"):
        seqtui.save(net(), tmp_path / "net.safetensors", input_shape=shape)


@pytest.mark.parametrize("dtype", ["int63", "F32", torch.complex128])
def test_an_input_type_that_is_none_is_refused(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no type of tensor that an input can have"):
        seqtui.save(net(), tmp_path / "net.safetensors", input_shape=(1, 2), input_dtype=dtype)


def test_a_layer_name_that_no_file_can_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="the spec of this network holds half a character"):
        seqtui.save(nn.Sequential(OrderedDict([("\ud83d", nn.ReLU())])), tmp_path / "net.safetensors")


def test_a_file_without_a_spec_is_no_sequential(tmp_path: Path) -> None:
    path = tmp_path / "plain.safetensors"
    save_file(net().state_dict(), path)
    with pytest.raises(FormatError, match="does not say how its layers are connected") as caught:
        seqtui.load_sequential(path)
    assert caught.value.file == str(path)
    assert "seqtui.save" in caught.value.hint


def test_tensors_that_changed_since_are_refused_with_the_layer(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(net(), path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({**load_file(path), "norm.weight": torch.ones(3, 3)}, path, metadata)
    with pytest.raises(FormatError, match=r"^norm "):
        seqtui.load_sequential(path)


def test_a_file_that_is_not_there_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    for load in (seqtui.load, seqtui.load_sequential, seqtui.summary):
        with pytest.raises(FileError, match="there is no such file"):
            load(tmp_path / "missing.safetensors")


# The table


def test_summary_prints_layers_shapes_and_counts(capsys: pytest.CaptureFixture[str]) -> None:
    seqtui.summary(net(), input_shape=(1, 1, 8, 8))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:2] == ["Layer", "Kind"]
    assert [line[0] for line in lines[1:5]] == ["Sequential", "conv", "norm", "flat"]
    assert "1×2×6×6" in lines[2]
    assert "1×72" in lines[4]
    assert lines[-1][:2] == ["24", "parameters"]


def test_summary_of_a_file_is_that_of_its_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "Sequential.safetensors"
    seqtui.save(net(), path, input_shape=(1, 1, 8, 8))
    seqtui.summary(path)
    table = capsys.readouterr().out
    seqtui.summary(net(), (1, 1, 8, 8))
    assert capsys.readouterr().out == table
    seqtui.summary(path, input_shape=(1, 1, 5, 5))
    assert "1×2×3×3" in capsys.readouterr().out


def test_summary_is_ascii_where_stdout_takes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    seqtui.save(nn.Sequential(OrderedDict([("é", nn.ReLU())])), path, input_shape=(1, 2))
    code = "import sys, seqtui; sys.stdout.reconfigure(encoding=sys.argv[2]); seqtui.summary(sys.argv[1])"
    table = output_of(code, str(path), "ascii")
    assert "1x2" in table
    assert "\\xe9" in table
    assert output_of(code, str(path), "latin-1") == table
    assert "1×2" in output_of(code, str(path), "utf-8")


def test_summary_shows_where_shapes_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    seqtui.summary(nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2)), input_shape=(1, 4))
    assert "! 1 takes 4 features, 3 arrive from 0" in capsys.readouterr().out


def test_summary_leaves_the_network_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    model = net().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    seqtui.summary(model, input_shape=(4, 1, 8, 8))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.training
    assert capsys.readouterr().err == ""


class Doubling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


@pytest.mark.filterwarnings("ignore:Lazy")
def test_summary_shows_what_it_cannot_follow_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    parametrized = nn.utils.parametrizations.weight_norm(nn.Linear(4, 2))
    seqtui.summary(nn.Sequential(parametrized, Doubling(), nn.LazyLinear(3), nn.ReLU()), input_shape=(1, 4))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[2] == "0 Linear 4→2, parametrized weight 1×2 12 8"
    assert lines[3] == "1 Doubling a forward of its own 6 ·"
    assert lines[4] == "fc Linear 2→2 unknown 6 ·"
    assert lines[5] == "2 LazyLinear has seen no input yet · ·"
    assert lines[6] == "3 ReLU unknown · ·"


def table_of(capsys: pytest.CaptureFixture[str], net: nn.Sequential, *shape: int) -> list[str]:
    """The lines that summary prints, blanks made one."""
    seqtui.summary(net, shape or None)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_summary_says_below_the_table_why_arguments_are_lost(capsys: pytest.CaptureFixture[str]) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 8, activation=nn.functional.silu)
    lines = table_of(capsys, nn.Sequential(layer, nn.ReLU()), 5, 1, 8)
    assert lines[2] == f"0 TransformerEncoderLayer unknown {sum(p.numel() for p in layer.parameters())} ·"
    reason = "a new one cannot be made: activation should be relu/gelu, not silu"
    assert f"0: its arguments cannot be told, {reason}" in lines


def test_summary_shows_no_arguments_of_a_class_called_as_torch_s(capsys: pytest.CaptureFixture[str]) -> None:
    layer = type("Dropout", (nn.Dropout,), {})(0.25)
    assert table_of(capsys, nn.Sequential(layer), 1, 4)[2] == "0 Dropout a forward of its own · ·"


def test_summary_says_why_a_loss_does_not_fit_without_an_input_too(capsys: pytest.CaptureFixture[str]) -> None:
    lines = table_of(capsys, nn.Sequential(nn.Linear(4, 2), nn.CrossEntropyLoss(torch.ones(2))))
    assert "! 1 takes 2 tensors (input, target), one arrives" in lines
    assert lines[-1] == "10 parameters · 2 buffer elements · 48 B"


@pytest.mark.filterwarnings("ignore:Lazy")
@pytest.mark.parametrize(
    ("layers", "totals"),
    [
        ([nn.ReLU()], "parameters unknown"),
        ([nn.Linear(2, 2)], "at least 6 parameters · at least 24 B"),
    ],
)
def test_summary_does_not_count_what_has_no_shape_yet(
    layers: list[nn.Module], totals: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert table_of(capsys, nn.Sequential(nn.LazyLinear(2), *layers))[-1] == totals


def test_summary_of_another_module_says_what_can_draw_it() -> None:
    module = cast(nn.Sequential, nn.Linear(2, 2))  # what people will try all the same
    with pytest.raises(SeqtuiError) as caught:
        seqtui.summary(module)
    assert "torchinfo.summary" in caught.value.hint
