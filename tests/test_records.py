"""Steps written and taken again: the same history, its weights included, or a sentence that says where it ends."""

from __future__ import annotations

import pytest
from edited import named
from hypothesis import given
from hypothesis import strategies as st

from seqtui.errors import EditError
from seqtui.model.content_edits import Meta
from seqtui.model.edit import Edit
from seqtui.model.edits import Batch, parse_edits
from seqtui.model.history import History
from seqtui.model.model_json import model_to_json
from seqtui.model.structure_edits import Rename
from seqtui.records import (
    UNDO,
    Head,
    Record,
    ReplayError,
    done,
    read_lines,
    recipe,
    redone,
    replay,
    step,
    told,
    write_line,
)

START = named()
HEAD = Head("/net.safetensors", None)


def edit(*lines: str) -> Edit:
    edits = parse_edits(lines)
    return edits[0] if len(edits) == 1 else Batch(tuple(edits))


def again(history: History, records: list[Record]) -> History:
    """The history after records that went through their lines."""
    found = read_lines(write_line(HEAD) + b"".join(write_line(record) for record in records))
    assert found.head == HEAD
    assert not found.is_damaged
    return replay(history, found.records, lambda ref: ref)


def texts(history: History) -> tuple[list[str], list[str]]:
    return [str(step.edit) for step in history.done], [str(step.edit) for step in history.undone]


def assert_same(history: History, other: History) -> None:
    assert history.model == other.model
    assert texts(history) == texts(other)
    for one, same in zip((*history.done, *history.undone), (*other.done, *other.undone), strict=True):
        assert one.before == same.before


EDITS = [
    edit("insert bn9 BatchNorm2d num_features=4 after conv1"),
    edit("set conv1 out_channels=7"),
    edit("set fc1 out_features=5 fresh"),
    edit("fill fc2 xavier_normal", "fill fc1 zeros seed=3"),
    edit("remove drop*"),
    edit("copy fc1 fc9"),
    edit("group conv1 bn1 stem"),
    edit("disable relu1"),
    edit("freeze fc2"),
    edit("cast fc2 bfloat16"),
    Batch((Batch((edit("rename fc2 'ｆｃ 2\\n#\"'"), edit("meta 'a\\tb' \"it's\""))), edit("unmeta 'a\\tb'"))),
]
anyhow = st.text(st.characters(exclude_characters="."), min_size=1)
edits = st.one_of(
    st.sampled_from(EDITS),
    st.builds(Meta, st.text(), st.text()),
    st.builds(Rename, st.just("fc1"), anyhow),
)


@given(st.lists(st.one_of(edits, st.sampled_from(["undo", "redo"])), max_size=12))
def test_whatever_was_done_comes_back(actions: list[Edit | str]) -> None:
    history, records = History(START), []
    for action in actions:
        if action == "undo":
            if history.done:
                history = history.undo()
                records.append(UNDO)
        elif action == "redo":
            if history.undone:
                records.append(redone(history.undone[0].edit))
                history = history.redo()
        elif not isinstance(action, str):
            try:
                history = history.do(action)
            except EditError:
                continue
            records.append(done(action))
    assert_same(again(History(START), records) if records else History(START), history)


def test_steps_past_a_save_come_back_with_the_whole_model() -> None:
    before = History(START).do(edit("remove drop1")).do(edit("set fc1 out_features=5", "rename conv1 stem"))
    saved = History(before.model)  # the file knows no steps
    (first, second), older = before.done, before.undo()
    undone = saved.back(second.edit, second.before).back(first.edit, first.before)
    records = [
        step("back", second.edit, model_to_json(second.before, saved.model)),
        step("back", first.edit, model_to_json(first.before, second.before)),
    ]
    assert_same(again(saved, records), undone)
    assert_same(again(saved, [*records, redone(first.edit)]), undone.redo())
    forth = step("forth", second.edit, model_to_json(before.model, older.model))
    assert_same(again(History(older.model), [forth]), History(older.model).forth(second.edit, before.model))


def test_a_model_that_cannot_be_read_ends_it() -> None:
    with pytest.raises(ReplayError, match=r"step 1 of 1 .*written in a way that this seqtui does not know"):
        again(History(START), [Record("back", ("remove drop1",), '{"root":3}')])


def test_people_are_told_what_was_undone_and_a_recipe_has_what_stands() -> None:
    records = [
        done(edit("remove drop1")),
        done(edit("remove fc2", "rename fc1 fc2")),
        UNDO,
        redone(edit("remove fc2", "rename fc1 fc2")),
        UNDO,
        UNDO,
        Record("back", ("remove conv1",), "{}"),
        done(edit("freeze bn1")),
        done(edit("freeze fc1")),
        UNDO,
    ]
    assert told(records)[2:8] == [
        "undo: remove fc2; rename fc1 fc2",
        "redo: remove fc2; rename fc1 fc2",
        "undo: remove fc2; rename fc1 fc2",
        "undo: remove drop1",
        "undo: remove conv1",
        "freeze bn1",
    ]
    assert [str(one) for one in parse_edits(recipe(records).splitlines())] == ["freeze bn1"]
    assert "# undone: remove conv1\n" in recipe(records)


def test_what_no_longer_applies_ends_it_and_is_named() -> None:
    records = [done(edit("remove drop1")), UNDO, done(edit("remove drop1", "remove conv9")), done(edit("remove fc1"))]
    with pytest.raises(ReplayError) as caught:
        again(History(START), records)
    assert caught.value.message.startswith("step 3 of 4 no longer applies (do remove drop1; remove conv9): ")
    assert "conv9" in caught.value.message.rpartition(": ")[2]
    assert caught.value.count == 2
    assert_same(caught.value.history, again(History(START), records[:2]))


def test_what_is_no_edit_ends_it_too() -> None:
    with pytest.raises(ReplayError, match=r"step 1 of 1 .*there is no edit jump"):
        again(History(START), [Record("do", ("jump fc1",))])


def test_an_undo_of_nothing_ends_it() -> None:
    with pytest.raises(ReplayError, match=r"step 1 of 1 no longer applies \(undo\): there is nothing to undo"):
        again(History(START), [UNDO])
