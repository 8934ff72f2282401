"""How far a training has come, at a terminal and in a log."""

import io

import pytest
from rich.console import Console

from palikit.cli import finetune_progress
from palikit.cli.finetune_progress import TrainingBar, TrainingLines, _bars
from palikit.scores import Scores
from palikit.training import StepFigures


def figures(step: int) -> StepFigures:
    return StepFigures(step, 300, 0.5, 2.5e-5, 1.0, 100, 3.25, 2048.0)


def test_lines_say_how_long_it_will_take(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([100.0, 120.0, 150.0])
    monkeypatch.setattr(finetune_progress.time, "monotonic", lambda: next(clock))
    lines = TrainingLines()
    for step in (10, 20, 300):
        lines.step(figures(step))
    shown = "loss 0.5000, learning rate 2.5e-05, 3.2 pictures/s, 2.0 GiB"
    assert capsys.readouterr().err.splitlines() == [
        f"palikit: step 10 of 300: {shown}",
        f"palikit: step 20 of 300: {shown}, 0:09:20 left",
        f"palikit: step 300 of 300: {shown}",
    ]


@pytest.mark.parametrize("width", [80, 64])
def test_a_narrow_terminal_shows_every_figure_with_its_name(width: int) -> None:
    with _bars() as progress:
        bar = TrainingBar(progress)
        bar.step(figures(12))
        bar.validation(1, 9)
        console = Console(file=io.StringIO(), width=width)
        console.print(progress.get_renderable())
    text = " ".join(console.file.getvalue().split())
    assert "12/300" in text
    assert "1/9" in text
    assert "loss 0.5000, learning rate 2.5e-05, 3.2 pictures/s, 2.0 GiB" in text


def test_of_many_figures_the_one_that_decides_and_a_few_are_told() -> None:
    names = ("ap", "ap50", "ap75", "ap_small", "recall", "ap/cat", "ap/dog")
    scores = Scores(tuple((name, 0.5) for name in names), "ap")
    assert scores.summary("ap") == "ap 0.5, ap50 0.5, ap75 0.5, ap_small 0.5"
    assert scores.summary("ap/dog") == "ap/dog 0.5, ap 0.5, ap50 0.5, ap75 0.5"
