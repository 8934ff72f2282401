"""Pictures whose labels name a side are not mirrored: a left shoe would become a right one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit import tasks
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.results import Box, Detection, Detections
from palikit.train_options import Augment
from palikit.training import RowExamples
from palikit.training.augment import sided_label


def row_of(label: str, *, asked: tuple[str, ...] = (), with_truth: bool = True) -> Row:
    box = Box(6, 4, 20, 14)
    task = tasks.detect((label, *asked))
    suffix = tasks.render(task, Detections((Detection(box, label),), 60, 40))
    objects = (Annotation(label, box),) if with_truth else None
    return Row((Path("a.png"),), task.prompt, (suffix,), objects=objects)


def suffixes(row: Row, augment: Augment) -> set[str]:
    shown = Image.new("RGB", (60, 40))
    made = RowExamples([row], lambda _: shown, augment=augment)
    return {str(made.query(0, np.random.default_rng(seed)).suffix) for seed in range(40)}


@pytest.mark.parametrize("with_truth", [True, False])
@pytest.mark.parametrize("label", ["left shoe", "Shoe-Right", "left_shoe", "LeftShoe"])
def test_a_label_that_names_a_side_leaves_its_picture_as_it_is(
    label: str, with_truth: bool
) -> None:
    row = row_of(label, with_truth=with_truth)
    assert suffixes(row, "mirror") == suffixes(row, "turn") == {row.suffixes[0]}
    assert sided_label(row, "mirror") == label


@pytest.mark.parametrize("label", ["shoe", "bright shoe", "cleft", "copyright"])
def test_other_labels_are_mirrored(label: str) -> None:
    assert len(suffixes(row_of(label), "mirror")) == 2
    assert sided_label(row_of(label), "turn") is None


def test_a_side_that_is_asked_for_and_not_there_does_not_matter() -> None:
    assert len(suffixes(row_of("hat", asked=("left shoe",)), "mirror")) == 2


def test_up_and_down_matter_to_turns_alone() -> None:
    row = row_of("upper tooth")
    assert len(suffixes(row, "mirror")) == 2
    assert suffixes(row, "turn") == {row.suffixes[0]}
