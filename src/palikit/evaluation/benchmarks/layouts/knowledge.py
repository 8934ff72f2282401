"""Questions about diagrams, school science and pictures from above: AI2D, ScienceQA, RSVQA."""

from collections.abc import Iterator
from pathlib import Path

from palikit.data.findings import finite_numbers
from palikit.errors import InputError
from palikit.evaluation.benchmarks.changes import covered
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import (
    Item,
    entries_of,
    lines_of,
    named_entries,
    whole_json,
)
from palikit.evaluation.benchmarks.layouts.photos import right_choice
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.benchmarks.row import Change
from palikit.results import Box

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def ai2d(source: Source) -> Iterator[Entry]:
    """questions/0.png.json, annotations/0.png.json, images/0.png, ai2d_test_ids.csv.

    Of a question about letters (abcLabel) the texts of the diagram are painted over.
    """
    path = source.need("ai2d_test_ids.csv")
    for number, line in lines_of(path):
        where = f"{path.name}, line {number}"
        name = f"{line.strip().removesuffix('.png')}.png"
        record = source.file(f"{name}.json", where, "questions", "ai2d/questions")
        yield from _about(source, record, name)


def _about(source: Source, record: Path, name: str) -> Iterator[Entry]:
    whole = Item(whole_json(record), record.name)
    picture = source.file(name, record.name, "images", "ai2d/images")
    questions = whole.item("questions")
    for text in questions.keys():  # noqa: SIM118 (it is no dict)
        item = Item(questions.any(text), f"{record.name}, question {text!r}")
        choices = item.texts("answerTexts")
        letters = "abcLabel" in item and item.flag("abcLabel")
        yield Entry(
            item.name("questionId"),
            (picture,),
            text,
            (right_choice(item, "correctAnswer", choices),),
            "letters" if letters else "",
            choices,
            where=item.where,
            change=_letters(source, name) if letters else None,
        )


def _letters(source: Source, name: str) -> Change:
    """Every text of the diagram with the letter that replaces it."""
    path = source.file(f"{name}.json", name, "annotations", "ai2d/annotations")
    texts = Item(whole_json(path), path.name).item("text")
    labels = []
    for key in texts.keys():  # noqa: SIM118 (it is no dict)
        item = Item(texts.any(key), f"{path.name}, text {key}")
        corners = [finite_numbers(each, 2) for each in item.values("rectangle")]
        if len(corners) != 2 or corners[0] is None or corners[1] is None:
            raise item.fault("rectangle", "[[x1, y1], [x2, y2]]")
        labels.append((Box(*corners[0], *corners[1]), item.text("replacementText")))
    return covered(labels)


def science_qa(source: Source) -> Iterator[Entry]:
    """problems.json, pid_splits.json, test/1/image.png: the questions that have a picture."""
    splits = Item(whole_json(source.need("pid_splits.json")), "pid_splits.json")
    wanted = set(splits.texts(source.split))
    for name, item in named_entries(source.need("problems.json")):
        if name not in wanted or "image" not in item:
            continue
        choices = item.texts("choices")
        right_choice(item, "answer", choices)
        folder = f"{source.split}/{name}"
        yield Entry(
            name,
            (source.file(item.text("image"), item.where, folder, f"images/{folder}"),),
            item.text("question"),
            (_LETTERS[item.whole("answer")],),
            item.text("subject") if "subject" in item else "",
            choices,
            item.text("hint") if "hint" in item else "",
            where=item.where,
        )


def rsvqa_low(source: Source) -> Iterator[Entry]:
    """LR_split_test_questions.json, LR_split_test_answers.json, Images_LR/0.tif."""
    yield from _rsvqa(source, f"LR_split_{source.split}", "Images_LR")


def rsvqa_high(source: Source) -> Iterator[Entry]:
    """USGS_split_test_questions.json, ..._answers.json, Data/0.tif; test2 is test_phili."""
    split = {"test2": "test_phili"}.get(source.split, source.split)
    yield from _rsvqa(source, f"USGS_split_{split}", "Data")


def _rsvqa(source: Source, stem: str, folder: str) -> Iterator[Entry]:
    """Questions answered by numbers (count, area) are left out, as in the published figures."""
    answers: dict[str, str] = {}
    path = source.need(f"{stem}_answers.json")
    for item in entries_of(path, "answers"):
        if _active(item):
            answers[item.name("question_id")] = item.name("answer").lower()
    for item in entries_of(source.need(f"{stem}_questions.json"), "questions"):
        if not _active(item) or item.text("type") in ("count", "area"):
            continue
        name = item.name("id")
        if name not in answers:
            raise InputError(f"{item.where}: question {name} has no answer in {path.name}")
        picture = source.file(f"{item.name('img_id')}.tif", item.where, folder, "images")
        yield Entry(
            name,
            (picture,),
            item.text("question"),
            (answers[name],),
            item.text("type"),
            where=item.where,
        )


def _active(item: Item) -> bool:
    """Entries that were taken back stay in the files, with nothing but an id."""
    return "active" not in item or item.flag("active")
