"""Reading the HTML of a table as a model writes it: whole, cut short, or not HTML at all.

Broken HTML is mended by the rules of libxml2, on which the original metric stands (through
`lxml.html`): a new cell closes the open one, an end without a start is ignored, what is left open
ends with the text. They are written out here so that tables can be read without lxml, and so that
a figure does not depend on its version.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import unescape

from palikit.errors import InputError

MAX_CHARACTERS = 200_000
"""Longest text that is read: ten times what 4,096 tokens, the answer's limit, can spell."""

MAX_DEPTH = 64
"""Deepest nesting that is read; a table with a formatted text needs about eight."""

CELLS = frozenset({"td", "th"})

_LOCATION = re.compile(r"<loc[0-9]{4}>")
_MARKUP = re.compile(r"</?[a-zA-Z]|(?P<other><!--|<[!?]|</(?=.))", re.DOTALL)
_QUOTED = r"\"[^\"]*+\"|'[^']*+'"
_NAME = r"(?:=[^\s/>=]*+|[^\s/>=]++)"
_BARE = r"[^\s>\"'][^\s>]*+"
_ATTRIBUTE = rf"{_NAME}(?:\s*+=\s*+(?:{_QUOTED}|{_BARE}|(?=>))|(?!\s*+=))"
_PARTS = re.compile(rf"({_NAME})(?:\s*=\s*({_QUOTED}|{_BARE})?)?")
_TAG = re.compile(rf"<(?P<slash>/?)(?P<name>[a-zA-Z][^\s/>]*+)(?P<rest>(?>[\s/]+|{_ATTRIBUTE})*+)>")
"""A tag as HTML 5 cuts it: ">" inside a quoted value does not end it."""

_FRAME = frozenset({"html", "head", "body"})
_VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"})

_INLINE = frozenset({"p", "a", "b", "font", "i", "span", "u"})
_ROW = frozenset({"caption", "colgroup", "p"}) | CELLS
_SECTIONS = frozenset({"tbody", "tfoot", "thead"})
_CLOSED_BY = {
    "td": CELLS | _INLINE,
    "th": CELLS | _INLINE,
    "tr": _ROW | {"tr"},
    "thead": frozenset({"caption", "colgroup"}),
    "tbody": _ROW | {"tr"} | _SECTIONS,
    "tfoot": _ROW | {"tr"} | _SECTIONS - {"tfoot"},
    "table": frozenset({"p", "a", "pre", "h1", "h2", "h3", "h4", "h5", "h6"}),
    "p": frozenset({"p", "b", "i", "u", "h1", "h2", "h3", "h4", "h5", "h6"}),
    "li": frozenset({"li", "p"}),
}
"""Which open elements a start tag ends first: libxml2's `htmlStartClose`, as far as tables go."""

_RANK = {"div": 150, "td": 160, "th": 160, "tr": 170, "table": 190} | dict.fromkeys(_SECTIONS, 180)
"""An end tag does not reach over an open element of higher rank (`htmlEndPriority`)."""


class UnreadableTableError(Exception):
    """A text that holds no table, or one that is too large; never leaves the metrics."""


@dataclass(slots=True)
class Element:
    """An element of HTML.

    Attributes:
        tag: in lower case.
        attributes: by name, in lower case; the first of a repeated name counts.
        content: texts and elements within, in order; no two texts in a row.
    """

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: "list[Element | str]" = field(default_factory=list)

    @property
    def children(self) -> "list[Element]":
        """The elements directly within."""
        return [each for each in self.content if isinstance(each, Element)]

    def walk(self) -> "Iterator[Element]":
        """This element and all within, in the order of the text."""
        yield self
        for child in self.children:
            yield from child.walk()

    def texts(self) -> Iterator[str]:
        """All texts within, in order."""
        for each in self.content:
            if isinstance(each, str):
                yield each
            else:
                yield from each.texts()

    def span(self, name: str) -> int:
        """An attribute that is a number of rows or columns; 1 where it is absent.

        Raises:
            UnreadableTableError: it is no whole number.
        """
        try:
            return int(self.attributes.get(name, "1"))
        except ValueError:
            raise UnreadableTableError(f"{name} is no number") from None


def read_table(html: str) -> Element:
    """The first table of a document that stands in its body, in no other element.

    The original looks for `html/body/table`. A text without `<html>` is read as the inside of a
    body (there, and so with the original, it holds no table and scores 0), and location tokens
    `<locDDDD>`, which PaliGemma writes into cells, are taken out first.

    Raises:
        UnreadableTableError: there is none, or the text is beyond MAX_CHARACTERS or MAX_DEPTH.
    """
    if len(html) > MAX_CHARACTERS:
        raise UnreadableTableError(f"more than {MAX_CHARACTERS} characters")
    builder = _Builder()
    _feed(builder, _LOCATION.sub("", html))
    for child in builder.root.children:
        if child.tag == "table":
            return child
    raise UnreadableTableError("no table")


def unusable_truth(html: str, fault: UnreadableTableError) -> InputError:
    """The error to raise for a true table that cannot be read."""
    return InputError(
        f"a true table cannot be read ({fault}): {html[:60]!r}; give HTML with a <table>"
    )


def _feed(builder: "_Builder", html: str) -> None:
    """Cut a text into tags and what stands between them; a tag left open takes the rest along.

    Linear in the text's length: whatever could be searched for twice ends the reading instead.
    """
    start = place = 0
    while (place := html.find("<", place)) >= 0:
        markup = _MARKUP.match(html, place)
        if not markup:  # a bare "<", as in "p < 0.05"
            place += 1
            continue
        builder.text(html[start:place])
        start = place = _after_markup(builder, html, markup)
    builder.text(html[start:])


def _after_markup(builder: "_Builder", html: str, markup: re.Match[str]) -> int:
    """Take one piece of markup; where the text goes on behind it."""
    if markup["other"]:
        closing = "-->" if markup["other"] == "<!--" else ">"
        end = html.find(closing, markup.end())
        return end + len(closing) if end >= 0 else len(html)
    tag = _TAG.match(html, markup.start())
    if not tag:
        return len(html)
    name = tag["name"].lower()
    if tag["slash"]:
        builder.end(name)
    else:
        builder.start(name, _attributes(tag["rest"]))
        if tag["rest"].endswith("/") and name not in _VOID:
            builder.end(name)
    return tag.end()


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in _PARTS.findall(text):
        bare = value[1:-1] if value[:1] in ("'", '"') else value
        found.setdefault(name.lower(), _unescaped(bare))
    return found


def _unescaped(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # Python refuses numbers of thousands of digits
        raise UnreadableTableError("a character reference is too long") from None


class _Builder:
    """Builds elements under one root, which stands for `html`, `head` and `body` together."""

    def __init__(self) -> None:
        self.root = Element("")
        self._open = [self.root]

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in _FRAME:
            return
        while self._open[-1].tag in _CLOSED_BY.get(tag, ()):
            self._open.pop()
        if len(self._open) > MAX_DEPTH:
            raise UnreadableTableError(f"more than {MAX_DEPTH} elements inside each other")
        element = Element(tag, attributes)
        self._open[-1].content.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def end(self, tag: str) -> None:
        if tag in ("html", "body"):
            del self._open[1:]
        rank = _RANK.get(tag, 100)
        for depth in range(len(self._open) - 1, 0, -1):
            if self._open[depth].tag == tag:
                del self._open[depth:]
                return
            if _RANK.get(self._open[depth].tag, 100) > rank:
                return

    def text(self, text: str) -> None:
        if not text:
            return
        content = self._open[-1].content
        if content and isinstance(content[-1], str):
            content[-1] += _unescaped(text)
        else:
            content.append(_unescaped(text))
