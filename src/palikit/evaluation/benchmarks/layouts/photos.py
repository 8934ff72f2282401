"""Questions about photos: VQAv2, OK-VQA, A-OKVQA, GQA, xGQA, VizWiz, TallyQA, CountBenchQA."""

from collections.abc import Iterator
from typing import Literal

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.captions import coco_number, coco_picture
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, entries_of, named_entries
from palikit.evaluation.benchmarks.layouts.source import Source

XGQA_LANGUAGES = ("bn", "de", "en", "id", "ko", "pt", "ru", "zh")

_COUNT_BENCH_NAMES = ("{number}.jpg", "{number}.png", "{number:03}.jpg", "{number:03}.png")


def vqav2(source: Source) -> Iterator[Entry]:
    """v2_OpenEnded_mscoco_val2014_questions.json, v2_mscoco_val2014_annotations.json.

    The annotations of the test sets are secret.
    """
    if source.split == "minival":
        raise source.missing("minival.jsonl")
    year = {"val": "val2014", "test-dev": "test-dev2015"}.get(source.split, "test2015")
    questions = f"v2_OpenEnded_mscoco_{year}_questions.json"
    secret = source.split.startswith("test")
    yield from _vqa(source, questions, None if secret else f"v2_mscoco_{year}_annotations.json")


def okvqa(source: Source) -> Iterator[Entry]:
    """OpenEnded_mscoco_val2014_questions.json, mscoco_val2014_annotations.json: VQA's layout."""
    year = f"{source.split}2014"
    yield from _vqa(
        source, f"OpenEnded_mscoco_{year}_questions.json", f"mscoco_{year}_annotations.json"
    )


def _vqa(source: Source, questions: str, annotations: str | None) -> Iterator[Entry]:
    path = source.need(questions)
    truths = {} if annotations is None else _annotations(source, annotations)
    year = path.stem.removesuffix("_questions").rpartition("_")[2].replace("test-dev", "test")
    for item in entries_of(path, "questions"):
        name = item.name("question_id")
        if annotations is not None and name not in truths:
            raise InputError(
                f"{item.where}: question {name} is not in {annotations}: give the two files of one "
                "release"
            )
        answers, kind = truths.get(name, ((), ""))
        picture = coco_picture(source, coco_number(item), item.where, (year,))
        yield Entry(name, (picture,), item.text("question"), answers, kind, where=item.where)


def _annotations(source: Source, name: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """Answers and answer type of each question."""
    known: dict[str, tuple[tuple[str, ...], str]] = {}
    for item in entries_of(source.need(name), "annotations"):
        answers = tuple(each.text("answer") for each in item.items("answers"))
        kind = item.text("answer_type") if "answer_type" in item else ""
        known[item.name("question_id")] = (answers, kind)
    return known


def aokvqa_direct(source: Source) -> Iterator[Entry]:
    """aokvqa_v1p0_val.json, the questions with direct answers.

    Those marked as difficult to answer directly are left out, as allenai/aokvqa's script does.
    """
    return _aokvqa(source, "direct")


def aokvqa_choice(source: Source) -> Iterator[Entry]:
    """aokvqa_v1p0_val.json, multiple choice: the answer is the text of the right choice."""
    return _aokvqa(source, "choice")


def _aokvqa(source: Source, kind: Literal["direct", "choice"]) -> Iterator[Entry]:
    for item in entries_of(source.need(f"aokvqa_v1p0_{source.split}.json")):
        difficult = "difficult_direct_answer" in item and item.flag("difficult_direct_answer")
        if kind == "direct" and difficult:
            continue
        choices = item.texts("choices")
        if kind == "direct":
            answers = item.texts("direct_answers") if "direct_answers" in item else ()
        else:
            right = right_choice(item, "correct_choice_idx", choices)
            answers = (right,) if right else ()
        years = (f"{source.split}2017", "val2017", "train2017", "test2017")
        picture = coco_picture(source, coco_number(item), item.where, years)
        yield Entry(
            item.name("question_id"),
            (picture,),
            item.text("question"),
            answers,
            choices=choices if kind == "choice" else (),
            where=item.where,
        )


def right_choice(item: Item, key: str, choices: tuple[str, ...]) -> str:
    """The choice that an index names; the empty text where the index is secret.

    Raises:
        InputError: there is no such choice.
    """
    if key not in item:
        return ""
    place = item.whole(key)
    if not 0 <= place < len(choices):
        raise item.fault(key, f"the place of one of {len(choices)} choices, counted from 0")
    return choices[place]


def gqa(source: Source) -> Iterator[Entry]:
    """testdev_balanced_questions.json: {"1": {"imageId", "question", "answer"}}."""
    yield from _gqa(source, f"{source.split}_questions.json", "", "")


def xgqa(source: Source) -> Iterator[Entry]:
    """testdev_balanced_questions_de.json and the other languages, in the layout of GQA.

    Answers are English in each; a language that is not there is left out.
    """
    names = {code: f"{source.split}_questions_{code}.json" for code in XGQA_LANGUAGES}
    there = {code: name for code, name in names.items() if source.find(name)}
    if not there:
        raise source.missing(names["de"])
    for code, name in there.items():
        yield from _gqa(source, name, code, f"-{code}")


def _gqa(source: Source, file: str, group: str, ending: str) -> Iterator[Entry]:
    for name, item in named_entries(source.need(file)):
        kind = group
        if not kind and "types" in item:
            kind = item.item("types").text("structural")
        yield Entry(
            f"{name}{ending}",
            (source.file(f"{item.name('imageId')}.jpg", item.where, "images"),),
            item.text("question"),
            (item.text("answer"),) if "answer" in item else (),
            kind,
            where=item.where,
        )


def vizwiz(source: Source) -> Iterator[Entry]:
    """val.json: [{"image", "question", "answers": [{"answer"}], "answer_type"}]; test has none.

    big_vision drops empty answers.
    """
    split = source.split.partition("-")[0]  # the questions of test-std are among those of test
    for item in entries_of(source.need(f"Annotations/{split}.json", f"{split}.json")):
        given = item.items("answers") if "answers" in item else []
        yield Entry(
            item.text("image"),
            (source.file(item.text("image"), item.where, split, "images"),),
            item.text("question"),
            tuple(text for each in given if (text := each.text("answer"))),
            item.text("answer_type") if "answer_type" in item else "",
            where=item.where,
        )


def tallyqa(source: Source) -> Iterator[Entry]:
    """test.json: [{"image", "answer", "question", "question_id", "issimple"}]."""
    for item in entries_of(source.need(f"{source.split}.json")):
        group = ""
        if "issimple" in item and item.any("issimple") != -1:  # big_vision's mark of "unknown"
            group = "simple" if item.flag("issimple") else "complex"
        yield Entry(
            item.name("question_id"),
            (source.file(item.text("image"), item.where, "images"),),
            item.text("question"),
            (item.name("answer"),) if "answer" in item else (),
            group,
            where=item.where,
        )


def countbench(source: Source) -> Iterator[Entry]:
    """countbench_paired_questions.json of big_vision beside CountBench.json, row by row.

    Questions have neither picture nor count; both are those of the same row of CountBench, whose
    pictures are named by their row. Rows without a picture, no longer to be fetched, are left out.
    """
    questions = list(entries_of(source.need("countbench_paired_questions.json")))
    path = source.need("CountBench.json")
    counts = [item.name("number") for item in entries_of(path)]
    if len(counts) != len(questions):
        raise InputError(
            f"{path} has {len(counts)} rows and the questions have {len(questions)}: give all of "
            "CountBench in its order, with a row also where the picture is lost"
        )
    for number, (item, count) in enumerate(zip(questions, counts, strict=True)):
        for pattern in _COUNT_BENCH_NAMES:
            name = pattern.format(number=number)
            if (picture := source.file_if_there(name, item.where, "images")) is not None:
                yield Entry(
                    str(number), (picture,), item.text("question"), (count,), where=item.where
                )
                break
