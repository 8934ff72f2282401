"""One HTML page of cards: pictures side by side over lines of coloured text.

The page is a single file that needs nothing else and asks no server for anything: pictures are
part of it, there is no script, and its own policy forbids both. All text is escaped. Light or dark
as the reader's system is, and one column on a phone.
"""

import base64
import html
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from PIL import Image

from palikit.data.writing import saved_file
from palikit.errors import InputError

Tone = Literal[
    "plain", "muted", "image", "bos", "prefix", "newline", "suffix", "eos", "good", "bad"
]
"""What a stretch of text is: neutral, a role in the model's sequence, or right and wrong."""

_QUALITY = 85
"""Of the JPEG pictures, in per cent."""


@dataclass(frozen=True)
class Span:
    """A stretch of text in one colour; `is_learned` underlines it: the loss is taken there."""

    text: str
    tone: Tone = "plain"
    is_learned: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture of a card: the bytes of a JPEG or PNG file, and what is written under it."""

    data: bytes
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """One example: its title, pictures side by side, and lines of coloured text under them."""

    title: str
    pictures: tuple[Picture, ...]
    lines: tuple[tuple[Span, ...], ...] = ()


def picture_of(image: Image.Image, caption: str = "", *, max_side: int = 640) -> Picture:
    """A picture of a card from an RGB image, scaled down to `max_side` pixels at most."""
    shown = image
    if max(image.size) > max_side:
        scale = max_side / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        shown = image.resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    shown.save(stream, "JPEG", quality=_QUALITY)
    return Picture(stream.getvalue(), caption)


def check_page_path(path: Path, *, overwrite: bool) -> None:
    """Make sure, before any work is done, that a page may be written there.

    Raises:
        InputError: something is there and `overwrite` is not set, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: give the page the name of a file, such as page.html")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: give the page another name, or --overwrite it")


def write_page(
    path: Path,
    title: str,
    intro: str,
    cards: Iterable[Card],
    *,
    legend: Sequence[Span] = (),
    overwrite: bool = False,
) -> None:
    """Write a page; it appears under its name when it is whole.

    Args:
        path: of the page; missing folders are made.
        title: of the page.
        intro: what the reader should know first; a paragraph a line.
        cards: may be made while the page is written: no more than one is held.
        legend: what the colours mean, each shown in its own.
        overwrite: replace what is there.

    Raises:
        InputError: as of `check_page_path`, or the file cannot be written.
    """
    check_page_path(path, overwrite=overwrite)
    with saved_file(path) as temporary, temporary.open("wb") as stream:
        _write(stream, title, intro, cards, legend)


def _write(
    stream: BinaryIO, title: str, intro: str, cards: Iterable[Card], legend: Sequence[Span]
) -> None:
    for part in _parts(title, intro, cards, legend):
        # Half a surrogate pair is no character; it stands in names of files that are not text.
        stream.write(part.encode("utf-8", "backslashreplace"))


def _parts(title: str, intro: str, cards: Iterable[Card], legend: Sequence[Span]) -> Iterator[str]:
    name = html.escape(title)
    yield _HEAD.format(title=name, style=_STYLE)
    yield f"<h1>{name}</h1>\n"
    yield from (f"<p>{html.escape(line)}</p>\n" for line in intro.splitlines() if line.strip())
    if legend:
        yield f'<p class="legend">{" ".join(map(_span, legend))}</p>\n'
    yield "<main>\n"
    yield from map(_card, cards)
    yield "</main>\n</body>\n</html>\n"


def _card(card: Card) -> str:
    pictures = "".join(map(_picture, card.pictures))
    lines = "".join(f'<p class="text">{"".join(map(_span, line))}</p>\n' for line in card.lines)
    return (
        f"<article>\n<h2>{html.escape(card.title)}</h2>\n"
        f'<div class="pictures">{pictures}</div>\n{lines}</article>\n'
    )


def _picture(picture: Picture) -> str:
    kind = "png" if picture.data.startswith(b"\x89PNG") else "jpeg"
    data = base64.b64encode(picture.data).decode("ascii")
    caption = html.escape(picture.caption)
    return (
        f'<figure><img src="data:image/{kind};base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>\n"
    )


def _span(span: Span) -> str:
    learned = " learned" if span.is_learned else ""
    return f'<span class="{span.tone}{learned}">{html.escape(span.text)}</span>'


_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""

_STYLE = """
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b1f24; --soft: #5c6570;
  --edge: #d8dde3; --image: #e3e6ea; --bos: #dcd3f7; --prefix: #cfe3fb; --newline: #dcd3f7;
  --suffix: #cdeecf; --eos: #f9dfb4; --good: #cdeecf; --bad: #fbd3d0; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --card: #1e2329; --ink: #e7eaee; --soft: #9aa4b0; --edge: #363d46;
    --image: #3a4149; --bos: #4a3d75; --prefix: #21466e; --newline: #4a3d75; --suffix: #205428;
    --eos: #6b4c12; --good: #205428; --bad: #742c27; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1400px; padding: 1rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: .95rem; margin: 0 0 .6rem; font-weight: 600; overflow-wrap: anywhere; }
p { margin: .3rem 0; }
main { display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 560px), 1fr)); }
article { background: var(--card); border: 1px solid var(--edge); border-radius: 10px;
  padding: .9rem; min-width: 0; }
.pictures { display: flex; flex-wrap: wrap; gap: .6rem; align-items: flex-start; }
figure { margin: 0; flex: 1 1 220px; min-width: 0; max-width: 480px; }
img { display: block; width: 100%; height: auto; border-radius: 4px; }
figcaption { font-size: .8rem; color: var(--soft); overflow-wrap: anywhere; }
.text { font: 13px/1.9 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .5rem 0 0; }
.legend { font-size: .85rem; line-height: 2; }
span { border-radius: 3px; padding: .1em .15em; }
.text span + span { margin-left: 1px; }
.muted { color: var(--soft); }
.image { background: var(--image); } .bos { background: var(--bos); }
.prefix { background: var(--prefix); } .newline { background: var(--newline); }
.suffix { background: var(--suffix); } .eos { background: var(--eos); }
.good { background: var(--good); } .bad { background: var(--bad); }
.learned { text-decoration: underline 2px; text-underline-offset: 3px; }
"""
