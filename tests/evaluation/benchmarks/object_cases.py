"""Rows of the benchmarks of outlines, boxes and words."""

from pathlib import Path
from typing import Any

from tests.evaluation.benchmarks.case import Case
from tests.evaluation.benchmarks.writing import SIZE, as_json, picture, text

_W, _H = SIZE


def _rectangle(x1: int, y1: int, x2: int, y2: int) -> list[list[int]]:
    return [[x1, y1, x2, y1, x2, y2, x1, y2]]


def _refcoco(file: str, split: str) -> Any:
    def write(folder: Path) -> None:
        refs = [
            {
                "ref_id": 5,
                "ann_id": 50,
                "image_id": 9,
                "split": split,
                "sentences": [
                    {"sent_id": 1, "raw": "Left  dog", "sent": "left dog"},
                    {"sent_id": 2, "raw": "white one", "sent": "white one"},
                ],
            },
            {
                "ref_id": 6,
                "ann_id": 60,
                "image_id": 9,
                "split": split,
                "sentences": [{"sent_id": 3, "raw": "cat", "sent": "cat"}],
            },
            {"ref_id": 7, "ann_id": 60, "image_id": 9, "split": "train", "sentences": []},
        ]
        annotations = [
            {"id": 50, "image_id": 9, "bbox": [0, 0, 4, 4], "segmentation": _rectangle(0, 0, 4, 4)},
            {"id": 60, "image_id": 9, "bbox": [4, 0, 4, 4], "segmentation": _rectangle(4, 0, 8, 4)},
        ]
        name = "COCO_train2014_000000000009.jpg"
        images = [{"id": 9, "file_name": name, "width": _W, "height": _H}]
        as_json(folder, f"{file}.json", refs)
        as_json(folder, "instances.json", {"images": images, "annotations": annotations})
        picture(folder, f"train2014/{name}")

    return write


def _tokens(x1: int, y1: int, x2: int, y2: int) -> str:
    """A box as a model writes it."""
    sides = ((y1, _H), (x1, _W), (y2, _H), (x2, _W))
    return "".join(f"<loc{round(value / side * 1023):04}>" for value, side in sides)


_FULL = "<seg000>" * 16
"""An outline that fills its box, as the test's codec reads it."""


def _refcoco_case(file: str, split: str) -> Case:
    # Equal; half of the dog; nothing that can be read.
    return Case(
        _refcoco(file, split),
        ("Left  dog", "white one", "cat"),
        ("1", "2", "3"),
        ((), (), ()),
        (
            # Of several outlines the first counts.
            f"{_tokens(0, 0, 4, 4)}{_FULL}{_tokens(4, 0, 8, 4)}{_FULL}",
            f"{_tokens(0, 0, 4, 2)}{_FULL}",
            "cat",
        ),
        (1 + 0.5 + 0) / 3,
        parts=(("ciou", 24 / 48), ("boxacc/0.5", 2 / 3)),
    )


def _detection(file: str, names: tuple[str, ...]) -> Any:
    def write(folder: Path) -> None:
        categories = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
        images = [
            {"id": place, "file_name": name.rpartition("/")[2], "width": _W, "height": _H}
            for place, name in enumerate(names, start=1)
        ]
        annotations = [
            {"id": 1, "image_id": 1, "category_id": 18, "bbox": [0, 0, 4, 4], "area": 16},
            {"id": 2, "image_id": 2, "category_id": 18, "bbox": [2, 2, 4, 4], "area": 16},
            {"id": 3, "image_id": 2, "category_id": 17, "bbox": [0, 0, 2, 2], "area": 4},
        ]
        value = {"images": images, "annotations": annotations, "categories": categories}
        as_json(folder, file, value)
        for name in names:
            picture(folder, name)

    return write


def _detection_case(file: str, names: tuple[str, ...]) -> Case:
    # Both dogs are found and the cat is not: AP 1 and 0.
    return Case(
        _detection(file, names),
        ("detect all classes",) * 3,
        ("1", "2", "3"),
        ((), (), ()),
        (f"{_tokens(0, 0, 4, 4)} dog", f"{_tokens(2, 2, 6, 6)} dog", ""),
        0.5,
        parts=(("ap/dog", 1.0), ("ap/cat", 0.0)),
    )


def _icdar15(folder: Path) -> None:
    lines = (
        "\ufeff0,0,4,0,4,2,0,2,EXIT\r\n4,3,8,3,8,6,4,6,###\r\n",
        "0,0,4,0,4,2,0,2,a, b\r\n",
        "0,0,4,0,4,2,0,2,Stop\r\n",
    )
    for number, content in enumerate(lines, start=1):
        text(folder, f"Challenge4_Test_Task4_GT/gt_img_{number}.txt", content)
        picture(folder, f"ch4_test_images/img_{number}.jpg")


def _total_text(folder: Path) -> None:
    square = "x: [[0 4 4\n 0]], y: [[0 0 2 2]], ornt: [u'h'], "
    illegible = "x: [[4 8 8 4]], y: [[3 3 6 6]], ornt: [u'#'], transcriptions: [u'#']"
    lines = (
        f"{square}transcriptions: [u'EXIT']\n{illegible}\n",
        f"{square}transcriptions: [u'a, b']\n",
        f'{square}transcriptions: [u"Stop"]\n',
    )
    for number, content in enumerate(lines, start=1):
        text(folder, f"Groundtruth/Polygon/Test/poly_gt_img{number}.txt", content)
        picture(folder, f"Images/Test/img{number}.jpg")


def _words_case(write: Any, stem: str, *texts: str) -> Case:
    # Two of three words are right; what lies on the illegible one is not counted as found.
    return Case(
        write,
        ("ocr",) * 3,
        tuple(f"{stem}{number}" for number in (1, 2, 3)),
        ((), (), ()),
        texts,
        2 / 3,
        parts=(("precision", 2 / 3), ("recall", 2 / 3)),
    )


_WORD, _BLURRED = _tokens(0, 0, 4, 2), _tokens(4, 3, 8, 6)

OBJECTS: dict[str, Case] = {
    **{
        f"{name}-{split.lower()}": _refcoco_case("refs(unc)", split)
        for name in ("refcoco", "refcoco-plus")
        for split in ("val", "testA", "testB")
    },
    **{f"refcocog-{split}": _refcoco_case("refs(umd)", split) for split in ("val", "test")},
    "coco-detection": _detection_case(
        "annotations/instances_val2017.json",
        tuple(f"val2017/{number:012}.jpg" for number in (1, 2, 3)),
    ),
    "doclaynet": _detection_case("COCO/test.json", tuple(f"PNG/{name}.png" for name in "abc")),
    # Boxes before their words, and words before their boxes.
    "icdar15": _words_case(
        _icdar15, "img_", f"{_WORD} EXIT ; {_BLURRED} ??", f"{_WORD} a, b", f"{_WORD} stop"
    ),
    "total-text": _words_case(
        _total_text, "img", f"EXIT {_WORD} ?? {_BLURRED}", f"a, b {_WORD}", f"stop {_WORD}"
    ),
}
