"""The table of published benchmarks: `palikit benchmarks`, and one of them whole."""

import json
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import click

from palikit.cli.command import Command
from palikit.cli.tables import SIZES, in_one_line, print_table

if TYPE_CHECKING:
    from palikit.evaluation.benchmarks import Benchmark, Published
    from palikit.recipes import ModelSize

_RESOLUTIONS = (224, 448, 896)

_WIDTH = 88
"""Characters of a line of prose beside its name."""


@click.command(
    cls=Command,
    epilog="""\
palikit benchmarks
palikit benchmarks --size paligemma2-10b
palikit benchmarks docvqa
palikit benchmarks refcoco-testa --format json""",
)
@click.argument("name", required=False)
@click.option(
    "--size",
    type=click.Choice(SIZES),
    help="The model whose published scores are shown; in the list paligemma2-3b by default, of "
    "one benchmark all.",
)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A table, or JSON.",
)
def benchmarks(name: str | None, size: "ModelSize | None", output_format: str) -> None:
    """List published benchmarks, or show one.

    Without NAME all are listed, with the scores published for a model; with it, where its data
    come from, how it is asked and scored, and every score published for it. `palikit evaluate
    --benchmark NAME` runs one.
    """
    from palikit.evaluation.benchmarks import BENCHMARKS, benchmark_named

    shown = BENCHMARKS if name is None else (benchmark_named(name),)
    if output_format == "json":
        records = [_record(each, size) for each in shown]
        value = records if name is None else records[0]
        click.echo(json.dumps(value, indent=2, ensure_ascii=False))
    elif name is None:
        chosen = size or "paligemma2-3b"
        header = ("name", "what", "figure", *(f"{side} px" for side in _RESOLUTIONS), "prompt")
        print_table(header, [_line(each, chosen) for each in shown])
        click.echo(f"\nPublished scores are those of {chosen}; --size chooses another.")
    else:
        _show(shown[0], size)


def _line(benchmark: "Benchmark", size: "ModelSize") -> tuple[str, ...]:
    scores = (_scores(benchmark, size, side) for side in _RESOLUTIONS)
    return (
        benchmark.name,
        benchmark.title,
        _figure(benchmark),
        *scores,
        in_one_line(benchmark.prompt),
    )


def _scores(benchmark: "Benchmark", size: "ModelSize", side: int) -> str:
    """The first published figure, or where there are parts alone each part's first."""
    first: dict[str, Published] = {}
    for each in benchmark.published:
        if (each.model, each.resolution) == (size, side):
            first.setdefault(each.part, each)
    if "" in first:
        return f"{first[''].value:g}"
    return " / ".join(f"{part} {each.value:g}" for part, each in first.items()) or "-"


def _show(benchmark: "Benchmark", size: "ModelSize | None") -> None:
    print_table(("", ""), _rows(benchmark))
    scores = [each for each in benchmark.published if size in (None, each.model)]
    click.echo()
    if not scores:
        click.echo(f"Nothing was published for {size}.")
        return
    header = ("model", "px", "split", "part", "score", "checkpoint", "source", "note")
    print_table(header, [_published(benchmark, each) for each in scores])


def _rows(benchmark: "Benchmark") -> list[tuple[str, ...]]:
    decoding = "greedy" if benchmark.beams == 1 else f"{benchmark.beams} beams"
    rows = [
        ("benchmark", f"{benchmark.name}: {benchmark.title}"),
        ("family", benchmark.family),
        ("splits", ", ".join(benchmark.splits)),
        ("prompt", in_one_line(benchmark.prompt)),
        ("read as", benchmark.task),
        ("decoding", f"{decoding}, up to {benchmark.max_new_tokens} tokens"),
        ("figure", _figure(benchmark)),
        ("data", benchmark.layout),
        ("on the Hub", benchmark.hub or ""),
        ("submission", benchmark.submission or ""),
        ("checkpoint", benchmark.training_needed),
        ("note", benchmark.note),
    ]
    # Prompts are shown as they are: two blanks in a row matter.
    return [
        (title if place == 0 else "", line)
        for title, value in rows
        for place, line in enumerate([value] if title == "prompt" else wrap(value, _WIDTH))
    ]


def _figure(benchmark: "Benchmark") -> str:
    return f"{benchmark.figure} ({benchmark.unit})" if benchmark.unit else benchmark.figure


def _published(benchmark: "Benchmark", score: "Published") -> tuple[str, ...]:
    deviation = "" if score.deviation is None else f" ±{score.deviation:g}"
    return (
        score.model,
        str(score.resolution),
        score.split or benchmark.splits[0],
        score.part,
        f"{score.value:g}{deviation}",
        score.stage,
        score.source,
        score.note,
    )


def _record(benchmark: "Benchmark", size: "ModelSize | None") -> dict[str, Any]:
    return {
        "name": benchmark.name,
        "title": benchmark.title,
        "family": benchmark.family,
        "splits": list(benchmark.splits),
        "layout": benchmark.layout,
        "hub": benchmark.hub,
        "prompt": benchmark.prompt,
        "task": benchmark.task,
        "max_new_tokens": benchmark.max_new_tokens,
        "beams": benchmark.beams,
        "figure": benchmark.figure,
        "unit": benchmark.unit,
        "higher_is_better": benchmark.higher_is_better,
        "submission": benchmark.submission,
        "training_needed": benchmark.training_needed,
        "note": benchmark.note,
        "published": [asdict(each) for each in benchmark.published if size in (None, each.model)],
    }
