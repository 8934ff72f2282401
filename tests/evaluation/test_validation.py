"""Validation: real answers beside their truths, figures by task, a page, and no trace left."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from palikit import tasks
from palikit.data.options import DataTask
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.errors import InputError, PaliKitError
from palikit.evaluation.cases import make_cases
from palikit.evaluation.validation import make_validation
from palikit.masks import Mask
from palikit.model.mask_codec import MaskCodec
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.prediction import Prediction
from palikit.predictor import Predictor
from palikit.processor import Processor
from palikit.request import Inquiry, Request
from palikit.results import Box, Detection, Detections, Segments
from palikit.scores import Scores
from tests import tiny

WIDTH, HEIGHT = 40, 30
LEFT, RIGHT = Box(0, 0, 20, 30), Box(20, 0, 40, 30)
CODES = "".join(f"<seg{n:03d}>" for n in range(16))


class Scripted(Predictor):
    """Writes given texts, one a request, and remembers what it was asked."""

    texts: tuple[str, ...] = ()
    cut_off: frozenset[int] = frozenset()

    def outcomes(
        self,
        inquiries: Iterable[Inquiry],
        options: GenerationOptions | None = None,
        *,
        batch_size: int | None = None,
    ) -> Iterator[Prediction[Any] | PaliKitError]:
        self.options = options
        self.asked = []
        requests = (request for inquiry in inquiries for request in _requests(inquiry))
        for index, (request, text) in enumerate(zip(requests, self.texts, strict=True)):
            self.asked.append(request)
            result = tasks.parse(request.task, text, WIDTH, HEIGHT)
            if isinstance(result, Segments):
                result = self.engine.read._with_masks(result)
            yield Prediction(
                input=request.input,
                task=request.task.name,
                prompt=request.task.prompt,
                text=text,
                result=result,
                score=None,
                score_basis="grammar",
                finish_reason="length" if index in self.cut_off else "stop",
                width=WIDTH,
                height=HEIGHT,
                model="scripted",
                image=request.pictures[0],
            )


def _requests(inquiry: Inquiry) -> Iterator[Request]:
    pictures = inquiry.open()
    for task_for in inquiry.task_fors:
        yield Request(pictures, task_for(WIDTH, HEIGHT), inquiry.input)


@cache
def mask_codec() -> MaskCodec:
    """Random weights, shifted so that the outline of `CODES` fills half of its box."""
    torch.manual_seed(0)
    codec = MaskCodec().eval().requires_grad_(False)
    last = codec.decoder[12]
    assert isinstance(last, torch.nn.Conv2d)
    assert last.bias is not None
    last.bias -= codec.decode(torch.arange(16)[None]).median()
    return codec


def scripted(*texts: str, cut_off: frozenset[int] = frozenset()) -> Scripted:
    processor = Processor(tiny.tokenizer(), 28)
    made = Scripted(tiny.model(), processor, name="scripted", mask_codec=mask_codec())
    made.texts, made.cut_off = texts, cut_off
    return made


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{seed}.png" for seed in range(4)]
    for seed, path in enumerate(paths):
        tiny.picture(seed, (WIDTH, HEIGHT)).save(path)
    return paths


def boxes(*found: tuple[Box, str]) -> str:
    result = Detections(tuple(Detection(box, label) for box, label in found), WIDTH, HEIGHT)
    return tasks.render(tasks.detect("cat"), result)


def run(
    rows: list[Row], task: DataTask, predictor: Predictor, folder: Path, **kwargs: Any
) -> Scores:
    evaluate = make_validation(rows, task, lambda _: predictor, **kwargs)
    return evaluate(predictor.model, folder)


def detect_row(path: Path, *found: tuple[Box, str], prefix: str = "detect cat ; dog") -> Row:
    return Row((path,), prefix, (boxes(*found),), where=path.name)


def test_the_truth_itself_scores_one(pictures: list[Path], tmp_path: Path) -> None:
    rows = [detect_row(pictures[0], (LEFT, "cat"), (RIGHT, "dog")), detect_row(pictures[1])]
    scores = run(rows, "detect", scripted(*(row.suffixes[0] for row in rows)), tmp_path)
    assert scores.main == "ap"
    for name in ("ap", "ap50", "recall", "ap/cat", "ap50/dog"):
        assert scores.figure(name) == 1.0, name
    for name in ("false_reports", "unparsed", "cut_off"):
        assert scores.figure(name) == 0.0, name


def test_each_kind_of_fault_shows_in_its_own_figure(pictures: list[Path], tmp_path: Path) -> None:
    rows = [detect_row(path, (LEFT, "cat")) for path in pictures]
    answers = (
        boxes((LEFT, "cat")),
        boxes((LEFT, "cat"), (RIGHT, "dog")),
        "<loc0001> cat",
        boxes((RIGHT, "cat")),
    )
    predictor = scripted(*answers, cut_off=frozenset({3}))
    scores = run(rows, "detect", predictor, tmp_path)
    assert scores.figure("recall") == 0.5
    assert scores.figure("false_reports") == 0.25
    assert scores.figure("unparsed") == 0.25
    assert scores.figure("cut_off") == 0.25


def test_exact_truth_in_pixels_goes_before_the_suffix(pictures: list[Path], tmp_path: Path) -> None:
    row = detect_row(pictures[0], (LEFT, "cat"))
    moved = replace(row, objects=(Annotation("cat", RIGHT), Annotation("cat", LEFT, crowd=True)))
    assert run([row], "detect", scripted(row.suffixes[0]), tmp_path).figure("ap") == 1.0
    assert run([moved], "detect", scripted(row.suffixes[0]), tmp_path).figure("ap") == 0.0


def test_only_what_was_asked_for_is_true(pictures: list[Path], tmp_path: Path) -> None:
    row = detect_row(pictures[0], (LEFT, "cat"), prefix="detect cat")
    both = replace(row, objects=(Annotation("cat", LEFT), Annotation("dog", RIGHT)))
    scores = run([both], "detect", scripted(row.suffixes[0]), tmp_path)
    assert (scores.figure("ap"), scores.figure("recall")) == (1.0, 1.0)


def test_markers_of_pictures_before_a_prompt_change_nothing(pictures: list[Path]) -> None:
    rows = [detect_row(pictures[0], prefix="<image>detect cat")]
    (case,) = make_cases(rows, "detect")
    assert (case.task.name, case.task.labels) == ("detect", ("cat",))
    assert case.task.prompt == rows[0].prefix


def test_sizes_go_by_the_stated_area(pictures: list[Path], tmp_path: Path) -> None:
    row = detect_row(pictures[0], (Box(0, 0, 40, 30), "cat"))
    stated = replace(row, objects=(Annotation("cat", Box(0, 0, 40, 30), area=900.0),))
    scores = dict(run([stated], "detect", scripted(row.suffixes[0]), tmp_path).figures)
    assert "ap_small" in scores
    assert "ap_medium" not in scores


def test_a_set_without_objects_scores_zero_rather_than_nothing(
    pictures: list[Path], tmp_path: Path
) -> None:
    assert run([detect_row(pictures[0])], "detect", scripted(""), tmp_path).figure("ap") == 0.0


def test_segments_are_measured_by_their_masks(pictures: list[Path], tmp_path: Path) -> None:
    suffix = boxes((Box(2, 3, 30, 25), "cat")).replace(" cat", f"{CODES} cat")
    row = Row((pictures[0],), "segment cat", (suffix,), where="row")
    scores = run([row], "segment", scripted(suffix), tmp_path)
    assert scores.main == "quality"
    for name in ("quality", "mask_iou", "mask_recall", "mask_ap", "ap50"):
        assert scores.figure(name) == 1.0, name
    full = Mask(WIDTH, HEIGHT, (0, WIDTH * HEIGHT))
    other = replace(row, objects=(Annotation("cat", Box(0, 0, WIDTH, HEIGHT), full),))
    assert run([other], "segment", scripted(suffix), tmp_path).figure("mask_ap") < 1.0


def test_outlines_come_from_the_suffix_where_the_row_knows_boxes_alone(
    pictures: list[Path], tmp_path: Path
) -> None:
    box = Box(2, 3, 30, 25)
    suffix = boxes((box, "cat")).replace(" cat", f"{CODES} cat")
    known = (Annotation("cat", box), Annotation("cat", RIGHT, crowd=True))
    row = Row((pictures[0],), "segment cat", (suffix,), objects=known, where="row")
    assert run([row], "segment", scripted(suffix), tmp_path).figure("quality") == 1.0


def test_what_is_found_in_a_crowd_known_by_its_box_is_no_error(
    pictures: list[Path], tmp_path: Path
) -> None:
    suffix = boxes((Box(20, 0, 40, 30), "cat")).replace(" cat", f"{CODES} cat")
    full = Mask.from_array(np.ones((HEIGHT, WIDTH), bool))
    known = (Annotation("dog", LEFT, full), Annotation("cat", RIGHT, crowd=True))
    row = Row((pictures[0],), "segment cat ; dog", (suffix,), objects=known, where="row")
    scores = run([row], "segment", scripted(suffix), tmp_path)
    assert scores.figure("mask_recall") == 0.0
    assert "mask_precision" not in dict(scores.figures)


def test_segments_without_a_mask_codec_are_refused(pictures: list[Path], tmp_path: Path) -> None:
    row = Row((pictures[0],), "segment cat", ("",))
    with pytest.raises(InputError, match="mask codec"):
        run([row], "segment", tiny.predictor(), tmp_path)


def test_a_referring_expression_names_the_object_it_means(
    pictures: list[Path], tmp_path: Path
) -> None:
    suffix = f"<loc0000><loc0000><loc1023><loc0511>{CODES}"
    row = Row((pictures[0],), "the big dog", (suffix,), where="row")
    (case,) = make_cases([row], "segment")
    assert (case.task.name, case.task.labels) == ("refer", ("the big dog",))
    assert run([row], "segment", scripted(suffix), tmp_path).figure("quality") == 1.0


def test_a_prompt_that_names_no_classes_allows_all_of_the_set(pictures: list[Path]) -> None:
    rows = [
        detect_row(pictures[0], (LEFT, "cat"), prefix="detect all classes"),
        detect_row(pictures[1], (LEFT, "dog"), prefix="detect all classes"),
        detect_row(pictures[2], prefix="detect all classes"),
        detect_row(pictures[3], prefix="detect unicorn"),
    ]
    labels = [case.task.labels for case in make_cases(rows, "detect")]
    assert labels == [("cat", "dog")] * 3 + [("unicorn",)]
    assert {case.task.prompt for case in make_cases(rows, "detect")} == {row.prefix for row in rows}


def test_a_label_left_out_of_a_suffix_is_that_of_its_prompt(pictures: list[Path]) -> None:
    suffix = f"<loc0000><loc0000><loc1023><loc0511>{CODES}"
    rows = [Row((pictures[0],), "segment cat", (suffix,))]
    assert [case.task.labels for case in make_cases(rows, "segment")] == [("cat",)]


def test_questions_are_right_where_any_answer_matches(pictures: list[Path], tmp_path: Path) -> None:
    rows = [Row((path,), "answer en what?", ("two", "2")) for path in pictures[:2]]
    scores = run(rows, "vqa", scripted("Two", "cat"), tmp_path)
    assert (scores.main, scores.figure("exact")) == ("exact", 0.5)


def test_reading_is_better_with_fewer_errors(pictures: list[Path], tmp_path: Path) -> None:
    scores = run([Row((pictures[0],), "ocr", ("abcd",))], "ocr", scripted("abed"), tmp_path)
    assert (scores.main, scores.figure("cer"), scores.higher_is_better) == ("cer", 0.25, False)


def test_captions_are_compared_by_similarity(pictures: list[Path], tmp_path: Path) -> None:
    row = Row((pictures[0],), "caption en", ("a dog", "a big cat"))
    scores = run([row], "caption", scripted("a big car"), tmp_path)
    assert (scores.main, scores.figure("similarity")) == ("similarity", pytest.approx(8 / 9))


def test_neighbours_that_share_a_picture_open_it_once(pictures: list[Path], tmp_path: Path) -> None:
    rows = [Row((pictures[0],), f"answer en q{n}", ("a",)) for n in range(3)]
    predictor = scripted("a", "a", "a")
    run(rows, "vqa", predictor, tmp_path)
    assert len({id(request.pictures[0]) for request in predictor.asked}) == 1


def test_a_missing_picture_is_told_with_its_row(tmp_path: Path) -> None:
    row = Row((tmp_path / "no.png",), "ocr", ("a",), where="val.jsonl, line 3")
    with pytest.raises(InputError, match=r"val\.jsonl, line 3: no such file"):
        run([row], "ocr", make_predictor(tiny.model()), tmp_path)


def test_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="no rows"):
        make_validation([], "ocr", lambda _: tiny.predictor())


def test_answers_may_be_half_as_long_again_as_the_longest_truth(
    pictures: list[Path], tmp_path: Path
) -> None:
    predictor = scripted("x", "x")
    rows = [
        Row((path,), "ocr", (text,))
        for path, text in zip(pictures, ("cat", "cat " * 20), strict=False)
    ]
    run(rows, "ocr", predictor, tmp_path)
    longest = len(tiny.tokenizer().encode("cat " * 20))
    assert predictor.options == GenerationOptions(max_new_tokens=longest * 3 // 2 + 8)


def test_the_page_shows_the_worst_first_and_as_many_as_asked(
    pictures: list[Path], tmp_path: Path
) -> None:
    rows = [detect_row(path, (LEFT, "cat")) for path in pictures]
    answers = [boxes((LEFT, "cat"))] * 3 + [boxes((RIGHT, "cat"))]
    scores = run(rows, "detect", scripted(*answers), tmp_path, pictures=2)
    assert scores.page is not None
    page = scores.page.read_text(encoding="utf-8")
    assert page.index("0.00  3.png") < page.index("1.00  ")
    assert page.count("<article>") <= 2
    assert page.count("<img") == 2 * page.count("<article>")
    assert run(rows, "detect", scripted(*answers), tmp_path / "none", pictures=0).page is None
    assert not (tmp_path / "none").exists()


def test_progress_is_told_of_every_answer(pictures: list[Path], tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    rows = [Row((path,), "ocr", ("a",)) for path in pictures]
    run(rows, "ocr", scripted(*"abcd"), tmp_path, progress=lambda *at: told.append(at))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def trained_step(model: PaliGemma) -> float:
    """The sum of one loss, taken back to every weight that learns."""
    inputs = tiny.random_inputs([8, 6], [4, 3])
    loss = model(inputs).square().mean()
    loss.backward()
    return float(loss.detach())


def make_predictor(model: PaliGemma) -> Predictor:
    return Predictor(model, Processor(tiny.tokenizer(), 28), name="learning")


@pytest.mark.parametrize("with_lora", [False, True])
def test_a_real_model_goes_on_training_as_if_nothing_had_happened(
    with_lora: bool, pictures: list[Path], tmp_path: Path
) -> None:
    model = tiny.model()
    if with_lora:
        pytest.importorskip("peft")
        from palikit.adapters.lora import add_lora
        from palikit.train_options import LoraOptions

        add_lora(model, LoraOptions(lora_image_tower="q,k,v"))
    model.train()
    model.vision_tower.eval()
    modes = [module.training for module in model.modules()]
    dtypes = [weight.dtype for weight in model.parameters()]
    learning = [weight.requires_grad for weight in model.parameters()]
    before = trained_step(model)
    seen: list[bool] = []

    def spying(model: PaliGemma) -> Predictor:
        seen.append(model.training)
        return make_predictor(model)

    rows = [detect_row(path, (LEFT, "cat")) for path in pictures]
    evaluate = make_validation(rows, "detect", spying, batch_size=3)
    first, second = evaluate(model, tmp_path), evaluate(model, tmp_path)
    assert first.figures == second.figures
    assert seen == [False, False]
    assert [module.training for module in model.modules()] == modes
    assert [weight.dtype for weight in model.parameters()] == dtypes
    assert [weight.requires_grad for weight in model.parameters()] == learning
    assert trained_step(model) == pytest.approx(before)


def test_modes_of_training_come_back_after_an_error(tmp_path: Path) -> None:
    model = tiny.model().train()
    row = Row((tmp_path / "no.png",), "ocr", ("a",))
    with pytest.raises(InputError):
        make_validation([row], "ocr", make_predictor)(model, tmp_path)
    assert model.training


def test_the_page_of_texts_shows_answers_of_any_length(
    pictures: list[Path], tmp_path: Path
) -> None:
    scores = run([Row((pictures[0],), "ocr", ("a",))], "ocr", scripted("<b>" * 2000), tmp_path)
    assert scores.page is not None
    page = scores.page.read_text(encoding="utf-8")
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
