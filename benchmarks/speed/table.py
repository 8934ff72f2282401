"""The tables of the README, out of the results.

python -m benchmarks.speed.table                      # prints them
python -m benchmarks.speed.table --write README.md    # between <!-- speed --> and <!-- /speed -->
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.speed.cases import CASES
from benchmarks.speed.summary import Summary

RESULTS = Path(__file__).resolve().parents[1] / "results" / "speed"
BEGIN, END = "<!-- speed -->", "<!-- /speed -->"

_COLUMNS = (
    "case",
    "who",
    "first token, s",
    "tokens/s",
    "of the limit: first token, decode (of reads beside it)",
    "load, s",
    "peak, GB",
)
_RATIOS = (
    "case",
    "the first against",
    "time to first token",
    "tokens/s",
    "load time",
    "peak memory",
)
_WHOLE = ("case", "who", "seconds", "the first is faster")


def tables(reports: Sequence[dict[str, Any]]) -> str:
    """All tables of one device, as Markdown; a paragraph says where they were measured."""
    lines = [_where(reports), ""]
    measured = [(report["case"]["title"], _summaries(report)) for report in reports]
    parts = [
        (_COLUMNS, [row for title, each in measured for row in _figures(title, each)]),
        (_RATIOS, [row for title, each in measured for row in _ratios(title, each)]),
        (_WHOLE, [row for title, each in measured for row in _wholes(title, each)]),
    ]
    for header, rows in parts:
        if rows:
            lines += [*markdown(header, rows), ""]
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose columns stand under each other."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in table
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def read_reports(folder: Path, device: str) -> list[dict[str, Any]]:
    """The results of a device, in the order of the cases."""
    files = (folder / f"{case.name}-{device}.json" for case in CASES)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def replaced(page: str, text: str) -> str:
    """A page with new tables between its marks.

    Raises:
        ValueError: the page has not one pair of marks.
    """
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(page)) != 1:
        raise ValueError(f"the page has no single pair of {BEGIN} and {END}: put them in it")
    return pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", page)


def _summaries(report: dict[str, Any]) -> list[Summary]:
    return [Summary(**each) for each in report["summaries"]]


def _figures(title: str, summaries: Sequence[Summary]) -> list[list[str]]:
    shown = [each for each in summaries if each.first_token_seconds is not None]
    return [
        [
            title if place == 0 else "",
            each.name,
            _number(each.first_token_seconds),
            _number(each.decode_tokens_per_second),
            _shares(each),
            _number(each.load_seconds),
            _number(None if each.peak is None else each.peak / 1e9),
        ]
        for place, each in enumerate(shown)
    ]


def _ratios(title: str, summaries: Sequence[Summary]) -> list[list[str]]:
    shown = [each for each in summaries[1:] if each.first_token_ratio is not None]
    return [
        [
            title if place == 0 else "",
            each.name,
            _number(each.first_token_ratio),
            _times(each.decode_ratio),
            _number(each.load_ratio),
            _number(each.memory_ratio),
        ]
        for place, each in enumerate(shown)
    ]


def _wholes(title: str, summaries: Sequence[Summary]) -> list[list[str]]:
    shown = [each for each in summaries if each.whole_seconds is not None]
    return [
        [
            title if place == 0 else "",
            each.name,
            _number(each.whole_seconds),
            _times(None if not each.whole_ratio else 1 / each.whole_ratio) if place else "",
        ]
        for place, each in enumerate(shown)
    ]


def _where(reports: Sequence[dict[str, Any]]) -> str:
    """The machine and versions of the first; the commits of all, which may be of several days."""
    report = reports[0]
    where, limits = report["environment"], report["limits"]
    states = [
        f"{state} for {len(list(same))}"
        for state, same in groupby(
            f"{each['environment']['commit']} ({each['date']})" for each in reports
        )
    ]
    machine = where["gpu"] or f"{where['processor']}, {report['threads']} threads"
    flags = "" if where["gpu"] else f" ({', '.join(where['flags'])})"
    versions = ", ".join(f"{name} {v}" for name, v in where["versions"].items() if v)
    text = f"{machine}{flags}, {where['memory_bytes'] / 1e9:.0f} GB; {versions}; "
    text += f"commits, in the order of the cases: {', '.join(states)}."
    if limits is None:
        return text
    bandwidth = limits["copy_bytes_per_second"] or limits["read_bytes_per_second"]
    return f"{text} The machine's own limit in the first run: {bandwidth / 1e9:.1f} GB/s."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}" if value < 100 else f"{value:.0f}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} times"


def _shares(each: Summary) -> str:
    text = f"{_percent(each.first_token_share)}, {_percent(each.decode_share)}"
    beside = each.decode_share_beside
    return text if beside is None else f"{text} ({_percent(beside)})"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", type=Path, help="a page with marks")
    args = parser.parse_args()
    reports = [read_reports(args.results, device) for device in ("cpu", "cuda")]
    text = "\n".join(tables(each) for each in reports if each)
    if not text:
        sys.exit(f"{args.results} holds no results: run python -m benchmarks.speed first")
    if args.write is None:
        print(text)
        return
    page = args.write.read_text(encoding="utf-8")
    args.write.write_text(replaced(page, text), encoding="utf-8")


if __name__ == "__main__":
    main()
