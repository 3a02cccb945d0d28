"""What a run gave, as text: which columns there are at which width, and every sentence."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seqtui.engine.requests import Gradient, LayerRun, RunResult
from seqtui.run_text import run_lines, run_table
from seqtui.summary_text import Piece, plain_text
from seqtui.words import cell_width, share_words, time_words


def layer(path: str, **changes: object) -> LayerRun:
    """What came out of a layer."""
    usual = LayerRun(
        path=path,
        output=(2, 4),
        dtype="float32",
        seconds=1.5e-5,
        mean=0.25,
        std=1.0,
        min=-1.0,
        max=2.0,
        zeros=3,
        nan=0,
        inf=0,
        is_nan_born=False,
        dead=None,
        units=None,
        spread=None,
        has_maps=False,
        gradients={},
    )
    return LayerRun(**{**usual._asdict(), **changes})


def result(*layers: LayerRun, **changes: object) -> RunResult:
    """What a model of these layers gave."""
    usual = RunResult(
        device="cpu",
        dtype="float32",
        is_training=False,
        passes=1,
        fed="zeros 2×3",
        seconds=2.5e-4,
        output=(2, 4),
        output_dtype="float32",
        values=(0.5, -1.25, 3.0, 0.0, 1.0, 0.0, 0.125, 0.25),
        argmax=(2, 0),
        argmax_changed=None,
        layers=layers,
        peak_bytes=None,
    )
    return RunResult(**{**usual._asdict(), **changes})


def text(found: RunResult, width: int | None = None) -> str:
    return plain_text(run_lines(found, width))


def red(lines: Sequence[Sequence[Piece]]) -> list[str]:
    """The lines that stand out."""
    return [plain_text([line]).strip() for line in lines if any(piece.style == "red" for piece in line)]


def test_a_run_in_eval_mode() -> None:
    found = result(layer("body"), layer("body.fc1", zeros=0), layer("act", mean=None, std=None, min=None, max=None))
    assert text(found) == (
        "fed zeros 2×3 · cpu · float32 · eval · 1 pass · 250 µs a pass\n"
        "\n"
        "Layer  Output   Time  Mean  Std  Min  Max  Zeros\n"
        "body   2×4     15 µs  0.25    1   -1    2    38%\n"
        "  fc1  2×4     15 µs  0.25    1   -1    2     0%\n"
        "act    2×4     15 µs     ·    ·    ·    ·      ·\n"
        "\n"
        "Output  2×4 float32\n"
        "sample 0  argmax 2    0.5 -1.25     3     0\n"
        "sample 1  argmax 0      1     0 0.125  0.25\n"
    )


@pytest.mark.parametrize("width", [None, 34])
def test_a_layer_that_was_off_says_so(width: int | None) -> None:
    layers = layer("body"), layer("body.a_long_dropout"), layer("act")
    lines = text(result(*layers, off=frozenset({"body.a_long_dropout"})), width).split("\n")
    assert "1 layer off ○" in " ".join(lines)
    start = lines.index("") + 2
    assert [line[:8] for line in lines[start : start + 3]] == ["  body  ", "○   a_lo", "  act   "]


def test_a_run_of_several_passes_with_gradients() -> None:
    norms = {"weight": Gradient(2.5, ""), "bias": Gradient(1e-9, "vanishing")}
    found = result(
        layer("fc1", spread=0.0, gradients=norms),
        layer("drop", spread=0.8),
        layer("fc2", spread=0.1, gradients={"weight": Gradient(0.0, "none")}),
        is_training=True,
        passes=20,
        argmax_changed=0.125,
        peak_bytes=12_000,
    )
    assert text(found) == (
        "fed zeros 2×3 · cpu · float32 · train · 20 passes · 250 µs a pass · at most 12 kB\n"
        "\n"
        "Layer  Output   Time  Mean  Std  Min  Max  Zeros  Spread\n"
        "fc1    2×4     15 µs  0.25    1   -1    2    38%       0\n"
        "drop   2×4     15 µs  0.25    1   -1    2    38%     0.8  ■■■■■■■■\n"
        "fc2    2×4     15 µs  0.25    1   -1    2    38%     0.1  ■\n"
        "\n"
        "Parameter   Gradient norm\n"
        "fc1.weight            2.5\n"
        "fc1.bias            1e-09  vanishing\n"
        "fc2.weight              0  no gradient\n"
        "of (output * r).sum(), r standard normal · vanishing: root mean square below 1e-06 an element"
        " · exploding: above 10,000, or no number\n"
        "\n"
        "Output  2×4 float32\n"
        "sample 0  argmax 2    0.5 -1.25     3     0\n"
        "sample 1  argmax 0      1     0 0.125  0.25\n"
        "the argmax of a sample is not its usual one in 12% of its passes\n"
    )
    assert red(run_lines(found)) == ["fc1.bias            1e-09  vanishing", "fc2.weight              0  no gradient"]


def test_where_nan_is_born_and_what_is_dead() -> None:
    born = layer("log", nan=2, inf=1, is_nan_born=True)
    found = result(layer("relu", dead=1, units=4, output=(2, 4)), born, layer("fc", nan=8), passes=1)
    lines = text(found).splitlines()
    assert "NaN, Inf" in lines[2]
    assert [line.split()[-1] for line in lines[3:6]] == ["·", "3", "8"]
    assert lines[7:9] == [
        "! log: 2 NaN and 1 Inf came out, none went in",
        "relu: 1 of 4 units gave zero for all 2 samples",
    ]
    assert [line.split()[0] for line in red(run_lines(found))] == ["log", "!"]
    alone = result(layer("relu", dead=1, units=1, output=(1, 1)))
    assert "relu: 1 of 1 unit gave zero for the one sample\n" in text(alone)


def test_on_meta_there_are_shapes_alone() -> None:
    nothing = layer("fc1", seconds=None, mean=None, std=None, min=None, max=None, zeros=0)
    found = text(result(nothing, seconds=None, values=(), argmax=None))
    assert "1 pass\n" in found
    assert found.endswith("fc1    2×4        ·     ·    ·    ·    ·      ·\n\nOutput  2×4 float32\n")


def test_output_of_another_form() -> None:
    found = result(output=(2, 6, 3), values=tuple(range(36)), argmax=(2,) * 12)
    lines = text(found).splitlines()
    assert lines[-12:-9] == ["Output  2×6×3 float32", "0, 0  argmax 2   0  1  2", "0, 1  argmax 2   3  4  5"]
    assert lines[-3:] == ["1, 2  argmax 2  24 25 26", "1, 3  argmax 2  27 28 29", "and 2 more"]
    assert text(found._replace(argmax=None)).splitlines()[-2] == "1, 3  27 28 29"
    alone = text(result(output=(3,), values=(1.0, 2.0, 3.0), argmax=(2,)))
    assert alone.endswith("Output  3 float32\nargmax 2  1 2 3\n")
    assert text(result(output=(), values=(2.5,), argmax=None)).endswith("Output  scalar float32\n2.5\n")


def test_values_go_on_in_the_next_line_where_the_screen_ends() -> None:
    found = result(output=(1, 30), values=tuple(float(value) for value in range(30)), argmax=(29,))
    lines = text(found, 40).splitlines()
    assert lines[-5:] == [
        "Output  1×30 float32",
        "sample 0  argmax 29   0  1  2  3  4  5",
        "                      6  7  8  9 10 11",
        "                     12 13 14 15 16 17",
        "                     18 19 …",
    ]


def test_what_is_not_finite_in_the_input_is_told() -> None:
    found = result(layer("fc"), given_nan=1568, given_inf=1)
    assert red(run_lines(found)) == ["! the input holds 1,568 NaN and 1 Inf"]


def test_why_there_are_no_gradients() -> None:
    assert "\nno gradients: meta has no numbers\n" in text(result(layer("fc"), device="meta", with_backward=True))
    assert "\nno gradients: no parameter learns\n" in text(result(layer("fc"), with_backward=True))


def test_of_many_samples_the_first_are_shown() -> None:
    found = result(output=(500, 2), values=tuple([0.0] * 1000), argmax=tuple([1] * 500))
    lines = text(found).splitlines()
    assert lines[-2:] == ["sample 9  argmax 1  0 0", "and 490 more"]
    same = result(argmax_changed=0.0, passes=2)
    assert text(same).endswith("the argmax is the same in every pass\n")


@pytest.mark.parametrize("width", range(30, 120, 7))
def test_no_line_of_numbers_is_wider_than_the_screen(width: int) -> None:
    numbers = {
        "mean": -1.23e-05,
        "std": 1.23e-05,
        "min": -1.23e-05,
        "max": 123456.0,
        "spread": 0.123,
        "seconds": 0.1234,
    }
    found = result(layer("features.block12.convolution1", **numbers), passes=3)
    assert all(cell_width(plain_text([line]).rstrip()) <= width for line in run_lines(found, width))


def test_what_differs_least_is_given_up_first() -> None:
    numbers = {"mean": -0.0123, "std": 0.123, "min": -0.123, "max": 0.123, "spread": 0.123}
    found = result(layer("fc1", **numbers), passes=3)
    titles = [[column.title for column in run_table(found, width).layout.columns] for width in (100, 70, 40, 25)]
    assert titles[0] == ["Layer", "Output", "Time", "Mean", "Std", "Min", "Max", "Zeros", "Spread", ""]
    assert titles[1] == ["Layer", "Output", "Time", "Mean", "Std", "Max", "Zeros", "Spread", ""]
    assert titles[2] == ["Layer", "Mean", "Zeros", "Spread", ""]
    assert titles[3] == ["Layer", "Spread", ""]


def test_names_from_a_file_are_shown_safely() -> None:
    norms = {"weight": Gradient(1.0, "")}
    found = text(result(layer("a\x1b[2J", is_nan_born=True, nan=1, dead=1, units=2, gradients=norms)))
    assert "\x1b" not in found
    assert found.count("a␛[2J") == 4


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "·"),
        (0.0, "0 µs"),
        (1.5e-6, "1.5 µs"),
        (0.00099949, "999 µs"),
        (0.0009996, "1 ms"),
        (0.9996, "1 s"),
        (75.25, "75.2 s"),
        (12345.6, "12,346 s"),
    ],
)
def test_times(seconds: float | None, words: str) -> None:
    assert time_words(seconds) == words


@pytest.mark.parametrize(
    ("share", "words"), [(0.0, "0%"), (0.001, "<1%"), (0.125, "12%"), (0.999, ">99%"), (1.0, "100%")]
)
def test_shares(share: float, words: str) -> None:
    assert share_words(share) == words
