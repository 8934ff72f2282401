"""Rows of the video benchmarks."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import (
    DOGS,
    KITES,
    OTHER,
    TRAINS,
    TWO_OF_THREE,
    Case,
)
from tests.evaluation.benchmarks.writing import as_json, film, text

_CAPTIONS = (KITES, DOGS, TRAINS)
_REFERENCES = tuple((each,) for each in _CAPTIONS)
_NUMBERS = (7010, 7011, 7012)


def _msrvtt_captions(folder: Path) -> None:
    videos = [{"video_id": f"video{number}", "split": "test"} for number in _NUMBERS]
    sentences = [
        {"video_id": f"video{number}", "caption": caption}
        for number, caption in zip(_NUMBERS, _CAPTIONS, strict=True)
    ]
    train = {"video_id": "video1", "split": "train"}
    value = {"videos": [train, *videos], "sentences": sentences}
    as_json(folder, "test_videodatainfo.json", value)
    for number in _NUMBERS:
        film(folder, f"TestVideo/video{number}.mp4")


def _questions(numbers: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {"id": place, "video_id": number, "question": f"what is {number}?", "answer": answer}
        for place, (number, answer) in enumerate(zip(numbers, ("dog", "man", "two"), strict=True))
    ]


def _msrvtt_questions(folder: Path) -> None:
    as_json(folder, "test_qa.json", _questions(_NUMBERS))
    for number in _NUMBERS:
        film(folder, f"video/video{number}.mp4")


def _msvd_questions(folder: Path) -> None:
    as_json(folder, "test_qa.json", _questions((1, 2, 3)))
    names = ("-4wsuPCjDBc_5_15", "a b_0_9", "c_1_2")
    mapping = "".join(f"{name} vid{number}\n" for number, name in enumerate(names, start=1))
    text(folder, "youtube_mapping.txt", mapping)
    for name in names:
        film(folder, f"YouTubeClips/{name}.avi")


def _activitynet_captions(folder: Path) -> None:
    value = {
        "v_a": {"timestamps": [[0, 3], [3, 9]], "sentences": [KITES, f" {DOGS}"]},
        "v_b": {"timestamps": [[0, 3]], "sentences": [TRAINS]},
    }
    as_json(folder, "val_1.json", value)
    for name in ("v_a_0", "v_a_1", "v_b_0"):
        film(folder, f"clips/{name}.mp4")


def _activitynet_questions(folder: Path) -> None:
    questions = [
        {"video_name": name, "question": f"what is {name}", "question_id": f"v_{name}_1"}
        for name in "abc"
    ]
    answers = [
        {"answer": answer, "type": 3, "question_id": f"v_{name}_1"}
        for name, answer in zip("abc", ("dog", "man", "two"), strict=True)
    ]
    as_json(folder, "test_q.json", questions)
    as_json(folder, "test_a.json", answers)
    for name in "abc":
        film(folder, f"videos/v_{name}.mkv")


def _vatex(folder: Path) -> None:
    rows = [
        {"videoID": f"{name}_000001_000011", "enCap": [caption]}
        for name, caption in zip("abc", _CAPTIONS, strict=True)
    ]
    as_json(folder, "vatex_public_test_english_v1.1.json", rows)
    for name in "abc":
        film(folder, f"videos/{name}_000001_000011.mp4")


def _captions(write: Any, ids: tuple[str, ...]) -> Case:
    prompts = ("caption en",) * 3
    return Case(write, prompts, ids, _REFERENCES, (KITES, DOGS, OTHER), TWO_OF_THREE)


def _answers(write: Any, names: tuple[Any, ...], ids: tuple[str, ...], ending: str) -> Case:
    prompts = tuple(f"answer en what is {name}{ending}" for name in names)
    right = (("dog",), ("man",), ("two",))
    return Case(write, prompts, ids, right, ("dog", "a man", "two"), 2 / 3)


FILMS: dict[str, Case] = {
    "msrvtt-cap": _captions(_msrvtt_captions, tuple(f"video{number}" for number in _NUMBERS)),
    "msrvtt-qa": _answers(_msrvtt_questions, _NUMBERS, ("0", "1", "2"), "?"),
    "msvd-qa": _answers(_msvd_questions, (1, 2, 3), ("0", "1", "2"), "?"),
    "activitynet-cap": _captions(_activitynet_captions, ("v_a_0", "v_a_1", "v_b_0")),
    "activitynet-qa": _answers(
        _activitynet_questions, tuple("abc"), ("v_a_1", "v_b_1", "v_c_1"), ""
    ),
    "vatex-cap": _captions(_vatex, tuple(f"{name}_000001_000011" for name in "abc")),
}
