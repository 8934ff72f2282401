"""Asking a model: one and many inputs, typed answers, scores, outlines."""

import math
from pathlib import Path

import pytest
import torch

import palikit.processor
from palikit import GenerationOptions, InputError, LoadOptions, Pictures, Video, tasks
from palikit.generation import generate
from palikit.model.mask_codec import MaskCodec
from palikit.model.paligemma import PaliGemma
from palikit.predictor import Predictor
from palikit.processor import Query
from palikit.quantization import quantize
from palikit.request import Request
from palikit.results import Answer, Box, Caption, Detections, OcrText, Segments
from palikit.video import load_frames
from tests import tiny

SHORT = GenerationOptions(max_new_tokens=8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny.predictor()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    tiny.picture().save(path)
    return path


def test_each_verb_gives_its_type_of_result(predictor: Predictor, photo: Path) -> None:
    results = [
        predictor.caption(photo, options=SHORT).result,
        predictor.describe(photo, "de", options=SHORT).result,
        predictor.answer(photo, "what?", options=SHORT).result,
        predictor.question(photo, "two", options=SHORT).result,
        predictor.ocr(photo, options=SHORT).result,
        predictor.detect(photo, "cat ; dog").result,
        predictor.segment(photo, ["cat", "dog"]).result,
        predictor.refer(photo, "the left cat", options=SHORT).result,
        predictor.generate(photo, "", options=SHORT).result,
        predictor.caption_region(photo, Box(5, 5, 30, 20), options=SHORT).result,
    ]
    expected = [
        Caption,
        Caption,
        Answer,
        Answer,
        OcrText,
        Detections,
        Segments,
        Segments,
        Answer,
        Caption,
    ]
    assert [type(result) for result in results] == expected


def test_the_record_says_what_was_asked_and_answered(predictor: Predictor, photo: Path) -> None:
    answer = predictor.answer(photo, "how many?", "fr", options=SHORT)
    record = answer.to_dict()
    assert record["input"] == str(photo)
    assert record["task"] == "answer"
    assert record["prompt"] == "answer fr how many?"
    assert record["result"] == {"text": answer.text}
    assert (record["width"], record["height"]) == (40, 30)
    assert record["model"] == "tiny-paligemma2"
    assert record["finish_reason"] in {"stop", "length"}


def test_many_inputs_give_a_list_equal_to_single_calls(predictor: Predictor) -> None:
    pictures = [tiny.picture(seed) for seed in range(11)]  # more than a batch
    together = predictor.caption(pictures, options=SHORT)
    alone = [predictor.caption(picture, options=SHORT) for picture in pictures]
    assert [each.text for each in together] == [each.text for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_a_list_of_questions_shares_the_work_on_one_picture(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    resized: list[int] = []
    resize = palikit.processor.resize_picture
    monkeypatch.setattr(
        palikit.processor, "resize_picture", lambda *a: (resized.append(1), resize(*a))[1]
    )
    tower = predictor.model.encode_images

    def counted(pixel_values: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixel_values))
        return tower(pixel_values)

    monkeypatch.setattr(predictor.model, "encode_images", counted)
    questions = [f"how many of number {n}?" for n in range(20)]  # more than a batch
    answers = predictor.answer(tiny.picture(), questions, options=SHORT)
    assert seen == [1]
    assert len(resized) == 1
    alone = [predictor.answer(tiny.picture(), q, options=SHORT).text for q in questions]
    assert [each.text for each in answers] == alone


def test_a_batch_takes_over_pictures_of_the_one_before(predictor: Predictor) -> None:
    first, second, third = (tiny.picture(seed) for seed in (1, 2, 3))
    row = [first, second, second, third, first, third]
    requests = [Request((each,), tasks.caption(), "picture") for each in row]
    together = [p.score for p in predictor.predict(requests, SHORT, batch_size=2)]
    alone = [predictor.caption(each, options=SHORT).score for each in row]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 4) for score in alone if score}) == 3


def test_pictures_and_questions_go_in_step(predictor: Predictor) -> None:
    pictures, questions = [tiny.picture(1), tiny.picture(2)], ["what?", "where?"]
    answers = predictor.answer(pictures, questions, options=SHORT)
    assert [each.prompt for each in answers] == ["answer en what?", "answer en where?"]
    with pytest.raises(InputError, match="2 pictures and 3 texts"):
        predictor.answer(pictures, ["a", "b", "c"])


def test_several_pictures_can_be_one_input(predictor: Predictor) -> None:
    pair = Pictures(tiny.picture(1), tiny.picture(2))
    swapped = Pictures(tiny.picture(2), tiny.picture(1))
    first, second = (predictor.answer(each, "same?", options=SHORT) for each in (pair, swapped))
    assert first.text != second.text
    mixed = predictor.caption([tiny.picture(1), pair, tiny.picture(2)], options=SHORT)
    assert mixed[1].text == predictor.caption(pair, options=SHORT).text
    with pytest.raises(InputError, match="at least one picture"):
        Pictures()


def test_a_video_is_a_row_of_its_frames(predictor: Predictor, tmp_path: Path) -> None:
    frames = [tiny.picture(seed) for seed in range(4)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    clip = predictor.caption(Video(tmp_path / "clip.gif", 2), options=SHORT)
    taken = Pictures(*load_frames(tmp_path / "clip.gif", 2))
    assert clip.text == predictor.caption(taken, options=SHORT).text
    assert clip.text != predictor.caption(tmp_path / "clip.gif", options=SHORT).text


def test_an_animation_without_more_is_its_first_frame(predictor: Predictor, tmp_path: Path) -> None:
    frames = [tiny.picture(seed) for seed in range(2)]
    frames[0].save(tmp_path / "clip.webp", save_all=True, append_images=frames[1:], lossless=True)
    still = predictor.caption(tmp_path / "clip.webp", options=SHORT)
    assert still.text == predictor.caption(frames[0], options=SHORT).text


def test_the_score_is_the_geometric_mean_over_unforced_tokens(predictor: Predictor) -> None:
    found = predictor.detect(tiny.picture(), "cat")
    assert found.score_basis == "grammar"
    free = [score.log_prob for score in found.token_scores if not score.forced]
    assert len(free) < len(found.token_scores)
    assert found.score == pytest.approx(math.exp(sum(free) / len(free)))


def test_token_scores_cover_the_text_without_gaps(predictor: Predictor) -> None:
    answer = predictor.caption(tiny.picture(), options=GenerationOptions(max_new_tokens=40))
    place = 0
    for score in answer.token_scores:
        assert score.start == place
        place = score.end
    assert answer.text[place:] == "\ufffd" * (len(answer.text) - place)


def test_scores_say_on_which_basis_they_stand(predictor: Predictor) -> None:
    free = GenerationOptions(grammar=False, max_new_tokens=8)
    assert predictor.detect(tiny.picture(), "cat", options=free).score_basis == "vocabulary"
    assert predictor.detect(tiny.picture(), "cat").score_basis == "grammar"
    assert predictor.caption(tiny.picture(), options=SHORT).score_basis == "vocabulary"


def test_log_probabilities_over_the_vocabulary_exist_without_the_grammar(
    predictor: Predictor,
) -> None:
    free = predictor.detect(tiny.picture(), "cat", options=GenerationOptions(grammar=False))
    assert all(score.vocabulary_log_prob is not None for score in free.token_scores)
    held = predictor.detect(tiny.picture(), "cat")
    assert all(score.vocabulary_log_prob is None for score in held.token_scores)


def test_any_task_can_be_asked(predictor: Predictor) -> None:
    short = predictor.ask(tiny.picture(), tasks.caption(short=True), SHORT)
    assert short.prompt == "cap en"
    both = predictor.ask(tiny.picture(), [tasks.ocr(), tasks.detect("cat")], SHORT)
    assert [each.task for each in both] == ["ocr", "detect"]


def test_a_label_that_spells_a_token_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="<loc0001>"):
        predictor.detect(tiny.picture(), "cat <loc0001>")


def asked_with(predictor: Predictor, prompt: str, *, allow_special: bool) -> str:
    """The reply to a prompt whose control tokens are meant, or are plain text."""
    query = Query((tiny.picture(),), prompt, allow_special=allow_special)
    tokens = generate(predictor.model, predictor.processor([query]), SHORT)[0].tokens
    return predictor.processor.tokenizer.decode(token.id for token in tokens)


def test_control_tokens_in_a_prompt_are_plain_text(predictor: Predictor) -> None:
    prompt = "caption <loc0001><loc0001><loc0512><loc0512>"
    as_text, as_tokens = (asked_with(predictor, prompt, allow_special=s) for s in (False, True))
    assert as_text != as_tokens
    assert predictor.generate(tiny.picture(), prompt, options=SHORT).text == as_text


def test_a_region_is_named_by_tokens_on_the_grid_asked_for(predictor: Predictor) -> None:
    region = predictor.caption_region(tiny.picture(), Box(0, 0, 40, 15), options=SHORT)
    assert region.prompt == "caption <loc0000><loc0000><loc0512><loc1023>"
    assert region.text == asked_with(predictor, region.prompt, allow_special=True)
    on_1024 = Predictor(predictor.model, predictor.processor, name="tiny", coordinates="1024")
    other = on_1024.caption_region(tiny.picture(), Box(0, 0, 20, 30), options=SHORT)
    assert other.prompt == "caption <loc0000><loc0000><loc1023><loc0512>"


@pytest.mark.parametrize(
    ("coordinates", "edges"), [("1023", (0.0, 512 / 1023, 1.0)), ("1024", (0.0, 0.5, 1023 / 1024))]
)
def test_coordinates_are_read_as_asked(coordinates, edges: tuple[float, ...]) -> None:
    text = "<loc0000><loc0512><loc0512><loc1023> cat"
    result = tasks.parse(tasks.detect("cat"), text, 100, 1000, coordinates=coordinates)
    assert isinstance(result, Detections)
    box = result.objects[0].box
    assert box == Box(edges[1] * 100, edges[0] * 1000, edges[2] * 100, edges[1] * 1000)


def test_boxes_stand_on_the_grid_the_predictor_was_given() -> None:
    made, pictures = tiny.predictor(), [tiny.picture(seed) for seed in range(24)]
    other = Predictor(made.model, made.processor, name="tiny", coordinates="1024")
    pairs = zip(made.detect(pictures, "cat"), other.detect(pictures, "cat"), strict=True)
    found = [(a, b) for one, two in pairs for a, b in zip(one.result, two.result, strict=True)]
    assert found
    for on_1023, on_1024 in found:
        assert on_1024.box.x2 == pytest.approx(on_1023.box.x2 * 1023 / 1024)
        assert on_1024.box.x2 != on_1023.box.x2


def test_mask_edges_are_those_asked_for() -> None:
    made, pictures = tiny.predictor(), [tiny.picture(seed) for seed in range(24)]
    torch.manual_seed(0)
    codec = MaskCodec().eval().requires_grad_(requires_grad=False)
    codec.decoder[-1].bias.fill_(9.0)  # every pixel inside
    rounded, cut = (
        Predictor(made.model, made.processor, name="t", mask_codec=codec, mask_edges=edges)
        for edges in ("round", "truncate")
    )
    answers = [p.segment(pictures, "cat") for p in (rounded, cut)]
    masks = [[s.mask for one in answer for s in one.result] for answer in answers]
    assert masks[0] != masks[1]


def test_segments_get_masks_where_there_is_a_codec() -> None:
    made = tiny.predictor()
    torch.manual_seed(0)
    codec = MaskCodec().eval().requires_grad_(requires_grad=False)
    with_codec = Predictor(made.model, made.processor, name="tiny", mask_codec=codec)
    pictures = [tiny.picture(seed) for seed in range(6)]
    found = [s for p in with_codec.segment(pictures, "cat ; dog") for s in p.result]
    assert found
    for segment in found:
        assert segment.mask is not None
        assert (segment.mask.width, segment.mask.height) == (40, 30)
    bare = [s for p in made.segment(pictures, "cat ; dog") for s in p.result]
    assert [s.codes for s in bare] == [s.codes for s in found]
    assert all(s.mask is None for s in bare)


def test_a_prediction_draws_itself(predictor: Predictor) -> None:
    found = predictor.detect([tiny.picture(seed) for seed in range(24)], "cat ; dog")
    drawn = next(p for p in found if len(p.result))
    assert drawn.draw().size == (40, 30)
    assert drawn.image is not None
    assert drawn.draw().tobytes() != drawn.image.tobytes()


def test_a_stream_is_the_text_in_pieces(predictor: Predictor) -> None:
    for task in (tasks.caption(), tasks.detect("cat ; dog")):
        pieces = list(predictor.stream(tiny.picture(), task))
        whole = predictor.predict([_request(task)])[0]
        assert "".join(pieces) == whole.text
        assert len(pieces) > 1 or task.name == "detect"
    with pytest.raises(InputError, match="num_beams 1"):
        next(predictor.stream(tiny.picture(), "x", options=GenerationOptions(num_beams=2)))


def test_beams_are_an_option_of_every_verb(predictor: Predictor) -> None:
    options = GenerationOptions(num_beams=2, max_new_tokens=6)
    assert predictor.caption(tiny.picture(), options=options).finish_reason in {"stop", "length"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0: it must be between 1 and 8192"),
        ({"temperature": -1.0}, "temperature is -1.0"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"num_beams": 2, "temperature": 1.0}, "a beam search does not sample"),
    ],
)
def test_impossible_options_are_refused(change: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        GenerationOptions(**change)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"resize": "lanczos"}, "resize is 'lanczos': it must be one of 'bicubic'"),
        ({"coordinates": "2048"}, "coordinates is '2048'"),
        ({"mask_edges": "floor"}, "mask_edges is 'floor'"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"image_size": "28"}, "image_size is '28'"),
        ({"image_size": 10**6}, "image_size is 1000000"),
    ],
)
def test_impossible_load_options_are_refused(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        LoadOptions(**change)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_table_without_a_row_for_the_image_token_is_enough(family: str) -> None:
    """257152 rows, as trained: the id of `<image>` is the first one without a row."""
    padded = tiny.predictor(family)
    rows = padded.model.config.image_token_index
    trained = PaliGemma(padded.model.config.with_vocab_size(rows)).eval()
    weights = padded.model.state_dict()
    weights["language_model.embed_tokens.weight"] = weights["language_model.embed_tokens.weight"][
        :rows
    ]
    trained.load_state_dict(weights)
    bare = Predictor(trained, padded.processor, name="tiny")
    for prompt in ("<image>caption en", "what does <image> mean", "<image><image>"):
        got, expected = (
            p.generate(Pictures(tiny.picture(1), tiny.picture(2)), prompt, options=SHORT)
            for p in (bare, padded)
        )
        assert got.text == expected.text
        assert got.score == pytest.approx(expected.score, abs=1e-5)


def test_values_of_the_wrong_type_are_refused(predictor: Predictor) -> None:
    picture = tiny.picture()
    for call, sentence in (
        (lambda: predictor.answer(picture, None), "question is None"),
        (lambda: predictor.detect(picture, [1]), "a label is 1: labels are texts"),
        (lambda: predictor.caption_region(picture, (1, 2, 3, 4)), r"box is \(1, 2, 3, 4\)"),
        (lambda: predictor.caption(picture, options={"seed": 1}), "options is a dict"),
        (lambda: GenerationOptions(max_new_tokens="5"), "max_new_tokens is '5'"),
        (lambda: GenerationOptions(max_new_tokens=5.5), "max_new_tokens is 5.5"),
        (lambda: GenerationOptions(temperature=math.inf), "temperature is inf"),
        (lambda: GenerationOptions(seed=2**70), "seed is"),
    ):
        with pytest.raises(InputError, match=sentence):
            call()


def test_a_very_low_temperature_is_greedy(predictor: Predictor) -> None:
    cold = GenerationOptions(max_new_tokens=8, temperature=1e-300)
    text = predictor.caption(tiny.picture(), options=cold).text
    assert text == predictor.caption(tiny.picture(), options=SHORT).text


def test_representations_are_short(predictor: Predictor) -> None:
    assert repr(predictor) == "Predictor('tiny-paligemma2', 28 px, torch.float32, cpu)"
    assert len(repr(predictor.segment(tiny.picture(), "cat"))) < 2000


def test_a_batch_without_size_is_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match="batch_size is 0"):
        predictor.predict([_request(tasks.ocr())], batch_size=0)


def test_more_tokens_than_positions_are_refused(predictor: Predictor) -> None:
    with pytest.raises(InputError, match=r"8415 tokens .* the model knows 8192 positions"):
        predictor.answer(Pictures(*[tiny.picture()] * 2100), "12345", options=SHORT)


def _request(task: tasks.Task):
    return Request((tiny.picture(),), task, "picture")


def test_a_model_is_no_smaller_for_being_held_in_fewer_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = tiny.predictor()
    weights = sum(weight.numel() for weight in predictor.model.parameters())
    monkeypatch.setattr("palikit.engine._SMALL", weights // 2)
    quantize(predictor.model, "int8")
    assert not predictor.engine.is_small
