"""Questions and answers: batches that are always the same, and nothing finished is lost."""

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from palikit.errors import InputError
from palikit.evaluation.answer_folder import AnswerFolder
from palikit.evaluation.answering import Share, batches_of, missing, open_item
from palikit.evaluation.benchmarks.row import Clip, Example
from palikit.evaluation.exam import Item
from palikit.evaluation.report import Subject, make_report
from palikit.options import GenerationOptions
from palikit.request import Inquiry
from palikit.tasks import Task
from tests import tiny
from tests.evaluation.exams import SIDE, answer, answer_folder, exam
from tests.fake_predictor import FakePredictor, write_animation, write_picture

PREDICTIONS = "predictions.jsonl"


def item(number: int, pictures: int = 1) -> Item:
    images = tuple(Path(f"{number}-{place}.png") for place in range(pictures))
    return Item(Example(str(number), images, "ask"), Task("answer", "ask"))


@given(
    st.lists(st.sampled_from([1, 2]), min_size=1, max_size=30),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sets(st.integers(0, 29)),
)
def test_shares_hold_every_batch_once_whoever_asks(
    pictures: list[int], size: int, count: int, done: set[int]
) -> None:
    batches = batches_of([item(n, each) for n, each in enumerate(pictures)], size)
    asked = [each for batch in batches for each in batch.items]
    assert [each.example.id for each in asked] == [str(n) for n in range(len(pictures))]
    shares = [missing(batches, Share(rank, count), {str(n) for n in done}) for rank in range(count)]
    together = [batch for share in shares for batch in share]
    assert len(together) == len(set(map(id, together)))
    left = {str(n) for n in range(len(pictures))} - {str(n) for n in done}
    assert left <= {each.example.id for batch in together for each in batch.items}
    for batch, after in pairwise(batches):
        assert len(batch.items) == size or batch.stretch != after.stretch


@given(st.lists(st.sampled_from([1, 2]), min_size=1, max_size=12), st.integers(1, 3))
def test_batches_are_those_that_the_engine_makes(pictures: list[int], size: int) -> None:
    engine = tiny_engine()
    items = [item(n, each) for n, each in enumerate(pictures)]
    picture = tiny.picture()

    def opened(each: Item) -> tuple[Image.Image, ...]:
        return (picture,) * len(each.example.images)

    inquiries = [
        Inquiry(partial(opened, each), (lambda _w, _h: items[0].task,), each.example.id)
        for each in items
    ]
    ready = [one for inquiry in inquiries for one in engine._prepare_inquiry(inquiry)]
    made = [
        [request.input for request, _ in batch]
        for batch in engine._batches(ready, GenerationOptions(), size)
    ]
    ours = batches_of(items, size)
    assert made == [[each.example.id for each in batch.items] for batch in ours]


def tiny_engine(made: list = []):  # noqa: B006 (one model for all examples)
    if not made:
        made.append(tiny.predictor().engine)
    return made[0]


def finished(folder: AnswerFolder, asked) -> bytes:
    make_report(asked, folder.answers(), Subject("fake"), folder, pictures=0)
    return (folder.path / PREDICTIONS).read_bytes()


def test_an_interrupted_run_goes_on_and_gives_the_same_file(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    whole = answer_folder(tmp_path / "whole", asked)
    answer(asked, whole)
    broken = answer_folder(tmp_path / "broken", asked)
    with pytest.raises(KeyboardInterrupt):
        answer(asked, broken, FakePredictor(interrupt_at=2))
    assert len(broken.answers()) == 4
    predictor = answer(asked, broken)
    assert sum(map(len, predictor.calls)) == 3
    assert finished(broken, asked) == finished(whole, asked)


def test_a_finished_run_asks_nothing(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    folder = answer_folder(tmp_path / "out", asked)
    answer(asked, folder)
    before = finished(folder, asked)
    assert answer(asked, answer_folder(tmp_path / "out", asked)).calls == []
    assert finished(folder, asked) == before
    assert sorted(file.name for file in folder.path.iterdir()) == [
        "predictions.jsonl", "report.json", "submission.json",
    ]  # fmt: skip


def test_a_batch_with_one_answer_missing_is_asked_as_a_whole(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    folder = answer_folder(tmp_path / "out", asked)
    answer(asked, folder)
    journal = folder.path / "answers.partial.0.jsonl"
    whole = journal.read_bytes()
    lines = whole.split(b"\n")
    journal.write_bytes(b"\n".join([*lines[:3], lines[3][:20]]))  # killed while it wrote the fourth
    predictor = answer(asked, answer_folder(tmp_path / "out", asked))
    assert sum(map(len, predictor.calls)) == 5  # the third again, in its batch
    assert journal.read_bytes() == whole


def test_shares_of_two_processes_make_the_file_of_one(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    one, two = (answer_folder(tmp_path / name, asked) for name in ("one", "two"))
    answer(asked, one)
    for rank in (1, 0):
        answer(asked, two, share=Share(rank, 2))
    assert finished(one, asked) == finished(two, asked)


def test_a_question_whose_picture_is_damaged_is_named(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    (tmp_path / "docvqa" / "spdocvqa_images" / "doc1.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"entry 3.*doc1\.png is not a picture"):
        answer(asked, answer_folder(tmp_path / "out", asked))


def test_frames_of_a_clip_are_taken_by_its_stride(tmp_path: Path) -> None:
    film = write_animation(tmp_path / "film.gif", 6)
    clip = Example("1", (), "ask", video=Clip(film, frames=4, stride=2))
    frames = open_item(Item(clip, Task("answer", "ask")), SIDE)
    assert [frame.getpixel((0, 0))[0] for frame in frames] == [0, 80, 160, 0]


def test_the_change_of_a_protocol_is_made_at_the_side_of_the_model(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png")
    sides = []
    example = Example(
        "1", (path,), "ask", change=lambda picture, side: (sides.append(side), picture)[1]
    )
    open_item(Item(example, Task("answer", "ask")), 448)
    assert sides == [448]


def test_neighbours_about_one_picture_open_it_once(tmp_path: Path) -> None:
    asked = exam(tmp_path, 4)
    opened = []

    class Counting(FakePredictor):
        def outcomes(self, inquiries, options=None, *, batch_size=None):
            inquiries = list(inquiries)
            opened.append([len(each.task_fors) for each in inquiries])
            return super().outcomes(inquiries, options, batch_size=batch_size)

    answer(asked, answer_folder(tmp_path / "out", asked), Counting())
    assert opened == [[2, 2]]


def test_the_published_decoding_is_used(tmp_path: Path) -> None:
    asked = exam(tmp_path)
    predictor = answer(asked, answer_folder(tmp_path / "out", asked))
    assert predictor.options is not None
    assert predictor.options.max_new_tokens == 32
    assert not predictor.options.grammar
    other = asked.decoded(replace(asked.generation, num_beams=3))
    assert other.generation.num_beams == 3
