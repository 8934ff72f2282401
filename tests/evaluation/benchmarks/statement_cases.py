"""Rows of the benchmarks about statements, yes and no, and pairs of questions."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import Case
from tests.evaluation.benchmarks.writing import as_csv, as_lines, picture


def _nlvr2(folder: Path) -> None:
    rows = [
        {"identifier": f"test1-{place}-1-0", "sentence": f"Both {place}.", "label": label}
        for place, label in enumerate(("True", "False", "True"))
    ]
    as_lines(folder, "test1.json", rows)
    for place in range(3):
        for side in (0, 1):
            picture(folder, f"test1/test1-{place}-1-img{side}.png")


def _marvl(folder: Path) -> None:
    for code, labels in (("id", (True, False)), ("zh", (True,))):
        rows = [
            {
                "concept": "1-Rumah",
                "language": code,
                "caption": f"Dua {code} {place}.",
                "left_img": "1-1.jpg",
                "right_img": "1-2.jpg",
                "id": f"{code}-{place}",
                "label": label,
            }
            for place, label in enumerate(labels)
        ]
        as_lines(folder, f"annotations/marvl-{code}.jsonl", rows)
        for name in ("1-1.jpg", "1-2.jpg"):
            picture(folder, f"{code}/images/1-Rumah/{name}")


def _vsr(folder: Path) -> None:
    rows = [
        {
            "image": f"{place:012}.jpg",
            "caption": f"The cat is under {place}.",
            "label": label,
            "relation": relation,
        }
        for place, label, relation in ((1, 1, "under"), (2, 0, "under"), (3, 1, "near"))
    ]
    as_lines(folder, "splits/zeroshot/test.jsonl", rows)
    for place in (1, 2, 3):
        picture(folder, f"images/{place:012}.jpg")


def _pope(kind: str) -> Any:
    def write(folder: Path) -> None:
        rows = [
            {
                "question_id": place,
                "image": f"COCO_val2014_{place:012}.jpg",
                "text": f"Is there a cat {place}?",
                "label": label,
            }
            for place, label in ((1, "yes"), (2, "no"), (3, "yes"))
        ]
        as_lines(folder, f"coco_pope_{kind}.json", rows)
        for place in (1, 2, 3):
            picture(folder, f"val2014/COCO_val2014_{place:012}.jpg")

    return write


def _mmvp(folder: Path) -> None:
    header = ("lndex", "Question", "Options", "Correct Answer")
    options = "(a) Open (b) Closed"
    rows = [
        (str(place), f"Is it open {place}?", options, answer)
        for place, answer in enumerate(("(a)", "(b)", "(a)", "(b)"), start=1)
    ]
    as_csv(folder, "Questions.csv", header, rows)
    for place in range(1, 5):
        picture(folder, f"MMVP Images/{place}.jpg")


STATEMENTS: dict[str, Case] = {
    "nlvr2": Case(
        _nlvr2,
        tuple(f"answer en Both {place}." for place in range(3)),
        tuple(f"test1-{place}-1-0" for place in range(3)),
        (("True",), ("False",), ("True",)),
        ("True", "False", "False"),
        2 / 3,
    ),
    # Indonesian 1 of 2, Chinese 1 of 1: the mean of the languages, not of the questions.
    "marvl": Case(
        _marvl,
        ("answer en Dua id 0.", "answer en Dua id 1.", "answer en Dua zh 0."),
        ("id-0", "id-1", "zh-0"),
        (("True",), ("False",), ("True",)),
        ("True", "True", "True"),
        0.75,
        parts=(("id", 0.5), ("zh", 1.0)),
    ),
    "vsr": Case(
        _vsr,
        tuple(f"answer en The cat is under {place}." for place in (1, 2, 3)),
        ("0", "1", "2"),
        (("True",), ("False",), ("True",)),
        ("True", "True", "True"),
        2 / 3,
        parts=(("under", 0.5), ("near", 1.0)),
    ),
    **{
        f"pope-{kind}": Case(
            _pope(kind),
            # The bare question.
            tuple(f"Is there a cat {place}?" for place in (1, 2, 3)),
            ("1", "2", "3"),
            (("yes",), ("no",), ("yes",)),
            # The last answer is neither word, but says yes for POPE's own script.
            ("Yes", "yes", "yes, a cat."),
            1 / 3,
            parts=(("valid", 2 / 3), ("official/accuracy", 2 / 3)),
        )
        for kind in ("random", "popular", "adversarial")
    },
    "mmvp": Case(
        _mmvp,
        tuple(f"answer en Is it open {place}?" for place in range(1, 5)),
        ("1", "2", "3", "4"),
        (("Open",), ("Closed",)) * 2,
        ("open", "closed", "open", "open"),
        1 / 2,
        parts=(("questions", 3 / 4),),
    ),
}
