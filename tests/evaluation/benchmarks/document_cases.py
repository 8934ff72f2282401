"""Rows of the benchmarks whose answers are to be read."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import Case
from tests.evaluation.benchmarks.writing import as_json, picture

_THREE = (1, 2, 3)
_ANSWERS = (("exit",) * 10, ("12",) * 2 + ("21",) * 8, ("stop",) * 10)


def _textvqa(folder: Path) -> None:
    data = [
        {
            "question_id": 30 + place,
            "image_id": f"i{place}",
            "question": f"what word {place}?",
            "answers": list(answers),
        }
        for place, answers in zip(_THREE, _ANSWERS, strict=True)
    ]
    as_json(folder, "TextVQA_0.5.1_val.json", {"data": data})
    for place in _THREE:
        picture(folder, f"train_images/i{place}.jpg")


def _chartqa(folder: Path) -> None:
    for part, labels in (("human", ("100", "Blue")), ("augmented", ("10.5%",))):
        rows = [
            {"imgname": f"{part}.png", "query": f"What {part} {place}?", "label": label}
            for place, label in enumerate(labels)
        ]
        as_json(folder, f"test/test_{part}.json", rows)
        picture(folder, f"test/png/{part}.png")


def _chartqa_of_three(part: str) -> Any:
    def write(folder: Path) -> None:
        rows = [
            {"imgname": "a.png", "query": f"What {place}?", "label": label}
            for place, label in enumerate(("100", "Blue", "0"))
        ]
        as_json(folder, f"test/test_{part}.json", rows)
        picture(folder, "test/png/a.png")

    return write


def _ocrvqa(folder: Path) -> None:
    book = {"questions": ["Who?", "What year?"], "answers": ["Ann Lee", "1990"], "split": 3}
    other = {"questions": ["Which?"], "answers": ["Poems"], "split": 3}
    as_json(folder, "dataset.json", {"0a": book, "0b": other, "0c": {**book, "split": 1}})
    for name in ("0a", "0b"):
        picture(folder, f"images/{name}.jpg")


def _docvqa(folder: Path) -> None:
    data = [
        {
            "questionId": 60 + place,
            "question": f"What date {place}?",
            "image": f"documents/d{place}.png",
            "answers": answers,
            "data_split": "val",
        }
        for place, answers in zip(_THREE, (["abcd", "wxyz"], ["abcd"], ["abcd"]), strict=True)
    ]
    as_json(folder, "val_v1.0_withQT.json", {"dataset_name": "SP-DocVQA", "data": data})
    for place in _THREE:
        picture(folder, f"spdocvqa_images/d{place}.png")


def _infovqa(folder: Path) -> None:
    answers = (["cat, dog"], ["abcd"], ["abcd"])
    data = [
        {
            "questionId": 70 + place,
            "question": f"Which {place}?",
            "image_local_name": f"{place}.jpeg",
            "answers": right,
            "answer_type": ["multi-span"] if place == 1 else ["single span"],
        }
        for place, right in zip(_THREE, answers, strict=True)
    ]
    as_json(folder, "infographicsVQA_val_v1.0_withQT.json", {"data": data})
    for place in _THREE:
        picture(folder, f"infographicsvqa_images/{place}.jpeg")


def _stvqa(folder: Path) -> None:
    data = [
        {
            "question_id": 80 + place,
            "question": f"What sign {place}?",
            "file_path": f"coco-text/s{place}.jpg",
            "dataset": "coco-text",
            "answers": ["abcd"],
        }
        for place in _THREE
    ]
    as_json(folder, "test_task_3.json", {"data": data})
    for place in _THREE:
        picture(folder, f"coco-text/s{place}.jpg")


_HALF = ("abcd", "abcx", "axxx")
"""Against "abcd": equal; one letter of four other, 1 - 1/4; three of four, which is nothing."""

DOCUMENTS: dict[str, Case] = {
    # As vqav2: two of ten gave "12".
    "textvqa": Case(
        _textvqa,
        tuple(f"answer en what word {place}?" for place in _THREE),
        ("31", "32", "33"),
        _ANSWERS,
        ("exit", "12", "go"),
        (1 + 0.6 + 0) / 3,
    ),
    # Within 5 %; a text in another case; 0 must be equal letter for letter.
    **{
        f"chartqa-{part}": Case(
            _chartqa_of_three(part),
            ("What 0?", "What 1?", "What 2?"),
            (f"{part}-1", f"{part}-2", f"{part}-3"),
            (("100",), ("Blue",), ("0",)),
            ("105", "blue", "0.0"),
            2 / 3,
        )
        for part in ("human", "augmented")
    },
    # Human 1 of 2, augmented 1 of 1: the mean of both sets.
    "chartqa": Case(
        _chartqa,
        ("What human 0?", "What human 1?", "What augmented 0?"),
        ("human-1", "human-2", "augmented-1"),
        (("100",), ("Blue",), ("10.5%",)),
        ("106", "blue", "0.105"),
        0.75,
        parts=(("human", 0.5), ("augmented", 1.0)),
    ),
    "ocrvqa": Case(
        _ocrvqa,
        ("answer en Who?", "answer en What year?", "answer en Which?"),
        ("0a-0", "0a-1", "0b-0"),
        (("Ann Lee",), ("1990",), ("Poems",)),
        ("ann lee", "1991", "Poems"),
        2 / 3,
    ),
    # The bare question.
    "docvqa": Case(
        _docvqa,
        tuple(f"What date {place}?" for place in _THREE),
        ("61", "62", "63"),
        (("abcd", "wxyz"), ("abcd",), ("abcd",)),
        ("WXYZ", "abcx", "axxx"),
        (1 + 0.75 + 0) / 3,
    ),
    "infovqa": Case(
        _infovqa,
        tuple(f"answer en Which {place}?" for place in _THREE),
        ("71", "72", "73"),
        (("cat, dog", "dog, cat"), ("abcd",), ("abcd",)),
        ("dog, cat", "abcx", "axxx"),
        (1 + 0.75 + 0) / 3,
        parts=(("multi-span", 1.0),),
    ),
    "stvqa": Case(
        _stvqa,
        tuple(f"answer en What sign {place}?" for place in _THREE),
        ("81", "82", "83"),
        (("abcd",),) * 3,
        _HALF,
        (1 + 0.75 + 0) / 3,
        split="test",
    ),
}
