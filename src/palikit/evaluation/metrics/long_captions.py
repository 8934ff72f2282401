"""Long captions: their length, and how much of them is not true of the picture.

The three figures of the table on DOCCI in the PaliGemma 2 report (arXiv 2412.03555): mean
characters, mean sentences, and NES, the share of non-entailment sentences. There is no official
code for them.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.metrics.score import Score, mean_score, ratio_score, require_examples

VERDICTS = ("entailment", "neutral", "contradiction", "nothing to assess")
"""What a rater may say of a sentence beside its picture."""

_NOT_ENTAILED = ("neutral", "contradiction")

_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[\"'“‘(\[]*[^\W_])|[。！？]+[」』”]?")
"""Stops and what closes with them, before a letter or digit; the full stops of Chinese alike."""

_NO_END = re.compile(
    r"(?:^|[\s(\"“])(?:(?:[A-Za-z]\.)*[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|Mt|[Ff]t|Jr|Sr|vs|etc|approx|No|Fig)\.$"
)
"""Letters with stops, titles and abbreviations, after which a sentence goes on."""


@dataclass(frozen=True)
class SentenceJudgement:
    """What the raters said of one sentence.

    Attributes:
        caption: which caption the sentence is of.
        sentence: its text.
        verdicts: of each rater, one of `VERDICTS`; an odd number, five in the report.
    """

    caption: str
    sentence: str
    verdicts: tuple[str, ...]


def mean_characters(captions: Sequence[str]) -> Score:
    """Mean length in Unicode characters, without white space at the ends.

    Raises:
        InputError: there are no captions.
    """
    return mean_score([len(caption.strip()) for caption in captions])


def mean_sentences(captions: Sequence[str]) -> Score:
    """Mean number of sentences, as `sentences` splits them.

    Raises:
        InputError: there are no captions.
    """
    return mean_score([len(sentences(caption)) for caption in captions])


def sentences(caption: str) -> tuple[str, ...]:
    """The sentences of a caption, by a simple rule.

    A sentence ends at a line break, at one or more of `. ! ? …` (with quotes and brackets that
    close behind them) before white space and a letter or digit, and at a Chinese or Japanese full
    stop. A stop after single letters (U.S., e.g., J.) or one of a few abbreviations (Mr, Mrs, Ms,
    Dr, Prof, St, Mt, Ft, ft, Jr, Sr, vs, etc, approx, No, Fig) ends none. Which splitter the report
    used is not known.
    """
    return tuple(part for line in caption.splitlines() for part in _split(line))


def _split(line: str) -> Iterator[str]:
    start = 0
    for found in _END.finditer(line):
        if _NO_END.search(line[start : found.end()]):
            continue
        yield line[start : found.end()].strip()
        start = found.end()
    if line[start:].strip():
        yield line[start:].strip()


def non_entailment(judgements: Iterable[SentenceJudgement]) -> Score:
    """NES: the share of sentences that most raters call neutral or contradicted, in [0, 1].

    Tables print it times 100; lower is better. A sentence counts where more than half of its
    raters say either of the two; all judged sentences are below the line, those with nothing to
    assess too.

    Returns:
        An example is a caption, in the order of first appearance, and its value the share of its
        own sentences; the interval resamples captions. The parts are the shares of sentences of
        which most raters say the one verdict.

    Raises:
        InputError: there are no judgements, or a sentence has an even number of verdicts.
    """
    rows = tuple(judgements)
    require_examples(len(rows))
    hits: dict[str, list[bool]] = {}
    for row in rows:
        _require_verdicts(row)
        hits.setdefault(row.caption, []).append(_most(row, _NOT_ENTAILED))
    above = [sum(each) for each in hits.values()]
    below = [len(each) for each in hits.values()]
    parts = ((name, sum(_most(row, (name,)) for row in rows) / len(rows)) for name in VERDICTS)
    shares = [hit / count for hit, count in zip(above, below, strict=True)]
    return ratio_score(above, below, per_example=shares, parts=tuple(parts))


def _most(row: SentenceJudgement, names: Sequence[str]) -> bool:
    return sum(verdict in names for verdict in row.verdicts) * 2 > len(row.verdicts)


def read_judgements(path: str | Path) -> tuple[SentenceJudgement, ...]:
    """Read a file of sentence judgements, UTF-8.

    A .csv has the columns `caption` and `sentence`, and one column for each rater whose name
    starts with `rater`. A .jsonl has one object a line with `caption`, `sentence` and `raters`, a
    list. A verdict is one of `VERDICTS` in any case; an empty one is a rater who said nothing.

    Raises:
        InputError: the file cannot be read, is of another kind, lacks a column, holds a sentence
            twice, without verdicts, with an even number or with one that is not known.
    """
    path = Path(path)
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise InputError(f"{path}: expected a .csv or .jsonl file of sentence judgements")
    rows = list(readers[path.suffix.lower()](text, path))
    if not rows:
        raise InputError(f"{path}: holds no judgements")
    _require_different(rows, path)
    return tuple(row for _, row in rows)


def _csv_rows(text: str, path: Path) -> Iterator[tuple[int, SentenceJudgement]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        raters = [name for name in reader.fieldnames or () if name.lower().startswith("rater")]
        if not raters:
            raise InputError(f"{path}: no column starts with 'rater', expected one for each rater")
        for row in reader:
            verdicts = [row[name] or "" for name in raters]
            yield reader.line_num, _judgement(row, verdicts, f"{path}:{reader.line_num}")
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: is not CSV ({error})") from error


def _jsonl_rows(text: str, path: Path) -> Iterator[tuple[int, SentenceJudgement]]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{where}: is not JSON ({error})") from error
        if not isinstance(row, dict) or not isinstance(row.get("raters"), list):
            raise InputError(f"{where}: expected an object with a list 'raters'")
        yield number, _judgement(row, row["raters"], where)


def _judgement(
    row: Mapping[str, object], verdicts: Sequence[object], where: str
) -> SentenceJudgement:
    for name in ("caption", "sentence"):
        if not str(row.get(name) or "").strip():
            raise InputError(f"{where}: '{name}' is missing or empty")
    said = [" ".join(str(each or "").lower().split()) for each in verdicts]
    judgement = SentenceJudgement(
        str(row["caption"]).strip(), str(row["sentence"]).strip(), tuple(filter(None, said))
    )
    try:
        _require_verdicts(judgement)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    return judgement


def _require_verdicts(row: SentenceJudgement) -> None:
    unknown = [verdict for verdict in row.verdicts if verdict not in VERDICTS]
    if unknown:
        raise InputError(f"{unknown[0]!r} is no verdict: expected one of {', '.join(VERDICTS)}")
    if len(row.verdicts) % 2 == 0:
        raise InputError(
            f"a sentence of caption {row.caption} has {len(row.verdicts)} verdicts: "
            f"give an odd number, so that there is a majority"
        )


def _require_different(rows: Sequence[tuple[int, SentenceJudgement]], path: Path) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, row in rows:
        first = seen.setdefault((row.caption, row.sentence), number)
        if first != number:
            raise InputError(
                f"{path}:{number}: the sentence of line {first} again; "
                f"put all its raters into one row"
            )
