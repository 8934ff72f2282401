"""`palikit.html_page`: one file, whole or not there, that runs nothing and asks nobody."""

import base64
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from palikit.errors import InputError
from palikit.html_page import Card, Picture, Span, picture_of, write_page

PICTURE = picture_of(Image.new("RGB", (30, 20), "red"), "a red one")


class _Parsed(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def written(path: Path, *cards: Card, title: str = "Title", intro: str = "") -> _Parsed:
    write_page(path, title, intro, cards)
    return _Parsed(path.read_text(encoding="utf-8"))


def test_everything_is_in_the_file(tmp_path: Path) -> None:
    page = written(tmp_path / "p.html", Card("one", (PICTURE, PICTURE), ((Span("text"),),)))
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    assert len(sources) == 2
    assert all(source is not None and source.startswith("data:image/jpeg;") for source in sources)
    assert not {"script", "link", "iframe", "a"} & {tag for tag, _ in page.tags}
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(stream, "PNG")
    page = written(tmp_path / "p.html", Card("one", (Picture(stream.getvalue()),)))
    (source,) = (attrs["src"] for tag, attrs in page.tags if tag == "img")
    assert source is not None
    kind, _, data = source.partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == stream.getvalue()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x>', "&lt; & '", "\ud800"]
)
def test_text_is_text_wherever_it_stands(tmp_path: Path, text: str) -> None:
    card = Card(text, (Picture(PICTURE.data, text),), ((Span(text, "suffix"),),))
    page = written(tmp_path / "p.html", card, title=text, intro=text)
    assert {tag for tag, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "p", "main", "article", "h2"),
        *("div", "figure", "img", "figcaption", "span"),
    }
    shown = text.encode("utf-8", "backslashreplace").decode()
    assert page.texts.count(shown) == 6


def test_colours_and_the_loss_are_in_the_page(tmp_path: Path) -> None:
    page = written(tmp_path / "p.html", Card("one", (), ((Span("x", "suffix", is_learned=True),),)))
    assert ("span", {"class": "suffix learned"}) in page.tags


def test_large_pictures_are_scaled_down_and_small_ones_kept() -> None:
    for size, expected in (((1280, 640), (640, 320)), ((30, 20), (30, 20)), ((5000, 1), (640, 1))):
        picture = picture_of(Image.new("RGB", size), max_side=640)
        assert Image.open(io.BytesIO(picture.data)).size == expected


def test_a_page_is_not_overwritten_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "p.html"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"exists: .* --overwrite it"):
        write_page(path, "t", "", [])
    assert path.read_text() == "mine"
    write_page(path, "t", "", [], overwrite=True)
    assert "<h1>t</h1>" in path.read_text()


def test_a_page_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Card]:
        yield Card("one", ())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_page(tmp_path / "p.html", "t", "", broken())
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_page(tmp_path / "file" / "p.html", "t", "", [])
    with pytest.raises(InputError, match="is a folder"):
        write_page(tmp_path, "t", "", [])
