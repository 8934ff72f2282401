"""Pictures and text into tensors."""

import numpy as np
import pytest
import torch
from PIL import Image

from palikit.errors import InputError
from palikit.processor import Processor, Query, drop_image_markers, resize_picture
from tests import tiny


def processor(size: int = 28) -> Processor:
    return Processor(tiny.tokenizer(), size)


def query(prompt: str, suffix: str | None = None, pictures: int = 1) -> Query:
    return Query(tuple(tiny.picture(n) for n in range(pictures)), prompt, suffix)


def test_a_prompt_is_bos_text_newline() -> None:
    text, vocabulary = tiny.tokenizer(), tiny.tokenizer().vocabulary
    inputs = processor()([query("caption en")])
    expected = [vocabulary.bos_id, *text.encode("caption en"), vocabulary.newline_id]
    assert inputs.input_ids.tolist() == [expected]
    assert inputs.lengths.tolist() == inputs.prefix_lengths.tolist() == [len(expected)]
    assert not inputs.has_padding
    assert not inputs.has_suffix


def test_the_newline_never_joins_a_neighbour() -> None:
    newline = tiny.tokenizer().vocabulary.newline_id
    prefix, _ = processor().text_ids(query("caption en\n"))
    assert prefix[-2:] == [newline, newline]


def test_a_suffix_ends_in_eos_and_its_tokens_are_meant() -> None:
    vocabulary = tiny.tokenizer().vocabulary
    prefix, suffix = processor().text_ids(query("detect cat", "<loc0003> cat"))
    assert suffix == [vocabulary.loc_start + 3, *tiny.tokenizer().encode(" cat"), vocabulary.eos_id]
    assert processor().text_ids(query("detect cat", ""))[1] == [vocabulary.eos_id]
    inputs = processor()([query("detect cat", "<loc0003> cat")])
    assert inputs.has_suffix
    assert inputs.prefix_lengths.tolist() == [len(prefix)]
    assert inputs.lengths.tolist() == [len(prefix) + len(suffix)]


def test_a_batch_is_padded_on_the_right_with_pad() -> None:
    inputs = processor()([query("ocr"), query("caption en")])
    length = int(inputs.lengths[0])
    assert inputs.has_padding
    assert inputs.input_ids[0, length:].unique().tolist() == [tiny.tokenizer().vocabulary.pad_id]


def test_a_picture_asked_about_twice_is_prepared_once() -> None:
    picture = tiny.picture()
    inputs = processor()([Query((picture,), "a"), Query((picture,), "b")])
    assert inputs.pixel_values.shape == (1, 3, 28, 28)
    assert inputs.image_index.tolist() == [[0], [0]]


def test_pictures_of_one_query_keep_their_order() -> None:
    first, second = tiny.picture(1), tiny.picture(2)
    inputs = processor()([Query((first, second), "a"), Query((second, first), "b")])
    assert inputs.image_index.tolist() == [[0, 1], [1, 0]]


def test_pixels_lie_between_minus_one_and_one() -> None:
    black_white = Image.new("RGB", (2, 1))
    black_white.putpixel((1, 0), (255, 255, 255))
    values = processor().pixel_values([black_white])
    assert values.dtype == torch.float32
    assert (values.min(), values.max()) == (-1, 1)


@pytest.mark.parametrize(
    ("prompt", "pictures", "expected"),
    [
        ("<image>caption en", 1, "caption en"),
        ("<image><image>which?", 2, "which?"),
        ("<image> caption en", 1, " caption en"),
        ("<image>caption en", 2, "<image>caption en"),
        ("<image><image>caption en", 1, "<image><image>caption en"),
        ("what does <image> mean", 1, "what does <image> mean"),
        ("caption en<image>", 1, "caption en<image>"),
    ],
)
def test_leading_image_markers_go_if_there_are_as_many_as_pictures(
    prompt: str, pictures: int, expected: str
) -> None:
    assert drop_image_markers(prompt, pictures) == expected


def test_a_marker_that_stays_is_plain_text() -> None:
    prefix, _ = processor().text_ids(query("what does <image> mean"))
    assert tiny.tokenizer().vocabulary.image_id not in prefix


def test_a_query_without_pictures_and_mixed_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="needs at least one picture"):
        processor()([query("ocr", pictures=0)])
    with pytest.raises(InputError, match=r"queries of \[1, 2\] pictures"):
        processor()([query("ocr"), query("ocr", pictures=2)])
    with pytest.raises(InputError, match="empty batch"):
        processor()([])


def test_a_text_of_too_many_tokens_is_refused() -> None:
    with pytest.raises(InputError, match=r"the text has \d+ tokens, at most 8192 fit"):
        processor()([query("cat " * 9000)])


def test_bilinear_is_cut_to_whole_grey_levels() -> None:
    ramp = Image.fromarray(np.tile(np.array([0, 3], np.uint8), (2, 1))[..., None].repeat(3, 2))
    wide = resize_picture(ramp, 4, "bilinear_no_antialias")
    assert wide[0, :, 0].tolist() == [0, 0, 2, 3]  # 0, 0.75, 2.25, 3


def test_without_antialias_pixels_between_the_samples_are_skipped() -> None:
    stripes = np.zeros((28, 280, 3), np.uint8)
    stripes[:, ::10] = 255
    picture = Image.fromarray(stripes)
    assert resize_picture(picture, 28, "bilinear").min() > 10  # every tenth column is white
    assert resize_picture(picture, 28, "bilinear_no_antialias").max() == 0  # none of them sampled
