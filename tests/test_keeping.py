"""Nothing lost: a process is killed after any steps, saves among them, and the next one has the very same model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from terminal import environment
from user import DATA, SAMPLES

from seqtui import journal
from seqtui.errors import EditError
from seqtui.formats import open_model
from seqtui.formats.opened import OpenedModel
from seqtui.model.edits import parse_edits
from seqtui.model.spec import ModelSpec
from seqtui.model.spec_json import spec_to_json
from seqtui.recipes import read_recipe
from seqtui.records import told
from seqtui.templates import template_model
from seqtui.workspace import Workspace

torch.set_num_threads(1)

SESSION = """
import json, os, signal, sys
from seqtui.formats import open_model
from seqtui.formats.opened import OpenedModel
from seqtui.model.edits import parse_edit
from seqtui.templates import template_model
from seqtui.workspace import Workspace

what, steps, answer = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
workspace = Workspace(
    open_model(what) if os.path.exists(what) else OpenedModel(template_model(what), {}, "", "safetensors", name=what)
)
workspace.wants_journal = True
if answer and workspace.start_journal():
    getattr(workspace, answer)()
for step in steps:
    word, _, rest = step.partition(" ")
    if word == "save":
        workspace.save(rest)
    elif word in ("undo", "redo"):
        getattr(workspace, word)()
    else:
        workspace.do(parse_edit(step))
    if trouble := workspace.take_trouble():
        print(trouble, flush=True)
if os.environ.get("COPY"):
    workspace.save(os.environ["COPY"])
else:
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""A process that does some steps and is killed, or saves a copy of what it has."""


def killed(what: Path | str, *steps: str, answer: str = "") -> str:
    """A session on a file, or on a new model of a template, that is killed after its last step; what it told."""
    return _session(what, steps, answer, -signal.SIGKILL)


def save_as(what: Path, copy: Path, *steps: str) -> None:
    """The same session, which ends by saving what it has."""
    _session(what, steps, "", 0, COPY=str(copy))


def _session(what: Path | str, steps: tuple[str, ...], answer: str, code: int, **changes: str) -> str:
    command = [sys.executable, "-c", SESSION, str(what), json.dumps(steps), answer]
    variables = environment(XDG_STATE_HOME=os.environ["XDG_STATE_HOME"], **changes)
    ended = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert ended.returncode == code, ended.stderr
    return ended.stdout


@pytest.fixture
def lenet(tmp_path: Path) -> Path:
    """A trained LeNet-5 that may be written over."""
    return Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / "lenet5.safetensors"))


def opened(path: Path) -> Workspace:
    workspace = Workspace(open_model(str(path)))
    workspace.wants_journal = True
    return workspace


def new(template: str) -> Workspace:
    workspace = Workspace(OpenedModel(template_model(template), {}, "", "safetensors", name=template))
    workspace.wants_journal = True
    return workspace


def do(workspace: Workspace, *lines: str) -> None:
    for edit in parse_edits(lines):
        workspace.do(edit)


def kept(suffix: str = "") -> list[Path]:
    """What lies where journals do."""
    return sorted((Path(os.environ["XDG_STATE_HOME"]) / "seqtui" / "journals").glob(f"*{suffix}"))


def names(model: ModelSpec) -> list[str]:
    return [layer.name for layer in model.layers]


# Past a save

PAST_SAVES = {
    "renamed": ("rename conv1 stem", "save", "undo", "remove tanh1"),
    "removed": ("remove fc3", "save", "undo", "rename fc3 head"),
    "resized": ("rename fc2 mid", "set fc3 out_features=5", "save", "undo", "undo", "redo"),
    "filled": ("fill conv1 zeros", "cast conv2 float16", "save", "undo", "undo"),
    "made_and_undone": ("insert bn BatchNorm2d num_features=6 after conv1", "save", "undo", "redo"),
    "two_saves": ("remove fc3", "save", "remove fc2", "save", "undo", "undo"),
    "saved_undone_saved": ("remove fc3", "save", "undo", "save", "redo", "remove fc2", "undo"),
    "undone_saved_redone": ("rename conv1 a", "remove fc3", "undo", "save", "redo", "rename conv2 b"),
    "undone_twice": (
        "remove fc2",
        "remove fc3",
        "save",
        "undo",
        "rename conv1 a",
        "save",
        "undo",
        "undo",
        "rename conv2 b",
    ),
    "several": ("remove fc*", "save", "undo", "freeze conv1", "undo", "meta author me", "input (1,1,32,32)"),
}
"""Steps of a session, each with a step that the saved file knows nothing of."""


@pytest.mark.parametrize("steps", PAST_SAVES.values(), ids=PAST_SAVES)
def test_what_was_undone_past_a_save_comes_back_bit_for_bit(
    steps: tuple[str, ...], lenet: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin" / lenet.name
    twin.parent.mkdir()
    shutil.copy(lenet, twin)
    save_as(twin, tmp_path / "wanted.safetensors", *steps)
    assert killed(lenet, *steps) == ""
    workspace = opened(lenet)
    assert workspace.start_journal()
    workspace.recover()
    assert workspace.take_trouble() == ""
    workspace.save(str(tmp_path / "recovered.safetensors"))
    workspace.close()
    assert (tmp_path / "recovered.safetensors").read_bytes() == (tmp_path / "wanted.safetensors").read_bytes()


STEPS = (
    "remove fc3",
    "remove tanh1",
    "rename conv1 stem",
    "rename stem conv1",
    "copy conv2 twin",
    "move fc1 before conv2",
    "group fc1 fc2 head",
    "freeze conv*",
    "disable dropout1",
    "meta author me",
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.sampled_from([*STEPS, *["undo", "redo", "save"] * 3]), min_size=3, max_size=14))
def test_whatever_is_done_between_saves_comes_back(tmp_path: Path, steps: list[str]) -> None:
    file = Path(shutil.copy(SAMPLES / "lenet5.safetensors", tmp_path / f"{os.urandom(8).hex()}.safetensors"))
    with closing(opened(file)) as first:
        for word in steps:
            with suppress(EditError):  # what cannot be done here is not done
                if word in ("undo", "redo", "save"):
                    getattr(first, word)()
                else:
                    do(first, word)
        assert first.take_trouble() == ""
        wanted, edits, is_changed = states(first), undone(first), first.is_changed
    with closing(opened(file)) as second:  # the first was closed as a dropped line closes it: nothing was forgotten
        if not second.start_journal():
            assert not is_changed
            return
        second.recover()
        assert second.take_trouble() == ""
        assert undone(second) == edits[: len(undone(second))]
        found = states(second)
        assert found == wanted[: len(found)]


def undone(workspace: Workspace) -> list[str]:
    return [str(step.edit) for step in workspace.history.undone]


def states(workspace: Workspace) -> list[object]:
    """The model and those that a redo leads to, each with the bytes of its tensors in place of where they lie."""
    models = [workspace.model, *(step.before for step in workspace.history.undone)]
    return [(spec_to_json(model), dict(model.metadata), numbers(workspace, model)) for model in models]


def numbers(workspace: Workspace, model: ModelSpec) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path, layer in model.walk():
        for tensor in layer.tensors:
            place = workspace.view.where(tensor)
            assert place
            source, name = place
            data = bytearray(tensor.nbytes)
            source.read_into(name, 0, memoryview(data))
            found[f"{path}.{tensor.name}"] = bytes(data)
    return found


def test_what_was_undone_past_a_save_under_another_name_comes_back(lenet: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    killed(lenet, "remove fc3", f"save {other}", "undo", "rename conv1 stem")
    with closing(opened(other)) as workspace:
        assert told(workspace.start_journal()) == ["undo: remove fc3", "rename conv1 stem"]
        workspace.recover()
        workspace.save()
    before, after = load_file(lenet), load_file(other)
    assert len(before) == len(after)
    assert all(torch.equal(tensor, before[name.replace("stem", "conv1")]) for name, tensor in after.items())
    assert kept() == []


def test_a_checkpoint_without_layers_in_order_comes_back_too(tmp_path: Path) -> None:
    path = Path(shutil.copy(DATA / "hf_bert.safetensors", tmp_path))
    before = load_file(path)
    name = min(before)
    killed(path, f"drop {name}", "save", "undo", "meta author me")
    assert name not in load_file(path)
    with closing(opened(path)) as workspace:
        workspace.start_journal()
        workspace.recover()
        workspace.save()
    after = load_file(path)
    assert after.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


def test_what_is_recovered_is_undone_redone_saved_and_lost_no_more(lenet: Path) -> None:
    whole = load_file(lenet)
    killed(lenet, "remove fc3", "save", "undo")
    killed(lenet, "redo", "undo", "rename conv1 stem", "undo", answer="recover")
    with closing(opened(lenet)) as workspace:
        steps = told(workspace.start_journal())
        assert steps == [
            "undo: remove fc3",
            "redo: remove fc3",
            "undo: remove fc3",
            "rename conv1 stem",
            "undo: rename conv1 stem",
        ]
        workspace.recover()
        assert names(workspace.model)[-1] == "fc3"
        assert workspace.is_changed
        workspace.save()
        assert kept(".safetensors") == []
    after = load_file(lenet)
    assert after.keys() == whole.keys()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in after.items())


def test_only_what_the_saved_file_lacks_is_copied(lenet: Path) -> None:
    with closing(opened(lenet)) as workspace:
        do(workspace, "rename conv1 stem", "remove fc3")
        workspace.save()
        workspace.undo()
        workspace.undo()
        (copy,) = kept(".safetensors")
        assert sorted(tuple(tensor.shape) for tensor in load_file(copy).values()) == [(10,), (10, 84)]
        workspace.save()
        assert kept(".safetensors") == []
        workspace.redo()
        assert kept(".safetensors") == []


def test_without_room_the_undo_itself_says_so(lenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LARGEST_KEPT", 1000)
    with closing(opened(lenet)) as workspace:
        do(workspace, "remove fc3")
        workspace.save()
        workspace.undo()
        sentence = workspace.take_trouble()
        assert sentence.startswith("edits are no longer kept for recovery: the undone step needs 3.4 kB")
        workspace.redo()
        workspace.undo()
        assert workspace.take_trouble() == ""  # told once
        workspace.save()
        do(workspace, "remove fc3")
    with closing(opened(lenet)) as workspace:
        assert told(workspace.start_journal()) == ["remove fc3"]


def test_numbers_that_are_gone_end_the_recovery_in_a_sentence(lenet: Path) -> None:
    killed(lenet, "rename conv1 a", "remove fc3", "save", "rename a stem", "undo", "undo", "rename conv2 b")
    (copy,) = kept(".safetensors")
    copy.unlink()
    with closing(opened(lenet)) as workspace:
        workspace.start_journal()
        with pytest.raises(
            EditError, match=r"step 3 of 4 .*the numbers that were kept for it are gone; .*:replay"
        ) as caught:
            workspace.recover()
        assert names(workspace.model)[0] == "a"
        recipe = Path(caught.value.message.partition(":replay ")[2].partition(" does")[0])
    assert recipe.read_text().splitlines() == [
        "# rename a stem",
        "# undone: rename a stem",
        "# undone: remove fc3",
        "rename conv2 b",
    ]


def test_edits_of_another_version_become_a_recipe(lenet: Path) -> None:
    killed(lenet, "remove tanh1", "rename conv1 stem", "undo", "rename conv1 first")
    shutil.copy(SAMPLES / "lenet5.safetensors", lenet)
    with closing(opened(lenet)) as workspace:
        assert not workspace.start_journal()
        words = workspace.take_trouble()
        assert "another version of this file" in words
        recipe = words.partition(":replay ")[2].partition(" does")[0]
        for _, edit in read_recipe(recipe):
            workspace.do(edit)
        assert names(workspace.model)[:2] == ["first", "pool1"]
    command = [sys.executable, "-m", "seqtui", "edit", str(lenet), "-f", recipe, "--json"]
    document = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert document["layers"][0]["path"] == "first"


# Models without a file


def test_new_models_do_not_get_in_each_others_way() -> None:
    with closing(new("lenet5")) as first, closing(new("mlp")) as second, closing(new("lenet5")) as third:
        for workspace in (first, second, third):
            assert not workspace.start_journal()
            do(workspace, "meta author me")
            assert not workspace.take_trouble()


def test_a_new_model_that_was_left_is_offered_to_the_next_of_any_kind() -> None:
    killed("lenet5", "remove tanh1", "set fc3 out_features=5")
    wanted = template_model("lenet5")
    for edit in parse_edits(["remove tanh1", "set fc3 out_features=5"]):
        wanted = edit.apply(wanted)
    with closing(new("mlp")) as workspace:
        assert told(workspace.start_journal()) == ["remove tanh1", "set fc3 out_features=5"]
        workspace.recover()
        assert workspace.model == wanted  # the seeds of its weights too
        assert workspace.view.title == "lenet5 (new)"
        workspace.undo()
        assert workspace.is_changed
    killed("mlp", "remove conv2", answer="recover")
    with closing(new("")) as workspace:
        assert told(workspace.start_journal())[-2:] == ["undo: set fc3 out_features=5", "remove conv2"]
        workspace.forget()
        assert not workspace.start_journal()
    assert kept() == []


def test_of_several_each_is_offered_and_none_is_lost(tmp_path: Path) -> None:
    killed("mlp", "meta number 1")
    killed("", "meta number 2", answer="leave_pending")
    with closing(new("lenet5")) as workspace, closing(new("lenet5")) as other:
        assert told(workspace.start_journal()) == ["meta number 2"]
        assert not other.start_journal()  # it is asked about elsewhere
        workspace.leave_pending()
        assert told(workspace.start_journal()) == ["meta number 1"]
        assert not other.start_journal()
        workspace.recover()
        workspace.save(str(tmp_path / "mlp.safetensors"))
    with closing(new("")) as workspace:
        assert told(workspace.start_journal()) == ["meta number 2"]


def test_a_new_model_with_a_path_is_recovered_as_what_it_began(tmp_path: Path) -> None:
    path = str(tmp_path / "net.safetensors")
    with closing(Workspace(OpenedModel(template_model("lenet5"), {}, path, "safetensors"))) as first:
        first.wants_journal = True
        do(first, "meta author me")
        wanted = first.model
    with closing(Workspace(OpenedModel(template_model("mlp"), {}, path, "safetensors"))) as second:
        second.wants_journal = True
        assert len(second.start_journal()) == 1
        second.recover()
        assert second.model == wanted
