"""The benchmarks: the rows that are exact hold, and the table says what was measured. No clock is asked here."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain, repeat
from pathlib import Path

import pytest
from safetensors import safe_open

from benchmarks import files, run
from benchmarks.comparison import Check, Figures, Goal, Measure, Row, line_words, quantity
from benchmarks.keys import MANY
from benchmarks.loop import longest
from benchmarks.opening import unwanted_modules
from benchmarks.programs import environment, imported
from benchmarks.shapes import LAYERS, long_model, with_layer_inserted
from benchmarks.terminal import ScreenSize, Terminal
from seqtui.formats import open_model
from seqtui.model.infer import infer_shapes
from seqtui.rows import model_row, rows_below

SIZE = ScreenSize(40, 10)


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def row(*goals: Goal, **sides: Sequence[float]) -> Row:
    """A row whose measurements are known beforehand."""

    def prepare(folder: Path) -> AbstractContextManager[Sequence[Measure]]:
        return nullcontext([measure(name, values) for name, values in sides.items()])

    def measure(name: str, values: Sequence[float]) -> Measure:
        coming = iter(values)
        return lambda: {name: next(coming)}

    return Row("row", goals, prepare)


# What is exact


def test_open_waits_for_no_numpy_and_no_torch_and_a_summary_for_the_standard_library_alone(tmp_path: Path) -> None:
    assert unwanted_modules(tmp_path) == []


def test_an_import_is_written_down_when_it_happens(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("os\nnumpy.core\nnumpy\n")
    assert imported(log) == {"os", "numpy"}


# What is measured


def test_a_ratio_is_taken_within_each_turn(tmp_path: Path) -> None:
    slow_turn = row(Goal("hello", 1.5), seqtui=[0.2, 2.0, 0.26], hello=[0.2, 2.0, 0.2])
    (line,) = slow_turn.run(tmp_path, turns=3)
    assert (line.ratio, line.lowest, line.highest) == pytest.approx((1.0, 1.0, 1.3))
    assert line.is_met is True
    assert line_words(line) == "row | 260 ms | hello 200 ms | 1 (1..1.3) | <= 1.5 | met"


def test_a_goal_that_is_missed_says_so(tmp_path: Path) -> None:
    (line,) = row(Goal("hello", 1.25), seqtui=[3.0], hello=[2.0]).run(tmp_path, turns=1)
    assert line_words(line) == "row | 3 s | hello 2 s | 1.5 (1.5..1.5) | <= 1.25 | MISSED"


def test_a_goal_can_be_about_another_figure(tmp_path: Path) -> None:
    (line,) = row(Goal("frame", 1, "p99"), p99=[0.01], frame=[0.02]).run(tmp_path, turns=1)
    assert line_words(line) == "row | p99 10 ms | frame 20 ms | 0.5 (0.5..0.5) | <= 1 | met"


def test_a_peer_that_is_not_installed_is_skipped_with_a_note(tmp_path: Path) -> None:
    hello, peer = row(Goal("hello", 2), Goal("peer", 0.5), seqtui=[1.0], hello=[1.0]).run(tmp_path, turns=1)
    assert hello.is_met is True
    assert line_words(peer) == "row |  | peer is not installed |  | <= 0.5 | skipped"


def test_sides_are_measured_in_turns(tmp_path: Path) -> None:
    order: list[str] = []

    def measure(name: str) -> Measure:
        def note() -> Figures:
            order.append(name)
            return {name: 1.0}

        return note

    list(Row("row", (), lambda folder: nullcontext([measure("a"), measure("b")])).run(tmp_path, turns=2))
    assert order == ["a", "b", "b", "a"]


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(4.21, "s", "4.21 s"), (0.2314, "s", "231 ms"), (0.000626, "s", "626 µs"), (61_300_000, "B", "61.3 MB")],
)
def test_quantities_have_three_digits(value: float, unit: str, words: str) -> None:
    assert quantity(value, "B" if unit == "B" else "s") == words


# The command


@pytest.fixture
def two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails and a goal that is missed, in place of the real rows."""
    broken = Check("open.modules", "holds", lambda folder: ["open imports torch"])
    monkeypatch.setattr(run, "ROWS", (broken, row(Goal("hello", 1), seqtui=repeat_three(2), hello=repeat_three(1))))


def repeat_three(value: float) -> list[float]:
    return list(repeat(value, 3))


@pytest.mark.usefixtures("two_rows")
def test_a_missed_goal_is_no_failure_and_a_broken_check_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--quick", "--row", "r*"]) == 0
    assert run.main(["--quick"]) == 1
    assert "open.modules | open imports torch |  |  | holds | MISSED" in capsys.readouterr().out


@pytest.mark.usefixtures("two_rows")
def test_the_table_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    run.main(["--quick", "--row", "row", "--json"])
    (line,) = json.loads(capsys.readouterr().out)
    assert (line["row"], line["ratio"], line["is_met"]) == ("row", 2.0, False)


def test_a_row_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--row", "open.nothing"]) == 2
    assert "open.small" in capsys.readouterr().err


def test_every_row_has_a_name_of_its_own() -> None:
    names = [each.name for each in run.ROWS]
    assert len(set(names)) == len(names)


# The terminal


def test_a_text_is_seen_through_its_colours() -> None:
    with Terminal(python(r"print('\x1b[1mHello,\x1b[38;5;9m wor\x1b[0mld'); input()"), SIZE) as terminal:
        assert terminal.wait_for(["Hello, world"]) > 0


def test_what_is_written_before_a_mark_does_not_count() -> None:
    with Terminal(python(r"print('Hello, world\x1b[?1004h and more'); input()"), SIZE) as terminal:
        assert terminal.wait_for(["and more"], after=b"\x1b[?1004h") > 0
        terminal.press(b"\r")
        with pytest.raises(TimeoutError, match="Hello, world"):
            terminal.wait_for(["Hello, world"], after=b"\x1b[?1004h")


def test_a_text_that_never_comes_ends_with_what_came() -> None:
    with Terminal(python("print('nothing here')"), SIZE) as terminal, pytest.raises(TimeoutError, match="nothing here"):
        terminal.wait_for(["Hello, world"])


def test_a_key_is_followed_to_the_last_byte_it_draws() -> None:
    code = "import os, tty; tty.setraw(0); print('ready'); [os.write(1, os.read(0, 9) * 2) for _ in iter(int, 1)]"
    with Terminal(python(code), SIZE) as terminal:
        terminal.wait_for(["ready"])
        assert terminal.press(b"j") > 0
        terminal.wait_for(["jj"])


def test_the_program_gets_the_size_of_the_screen_and_no_variable_that_changes_the_race() -> None:
    with Terminal(python("import os; print(*os.get_terminal_size(), os.environ['TERM']); input()"), SIZE) as terminal:
        terminal.wait_for(["40 10 xterm-256color"])
    assert not [name for name in environment() if name.startswith(("PYTHON", "TEXTUAL", "NO_COLOR"))]


# The files


def test_a_decoder_has_as_many_tensors_as_asked_for(tmp_path: Path) -> None:
    with safe_open(files.decoder(tmp_path, 100), framework="pt") as opened:
        names = list(opened.keys())
    assert len(names) == 100
    assert "model.layers.9.self_attn.q_proj.weight" in names


def test_flat_tensors_belong_to_no_layer(tmp_path: Path) -> None:
    opened = open_model(str(files.flat(tmp_path, 12)))
    opened.close()
    assert (len(opened.model.root.tensors), opened.model.layers) == (12, ())


def test_rows_are_counted_with_the_model_s_own(tmp_path: Path) -> None:
    opened = open_model(str(files.rows(tmp_path, 50)))
    opened.close()
    root = model_row(opened.model)
    assert len(list(chain([root], rows_below(root, lambda _: True)))) == 50
    assert MANY % 2 == 0


def test_the_gigabyte_runs_and_takes_no_room(tmp_path: Path) -> None:
    file = files.gigabyte(tmp_path)
    opened = open_model(str(file))
    opened.close()
    assert not opened.notes
    assert not infer_shapes(opened.model).problems
    assert file.stat().st_size > 1_000_000_000
    assert file.stat().st_blocks * 512 < 1_000_000


def test_the_long_model_runs_before_and_after_the_edit() -> None:
    model = long_model()
    known = infer_shapes(model)
    edited = infer_shapes(with_layer_inserted(model), known)
    assert not known.problems
    assert not edited.problems
    assert len(edited.infos) == len(known.infos) + 1 == LAYERS + 2


def test_a_goal_may_hold_every_turn(tmp_path: Path) -> None:
    goals = (Goal("frame", 2, "ours"), Goal("frame", 2, "ours", is_of_all=True))
    lines = list(row(*goals, ours=(1, 1, 3), frame=(1, 1, 1)).run(tmp_path, 3))
    assert [(line.goal, line.is_met) for line in lines] == [("<= 2", True), ("all <= 2", False)]


def test_the_longest_pause_is_that_of_the_lines_written_since(tmp_path: Path) -> None:
    log = tmp_path / "pauses"
    log.write_text("0.9\n0.01\n0.2\n-0.001\n0.")
    assert longest(log, len("0.9\n")) == 0.2
    assert longest(log, log.stat().st_size) == 0
