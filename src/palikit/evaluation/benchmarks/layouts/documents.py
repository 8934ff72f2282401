"""Reading: TextVQA, ChartQA, OCR-VQA, DocVQA, InfographicVQA, ST-VQA."""

from collections.abc import Iterator

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import entries_of, named_entries
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.metrics.anls import infovqa_answers

_OCR_VQA_SPLITS = {"train": 1, "val": 2, "test": 3}


def textvqa(source: Source) -> Iterator[Entry]:
    """TextVQA_0.5.1_val.json: {"data": [{"question_id", "image_id", "question", "answers"}]}."""
    folder = "test_images" if source.split == "test" else "train_images"
    for item in entries_of(source.need(f"TextVQA_0.5.1_{source.split}.json"), "data"):
        yield Entry(
            item.name("question_id"),
            (source.file(f"{item.name('image_id')}.jpg", item.where, folder),),
            item.text("question"),
            item.texts("answers") if "answers" in item else (),
            where=item.where,
        )


def chartqa_human(source: Source) -> Iterator[Entry]:
    """test/test_human.json: [{"imgname", "query", "label"}], test/png/NAME."""
    return _chartqa(source, "human")


def chartqa_augmented(source: Source) -> Iterator[Entry]:
    """test/test_augmented.json; see `chartqa_human`."""
    return _chartqa(source, "augmented")


def chartqa(source: Source) -> Iterator[Entry]:
    """Both sets."""
    yield from _chartqa(source, "human")
    yield from _chartqa(source, "augmented")


def _chartqa(source: Source, part: str) -> Iterator[Entry]:
    split = source.split
    path = source.need(f"{split}/{split}_{part}.json", f"{split}_{part}.json")
    for number, item in enumerate(entries_of(path), start=1):
        yield Entry(
            f"{part}-{number}",
            (source.file(item.text("imgname"), item.where, f"{split}/png", "png", f"{split}"),),
            item.text("query"),
            (item.name("label"),),
            part,
            where=item.where,
        )


def ocrvqa(source: Source) -> Iterator[Entry]:
    """dataset.json: {"ISBN": {"questions", "answers", "split": 1, 2 or 3}}, images/ISBN.jpg."""
    wanted = _OCR_VQA_SPLITS[source.split]
    for name, item in named_entries(source.need("dataset.json")):
        if item.whole("split") != wanted:
            continue
        questions, answers = item.texts("questions"), item.texts("answers")
        if len(questions) != len(answers):
            raise InputError(
                f"{item.where} has {len(questions)} questions and {len(answers)} answers: expected "
                "as many of both"
            )
        names = [f"{name}{ending}" for ending in (".jpg", ".png", ".gif")]
        there = (source.file_if_there(each, item.where, "images") for each in names)
        picture = next(filter(None, there), None) or source.file(names[0], item.where, "images")
        for number, (question, answer) in enumerate(zip(questions, answers, strict=True)):
            yield Entry(f"{name}-{number}", (picture,), question, (answer,), where=item.where)


def docvqa(source: Source) -> Iterator[Entry]:
    """val_v1.0_withQT.json: {"data": [{"questionId", "question", "image", "answers"}]}."""
    split = source.split
    path = source.need(f"{split}_v1.0_withQT.json", f"{split}_v1.0.json")
    folders = ("spdocvqa_images", f"{split}/documents", "documents", split)
    for item in entries_of(path, "data"):
        yield Entry(
            item.name("questionId"),
            (source.file(item.text("image"), item.where, *folders),),
            item.text("question"),
            item.texts("answers") if "answers" in item else (),
            where=item.where,
        )


def infovqa(source: Source) -> Iterator[Entry]:
    """infographicsVQA_val_v1.0_withQT.json: {"data": [{"questionId", "image_local_name"}]}.

    The parts of an answer that is a list may come in any order.
    """
    stem = f"infographicsVQA_{source.split}_v1.0"
    for item in entries_of(source.need(f"{stem}_withQT.json", f"{stem}.json"), "data"):
        answers = item.texts("answers") if "answers" in item else ()
        name = item.text("image_local_name")
        kinds = item.texts("answer_type") if "answer_type" in item else ()
        yield Entry(
            item.name("questionId"),
            (source.file(name, item.where, "infographicsvqa_images", "images"),),
            item.text("question"),
            infovqa_answers(answers) if answers else (),
            " + ".join(kinds),
            where=item.where,
        )


def stvqa(source: Source) -> Iterator[Entry]:
    """test_task_3.json: {"data": [{"question_id", "file_path", "question"}]}, answers secret."""
    for item in entries_of(source.need(f"{source.split}_task_3.json"), "data"):
        yield Entry(
            item.name("question_id"),
            (source.file(item.text("file_path"), item.where, "images", source.split),),
            item.text("question"),
            item.texts("answers") if "answers" in item else (),
            item.text("dataset") if "dataset" in item else "",
            where=item.where,
        )
