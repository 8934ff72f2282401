"""Codes of another mask codec are noticed before a model learns them."""

from pathlib import Path

import numpy as np
import pytest

from palikit.data.check import check_before_training, check_rows
from palikit.data.check_codes import foreign_codes
from palikit.data.check_tokens import TokenLimit, estimated_tokens
from palikit.data.options import RenderOptions
from palikit.data.records import Annotation, Record, Records
from palikit.data.render import render_records
from palikit.data.rows import Encode, Row, Rows
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box
from tests.data.broken import save_picture
from tests.data.sources import SIZE


def codec(shift: int) -> Encode:
    """Codes that depend on the outline, and on the codec."""

    def encode(mask: Mask, box: Box) -> tuple[int, ...]:
        return tuple((mask.area + shift + place) % 128 for place in range(16))

    return encode


def outlined(label: str, x: int, y: int, side: int) -> Annotation:
    inside = np.zeros(SIZE[::-1], np.bool_)
    inside[y : y + side, x : x + side] = True
    return Annotation(label, Box(x, y, x + side, y + side), Mask.from_array(inside))


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Row, ...]:
    """Of objects that stand in another order in the row than in its suffix."""
    save_picture(tmp_path / "a.png", 0, SIZE)
    objects = (outlined("cat", 30, 30, 12), outlined("dog", 5, 5, 20), outlined("cat", 8, 6, 5))
    record = Record((tmp_path / "a.png",), *SIZE, objects, where="row 1")
    return render_records(Records((record,)), RenderOptions(task="segment"), codec(0)).rows


def test_codes_of_the_model_s_own_codec_are_in_order(rows: tuple[Row, ...]) -> None:
    assert foreign_codes(rows, codec(0)) is None
    check_before_training({"train": rows}, estimated_tokens, 512, codec(0))


def test_codes_of_another_codec_are_refused(rows: tuple[Row, ...]) -> None:
    with pytest.raises(InputError, match="row 1: its codes are those of another mask codec"):
        check_before_training({"train": rows}, estimated_tokens, 512, codec(1))
    report = check_rows("x", Rows(rows), {}, TokenLimit(512, estimated_tokens), codec(1))
    assert "codes of another mask codec" in {problem.kind for problem in report.problems}


def test_rows_without_outlines_cannot_tell(rows: tuple[Row, ...]) -> None:
    (row,) = rows
    bare = Row(row.images, row.prefix, row.suffixes)
    assert foreign_codes([bare], codec(1)) is None
    assert foreign_codes([], codec(1)) is None
