"""`palikit.data.page`: rows as a model sees them."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit.data.page import ModelView, example_card, spaced, write_examples
from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.html_page import Card, Picture
from palikit.masks import Mask
from palikit.results import Segments
from tests.data.broken import CAT, DOG, PROMPT, save_picture


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (600, 300), "white").save(tmp_path / "a.png")
    return tmp_path / "a.png"


def words(text: str, _allow_special: bool) -> list[str]:
    return text.replace(" ", "| ").split("|")


def text_of(card: Card, tone: str) -> str:
    return "".join(span.text for line in card.lines for span in line if span.tone == tone)


def image_of(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


def test_the_picture_is_squeezed_and_the_suffix_drawn(picture: Path) -> None:
    card = example_card(Row((picture,), PROMPT, (CAT,), where="here"), ModelView(224, 256))
    seen, drawn = map(image_of, card.pictures)
    assert (card.title, seen.size, drawn.size) == ("here", (224, 224), (600, 300))
    pixels = np.asarray(drawn).astype(int)
    changed = np.argwhere((np.abs(pixels - 255) > 60).any(2))
    # <loc0100> to <loc0500> of 1023 in 300 rows and 600 columns, with line and label.
    assert changed[:, 1].min() == pytest.approx(600 * 100 / 1023, abs=4)
    assert changed[:, 1].max() == pytest.approx(600 * 500 / 1023, abs=4)
    assert changed[:, 0].max() == pytest.approx(300 * 500 / 1023, abs=4)


def test_roles_are_told_apart_and_the_loss_is_on_suffix_and_end(picture: Path) -> None:
    card = example_card(Row((picture,), PROMPT, (CAT,)), ModelView(224, 256))
    assert [(span.tone, span.is_learned) for span in card.lines[0]] == [
        ("image", False),
        ("bos", False),
        ("prefix", False),
        ("newline", False),
        ("suffix", True),
        ("eos", True),
    ]
    assert text_of(card, "image") == "<image> x 256"
    assert (text_of(card, "prefix"), text_of(card, "suffix")) == (PROMPT, CAT)


def test_tokens_are_shown_and_counted_where_they_are_known(picture: Path) -> None:
    card = example_card(Row((picture,), PROMPT, (CAT,)), ModelView(224, 256, words))
    prefix = [span.text for span in card.lines[0] if span.tone == "prefix"]
    assert prefix == ["detect", " cat", " ;", " dog"]
    assert card.lines[1][0].text == "9 text tokens, 3 of them learned"


def test_pictures_of_one_row_are_all_shown(picture: Path) -> None:
    card = example_card(Row((picture, picture), "answer en what changed", ("a",)), ModelView())
    assert len(card.pictures) == 2
    assert text_of(card, "image") == "<image> x 2,048"


def test_other_suffixes_are_shown_up_to_a_number(picture: Path) -> None:
    row = Row((picture,), "caption en", tuple(f"text {n}" for n in range(8)))
    card = example_card(row, ModelView())
    assert "text 4" in text_of(card, "suffix")
    assert "text 5" not in text_of(card, "suffix")
    assert "and 3 more suffixes" in text_of(card, "muted")


def test_what_cannot_be_read_is_shown_in_its_place(picture: Path, tmp_path: Path) -> None:
    wrong = example_card(Row((picture,), PROMPT, ("<loc0001> cat",)), ModelView())
    assert "1 of 4 location tokens" in text_of(wrong, "bad")
    gone = example_card(Row((tmp_path / "gone.png",), PROMPT, (CAT,)), ModelView())
    assert (gone.pictures, "no such file" in text_of(gone, "bad")) == ((), True)


def test_nothing_to_find_is_told_from_an_empty_suffix(picture: Path) -> None:
    meant = example_card(Row((picture,), PROMPT, ("",), objects=()), ModelView())
    empty = example_card(Row((picture,), PROMPT, ("",)), ModelView())
    assert "nothing is there" in text_of(meant, "muted")
    assert "the suffix is empty" in text_of(empty, "bad")


def test_masks_are_drawn_where_there_is_a_codec(picture: Path) -> None:
    codes = "".join(f"<seg{n:03d}>" for n in range(16))
    row = Row((picture,), "segment cat", (CAT.replace(" cat", f"{codes} cat"),))

    def all_inside(found: Segments) -> Segments:
        from dataclasses import replace

        mask = Mask(found.width, found.height, (0, found.width * found.height))
        return replace(found, objects=tuple(replace(each, mask=mask) for each in found))

    plain = example_card(row, ModelView())
    masked = example_card(row, ModelView(masks=all_inside))
    corners = [image_of(card.pictures[1]).getpixel((590, 290)) for card in (plain, masked)]
    assert corners[0] == (255, 255, 255)
    assert corners[1] != corners[0]
    assert "mask codec" in plain.pictures[1].caption


def test_small_pictures_are_drawn_large_enough_to_be_read(tmp_path: Path) -> None:
    save_picture(tmp_path / "small.png", 1, (64, 32))
    card = example_card(Row((tmp_path / "small.png",), PROMPT, (DOG,)), ModelView())
    assert image_of(card.pictures[1]).size == (448, 224)


def test_rows_are_evenly_spaced() -> None:
    rows = [Row((), str(n), ()) for n in range(10)]
    assert [row.prefix for row in spaced(rows, 4)] == ["0", "2", "5", "7"]
    assert spaced(rows, 99) == rows


def test_no_rows_are_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no rows to show"):
        write_examples(tmp_path / "p.html", "d", [], ModelView(), number=3, overwrite=False)
