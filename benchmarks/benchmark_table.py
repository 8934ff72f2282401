"""The part "The benchmarks" of docs/evaluation.md, from the table of benchmarks.

python benchmarks/benchmark_table.py            # printed
python benchmarks/benchmark_table.py --write    # put between the markers of the page
"""

import sys
from itertools import groupby
from pathlib import Path

from palikit.evaluation.benchmarks import BENCHMARKS, Benchmark

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"
START, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"

MODELS = (
    ("paligemma-3b", "PaliGemma 3B"),
    ("paligemma2-3b", "2 3B"),
    ("paligemma2-10b", "2 10B"),
    ("paligemma2-28b", "2 28B"),
)
RESOLUTIONS = (224, 448, 896)


def section() -> str:
    """The whole part, without the markers."""
    return "\n\n".join(
        [_introduction(), _protocols(), _scores_text(), _scores(), _data_text(), _data()]
    )


def with_section(page: str) -> str:
    """A page with the part put between its markers."""
    before, found, rest = page.partition(START)
    _, closed, after = rest.partition(END)
    if not (found and closed):
        raise SystemExit(f"{PAGE} has no {START} ... {END}")
    return f"{before}{START}\n\n{section()}\n\n{END}{after}"


def _introduction() -> str:
    counts = [f"{len(list(rows))} {family}" for family, rows in groupby(BENCHMARKS, _family)]
    return (
        "## The benchmarks\n\n"
        f"{len(BENCHMARKS)} rows: {', '.join(counts)}. `palikit benchmarks NAME` shows one whole, "
        "with its layout on disk and every published score.\n\n"
        "Prompts are sent letter for letter: `␣␣` are two blanks, `\\t` a tab, `\\n` a line's end. "
        "Decoding is greedy where no beams are named. `max` is the most tokens of an answer."
    )


def _protocols() -> str:
    rows = [
        (
            f"`{each.name}`",
            each.title,
            f"`{_visible(each.prompt)}`",
            f"{each.beams} beams" if each.beams > 1 else "greedy",
            str(each.max_new_tokens),
            each.figure + (f", {each.unit}" if each.unit else ""),
            each.note or "",
        )
        for each in BENCHMARKS
    ]
    header = ("name", "what", "prompt", "decoding", "max", "figure", "worth knowing")
    return _table(header, rows)


def _scores_text() -> str:
    return (
        "### Published scores\n\n"
        "At 224 / 448 / 896 px. Figures of fine-tuned checkpoints, or, where nothing was trained "
        "on a benchmark, of those fine-tuned on a related one; none of a pretrained checkpoint. "
        "The split is the first of the benchmark or stands after `@`, a part of the figure after "
        "`/`. The first value of the sources' order is shown: PaliGemma 2 report, PaliGemma's "
        "model card, Gemma 3 report. Where card and report differ (OCR-VQA, COCO-35L, XM3600) "
        "both are in `palikit benchmarks NAME`."
    )


def _scores() -> str:
    rows = []
    for each in BENCHMARKS:
        keys = dict.fromkeys((score.part, score.split) for score in each.published)
        for part, split in keys:
            name = each.name + (f"/{part}" if part else "") + (f"@{split}" if split else "")
            cells = [_cell(each, model, part, split) for model, _ in MODELS]
            rows.append((f"`{name}`", *cells))
    return _table(("benchmark", *(title for _, title in MODELS)), rows)


def _cell(benchmark: Benchmark, model: str, part: str, split: str) -> str:
    first: dict[int, str] = {}
    for each in benchmark.published:
        if (each.model, each.part, each.split) == (model, part, split) and each.stage != "mix":
            first.setdefault(each.resolution, f"{each.value:g}")
    values = [first.get(side, "-") for side in RESOLUTIONS]
    return " / ".join(values) if first else "-"


def _data_text() -> str:
    return (
        "### Where the data come from\n\n"
        "`--data` is a folder in the layout below, or with one file `SPLIT.jsonl` in PaliKit's "
        "own: one question on each line,\n\n"
        '    {"id": "17", "image": "a.jpg", "question": "...", "answers": ["..."], "group": ""}\n\n'
        "with `images` for several pictures or `video` for a film, `choices` and `context` where "
        "the prompt has them, `language` for captions, `box` for the widget of WidgetCap, "
        "`objects` and `words` where those are to be found. Files lie beside it or in `images/`."
    )


def _data() -> str:
    rows = []
    for each in BENCHMARKS:
        layout = each.layout.partition(" The layout of PaliKit")[0]
        hub = f"`{each.hub}`" if each.hub else "-"
        rows.append((f"`{each.name}`", ", ".join(each.splits), layout, hub))
    return _table(("name", "splits", "what to fetch, and where it belongs", "on the Hub"), rows)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _visible(prompt: str) -> str:
    shown = prompt.replace("\n", "\\n").replace("\t", "\\t").replace("  ", "␣␣")
    return shown.replace("{choices}", "{a} \\t {b} ...")


def _family(benchmark: Benchmark) -> str:
    return benchmark.family


def main() -> None:
    """Print the part, or write it."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return
    print(section())


if __name__ == "__main__":
    main()
