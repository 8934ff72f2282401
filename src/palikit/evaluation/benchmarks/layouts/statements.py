"""Is it true? NLVR2, MaRVL, VSR; yes or no: POPE; pairs of questions: MMVP."""

import re
from collections.abc import Iterator

from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, line_items, table_rows
from palikit.evaluation.benchmarks.layouts.source import Source

MARVL_LANGUAGES = ("id", "sw", "ta", "tr", "zh")

_OPTION = re.compile(r"\(([a-z])\)\s*(.*?)\s*(?=\([a-z]\)|$)", re.DOTALL)
"""One of "(a) Open (b) Closed"."""


def nlvr2(source: Source) -> Iterator[Entry]:
    """test1.json, JSON lines: {"identifier": "test1-0-1-0", "sentence", "label"}.

    The pictures of an identifier are those of its first three parts, -img0.png and -img1.png.
    """
    stem = {"test": "test1", "dev": "dev", "train": "train"}.get(source.split, source.split)
    for item in line_items(source.need(f"{stem}.json")):
        name = item.text("identifier")
        pair = name.rpartition("-")[0]
        folders = [stem, f"images/{stem}"]
        if "directory" in item:
            folders.append(f"images/{stem}/{item.name('directory')}")
        yield Entry(
            name,
            tuple(source.file(f"{pair}-img{i}.png", item.where, *folders) for i in (0, 1)),
            item.text("sentence"),
            _truth(item),
            where=item.where,
        )


def marvl(source: Source) -> Iterator[Entry]:
    """marvl-id.jsonl and the other languages: {"concept", "caption", "left_img", "right_img"}.

    A language that is not there is left out.
    """
    there = {code: source.find(f"marvl-{code}.jsonl") for code in MARVL_LANGUAGES}
    if not any(there.values()):
        raise source.missing("marvl-id.jsonl")
    for code, path in there.items():
        for number, item in enumerate(line_items(path) if path else (), start=1):
            concept = item.text("concept") if "concept" in item else ""
            folders = [f"{code}/images/{concept}", f"images/{code}/images/{concept}"]
            names = (item.text("left_img"), item.text("right_img"))
            own = item.name("id") if "id" in item else str(number)
            yield Entry(
                own if own.startswith(code) else f"{code}-{own}",
                tuple(source.file(name, item.where, *folders) for name in names),
                item.text("caption"),
                _truth(item),
                code,
                where=item.where,
            )


def vsr(source: Source) -> Iterator[Entry]:
    """splits/zeroshot/test.jsonl: {"image", "caption", "label": 0 or 1, "relation"}.

    Statements have no id: the number of the line stands for it, from 0.
    """
    path = source.need(f"{source.split}/test.jsonl")
    for number, item in enumerate(line_items(path)):
        yield Entry(
            str(number),
            (source.file(item.text("image"), item.where, "images", "trainval2017"),),
            item.text("caption"),
            ("True" if item.flag("label") else "False",),
            item.text("relation") if "relation" in item else "",
            where=item.where,
        )


def pope(source: Source) -> Iterator[Entry]:
    """coco_pope_random.json, JSON lines: {"question_id", "image", "text", "label"}."""
    for item in line_items(source.need(f"coco_pope_{source.split}.json")):
        yield Entry(
            item.name("question_id"),
            (source.file(item.text("image"), item.where, "val2014", "images"),),
            item.text("text"),
            (item.text("label"),),
            where=item.where,
        )


def mmvp(source: Source) -> Iterator[Entry]:
    """Questions.csv (Index, Question, Options, Correct Answer) and MMVP Images/1.jpg.

    The header spells "lndex". Two questions that follow each other are a pair.
    """
    columns = ("Question", "Options", "Correct Answer")
    for number, item in enumerate(table_rows(source.need("Questions.csv"), *columns), start=1):
        options = dict(_OPTION.findall(item.text("Options")))
        letter = item.text("Correct Answer").strip().strip("()")
        if letter not in options:
            raise item.fault("Correct Answer", f"one of the options {item.text('Options')!r}")
        yield Entry(
            str(number),
            (source.file(f"{number}.jpg", item.where, "MMVP Images", "images"),),
            item.text("Question"),
            (options[letter],),
            str((number + 1) // 2),
            tuple(options.values()),
            where=item.where,
        )


def _truth(item: Item) -> tuple[str, ...]:
    """True or False, as text; none where it is secret."""
    if "label" not in item:
        return ()
    label = item.any("label")
    if str(label).lower() not in ("true", "false", "1", "0"):
        raise item.fault("label", "true or false")
    return ("True" if str(label).lower() in ("true", "1") else "False",)
