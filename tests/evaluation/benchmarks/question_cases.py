"""Rows of the benchmarks that ask questions about photos, diagrams and pictures from above."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import Case
from tests.evaluation.benchmarks.writing import as_json, picture

_COCO = (9, 25, 30)


def _people(*answers: str) -> list[dict[str, Any]]:
    return [{"answer_id": place, "answer": each} for place, each in enumerate(answers, start=1)]


_ANSWERS = (("red",) * 10, ("two",) * 2 + ("3",) * 8, ("A dog",) * 4 + ("cat",) * 6)


def _vqa(prefix: str) -> Any:
    def write(folder: Path) -> None:
        questions = [
            {"image_id": number, "question": f"What {number}?", "question_id": number * 10}
            for number in _COCO
        ]
        kinds = ("other", "number", "other")
        annotations = [
            {"question_id": number * 10, "answers": _people(*given), "answer_type": kind}
            for number, given, kind in zip(_COCO, _ANSWERS, kinds, strict=True)
        ]
        name = f"{prefix}OpenEnded_mscoco_val2014_questions.json"
        as_json(folder, name, {"questions": questions})
        name = f"{prefix}mscoco_val2014_annotations.json"
        as_json(folder, name, {"annotations": annotations})
        for number in _COCO:
            picture(folder, f"val2014/COCO_val2014_{number:012}.jpg")

    return write


def _aokvqa(folder: Path) -> None:
    rows = [
        {
            "split": "val",
            "image_id": number,
            "question_id": f"q{number}",
            "question": f"What {number}?",
            "choices": ["bus", "car", "van"],
            "correct_choice_idx": place,
            "direct_answers": ["bus"] * 5 + ["car"] * 3 + ["lorry"] * 2,
            "difficult_direct_answer": False,
        }
        for place, number in enumerate(_COCO)
    ]
    as_json(folder, "aokvqa_v1p0_val.json", rows)
    for number in _COCO:
        picture(folder, f"val2017/{number:012}.jpg")


def _gqa_rows() -> dict[str, Any]:
    return {
        f"0{number}": {
            "imageId": f"n{number}",
            "question": f"Which {number}?",
            "answer": answer,
            "types": {"structural": kind},
        }
        for number, answer, kind in (
            (1, "left", "choose"),
            (2, "yes", "verify"),
            (3, "red", "query"),
        )
    }


def _gqa(folder: Path) -> None:
    as_json(folder, "testdev_balanced_questions.json", _gqa_rows())
    for number in (1, 2, 3):
        picture(folder, f"images/n{number}.jpg")


def _xgqa(folder: Path) -> None:
    for language in ("de", "en", "ko"):
        as_json(folder, f"testdev_balanced_questions_{language}.json", _gqa_rows())
    for number in (1, 2, 3):
        picture(folder, f"images/n{number}.jpg")


def _ai2d(folder: Path) -> None:
    (folder / "ai2d_test_ids.csv").write_text("7\n8\n9\n", encoding="utf-8")
    for number, letters in ((7, False), (8, True), (9, False)):
        question = {
            "abcLabel": letters,
            "answerTexts": ["frog", "newt", "toad", "fish"],
            "correctAnswer": number - 7,
            "questionId": f"{number}.png-0",
        }
        value = {"imageName": f"{number}.png", "questions": {f"Which {number}?": question}}
        as_json(folder, f"questions/{number}.png.json", value)
        label = {"T0": {"rectangle": [[1, 1], [6, 4]], "replacementText": "A", "value": "frog"}}
        as_json(folder, f"annotations/{number}.png.json", {"text": label})
        picture(folder, f"images/{number}.png")


def _science_qa(folder: Path) -> None:
    problem = {
        "question": "Which is warm?",
        "choices": ["ice", "fire"],
        "hint": "Look.",
        "image": "image.png",
        "subject": "natural science",
        "split": "test",
    }
    problems = {str(number): {**problem, "answer": number % 2} for number in (1, 2, 3)}
    problems["4"] = {**problem, "answer": 0, "image": None}
    problems["5"] = {**problem, "answer": 0}
    as_json(folder, "problems.json", problems)
    as_json(folder, "pid_splits.json", {"test": ["1", "2", "3", "4"], "train": ["5"]})
    for number in (1, 2, 3):
        picture(folder, f"test/{number}/image.png")


def _rsvqa(stem: str, images: str, kinds: tuple[str, ...]) -> Any:
    def write(folder: Path) -> None:
        questions = [
            {"id": place, "img_id": place, "type": kind, "question": f"Is {place}?", "active": True}
            for place, kind in enumerate((*kinds, "count"))
        ]
        answers = [
            {"id": place, "question_id": place, "answer": answer, "active": True}
            for place, answer in enumerate(("Yes", "no", "rural", "4"))
        ]
        gone = {"id": 9, "active": False}
        as_json(folder, f"{stem}_questions.json", {"questions": [*questions, gone]})
        as_json(folder, f"{stem}_answers.json", {"answers": [*answers, gone]})
        for place in range(3):
            picture(folder, f"{images}/{place}.tif")

    return write


def _vizwiz(folder: Path) -> None:
    given = (("soup",) * 9 + ("",), ("2",) * 2 + ("unanswerable",) * 8, ("blue",) * 10)
    rows = [
        {
            "image": f"VizWiz_val_{place:08}.jpg",
            "question": f"What {place}?",
            "answers": [{"answer": each, "answer_confidence": "yes"} for each in answers],
            "answer_type": "other",
        }
        for place, answers in enumerate(given)
    ]
    as_json(folder, "Annotations/val.json", rows)
    for place in range(3):
        picture(folder, f"val/VizWiz_val_{place:08}.jpg")


def _tallyqa(folder: Path) -> None:
    rows = [
        {
            "image": f"VG_100K/{place}.jpg",
            "answer": place,
            "question": f"How many {place}?",
            "question_id": 100 + place,
            "issimple": simple,
        }
        for place, simple in ((1, True), (2, False), (3, True))
    ]
    as_json(folder, "test.json", rows)
    for place in (1, 2, 3):
        picture(folder, f"VG_100K/{place}.jpg")


def _countbench(folder: Path) -> None:
    questions = [{"question": f"How many {place}?"} for place in range(4)]
    as_json(folder, "countbench_paired_questions.json", questions)
    as_json(folder, "CountBench.json", [{"number": place + 2} for place in range(4)])
    for place in (0, 2, 3):  # the picture of row 1 is lost
        picture(folder, f"images/{place}.jpg")


_COCO_PROMPTS = tuple(f"answer en What {number}?" for number in _COCO)
_CHOICES = "choose from: bus \t car \t van"
_NEWTS = "choose from: frog \t newt \t toad \t fish"
_SCIENCE = "Question: Which is warm?\nContext: Look.\nOptions: (A) ice, (B) fire\nAnswer:"
_GQA_PROMPTS = tuple(f"answer en Which {number}?" for number in (1, 2, 3))
_DIRECT = ("bus",) * 5 + ("car",) * 3 + ("lorry",) * 2

QUESTIONS: dict[str, Case] = {
    # Unanimous and right: 1. "two" is "2", given by two: left out once each .., (2 x 1/3 + 8 x 2/3)
    # / 10 = .6. "a dog" without its article is given by four: min(1, 3/3) and min(1, 4/3), 1.
    "vqav2": Case(
        _vqa("v2_"),
        _COCO_PROMPTS,
        ("90", "250", "300"),
        _ANSWERS,
        ("red", "two", "a dog"),
        (1 + 0.6 + 1) / 3,
        parts=(("other", 1.0), ("number", 0.6)),
    ),
    # Softly and letter for letter: 1; 2/3; "a dog" is not "A dog".
    "okvqa": Case(
        _vqa(""),
        _COCO_PROMPTS,
        ("90", "250", "300"),
        _ANSWERS,
        ("red", "two", "a dog"),
        (1 + 2 / 3 + 0) / 3,
    ),
    "aokvqa-da": Case(
        _aokvqa,
        _COCO_PROMPTS,
        ("q9", "q25", "q30"),
        (_DIRECT,) * 3,
        ("bus", "lorry", "train"),
        (1 + 2 / 3 + 0) / 3,
    ),
    # Two blanks after "en", and blank, tab, blank between the choices.
    "aokvqa-mc": Case(
        _aokvqa,
        tuple(f"answer en  What {number}? {_CHOICES}" for number in _COCO),
        ("q9", "q25", "q30"),
        (("bus",), ("car",), ("van",)),
        ("bus", "car", "Van"),
        2 / 3,
    ),
    "gqa": Case(
        _gqa,
        _GQA_PROMPTS,
        ("01", "02", "03"),
        (("left",), ("yes",), ("red",)),
        ("left", "no", "Red"),
        1 / 3,
        parts=(("choose", 1.0), ("verify", 0.0)),
    ),
    # German 1 of 3, Korean 3 of 3; English, all wrong, counts in the part "all" alone.
    "xgqa": Case(
        _xgqa,
        _GQA_PROMPTS * 3,
        tuple(f"0{number}-{code}" for code in ("de", "en", "ko") for number in (1, 2, 3)),
        (("left",), ("yes",), ("red",)) * 3,
        ("left", "no", "no", "no", "no", "no", "left", "yes", "red"),
        (1 / 3 + 1) / 2,
        parts=(("en", 0.0), ("all", (1 / 3 + 0 + 1) / 3)),
    ),
    "ai2d": Case(
        _ai2d,
        tuple(f"answer en  Which {number}? {_NEWTS}" for number in (7, 8, 9)),
        ("7.png-0", "8.png-0", "9.png-0"),
        (("frog",), ("newt",), ("toad",)),
        ("frog", "newt", "fish"),
        2 / 3,
        parts=(("letters", 1.0),),
    ),
    "science-qa": Case(
        _science_qa,
        (_SCIENCE,) * 3,
        ("1", "2", "3"),
        (("B",), ("A",), ("B",)),
        ("The answer is B.", "the answer is a. Because", "B"),
        2 / 3,
    ),
    # Each type has one question; the one for a count is not asked.
    "rsvqa-lr": Case(
        _rsvqa("LR_split_test", "Images_LR", ("comp", "presence", "rural_urban")),
        tuple(f"answer en Is {place}?" for place in range(3)),
        ("0", "1", "2"),
        (("yes",), ("no",), ("rural",)),
        ("yes", "yes", "rural"),
        2 / 3,
        parts=(("presence", 0.0),),
    ),
    # comp: both right; presence: wrong. The mean over types is not that over questions.
    "rsvqa-hr": Case(
        _rsvqa("USGS_split_test", "Data", ("comp", "presence", "comp")),
        tuple(f"answer en Is {place}?" for place in range(3)),
        ("0", "1", "2"),
        (("yes",), ("no",), ("rural",)),
        ("yes", "yes", "rural"),
        1 / 2,
        parts=(("overall", 2 / 3),),
    ),
    "vizwizvqa": Case(
        _vizwiz,
        tuple(f"answer en What {place}?" for place in range(3)),
        tuple(f"VizWiz_val_{place:08}.jpg" for place in range(3)),
        (("soup",) * 9, ("2",) * 2 + ("unanswerable",) * 8, ("blue",) * 10),
        ("soup", "2", "green"),
        (1 + 2 / 3 + 0) / 3,
    ),
    "tallyqa": Case(
        _tallyqa,
        tuple(f"answer en How many {place}?" for place in (1, 2, 3)),
        ("101", "102", "103"),
        (("1",), ("2",), ("3",)),
        ("one", "3", "3"),
        2 / 3,
        parts=(("simple", 1.0), ("complex", 0.0)),
    ),
    "countbenchqa": Case(
        _countbench,
        tuple(f"answer en How many {place}?" for place in (0, 2, 3)),
        ("0", "2", "3"),
        (("2",), ("4",), ("5",)),
        ("2", "Four", "6"),
        2 / 3,
    ),
}
