"""Random tables in HTML, whole and broken, for the tests of table metrics."""

import random
import re

INLINE = ("b", "i", "sup", "span", "p", "br", "u", "strong", "div")
ODD_ATTRIBUTES = (
    ' class="a>b"',
    " x",
    " a=1 colspan=2 colspan=3",
    " style='a=\"b\"'",
    " COLSPAN=2",
)
ODD_MARKUP = ("<!-- x > -->", "<?x y>", "&nbsp;", "&amp;lt;", "&#65;", "</>", "<br/>", "</br>")


def random_text(rng: random.Random) -> str:
    return "".join(
        rng.choice(("k", "z", "é", " ", "1", "&", "< ", "\n")) for _ in range(rng.randrange(6))
    )


def random_cell(rng: random.Random, odd: float) -> str:
    tag = rng.choice(("td",) * 6 + ("th",))
    spans = "".join(
        f' {name}="{rng.randrange(1, 4)}"' for name in ("colspan", "rowspan") if rng.random() < 0.2
    )
    content = random_text(rng)
    if rng.random() < 0.5:
        inner = rng.choice(INLINE)
        content += "<br>" if inner == "br" else f"<{inner}>{random_text(rng)}</{inner}>"
        content += random_text(rng)
    if rng.random() < odd:
        spans += rng.choice(ODD_ATTRIBUTES)
        content += rng.choice(ODD_MARKUP)
    return f"<{tag}{spans}>{content}</{tag}>"


def random_table(rng: random.Random, rows: int = 6, cells: int = 5, odd: float = 0.1) -> str:
    lines = [
        "<tr>" + "".join(random_cell(rng, odd) for _ in range(rng.randrange(cells))) + "</tr>"
        for _ in range(rng.randrange(rows))
    ]
    cut = rng.randrange(len(lines) + 1)
    head, body = "".join(lines[:cut]), "".join(lines[cut:])
    inner = head + body if rng.random() < 0.3 else f"<thead>{head}</thead>\n<tbody>{body}</tbody>"
    return f"<html><body><table>{inner}</table></body></html>"


def nearly(rng: random.Random, table: str) -> str:
    """The same table with some letters changed, without some rows, or as it is."""
    if rng.random() < 0.4:
        return table.replace("k", "zz")
    return re.sub(
        r"<tr>.*?</tr>", lambda row: row[0] if rng.random() < 0.8 else "", table, flags=re.S
    )


def broken(rng: random.Random, table: str) -> str:
    """Cut short, or with pieces lost, doubled or exchanged."""
    if rng.random() < 0.3:
        return table[: rng.randrange(30, len(table))]
    pieces = re.findall(r"<[^<>]*>|[^<]+|<", table)
    for _ in range(rng.randrange(1, 4)):
        first, second = rng.randrange(3, len(pieces)), rng.randrange(3, len(pieces))
        kind = rng.randrange(3)
        if kind == 0 and len(pieces) > 5:
            del pieces[first]
        elif kind == 1:
            pieces.insert(first, pieces[first])
        else:
            pieces[first], pieces[second] = pieces[second], pieces[first]
    return "".join(pieces)
