"""Ids and pixels against transformers' processor, on the released tokenizer and real photos."""

from pathlib import Path

import numpy as np
import pytest

from palikit.checkpoints import save_checkpoint
from palikit.pictures import load_picture
from palikit.processor import Processor, Query
from palikit.tokenizer import Tokenizer
from tests import tiny
from tests.conftest import shared
from tests.parity.prompts import PROMPTS

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def processors(tmp_path_factory) -> tuple[Processor, object]:
    from dataclasses import replace

    from transformers import AutoProcessor

    from palikit.model.paligemma import PaliGemma

    tokenizer = shared("tokenizer", "tokenizer.json")
    config = tiny.config(image_size=224)
    config = replace(config, image_token_index=257152).with_vocab_size(257216)
    folder = tmp_path_factory.mktemp("processor") / "model"
    save_checkpoint(PaliGemma(config), folder, tokenizer_file=tokenizer)
    return Processor(Tokenizer.load(tokenizer), 224), AutoProcessor.from_pretrained(folder)


def test_ids_of_200_prompts_in_30_languages_agree(processors) -> None:
    ours, theirs = processors
    assert len(PROMPTS) >= 200
    picture = tiny.picture()
    for prompt in PROMPTS:
        expected = theirs(text="<image>" + prompt, images=picture)["input_ids"][0][256:]
        assert ours.text_ids(Query((picture,), prompt))[0] == expected, prompt


def test_ids_of_suffixes_agree(processors) -> None:
    ours, theirs = processors
    picture = tiny.picture()
    for suffix in (
        "<loc0001><loc0002><loc0003><loc0004> cat ; <loc0009>",
        "a cat.",
        "Ein Hund",
        "",
    ):
        query = Query((picture,), "caption en", suffix)
        both = theirs(text="<image>caption en", images=picture, suffix=suffix)["input_ids"][0][256:]
        prefix, written = ours.text_ids(query)
        assert prefix + written == both, suffix


def photos() -> list[Path]:
    folder = shared("data", "photos")
    return sorted(p for p in folder.iterdir() if p.suffix in {".jpg", ".png"})


def test_pixels_of_47_photos_are_equal(processors) -> None:
    ours, theirs = processors
    largest = 0.0
    assert len(photos()) == 47
    for path in photos():
        picture = load_picture(path)
        expected = theirs.image_processor(picture, return_tensors="np")["pixel_values"][0]
        got = ours.pixel_values([picture])[0].numpy()
        largest = max(largest, float(np.abs(got - expected).max()))
    assert largest == 0.0
