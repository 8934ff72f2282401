"""Mirrored and turned training pictures: what is marked moves with them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from palikit import tasks
from palikit.data.records import Annotation
from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.masks import Mask
from palikit.results import Box, Detection, Detections, Segments
from palikit.train_options import Augment
from palikit.training import Mixture, RowExamples
from tests.training.toy import train, with_options

WIDTH, HEIGHT = 60, 40


def picture(*boxes: Box) -> Image.Image:
    """Black, with each box white but for the dark corner that tells how it is turned."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for box in boxes:
        x1, y1, x2, y2 = (int(value) for value in box.to_list())
        pixels[y1:y2, x1:x2] = 255
    return Image.fromarray(pixels)


def examples(row: Row, shown: Image.Image, augment: Augment, encode=None) -> list:
    made = RowExamples([row], lambda _: shown, augment=augment, encode=encode)
    return [made.query(0, np.random.default_rng(seed)) for seed in range(60)]


def white(shown: Image.Image) -> list[float]:
    rows, columns = np.nonzero(np.asarray(shown)[..., 0])
    return [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def detect_row(box: Box, *, with_truth: bool) -> Row:
    task = tasks.detect("cat")
    suffix = tasks.render(task, Detections((Detection(box, "cat"),), WIDTH, HEIGHT))
    objects = (Annotation("cat", box),) if with_truth else None
    return Row((Path("a.png"),), task.prompt, (suffix,), objects=objects)


@pytest.mark.parametrize("with_truth", [True, False])
@pytest.mark.parametrize(("augment", "number"), [("none", 1), ("mirror", 2), ("turn", 8)])
def test_boxes_move_with_the_picture(augment: Augment, number: int, with_truth: bool) -> None:
    box = Box(6, 4, 20, 14)
    queries = examples(detect_row(box, with_truth=with_truth), picture(box), augment)
    for query in queries:
        shown = query.pictures[0]
        found = tasks.parse(tasks.detect("cat"), query.suffix, *shown.size)
        assert isinstance(found, Detections)
        assert found[0].box.to_list() == pytest.approx(white(shown), abs=0.1)
    assert len({query.suffix for query in queries}) == number


def test_objects_are_put_into_raster_order_again() -> None:
    boxes = (Box(0, 0, 10, 10), Box(30, 20, 50, 36))
    task = tasks.detect("a ; b")
    truth = tuple(Annotation(name, box) for name, box in zip("ab", boxes, strict=True))
    found = Detections(tuple(Detection(x.box, x.label) for x in truth), WIDTH, HEIGHT)
    row = Row((Path("a.png"),), task.prompt, (tasks.render(task, found),), objects=truth)
    for query in examples(row, picture(*boxes), "turn"):
        told = tasks.parse(task, query.suffix, *query.pictures[0].size)
        assert isinstance(told, Detections)
        tops = [one.box.y1 for one in told]
        assert tops == sorted(tops)


def test_a_prompt_in_words_of_its_own_keeps_all_that_its_suffix_tells_of() -> None:
    box = Box(6, 4, 20, 14)
    row = replace(detect_row(box, with_truth=True), prefix="detect all classes")
    assert all(query.suffix.endswith(" cat") for query in examples(row, picture(box), "turn"))
    empty = replace(row, prefix="detect dog", suffixes=("",))
    assert {query.suffix for query in examples(empty, picture(box), "turn")} == {""}


def test_a_prompt_that_names_a_side_in_words_of_its_own_is_left_alone() -> None:
    box = Box(6, 4, 20, 14)
    row = replace(detect_row(box, with_truth=True), prefix="detect everything on the left")
    assert {query.suffix for query in examples(row, picture(box), "mirror")} == set(row.suffixes)


def test_outlines_are_turned_before_they_are_encoded() -> None:
    box = Box(10, 10, 20, 30)
    array = np.zeros((HEIGHT, WIDTH), bool)
    array[10:30, 10:20] = True
    shown = picture(box)
    row = Row(
        (Path("a.png"),),
        "segment cat",
        ("",),
        objects=(Annotation("cat", box, Mask.from_array(array)),),
    )
    seen = []

    def encode(mask: Mask, at: Box) -> tuple[int, ...]:
        rows, columns = np.nonzero(mask.to_array())
        seen.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        assert at.to_list() == pytest.approx(seen[-1])
        return (5,) * 16

    turned = [q for q in examples(row, shown, "turn", encode) if q.suffix]
    assert len(turned) > 30
    told = tasks.parse(tasks.segment("cat"), turned[0].suffix, *turned[0].pictures[0].size)
    assert isinstance(told, Segments)
    assert told[0].codes == (5,) * 16


def test_outlines_that_are_not_known_cannot_be_turned() -> None:
    row = Row((Path("a.png"),), "segment cat", ("<loc0000>",), where="train.jsonl, line 1")
    with pytest.raises(InputError, match="line 1: turning an outline needs the outline itself"):
        examples(row, picture(), "turn")


def test_an_option_that_the_examples_do_not_follow_is_refused(tmp_path: Path) -> None:
    row = detect_row(Box(6, 4, 20, 14), with_truth=True)
    for made, asked in (("none", "turn"), ("mirror", "none")):
        rows = RowExamples([row], augment=made)
        for source in (rows, Mixture(((rows, 1.0),))):
            with pytest.raises(InputError, match=f"'{asked}' in the options and '{made}' in the"):
                train(tmp_path / "run", with_options(augment=asked), examples=source)
    assert not (tmp_path / "run").exists()


def test_a_caption_that_may_say_left_is_left_alone() -> None:
    row = Row((Path("a.png"),), "caption en", ("a cat on the left",))
    shown = picture(Box(0, 0, 5, 5))
    assert all(query.pictures[0] is shown for query in examples(row, shown, "turn"))


def test_markers_of_pictures_before_a_prompt_do_not_stop_it() -> None:
    box = Box(5, 5, 20, 15)
    row = replace(detect_row(box, with_truth=True), prefix="<image>detect cat")
    suffixes = {query.suffix for query in examples(row, picture(box), "mirror")}
    assert len(suffixes) == 2
