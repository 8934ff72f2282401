"""From a benchmark's data on disk to its questions, in the words of its published protocol."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.own import read_own
from palikit.evaluation.benchmarks.layouts.source import Official, Source
from palikit.evaluation.benchmarks.row import Change, Clip, Example

CHOICES = " \t "
"""Between the choices of A-OKVQA and AI2D: blank, tab, blank."""

_OPTIONS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Protocol:
    """How a benchmark is read and asked.

    Attributes:
        title: of the benchmark.
        splits: that can be asked for.
        official: reads the layout of its distributor.
        layout: what belongs into the folder.
        prompt: with {question}, {choices}, {options}, {context} or {language}.
        frames, stride: of a video.
        change: of every picture, also where the layout of PaliKit is read.
    """

    title: str
    splits: tuple[str, ...]
    official: Official
    layout: str
    prompt: str
    frames: int = 0
    stride: int = 1
    change: Change | None = None


def read_examples(protocol: Protocol, folder: Path, split: str) -> Iterator[Example]:
    """The questions of a split, one at a time.

    SPLIT.jsonl in the folder is read in the layout of PaliKit; without it the official one is.

    Raises:
        InputError: no such split; the data are not there (the message says what to fetch), or
            unusable (it names file and entry); an id that comes twice; nothing at all.
    """
    if split not in protocol.splits:
        raise InputError(
            f"{protocol.title} has no split {split!r}: choose {', '.join(protocol.splits)}"
        )
    source = Source(folder, split, protocol.title, protocol.layout)
    own = folder / f"{split}.jsonl"
    entries = read_own(source, own) if own.is_file() else protocol.official(source)
    seen: dict[str, str] = {}
    for entry in entries:
        if entry.id in seen:
            raise InputError(
                f"{entry.where} has the id {entry.id} of {seen[entry.id]}: every question needs an "
                "id of its own"
            )
        seen[entry.id] = entry.where
        yield _example(protocol, entry)
    if not seen:
        raise InputError(
            f"{folder} holds no question of {protocol.title} ({split}): expected one at least. "
            f"{protocol.layout}"
        )


def prompt_of(template: str, entry: Entry) -> str:
    """The prompt of a question, as it is sent but for the newline that closes it."""
    options = zip(_OPTIONS, entry.choices, strict=False)
    return template.format(
        question=entry.question,
        choices=CHOICES.join(entry.choices),
        options=", ".join(f"({letter}) {choice}" for letter, choice in options),
        context=entry.context,
        language=entry.language or "en",
    )


def _example(protocol: Protocol, entry: Entry) -> Example:
    if "{question}" in protocol.prompt and not entry.question:
        raise InputError(f"{entry.where}: it has no question: {protocol.title} needs one")
    if ("{choices}" in protocol.prompt or "{options}" in protocol.prompt) and not entry.choices:
        raise InputError(f"{entry.where}: it has no choices: {protocol.title} needs some")
    video = None
    if protocol.frames:
        if entry.video is None:
            raise InputError(f"{entry.where}: it has no video: {protocol.title} needs one")
        video = Clip(entry.video, protocol.frames, protocol.stride)
    return Example(
        entry.id,
        entry.images,
        prompt_of(protocol.prompt, entry),
        entry.answers,
        entry.group or (entry.language if "{language}" in protocol.prompt else ""),
        video,
        entry.objects,
        entry.words,
        entry.where,
        entry.change or protocol.change,
    )
