"""Tables as HTML: PubTabNet and FinTabNet."""

from collections.abc import Iterator

from palikit.errors import InputError
from palikit.evaluation.benchmarks.changes import padded
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, line_items
from palikit.evaluation.benchmarks.layouts.source import Source


def pubtabnet(source: Source) -> Iterator[Entry]:
    """PubTabNet_2.0.0.jsonl: {"filename", "split", "html": {"cells", "structure"}}, val/NAME."""
    for item in line_items(source.need("PubTabNet_2.0.0.jsonl")):
        if item.text("split") != source.split:
            continue
        name = item.text("filename")
        picture = source.file(name, item.where, source.split)
        yield Entry(name, (picture,), answers=(html_of(item),), where=item.where, change=padded)


def fintabnet(source: Source) -> Iterator[Entry]:
    """FinTabNet_1.0.0_table_test.jsonl: PubTabNet's records, of tables on pages in PDF.

    The tables are cut out of the pages beforehand: images/TABLE_ID.png.
    """
    split = source.split
    path = source.need(
        f"FinTabNet_1.0.0_table_{split}.jsonl", f"FinTabNet_1.0.0_cell_{split}.jsonl"
    )
    for item in line_items(path):
        name = item.name("table_id")
        picture = source.file(f"{name}.png", item.where, "images", split)
        yield Entry(name, (picture,), answers=(html_of(item),), where=item.where, change=padded)


def html_of(item: Item) -> str:
    """A table of PubTabNet: its structure with the cells' contents between the tags.

    Raises:
        InputError: there are more cells than places for them, or fewer.
    """
    html = item.item("html")
    cells = iter(html.items("cells"))
    parts: list[str] = []
    for tag in html.item("structure").texts("tokens"):
        if tag == "</td>":
            if (cell := next(cells, None)) is None:
                raise InputError(f"{item.where}: its structure has more cells than are given")
            parts += cell.texts("tokens")
        parts.append(tag)
    if next(cells, None) is not None:
        raise InputError(f"{item.where}: more cells are given than its structure has")
    return f"<html><body><table>{''.join(parts)}</table></body></html>"
