"""Models as .pt, .onnx and .pt2: what other programs make of the files, and what is said of them."""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from safetensors.torch import load_file
from terminal import SAMPLES
from torch import Tensor, nn
from torch.utils import _pytree

import seqtui
from seqtui.engine import export as exporter
from seqtui.engine.door import Engine
from seqtui.engine.export import Copy, compared
from seqtui.engine.requests import Export
from seqtui.engine.workbench import Workbench
from seqtui.errors import EngineError, FileChangedError, FormatError, SeqtuiError, UsageError
from seqtui.formats import open_model
from seqtui.model.edits import parse_edit
from seqtui.saving import Target, save_model
from seqtui.workspace import Workspace

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # torch.export's loader warns of itself

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.close()


def exported(source: Path, target: Path, engine: Engine, edits: Sequence[str] = ()) -> str:
    """Write a model, edited, as the target's suffix says; what is said of it."""
    workspace = Workspace(open_model(str(source)))
    try:
        for line in edits:
            edit = parse_edit(line)
            assert edit is not None
            workspace.do(edit)
        view = workspace.view
        written = save_model(view.model, view.sources, Target(str(target), engine, "absent", view.opened.prefix))
    finally:
        workspace.close()
    assert sorted(path.name for path in target.parent.iterdir() if path != source) == [target.name]
    return written.words


def net_file(folder: Path, net: nn.Sequential, *shape: int) -> Path:
    """A network in a file."""
    seqtui.save(net, folder / "net.safetensors", input_shape=shape or None)
    return folder / "net.safetensors"


def sample(model: Path, batch: int) -> Tensor:
    """Something that a sample model takes, other than what it was compared with."""
    given = seqtui.load(model).inputs[0]
    generator = torch.Generator().manual_seed(5)
    shape = (batch, *given.shape[1:])
    if given.dtype == "int64":
        return torch.randint(1000, shape, generator=generator)
    return torch.randn(shape, generator=generator)


def outputs(given: object) -> list[Tensor]:
    return [torch.as_tensor(leaf).detach() for leaf in _pytree.tree_leaves(given)]


def difference(one: object, other: object) -> float:
    """The largest of two networks' outputs, which must be as many and of the same shapes."""
    pairs = list(zip(outputs(one), outputs(other), strict=True))
    assert all(mine.shape == theirs.shape for mine, theirs in pairs)
    return max(float((mine - theirs).abs().max()) for mine, theirs in pairs)


def told_difference(words: str) -> float:
    assert words.startswith("largest difference ")
    assert ";" not in words
    return float(words.rpartition(" ")[2])


# What the files compute


@pytest.mark.parametrize("name", ["lenet5", "lstm", "text_classifier"])
def test_a_program_computes_the_same_for_any_batch(name: str, engine: Engine, tmp_path: Path) -> None:
    model = SAMPLES / f"{name}.safetensors"
    assert told_difference(exported(model, tmp_path / "net.pt2", engine)) < 1e-6
    program = torch.export.load(tmp_path / "net.pt2").module()
    net = seqtui.load_sequential(model).eval()
    for batch in (1, 3):
        given = sample(model, batch)
        assert difference(program(given), net(given)) < 1e-6


@pytest.mark.parametrize("name", ["lenet5", "lstm", "text_classifier"])
def test_onnx_computes_the_same_for_any_batch(name: str, engine: Engine, tmp_path: Path) -> None:
    model = SAMPLES / f"{name}.safetensors"
    assert 0 < told_difference(exported(model, tmp_path / "net.onnx", engine)) < 1e-5
    onnx.checker.check_model(tmp_path / "net.onnx")
    (batch, *_) = onnx.load(tmp_path / "net.onnx").graph.input[0].type.tensor_type.shape.dim
    assert batch.dim_param == "batch"
    evaluator = ReferenceEvaluator(str(tmp_path / "net.onnx"))
    assert evaluator.input_names == ["input"]
    assert evaluator.output_names[0] == "output"
    net = seqtui.load_sequential(model).eval()
    for batch in (1, 3):
        given = sample(model, batch)
        assert difference(evaluator.run(None, {"input": given.numpy()}), net(given)) < 1e-5


def test_a_state_dict_loads_strictly_into_the_same_network(engine: Engine, tmp_path: Path) -> None:
    model = SAMPLES / "lenet5.safetensors"
    assert exported(model, tmp_path / "net.pt", engine) == "largest difference 0"
    net = seqtui.load_sequential(model)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    net.load_state_dict(torch.load(tmp_path / "net.pt", weights_only=True), strict=True)
    wanted = seqtui.load_sequential(model).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_a_layer_that_works_in_place_is_fed_the_same_twice(suffix: str, engine: Engine, tmp_path: Path) -> None:
    net = nn.Sequential(nn.ELU(inplace=True), nn.Linear(4, 4))
    assert told_difference(exported(net_file(tmp_path, net, 2, 4), tmp_path / f"net{suffix}", engine)) < 1e-6


def test_tied_tensors_stand_under_each_name(engine: Engine, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Tanh(), nn.Linear(4, 4, bias=False))
    net[2].weight = net[0].weight
    assert exported(net_file(tmp_path, net, 2, 4), tmp_path / "net.pt", engine) == "largest difference 0"
    state = torch.load(tmp_path / "net.pt", weights_only=True)
    assert list(state) == ["0.weight", "2.weight"]
    assert state["0.weight"].data_ptr() == state["2.weight"].data_ptr()


def test_layers_that_are_off_pass_on_and_their_tensors_stay_out(engine: Engine, tmp_path: Path) -> None:
    net = nn.Sequential(OrderedDict(fc1=nn.Linear(4, 4), drop=nn.Dropout(), fc2=nn.Linear(4, 4)))
    source = net_file(tmp_path, net, 1, 4)
    words = exported(source, tmp_path / "net.pt", engine, ["disable drop", "disable fc2"])
    assert words == "largest difference 0; without 2 tensors of layers that are off"
    assert list(torch.load(tmp_path / "net.pt", weights_only=True)) == ["fc1.weight", "fc1.bias"]
    (tmp_path / "net.pt").unlink()
    exported(source, tmp_path / "net.pt2", engine, ["disable drop", "disable fc2"])
    given = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.export.load(tmp_path / "net.pt2").module()(given), net.fc1(given))  # type: ignore[operator]  # a Linear


def test_new_weights_are_those_that_a_save_makes(engine: Engine, tmp_path: Path) -> None:
    source = Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path))
    lines = ["set fc1 out_features=64", "set fc2 in_features=64"]
    exported(source, tmp_path / "net.pt", engine, lines)
    workspace = Workspace(open_model(str(source)))
    for line in lines:
        workspace.do(parse_edit(line))  # type: ignore[arg-type]  # none of the lines is empty
    save_model(workspace.model, workspace.view.sources, Target(str(tmp_path / "saved.safetensors"), engine))
    workspace.close()
    state, wanted = torch.load(tmp_path / "net.pt", weights_only=True), load_file(tmp_path / "saved.safetensors")
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".pt2"])
def test_bfloat16_is_compared_too(suffix: str, engine: Engine, tmp_path: Path) -> None:
    lines = ["cast ** bf16", "input (1,3,32,32) bf16"]
    words = exported(SAMPLES / "article_cnn.safetensors", tmp_path / f"net{suffix}", engine, lines)
    assert told_difference(words) < 0.01


# What cannot be written, or not compared


def test_tensors_without_layers_keep_their_names(engine: Engine, tmp_path: Path) -> None:
    source = DATA / "ddp_prefix.safetensors"
    words = exported(source, tmp_path / "net.pt", engine)
    assert words == "its tensors are the same; how its layers are connected is not known, so it was not run"
    state, wanted = torch.load(tmp_path / "net.pt", weights_only=True), load_file(source)
    assert state.keys() == wanted.keys()
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    with pytest.raises(FormatError, match="does not say how its layers are connected"):
        exported(source, tmp_path / "net.onnx", engine)


def test_nothing_is_run_that_nobody_can_feed(engine: Engine, tmp_path: Path) -> None:
    source = net_file(tmp_path, nn.Sequential(nn.Linear(3, 2)))
    words = exported(source, tmp_path / "net.pt", engine)
    assert words == "its tensors are the same; nothing says what it is fed, so it was not run"
    with pytest.raises(UsageError, match="nothing says what this model is fed"):
        exported(source, tmp_path / "net.pt2", engine)


def test_a_model_that_does_not_run_is_a_state_dict_at_most(engine: Engine, tmp_path: Path) -> None:
    problem = "fc1 takes 3136 features, 1600 arrive from flatten"
    with pytest.raises(EngineError, match=problem):
        exported(SAMPLES / "broken_cnn.safetensors", tmp_path / "net.onnx", engine)
    words = exported(SAMPLES / "broken_cnn.safetensors", tmp_path / "net.pt", engine)
    assert words == f"its tensors are the same; {problem}"


@pytest.mark.parametrize(
    ("net", "shape", "size"),
    [(nn.Sequential(nn.GRU(8, 4)), (5, 2, 8), 5), (nn.Sequential(nn.Conv2d(3, 4, 3)), (3, 8, 8), 3)],
    ids=["time first", "no batch"],
)
def test_a_first_dimension_that_cannot_vary_is_told(
    net: nn.Sequential, shape: Sequence[int], size: int, engine: Engine, tmp_path: Path
) -> None:
    words = exported(net_file(tmp_path, net, *shape), tmp_path / "net.pt2", engine)
    assert words.endswith(f"; its first dimension is always {size}")


def test_what_onnx_has_no_word_for_is_a_sentence_and_leaves_no_file(engine: Engine, tmp_path: Path) -> None:
    source = net_file(tmp_path, nn.Sequential(nn.AdaptiveMaxPool2d(3)), 1, 3, 8, 8)
    with pytest.raises(EngineError, match="torch cannot say adaptive_max_pool2d in ONNX"):
        exported(source, tmp_path / "net.onnx", engine)
    assert list(tmp_path.iterdir()) == [source]


def test_a_file_that_exists_stays(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"mine")
    with pytest.raises(FileChangedError, match="exists already"):
        exported(SAMPLES / "lenet5.safetensors", tmp_path / "net.pt", engine)
    assert (tmp_path / "net.pt").read_bytes() == b"mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_is_not_there_is_a_sentence(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(SeqtuiError, match="it cannot be written: No such file"):
        exported(SAMPLES / "lenet5.safetensors", tmp_path / "no" / "net.pt", engine)


def test_onnx_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exporter, "ONNX_PACKAGES", ("onnx", "a_package_that_nobody_has"))
    workspace = Workspace(open_model(str(SAMPLES / "lenet5.safetensors")))
    with pytest.raises(EngineError) as caught:
        exporter.export(Export(workspace.subject, str(tmp_path / "net.onnx")), Workbench())
    workspace.close()
    assert caught.value.message == "ONNX needs the packages onnx and onnxscript"
    assert caught.value.hint == "pip install 'seqtui[onnx]'"


# Comparing


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ([1.0, NAN, INF], [1.0, NAN, INF], 0.0),
        ([1.0, 2.0], [1.0, 2.25], 0.25),
        ([NAN, 1.0], [1.0, 1.0], INF),
        ([INF, 1.0], [-INF, 1.0], INF),
        ([], [], 0.0),
    ],
    ids=["same", "far", "nan", "infinite", "empty"],
)
def test_difference(one: list[float], other: list[float], found: float) -> None:
    told = compared((torch.tensor(one),), Copy((torch.tensor(other),)))
    assert told.difference == found
    assert told.note == ("more than rounding explains" if found else "")


def test_rounding_is_not_remarked_upon() -> None:
    one = torch.tensor([1000.0, 0.001])
    told = compared((one,), Copy((one + 0.01,), "the note"))
    assert told.difference == pytest.approx(0.01, rel=0.1)
    assert told.note == "the note"


@pytest.mark.parametrize("other", [torch.zeros(3, 1), torch.zeros(3, dtype=torch.float64)], ids=["shape", "type"])
def test_another_form_is_refused(other: Tensor) -> None:
    with pytest.raises(EngineError, match=r"gives 3.* where the model gives 3 torch.float32"):
        compared((torch.zeros(3),), Copy((other,)))
