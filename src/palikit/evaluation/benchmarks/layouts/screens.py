"""Captions of what is no photo: SciCap's figures, the screens of Screen2Words and WidgetCap."""

from collections.abc import Iterator
from typing import Any

from palikit.data.findings import finite_numbers
from palikit.errors import InputError
from palikit.evaluation.benchmarks.changes import marked
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import (
    Item,
    lines_of,
    table_rows,
    whole_json,
)
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.evaluation.benchmarks.row import Change
from palikit.results import Box

_NORMAL = "1-lowercase-and-token-and-remove-figure-index"


def scicap(source: Source) -> Iterator[Entry]:
    """SciCap: the first sentence of the caption of each figure without parts, in lower case.

    A list of figures for the experiment, a JSON file of captions and a picture for each figure.
    """
    split = source.split.capitalize()
    lists = f"List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/{split}"
    path = source.all(f"{lists}/*.json", f"*/{lists}/*.json")[0]
    names = whole_json(path)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path} is no list of file names: expected SciCap's list of figures")
    for number, name in enumerate(names, start=1):
        where = f"{path.name}, entry {number}"
        stem = name.removesuffix(".png").removesuffix(".json")
        record = source.file(f"{stem}.json", where, f"SciCap-Caption-All/{split}")
        sentences = Item(whole_json(record), record.name).item(_NORMAL).texts("sentence")
        picture = source.file(f"{stem}.png", where, f"SciCap-No-Subfig-Img/{split}")
        yield Entry(stem, (picture,), answers=sentences[:1], where=where)


def screen2words(source: Source) -> Iterator[Entry]:
    """screen_summaries.csv (screenId, summary) and split/test_screens.txt."""
    wanted = _listed(source, f"{source.split}_screens.txt")
    summaries: dict[str, list[str]] = {name: [] for name in wanted}
    for item in table_rows(source.need("screen_summaries.csv"), "screenId", "summary"):
        if item.text("screenId") in summaries:
            summaries[item.text("screenId")].append(item.text("summary"))
    for name, where in wanted.items():
        picture = source.file(f"{name}.jpg", where, "combined", "images")
        yield Entry(name, (picture,), answers=tuple(summaries[name]), where=where)


def widgetcap(source: Source) -> Iterator[Entry]:
    """widget_captions.csv (screenId, nodeId, captions with "|" between them) and split/test.txt.

    Where a widget is says Rico's view hierarchy of the screen, SCREEN.json.
    """
    wanted = _listed(source, f"{source.split}.txt")
    columns = ("screenId", "nodeId", "captions")
    for item in table_rows(source.need("widget_captions.csv"), *columns):
        screen, node = item.text("screenId"), item.text("nodeId")
        if screen not in wanted:
            continue
        captions = tuple(
            text for each in item.text("captions").split("|") if (text := each.strip())
        )
        yield Entry(
            f"{screen}-{node}",
            (source.file(f"{screen}.jpg", item.where, "combined", "images"),),
            answers=captions,
            where=item.where,
            change=_widget(source, item),
        )


def _listed(source: Source, name: str) -> dict[str, str]:
    """The screens of a split, each with its place."""
    path = source.need(f"split/{name}", name)
    return {line.strip(): f"{path.name}, line {number}" for number, line in lines_of(path)}


def _widget(source: Source, item: Item) -> Change:
    """The frame around a widget: a node's id is the way to it, a child's place a step."""
    screen = item.text("screenId")
    path = source.file(f"{screen}.json", item.where, "combined", "view_hierarchies")
    root: Any = Item(whole_json(path), path.name).item("activity").any("root")
    node, way = root, item.text("nodeId").split(".")
    for step in way[1:]:
        children = node.get("children") if isinstance(node, dict) else None
        if not isinstance(children, list) or not step.isdecimal() or int(step) >= len(children):
            raise item.fault("nodeId", f"the way to a widget of {path.name}")
        node = children[int(step)]
    whole, box = _bounds(root, path.name), _bounds(node, path.name)
    return marked(box, (whole.x2, whole.y2))


def _bounds(node: Any, where: str) -> Box:
    numbers = finite_numbers(node.get("bounds"), 4) if isinstance(node, dict) else None
    if numbers is None or not (numbers[2] > 0 and numbers[3] > 0):
        raise InputError(f"{where}: a widget has no bounds: expected [x1, y1, x2, y2]")
    return Box(*numbers)
