"""What nano is asked: prompts in the package's wording, and answers that are true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from palikit import tasks
from palikit.checkpoints import save_checkpoint
from palikit.config import parameter_count
from palikit.model.paligemma import PaliGemma
from palikit.nano import lessons
from palikit.nano.architecture import nano_config
from palikit.nano.examples import SceneExamples
from palikit.nano.scenes import KINDS, Scene, SceneObject, SceneOptions, SceneText, draw_scene
from palikit.nano.vocabulary import nano_tokenizer_json
from palikit.processor import Processor
from palikit.results import Box, Detections, Segments
from palikit.tokenizer import Tokenizer


def codes(*_: object) -> tuple[int, ...]:
    return tuple(range(16))


def thing(kind: str, color: str, x: float, y: float, size: float = 20) -> SceneObject:
    visible = np.ones((int(size), int(size)), bool)
    return SceneObject(kind, color, Box(x, y, x + size, y + size), visible)


@pytest.fixture
def scene() -> Scene:
    drawn = draw_scene(0, SceneOptions(160))
    objects = (
        thing("star", "red", 5, 5, 40),
        thing("cup", "blue", 120, 70),
        thing("star", "orange", 60, 130, 24),
    )
    text = SceneText("TREE", Box(60, 60, 100, 76), ((60, 70),) * 4)
    return replace(drawn, objects=objects, texts=(text,))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("nano") / "tokenizer.json"
    path.write_text(nano_tokenizer_json(), encoding="utf-8")
    return Tokenizer.load(path)


def test_boxes_are_read_back_as_they_were_drawn(scene: Scene) -> None:
    lesson = lessons.detect_lesson(scene, ("star", "moon"))
    assert lesson.prompt == "detect star ; moon"
    found = tasks.parse(tasks.detect("star ; moon"), lesson.suffix, 160, 160)
    assert isinstance(found, Detections)
    assert [one.label for one in found] == ["star", "star"]
    assert found[0].box.to_list() == pytest.approx([5, 5, 45, 45], abs=0.1)


def test_an_absent_kind_is_answered_with_nothing(scene: Scene) -> None:
    assert lessons.detect_lesson(scene, ("moon",)).suffix == ""


def test_outlines_carry_the_codes_of_the_codec(scene: Scene) -> None:
    lesson = lessons.segment_lesson(scene, ("cup",), codes)
    found = tasks.parse(tasks.segment("cup"), lesson.suffix, 160, 160)
    assert isinstance(found, Segments)
    assert found[0].codes == tuple(range(16))


def test_captions_name_the_largest_objects_in_three_languages(scene: Scene) -> None:
    english = "a red star, a blue cup and an orange star"
    german = "ein roter Stern, eine blaue Tasse und ein orangefarbener Stern"
    chinese = "一个红色的星星、一个蓝色的杯子、一个橙色的星星"
    assert [lessons.caption(scene, code) for code in ("en", "de", "zh")] == [
        english,
        german,
        chinese,
    ]


def test_a_description_tells_everything(scene: Scene) -> None:
    assert lessons.describe(scene) == (
        "3 objects : a red star at the top left , a blue cup at the right , "
        "an orange star at the bottom , the text TREE"
    )


def test_answers_to_questions_are_true(scene: Scene) -> None:
    answers: dict[str, str] = {}
    for seed in range(300):
        answers |= dict(lessons.questions(np.random.default_rng(seed), scene))
    assert answers["how many objects are there?"] == "3"
    assert answers["how many stars are there?"] == "2"
    assert answers["how many moons are there?"] == "0"
    assert answers["what color is the cup?"] == "blue"
    assert answers["where is the cup?"] == "right"
    assert answers["what is the red object?"] == "star"
    assert answers["is there a red star?"] == "yes"
    assert answers["is there a blue star?"] == "no"
    assert answers["what does the text say?"] == "TREE"
    assert "what color is the star?" not in answers  # there are two of them


def test_every_kind_of_lesson_is_drawn() -> None:
    random = np.random.default_rng(0)
    scene = draw_scene(3, SceneOptions(160))
    drawn = {lessons.draw_lesson(random, scene, codes).kind for _ in range(200)}
    assert drawn == set(lessons.SHARES)
    assert sum(lessons.SHARES.values()) == pytest.approx(1)


def test_labels_asked_for_are_one_several_or_all() -> None:
    scene = draw_scene(3, SceneOptions(160))
    random = np.random.default_rng(0)
    numbers = {len(lessons.draw_labels(random, scene)) for _ in range(300)}
    assert {1, 2, 3, len(KINDS)} <= numbers


def test_every_text_of_a_lesson_survives_the_tokenizer(tokenizer: Tokenizer) -> None:
    random = np.random.default_rng(0)
    for seed in range(40):
        scene = draw_scene(seed, SceneOptions(160))
        for _ in range(6):
            lesson = lessons.draw_lesson(random, scene, codes)
            for text in (lesson.prompt, lesson.suffix):
                ids = tokenizer.encode(text, allow_special=True)
                assert tokenizer.decode(ids) == text


def test_words_of_the_lessons_are_single_tokens_and_others_fall_apart(
    tokenizer: Tokenizer,
) -> None:
    assert len(tokenizer.encode("detect circle ; star")) == 4
    assert len(tokenizer.encode("how many stars are there?")) == 6
    assert tokenizer.decode(tokenizer.encode("Platelets 漢 é")) == "Platelets 漢 é"


def test_nano_is_smaller_than_it_may_be(tokenizer: Tokenizer) -> None:
    assert parameter_count(nano_config(tokenizer.vocabulary)) <= 12_000_000


def test_lessons_of_a_scene_share_its_picture(tokenizer: Tokenizer) -> None:
    examples = SceneExamples(160, codes, lessons_per_scene=4)
    queries = [examples.query(i, np.random.default_rng(i)) for i in range(8)]
    inputs = Processor(tokenizer, 160)(queries)
    assert inputs.pixel_values.shape[0] == 2
    assert inputs.image_index.flatten().tolist() == [0] * 4 + [1] * 4


def test_an_example_is_a_function_of_its_number_and_randomness() -> None:
    examples = SceneExamples(160, codes)
    first, second = (examples.query(5, np.random.default_rng(1)) for _ in range(2))
    assert (first.prompt, first.suffix) == (second.prompt, second.suffix)


@pytest.mark.parity
def test_transformers_reads_the_tokenizer_as_it_is(tmp_path: Path, tokenizer: Tokenizer) -> None:
    from transformers import AutoTokenizer

    file = tmp_path / "tokenizer.json"
    file.write_text(nano_tokenizer_json(), encoding="utf-8")
    made = PaliGemma(nano_config(tokenizer.vocabulary))
    save_checkpoint(made, tmp_path / "model", tokenizer_file=file)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "model")
    for text in ("detect circle ; star", "answer en how many stars are there?", "RBC ; \u732b"):
        assert theirs(text, add_special_tokens=False)["input_ids"] == tokenizer.encode(text)
