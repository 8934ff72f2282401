"""By what a resumed run knows model and examples again."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.masks import Mask
from palikit.model.fingerprint import model_fingerprint
from palikit.results import Box
from palikit.training import RowExamples
from tests import tiny


@pytest.mark.parametrize("shape", [(9216, 2304), (2**24 + 3,), (2**25 + 1,)])
def test_the_largest_weights_have_a_fingerprint_to_their_last_value(shape: tuple[int, ...]) -> None:
    """float32 cannot number the values of such a weight."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(shape, dtype=torch.int8), requires_grad=False)
    before = model_fingerprint(model)
    model.weight.view(-1)[-1] = 1
    assert model_fingerprint(model) != before


@pytest.mark.parametrize("count", [0, 1, 2, 1023, 1025])
def test_so_have_the_smallest(count: int) -> None:
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(count))
    assert len(model_fingerprint(model)) == 64


def fingerprint(row: Row, augment) -> str:
    return RowExamples([row], augment=augment).fingerprint


def test_exact_objects_count_where_pictures_are_turned(tmp_path: Path) -> None:
    """Then the text is written anew from them, and not from the suffix."""
    tiny.picture(0, (40, 30)).save(tmp_path / "0.png")
    outline = Mask(40, 30, (100, 10, 1090))
    dog = Annotation("dog", Box(1, 2, 20, 30), outline)
    row = Row((tmp_path / "0.png",), "detect dog", ("<loc0000>" * 4 + " dog",), objects=(dog,))
    others = (
        replace(dog, box=Box(1, 2, 20, 29)),
        replace(dog, label="cat"),
        replace(dog, crowd=True),
        replace(dog, mask=Mask(40, 30, (101, 10, 1089))),
        replace(dog, mask=None),
    )
    for other in others:
        changed = replace(row, objects=(other,))
        assert fingerprint(changed, "mirror") != fingerprint(row, "mirror")
        assert fingerprint(changed, "none") == fingerprint(row, "none")
    assert fingerprint(replace(row, objects=None), "turn") != fingerprint(row, "turn")
    assert fingerprint(replace(row, objects=(replace(dog),)), "turn") == fingerprint(row, "turn")
