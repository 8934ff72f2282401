"""Every benchmark: three hand-made rows in the official layout, and what they score."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit.evaluation.benchmarks import BENCHMARKS, Example, benchmark_named
from palikit.evaluation.exam import benchmark_exam
from palikit.evaluation.finished_answers import Reading, read_answers
from palikit.evaluation.metrics.score import Score
from palikit.evaluation.record import answered_of
from palikit.masks import Mask
from palikit.pictures import load_picture
from palikit.results import Segments
from tests.evaluation.benchmarks.caption_cases import CAPTIONS
from tests.evaluation.benchmarks.document_cases import DOCUMENTS
from tests.evaluation.benchmarks.drawn_cases import DRAWN
from tests.evaluation.benchmarks.film_cases import FILMS
from tests.evaluation.benchmarks.object_cases import OBJECTS
from tests.evaluation.benchmarks.question_cases import QUESTIONS
from tests.evaluation.benchmarks.statement_cases import STATEMENTS
from tests.evaluation.benchmarks.writing import SIZE

CASES = {**CAPTIONS, **QUESTIONS, **STATEMENTS, **DOCUMENTS, **FILMS, **DRAWN, **OBJECTS}

NAMES = [benchmark.name for benchmark in BENCHMARKS]


def examples_of(name: str, folder: Path) -> list[Example]:
    case, benchmark = CASES[name], benchmark_named(name)
    case.write(folder)
    return list(benchmark.read(folder, case.split or benchmark.splits[0]))


def scored(name: str, folder: Path) -> Score:
    """The figure of what a model wrote, as `palikit evaluate --predictions` reads it."""
    case = CASES[name]
    case.write(folder)
    exam = benchmark_exam(benchmark_named(name), folder, case.split)
    lines = zip(case.ids, case.texts, strict=True)
    file = folder / "written.jsonl"
    file.write_text(
        "".join(json.dumps({"id": each, "answer": text}) + "\n" for each, text in lines)
    )
    records = read_answers(file, exam, Reading(with_masks=filled))
    return exam.judge([answered_of(item, records[item.example.id]) for item in exam.items])


def filled(found: Segments) -> Segments:
    """Every outline fills its box."""
    width, height = found.width, found.height
    segments = []
    for each in found:
        left, top, right, bottom = map(round, each.box.to_list())
        inside = np.ones((bottom - top, right - left), np.bool_)
        mask = Mask.from_patch(inside, left, top, width, height)
        segments.append(replace(each, mask=mask))
    return replace(found, objects=tuple(segments))


def test_every_benchmark_has_rows_here() -> None:
    assert set(CASES) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_prompts_ids_and_answers_are_the_published_protocol_s(name: str, tmp_path: Path) -> None:
    case, examples = CASES[name], examples_of(name, tmp_path)
    assert tuple(each.id for each in examples) == case.ids
    assert tuple(each.prompt for each in examples) == case.prompts
    assert tuple(each.answers for each in examples) == case.answers
    assert all(each.where for each in examples)


@pytest.mark.parametrize("name", NAMES)
def test_the_figure_is_the_one_worked_out_by_hand(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    score = scored(name, tmp_path)
    assert score.value == pytest.approx(case.value, abs=1e-6)
    for part, value in case.parts:
        assert score.part(part) == pytest.approx(value, abs=1e-6), part


ELSEWHERE = {"docci": {"nes"}, "mimic-cxr": {"radgraph_f1"}}
"""Published parts that no answer tells: what people judged, and what needs a model of its own."""


@pytest.mark.parametrize("name", NAMES)
def test_every_published_part_is_one_of_the_score(name: str, tmp_path: Path) -> None:
    published = {each.part for each in benchmark_named(name).published} - {""}
    parts = {part for part, _ in scored(name, tmp_path).parts}
    assert published - ELSEWHERE.get(name, set()) <= parts


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_there_or_a_clip_of_the_published_frames(name: str, tmp_path: Path) -> None:
    for example in examples_of(name, tmp_path):
        if example.video is not None:
            assert example.video.path.is_file()
            assert not example.images
            continue
        count = 2 if name in ("nlvr2", "marvl") else 1
        assert len(example.images) == count
        for path in example.images:
            assert isinstance(path, Path)
            assert load_picture(path).size == SIZE


CLIPS = {
    "msrvtt-cap": (16, 9),
    "msrvtt-qa": (16, 9),
    "msvd-qa": (8, 26),
    "activitynet-cap": (16, 30),
    "activitynet-qa": (16, 70),
    "vatex-cap": (16, 7),
}


@pytest.mark.parametrize("name", CLIPS)
def test_clips_have_the_published_number_and_stride_of_frames(name: str, tmp_path: Path) -> None:
    clips = [example.video for example in examples_of(name, tmp_path)]
    assert [(clip.frames, clip.stride) for clip in clips if clip] == [CLIPS[name]] * 3


@pytest.mark.parametrize("name", ["refcoco-val", "coco-detection", "doclaynet"])
def test_objects_are_read_with_their_boxes(name: str, tmp_path: Path) -> None:
    first = examples_of(name, tmp_path)[0].objects
    assert first is not None
    assert first[0].box.to_list() == [0, 0, 4, 4]
    assert (first[0].mask is not None) == (name == "refcoco-val")


def test_groups_are_what_parts_are_made_by(tmp_path: Path) -> None:
    groups = [each.group for each in examples_of("tallyqa", tmp_path)]
    assert groups == ["simple", "complex", "simple"]


@pytest.mark.parametrize("name", ["pubtabnet", "fintabnet", "chemdraw", "grandstaff"])
def test_what_is_drawn_on_paper_is_padded_to_a_square(name: str, tmp_path: Path) -> None:
    example = examples_of(name, tmp_path)[0]
    assert example.change is not None
    assert example.change(Image.new("RGB", (8, 6)), 224).size == (8, 8)


def test_a_widget_is_framed_where_the_hierarchy_has_it(tmp_path: Path) -> None:
    change = examples_of("widgetcap", tmp_path)[0].change
    assert change is not None
    shown = change(Image.new("RGB", SIZE), 16)
    red = [(x, y) for x in range(16) for y in range(16) if shown.getpixel((x, y)) == (255, 0, 0)]
    # [360, 640, 1080, 1920] of 1440 x 2560 is the middle half.
    assert (min(red), max(red)) == ((4, 4), (12, 12))
    assert (8, 8) not in red


def test_of_a_question_about_letters_the_diagram_s_texts_are_covered(tmp_path: Path) -> None:
    changes = [example.change for example in examples_of("ai2d", tmp_path)]
    assert [change is None for change in changes] == [True, False, True]
    assert changes[1] is not None
    shown = changes[1](Image.new("RGB", SIZE), 224)
    assert shown.getpixel((1, 1)) == (255, 255, 255)
    assert shown.getpixel((7, 5)) == (0, 0, 0)


@pytest.mark.parametrize("name", ["nlvr2", "marvl"])
def test_of_two_pictures_the_left_one_comes_first(name: str, tmp_path: Path) -> None:
    names = [Path(str(path)).name for path in examples_of(name, tmp_path)[0].images]
    assert names == sorted(names)
