"""`palikit benchmarks`: the list, one benchmark whole, and JSON of both."""

import json

import click
from click.testing import CliRunner, Result

from palikit.cli.benchmarks import benchmarks
from palikit.evaluation.benchmarks import BENCHMARKS, benchmark_named


def run(*arguments: str) -> Result:
    return CliRunner().invoke(benchmarks, arguments)


def test_the_list_has_a_line_for_each_benchmark() -> None:
    lines = run().output.splitlines()
    names = [line.split()[0] for line in lines[1 : len(BENCHMARKS) + 1]]
    assert names == [benchmark.name for benchmark in BENCHMARKS]
    assert lines[0].split()[:3] == ["name", "what", "figure"]


def line_of(name: str, *arguments: str) -> str:
    lines = run(*arguments).output.splitlines()
    return next(line for line in lines if line.split()[:1] == [name])


def test_a_line_has_figure_scores_and_prompt() -> None:
    line = line_of("docvqa")
    assert "ANLS (%)" in line
    assert "39.9" in line
    assert line.endswith("{question}")
    assert "39.9" not in line_of("docvqa", "--size", "paligemma2-28b")
    assert "44.9" in line_of("docvqa", "--size", "paligemma2-28b")


def test_where_parts_alone_were_published_they_are_shown() -> None:
    assert "complex 70.3 / simple 81.8" in line_of("tallyqa")


def test_line_ends_tabs_and_double_blanks_of_prompts_can_be_seen() -> None:
    assert "answer en  {question} choose from: {choices}" in line_of("ai2d")
    assert "{question}\\nContext:" in line_of("science-qa")


def test_one_benchmark_is_shown_with_its_layout_and_every_score() -> None:
    output = run("docvqa").output
    benchmark = benchmark_named("docvqa")
    assert " ".join(benchmark.layout.split()) in " ".join(output.split())
    assert "38.7" not in output
    for each in benchmark.published:
        assert f"{each.value:g}" in output
    assert "SPLIT.jsonl" in output
    assert "google/paligemma-3b-ft-docvqa-224" in output


def test_a_size_chooses_among_the_scores_of_one() -> None:
    output = run("msrvtt-cap", "--size", "paligemma2-28b").output
    assert "Nothing was published for paligemma2-28b." in output
    assert "70.54" not in run("msrvtt-cap", "--size", "paligemma2-3b").output


def test_json_has_the_list_and_one() -> None:
    records = json.loads(run("--format", "json").output)
    assert [record["name"] for record in records] == [each.name for each in BENCHMARKS]
    one = json.loads(run("Chart_QA-human".replace("_", ""), "--format", "json").output)
    assert one["name"] == "chartqa-human"
    assert one["published"][1]["deviation"] == 0.3
    assert one["prompt"] == "{question}"


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    result = run("docvq")
    assert result.exit_code != 0
    shown = result.output + str(result.exception)
    assert "did you mean docvqa?" in shown
    assert isinstance(benchmarks, click.Command)
