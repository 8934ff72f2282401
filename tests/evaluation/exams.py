"""A small exam about pictures on disk, and what answers it."""

import json
from pathlib import Path

from palikit.evaluation.answer_folder import AnswerFolder
from palikit.evaluation.benchmarks import benchmark_named
from palikit.evaluation.exam import Exam, benchmark_exam, identity_of
from palikit.evaluation.running import answer_missing
from palikit.options import LoadOptions
from tests.fake_predictor import FakePredictor, write_picture

SIDE = 224


def docvqa(folder: Path, questions: int = 7, *, secret: bool = False) -> Path:
    """DocVQA in its official layout, two questions about each picture."""
    entries = []
    for number in range(questions):
        name = f"doc{number // 2}.png"
        write_picture(folder / "spdocvqa_images" / name, 20 + number // 2, 12)
        entry = {
            "questionId": 100 + number,
            "question": f"what is number {number}?",
            "image": f"documents/{name}",
        }
        answers = {} if secret else {"answers": [f"picture of {20 + number // 2} x 12", "none"]}
        entries.append(entry | answers)
    split = "test" if secret else "val"
    (folder / f"{split}_v1.0_withQT.json").write_text(json.dumps({"data": entries}))
    return folder


def docci(folder: Path) -> Path:
    """DOCCI in its official layout, three pictures."""
    rows = []
    for name in "abc":
        write_picture(folder / "images" / f"{name}.jpg")
        row = {"split": "qual_dev", "example_id": name, "image_file": f"{name}.jpg"}
        rows.append(json.dumps(row | {"description": "A dog."}))
    (folder / "docci_descriptions.jsonlines").write_text("\n".join(rows))
    return folder


def exam(folder: Path, questions: int = 7, *, limit: int | None = None) -> Exam:
    return benchmark_exam(
        benchmark_named("docvqa"), docvqa(folder / "docvqa", questions), limit=limit
    )


def answer_folder(path: Path, asked: Exam) -> AnswerFolder:
    return AnswerFolder(path, identity_of(asked, "fake", "abc", LoadOptions()))


def answer(
    asked: Exam, folder: AnswerFolder, predictor: FakePredictor | None = None, **rest
) -> FakePredictor:
    predictor = predictor or FakePredictor()
    folder.begin(overwrite=False)
    answer_missing(asked, predictor, folder, batch_size=2, side=SIDE, **rest)
    return predictor
