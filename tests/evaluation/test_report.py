"""The report of an evaluation: figures, counts, published scores beside it, and the page."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from palikit.errors import InputError
from palikit.evaluation.benchmarks import benchmark_named
from palikit.evaluation.benchmarks.row import Example, Published
from palikit.evaluation.exam import Exam, Item, benchmark_exam, data_fingerprint
from palikit.evaluation.published import size_of
from palikit.evaluation.report import Report, Subject, make_report
from palikit.evaluation.report_page import chosen
from palikit.published import config_for
from tests import tiny
from tests.evaluation.exams import answer, answer_folder, docvqa, exam
from tests.fake_predictor import FakePredictor

MODEL = Subject("google/paligemma-3b-ft-docvqa-224", "paligemma-3b", 224, 2)


def report_of(
    asked: Exam, folder: Path, subject: Subject = MODEL, predictor: FakePredictor | None = None
) -> Report:
    kept = answer_folder(folder, asked)
    answer(asked, kept, predictor)
    return make_report(asked, kept.answers(), subject, kept)


def test_the_figure_stands_beside_the_published_one(tmp_path: Path) -> None:
    report = report_of(exam(tmp_path), tmp_path / "out")
    (beside,) = report.published
    assert beside.published.value == 37.8
    assert beside.difference == pytest.approx(report.value - 37.8)
    assert report.remarks[0] == benchmark_named("docvqa").training_needed


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (Subject("pt", "paligemma-3b", 1792), "takes 1792 px, and the published scores of"),
        (Subject("nano", None, 112), "nano has none of the released sizes"),
        (Subject("google/paligemma-3b-pt-224", "paligemma-3b", 224), "is pretrained, to be fine"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path: Path, subject: Subject, said: str) -> None:
    report = report_of(exam(tmp_path), tmp_path / "out", subject)
    assert any(said in each for each in report.remarks)


def test_a_sample_says_that_it_is_one(tmp_path: Path) -> None:
    report = report_of(exam(tmp_path, limit=3), tmp_path / "out")
    assert report.examples == 3
    assert any(each.startswith("3 of 7 questions, drawn at random") for each in report.remarks)


def test_scores_of_another_split_are_not_put_beside(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    assert asked.benchmark is not None
    row = Published("paligemma-3b", 224, 50.0, split="test")
    other = replace(asked, benchmark=replace(asked.benchmark, published=(row,)))
    report = report_of(other, tmp_path / "out")
    assert report.published == ()
    assert "published scores are of test, and this is val" in report.remarks


def test_secret_references_leave_a_submission_alone(tmp_path: Path) -> None:
    folder = docvqa(tmp_path / "docvqa", secret=True)
    asked = benchmark_exam(benchmark_named("docvqa"), folder, "test")
    report = report_of(asked, tmp_path / "out")
    assert report.score is None
    assert any("references of this split are secret" in each for each in report.remarks)
    assert (tmp_path / "out" / "submission.json").exists()
    assert "value" not in json.loads((tmp_path / "out" / "report.json").read_bytes())["figure"]
    with pytest.raises(InputError, match=r"its server scores .*submission\.json"):
        _ = report.value


def test_a_set_of_which_some_references_are_missing_is_refused(tmp_path: Path) -> None:
    folder = docvqa(tmp_path / "docvqa")
    file = folder / "val_v1.0_withQT.json"
    data = json.loads(file.read_bytes())
    del data["data"][2]["answers"]
    file.write_text(json.dumps(data))
    with pytest.raises(InputError, match="1 of 7 questions have no reference, the first is 102"):
        benchmark_exam(benchmark_named("docvqa"), folder)


def test_report_and_answers_say_what_they_are_of(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    report = report_of(asked, tmp_path / "out", predictor=FakePredictor(finish_reason="length"))
    record = json.loads((tmp_path / "out" / "report.json").read_bytes())
    assert record["figure"]["value"] == report.value
    assert record["figure"]["interval"] == list(report.interval)
    assert record["cut_off"] == report.cut_off == 7
    assert record["run"]["data"] == data_fingerprint(asked)
    assert record["run"]["weights"] == "abc"
    assert record["run"]["generation"]["max_new_tokens"] == 32
    assert record["versions"]["palikit"]
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert list(first)[:5] == ["id", "prompt", "answer", "score", "references"]
    assert first["references"] == ["picture of 20 x 12", "none"]
    assert report.score is not None
    assert [json.loads(line)["score"] for line in lines] == list(report.score.per_example)


def test_the_page_shows_the_worst_and_a_sample(tmp_path: Path) -> None:
    report_of(exam(tmp_path, 40), tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<article>") == 24
    assert page.count("data:image/jpeg;base64,") == 24
    assert "DocVQA, val" in page
    assert "ANLS" in page
    assert "what is number" in page
    assert "picture of 20 x 12" in page


def test_the_worst_come_first_whichever_way_is_better() -> None:
    values = [0.5, 0.1, 0.9, 0.1]
    assert chosen(values, 4, 2, higher_is_better=True)[0] == [1]
    assert chosen(values, 4, 4, higher_is_better=False)[0] == [2, 0]
    worst, sample = chosen(values, 4, 4, higher_is_better=True)
    assert sorted(worst + sample) == [0, 1, 2, 3]
    assert chosen(None, 3, 2, higher_is_better=True)[0] == []


def test_the_fingerprint_changes_with_what_is_asked(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    first = asked.items[0]
    moved = Item(replace(first.example, answers=("another",)), first.task)
    assert data_fingerprint(asked) == data_fingerprint(exam(tmp_path))
    found = {data_fingerprint(asked)}
    for example in (moved.example, marked(first.example, 1), marked(first.example, 2)):
        items = (Item(example, first.task), *asked.items[1:])
        found.add(data_fingerprint(replace(asked, items=items)))
    assert len(found) == 4


def marked(example: Example, width: int) -> Example:
    def draw(picture: Image.Image, side: int, *, width: int) -> Image.Image:
        raise AssertionError(f"{picture}, {side} and {width} are not asked for")

    return replace(example, change=partial(draw, width=width))


def test_released_sizes_are_known_by_their_decoder() -> None:
    for family, size, name in (
        ("PaliGemma", "3B", "paligemma-3b"),
        ("PaliGemma 2", "28B", "paligemma2-28b"),
    ):
        assert size_of(config_for(family, size, 448)) == name
    assert size_of(tiny.config()) is None


def test_a_sample_of_pairs_holds_whole_pairs(tmp_path: Path) -> None:
    folder = docvqa(tmp_path)
    lines = [
        {"id": n, "image": "doc0.png", "question": "?", "answers": "a", "group": f"{n // 2}"}
        for n in range(10)
    ]
    (folder / "test.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "images").symlink_to(folder / "spdocvqa_images")
    asked = benchmark_exam(benchmark_named("mmvp"), folder, limit=5)
    groups = [item.example.group for item in asked.items]
    assert len(groups) == 4
    assert all(groups.count(group) == 2 for group in groups)
