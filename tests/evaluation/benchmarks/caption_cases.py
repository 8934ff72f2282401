"""Rows of the captioning benchmarks."""

from pathlib import Path

from tests.evaluation.benchmarks.case import (
    DOGS,
    KITES,
    OTHER,
    TRAINS,
    TWO_OF_THREE,
    Case,
)
from tests.evaluation.benchmarks.writing import as_csv, as_json, as_lines, picture

_THREE = (KITES, DOGS, TRAINS)
_REFERENCES = tuple((each,) for each in _THREE)
_TEXTS = (KITES, DOGS, OTHER)
_NORMAL = "1-lowercase-and-token-and-remove-figure-index"


def _coco(folder: Path) -> None:
    images = [
        {
            "filepath": "val2014",
            "filename": f"COCO_val2014_{number:012}.jpg",
            "cocoid": number,
            "split": "val",
            "sentences": [{"raw": caption, "tokens": caption.split()}],
        }
        for number, caption in zip((9, 25, 30), _THREE, strict=True)
    ]
    other = {**images[0], "cocoid": 7, "split": "restval"}
    as_json(folder, "dataset_coco.json", {"images": [other, *images], "dataset": "coco"})
    for image in images:
        picture(folder, f"val2014/{image['filename']}")


def _nocaps(folder: Path) -> None:
    images = [
        {"id": number, "file_name": f"{number}a.jpg", "domain": domain}
        for number, domain in enumerate(("in-domain", "near-domain", "out-domain"))
    ]
    annotations = [
        {"image_id": number, "id": number, "caption": caption}
        for number, caption in enumerate(_THREE)
    ]
    value = {"images": images, "annotations": annotations}
    as_json(folder, "nocaps_val_4500_captions.json", value)
    for image in images:
        picture(folder, f"val/{image['file_name']}")


def _coco35l(folder: Path) -> None:
    lines = [
        {
            "image_id": f"{number}_0",
            "caption_tokenized": caption,
            "trg_lang": language,
            "translation_tokenized": f"{language} {caption}",
        }
        for language in ("de", "sw")
        for number, caption in zip((9, 25, 30), _THREE, strict=True)
    ]
    as_lines(folder, "coco_mt_dev.jsonl", lines)
    for number in (9, 25, 30):
        picture(folder, f"val2014/COCO_val2014_{number:012}.jpg")


def _xm3600(folder: Path) -> None:
    lines = [
        {
            "image/key": key,
            "image/locale": "de",
            "en": {"caption": [caption], "caption/tokenized": ["no"]},
            "de": {"caption": [f"de {caption}"]},
        }
        for key, caption in zip("abc", _THREE, strict=True)
    ]
    as_lines(folder, "captions.jsonl", lines)
    for key in "abc":
        picture(folder, f"images/{key}.jpg")


def _textcaps(folder: Path) -> None:
    data = [
        {"image_id": key, "caption_str": caption, "reference_strs": [caption]}
        for key, caption in zip("abc", _THREE, strict=True)
    ]
    as_json(folder, "TextCaps_0.1_val.json", {"dataset_name": "textcaps", "data": data})
    for key in "abc":
        picture(folder, f"train_images/{key}.jpg")


def _scicap(folder: Path) -> None:
    names = [f"1001.0001v{number}-Figure1-1" for number in range(3)]
    lists = "List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/Test"
    as_json(folder, f"{lists}/file_idx.json", [f"{name}.png" for name in names])
    for name, caption in zip(names, _THREE, strict=True):
        sentences = {"caption": f"{caption} . more", "sentence": [caption, "more"], "token": []}
        as_json(folder, f"SciCap-Caption-All/Test/{name}.json", {_NORMAL: sentences})
        picture(folder, f"SciCap-No-Subfig-Img/Test/{name}.png")


def _screen2words(folder: Path) -> None:
    rows = [(key, caption) for key, caption in zip("123", _THREE, strict=True)]
    as_csv(folder, "screen_summaries.csv", ("screenId", "summary"), [*rows, ("9", OTHER)])
    (folder / "split").mkdir()
    (folder / "split" / "test_screens.txt").write_text("1\n2\n3\n", encoding="utf-8")
    for key in "123":
        picture(folder, f"combined/{key}.jpg")


def _widgetcap(folder: Path) -> None:
    rows = [(key, "0.1", caption) for key, caption in zip("123", _THREE, strict=True)]
    header = ("screenId", "nodeId", "captions")
    as_csv(folder, "widget_captions.csv", header, [*rows, ("9", "0.1", OTHER)])
    (folder / "split").mkdir()
    (folder / "split" / "test.txt").write_text("1\n2\n3\n", encoding="utf-8")
    nodes = [{"bounds": [0, 0, 1440, 200]}, {"bounds": [360, 640, 1080, 1920]}]
    root = {"bounds": [0, 0, 1440, 2560], "children": nodes}
    for key in "123":
        picture(folder, f"combined/{key}.jpg")
        as_json(folder, f"combined/{key}.json", {"activity": {"root": root}})


def _docci(folder: Path) -> None:
    lines = [
        {
            "split": "qual_dev",
            "example_id": f"qual_dev_{number}",
            "image_file": f"qual_dev_{number}.jpg",
            "description": caption,
        }
        for number, caption in enumerate(_THREE)
    ]
    other = {**lines[0], "split": "test", "example_id": "test_0"}
    as_lines(folder, "docci_descriptions.jsonlines", [*lines, other])
    for line in lines:
        picture(folder, f"images/{line['image_file']}")


_IN_TWO = ("caption de", "caption sw")
_COCO35L_IDS = ("9-en", "9-de", "25-en", "25-de", "30-en", "30-de", "9-sw", "25-sw", "30-sw")

CAPTIONS: dict[str, Case] = {
    "cococap": Case(
        _coco, ("caption en",) * 3, ("9", "25", "30"), _REFERENCES, _TEXTS, TWO_OF_THREE
    ),
    "nocaps": Case(
        _nocaps, ("caption en",) * 3, ("0", "1", "2"), _REFERENCES, _TEXTS, TWO_OF_THREE
    ),
    # All of English and Swahili is right, and of German two of three: (10 + 20 / 3) / 2.
    "coco35l": Case(
        _coco35l,
        (*("caption en", "caption de") * 3, *("caption sw",) * 3),
        _COCO35L_IDS,
        (
            *(each for text in _THREE for each in ((text,), (f"de {text}",))),
            *((f"sw {text}",) for text in _THREE),
        ),
        (
            KITES,
            f"de {KITES}",
            DOGS,
            f"de {DOGS}",
            TRAINS,
            OTHER,
            f"sw {KITES}",
            f"sw {DOGS}",
            f"sw {TRAINS}",
        ),
        # "de" stands in every German reference and weighs nothing, but its longer n-grams do:
        # equal captions score 10 all the same, only their one-word part counts five words of six.
        (10 + TWO_OF_THREE) / 2,
        parts=(("en", 10.0), ("de", TWO_OF_THREE), ("all", (20 + TWO_OF_THREE) / 3)),
    ),
    "xm3600": Case(
        _xm3600,
        ("caption en", "caption de") * 3,
        ("a-en", "a-de", "b-en", "b-de", "c-en", "c-de"),
        tuple(each for text in _THREE for each in ((text,), (f"de {text}",))),
        (KITES, f"de {KITES}", DOGS, f"de {DOGS}", TRAINS, OTHER),
        TWO_OF_THREE,
        parts=(("en", 10.0), ("all", (10 + TWO_OF_THREE) / 2)),
    ),
    "textcaps": Case(
        _textcaps, ("caption en",) * 3, ("a", "b", "c"), _REFERENCES, _TEXTS, TWO_OF_THREE
    ),
    # BLEU-4: 10 of 15 words, 8 of 12 pairs, 6 of 9, 4 of 6; all lengths as the references'.
    "scicap": Case(
        _scicap,
        ("caption en",) * 3,
        tuple(f"1001.0001v{number}-Figure1-1" for number in range(3)),
        _REFERENCES,
        _TEXTS,
        TWO_OF_THREE,
        parts=(("bleu4", 2 / 3),),
    ),
    "screen2words": Case(
        _screen2words, ("caption en",) * 3, ("1", "2", "3"), _REFERENCES, _TEXTS, TWO_OF_THREE
    ),
    "widgetcap": Case(
        _widgetcap,
        ("caption en",) * 3,
        ("1-0.1", "2-0.1", "3-0.1"),
        _REFERENCES,
        _TEXTS,
        TWO_OF_THREE,
    ),
    # Lengths of 5, 6 and 7 characters; 1, 1 and 2 sentences.
    "docci": Case(
        _docci,
        ("caption en",) * 3,
        ("qual_dev_0", "qual_dev_1", "qual_dev_2"),
        _REFERENCES,
        ("Short", "Short.", "So. No."),
        6.0,
        parts=(("sentences", 4 / 3),),
    ),
}
