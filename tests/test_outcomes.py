"""Many inquiries: answered in batches, each picture once, prepared while the model is at work."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from palikit import GenerationOptions, InputError, engine, tasks
from palikit.cli import main
from palikit.errors import PaliKitError
from palikit.options import RecordFormat
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.request import Inquiry, Pictures, Request
from tests import tiny
from tests.test_ahead import at_work

SHORT = GenerationOptions(max_new_tokens=4)


class Watched:
    """A predictor that tells what went through the image tower, and in which batches."""

    def __init__(self, predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
        self.predictor = predictor
        self.encoded: list[int] = []
        self.batches: list[int] = []
        self.on_batch: Callable[[], None] = lambda: None
        tower, generate = predictor.model.encode_images, engine.generate

        def encode_images(pixel_values: torch.Tensor) -> torch.Tensor:
            self.encoded.append(len(pixel_values))
            return tower(pixel_values)

        def watched(model, inputs, *rest):
            self.batches.append(len(inputs.input_ids))
            self.on_batch()
            return generate(model, inputs, *rest)

        monkeypatch.setattr(predictor.model, "encode_images", encode_images)
        monkeypatch.setattr(engine, "generate", watched)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny.predictor()


@pytest.fixture
def watched(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(predictor, monkeypatch)


def inquiry(
    open_pictures: Callable[[], tuple[Image.Image, ...]], *questions: str, name: str = "picture"
) -> Inquiry:
    task_fors = tuple((lambda _w, _h, q=q: tasks.answer(q)) for q in questions or ("what?",))
    return Inquiry(open_pictures, task_fors, name)


def pictured(seed: int, *questions: str) -> Inquiry:
    return inquiry(lambda: (tiny.picture(seed),), *questions, name=str(seed))


def unreadable() -> tuple[Image.Image, ...]:
    raise InputError("no such file: gone.png")


def told(outcomes: list[Prediction | PaliKitError]) -> list[str]:
    return [str(o) if isinstance(o, PaliKitError) else o.input for o in outcomes]


def test_answers_are_those_of_single_calls_in_order(watched: Watched) -> None:
    outcomes = list(
        watched.predictor.outcomes([pictured(n, "a?", "b?") for n in range(5)], SHORT, batch_size=4)
    )
    alone = [
        watched.predictor.answer(tiny.picture(n), q, options=SHORT).text
        for n in range(5)
        for q in ("a?", "b?")
    ]
    assert [outcome.text for outcome in outcomes] == alone
    assert watched.batches[:3] == [4, 4, 2]


def test_questions_share_the_encoding_of_their_picture_over_batches(watched: Watched) -> None:
    questions = [f"how many of number {n}?" for n in range(7)]
    list(
        watched.predictor.outcomes([pictured(n, *questions) for n in range(2)], SHORT, batch_size=3)
    )
    assert watched.batches == [3, 3, 3, 3, 2]
    assert sum(watched.encoded) == 2


def test_an_error_stands_in_its_place_and_costs_no_other_answer(watched: Watched) -> None:
    long = "very " * 9000
    inquiries = [pictured(0), inquiry(unreadable, "a?", "b?"), pictured(1, "c?", long), pictured(2)]
    outcomes = list(watched.predictor.outcomes(inquiries, SHORT, batch_size=8))
    names = told(outcomes)
    assert names[:4] == ["0", "no such file: gone.png", "no such file: gone.png", "1"]
    assert "at most 8192 fit" in names[4]
    assert names[5:] == ["2"]
    assert watched.batches == [3]  # errors take no place in a batch


def test_nothing_but_errors_needs_no_model(watched: Watched) -> None:
    outcomes = list(watched.predictor.outcomes([inquiry(unreadable)] * 3))
    assert [isinstance(each, InputError) for each in outcomes] == [True] * 3
    assert watched.batches == []


def test_a_batch_holds_inputs_of_one_number_of_pictures(watched: Watched) -> None:
    pair = inquiry(lambda: (tiny.picture(1), tiny.picture(2)))
    list(watched.predictor.outcomes([pictured(0), pictured(3), pair, pictured(4)], SHORT))
    assert watched.batches == [2, 1, 1]


def test_the_next_batch_is_opened_while_the_model_is_at_work_and_no_more(watched: Watched) -> None:
    opened: list[int] = []
    second = threading.Event()

    def opening(n: int) -> Callable[[], tuple[Image.Image, ...]]:
        def open_picture() -> tuple[Image.Image, ...]:
            opened.append(n)
            if len(opened) == 4:
                second.set()
            return (tiny.picture(n),)

        return open_picture

    outcomes = watched.predictor.outcomes(
        [inquiry(opening(n)) for n in range(8)], SHORT, batch_size=2
    )
    watched.on_batch = lambda: second.wait(5) or pytest.fail("the next batch was not opened")
    next(outcomes)
    assert sorted(opened) == [0, 1, 2, 3]
    outcomes.close()
    assert not at_work()


def test_an_interrupted_run_leaves_no_thread(watched: Watched) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    watched.on_batch = interrupt
    with pytest.raises(KeyboardInterrupt):
        list(watched.predictor.outcomes([pictured(n) for n in range(9)], SHORT, batch_size=2))
    assert not at_work()


def test_requests_are_taken_when_their_batch_is_formed(watched: Watched) -> None:
    taken: list[int] = []

    def requests():
        for n in range(6):
            taken.append(n)
            yield Request((tiny.picture(n),), tasks.caption(), str(n))

    answers = watched.predictor.predict_each(requests(), SHORT, batch_size=2)
    next(answers)
    assert taken == [0, 1]
    assert not at_work()


def test_a_list_of_paths_raises_what_the_first_bad_one_is(watched: Watched, tmp_path: Path) -> None:
    tiny.picture().save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"no such file: .*b\.png"):
        watched.predictor.caption([tmp_path / "a.png", tmp_path / "b.png"], options=SHORT)
    assert not at_work()


def test_one_object_may_stand_for_several_inputs(watched: Watched, tmp_path: Path) -> None:
    tiny.picture(size=(400, 300)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as lazy, (tmp_path / "a.png").open("rb") as stream:
        answers = watched.predictor.caption([lazy, stream] * 12, options=SHORT)
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize(
    ("pictures", "given", "batches"), [(1, None, [8, 1]), (4, None, [2] * 4 + [1]), (4, 5, [5, 4])]
)
def test_a_batch_nobody_sized_holds_no_more_than_so_many_image_tokens(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    pictures: int,
    given: int | None,
    batches: list[int],
) -> None:
    tokens = watched.predictor.model.config.vision_config.num_image_tokens
    monkeypatch.setattr(engine, "MAX_BATCH_TOKENS", tokens * 8)
    asked = [Pictures(*[tiny.picture(n)] * pictures) for n in range(9)]
    requests = [Request(tuple(each.sources), tasks.caption(), "") for each in asked]
    watched.predictor.predict(requests, SHORT, batch_size=given)
    assert watched.batches == batches


def test_a_batch_nobody_sized_has_room_for_all_that_may_be_written(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = watched.predictor.model.config.vision_config.num_image_tokens
    monkeypatch.setattr(engine, "MAX_BATCH_SLOTS", 3 * (tokens + 6))
    requests = [Request((tiny.picture(n),), tasks.caption(), "") for n in range(7)]
    watched.predictor.predict(requests, GenerationOptions(max_new_tokens=6))
    assert watched.batches == [3, 3, 1]


@pytest.mark.parametrize(("is_small", "batches"), [(True, [16, 4]), (False, [8, 8, 4])])
def test_a_small_model_takes_more_pictures_together(
    watched: Watched, monkeypatch: pytest.MonkeyPatch, is_small: bool, batches: list[int]
) -> None:
    monkeypatch.setitem(vars(watched.predictor.engine), "is_small", is_small)
    watched.predictor.caption([tiny.picture(n) for n in range(20)], options=SHORT)
    assert watched.batches == batches


# The command line


def test_several_questions_on_the_command_line_encode_a_picture_once(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.cli.asking.load_predictor", lambda *_: watched.predictor)
    for n in range(2):
        tiny.picture(n).save(tmp_path / f"{n}.png")
    questions = [f"how many of number {n}?" for n in range(10)]
    words = ["answer", str(tmp_path), *questions, "--model", "tiny", "--max-new-tokens", "2"]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, result.stderr.count("failed")) == (0, 0)
    assert sum(watched.encoded) == 2
    assert watched.batches == [16, 4]


@pytest.mark.parametrize(
    "words",
    [
        ("caption", "."),
        ("caption", ".", "--box", "2,2,20,20"),
        ("describe", "."),
        ("ocr", "."),
        ("answer", ".", "what is it?"),
        ("segment", ".", "cat"),
        ("segment", ".", "cat", "--refer"),
        ("generate", ".", "cap en"),
        *(("detect", ".", "cat", "--format", each) for each in get_args(RecordFormat)),
        ("detect", ".", "cat", "--output", "boxes.csv", "--save", "drawn"),
    ],
    ids=" ".join,
)
def test_every_verb_and_format_answers_a_folder_in_batches(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("palikit.cli.asking.load_predictor", lambda *_: watched.predictor)
    monkeypatch.chdir(tmp_path)
    for n in range(5):
        tiny.picture(n).save(f"{n}.png")
    options = ("--model", "tiny", "--max-new-tokens", "2", "--batch-size", "3")
    result = CliRunner().invoke(main, [*words, *options])
    assert result.exit_code == 0, result.output
    assert watched.batches == [3, 2]
