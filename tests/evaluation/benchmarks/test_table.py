"""The table of benchmarks: names, prompts, decoding, and what every row says of itself."""

import pytest

from palikit.errors import InputError
from palikit.evaluation.benchmarks import BENCHMARKS, Benchmark, benchmark_named
from palikit.evaluation.benchmarks.build import checkpoint_of
from palikit.published import find_published
from palikit.recipes import recipe_named

NAMES = [benchmark.name for benchmark in BENCHMARKS]

every_benchmark = pytest.mark.parametrize("benchmark", BENCHMARKS, ids=NAMES)


def test_names_are_unique() -> None:
    assert len(set(NAMES)) == len(NAMES)


DEMANDED = [
    "cococap", "nocaps", "coco35l", "xm3600", "textcaps", "scicap", "screen2words", "widgetcap",
    "docci", "vqav2", "textvqa", "okvqa", "aokvqa-mc", "aokvqa-da", "gqa", "xgqa", "nlvr2", "marvl",
    "ai2d", "science-qa", "rsvqa-lr", "rsvqa-hr", "chartqa-human", "chartqa-augmented", "chartqa",
    "vizwizvqa", "tallyqa", "countbenchqa", "ocrvqa", "docvqa", "infovqa", "stvqa", "pope-random",
    "pope-popular", "pope-adversarial", "mmvp", "vsr", "refcoco-val", "refcoco-testa",
    "refcoco-testb", "refcoco-plus-val", "refcoco-plus-testa", "refcoco-plus-testb", "refcocog-val",
    "refcocog-test", "msrvtt-cap", "msrvtt-qa", "msvd-qa", "activitynet-cap", "activitynet-qa",
    "vatex-cap", "icdar15", "total-text", "pubtabnet", "fintabnet", "chemdraw", "grandstaff",
    "mimic-cxr", "coco-detection", "doclaynet",
]  # fmt: skip


def test_every_benchmark_of_cards_and_report_is_there() -> None:
    assert sorted(NAMES) == sorted(DEMANDED)


@every_benchmark
def test_a_row_says_where_its_data_come_from_and_what_its_figures_mean(
    benchmark: Benchmark,
) -> None:
    assert benchmark.splits
    assert "SPLIT.jsonl" in benchmark.layout
    assert benchmark.figure
    assert benchmark.published
    assert "published figures" in benchmark.training_needed
    assert benchmark.max_new_tokens > 0


@every_benchmark
def test_splits_of_published_scores_can_be_asked_for(benchmark: Benchmark) -> None:
    assert {each.split for each in benchmark.published} <= {"", *benchmark.splits}


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert benchmark_named("Science_QA").name == "science-qa"
    with pytest.raises(InputError, match="did you mean docvqa"):
        benchmark_named("docvq")


def test_decoding_is_greedy_but_for_two_captioning_benchmarks() -> None:
    beams = {benchmark.name: benchmark.beams for benchmark in BENCHMARKS if benchmark.beams > 1}
    assert beams == {"cococap": 2, "textcaps": 3}


LENGTHS = {
    "cococap": 32, "scicap": 96, "screen2words": 24, "docci": 192, "vqav2": 32, "aokvqa-mc": 128,
    "ai2d": 128, "nlvr2": 64, "science-qa": 512, "vizwizvqa": 48, "chartqa": 48, "docvqa": 32,
    "infovqa": 48, "stvqa": 48, "refcoco-val": 48, "msrvtt-cap": 32, "msrvtt-qa": 64, "vsr": 18,
    "icdar15": 2048, "pubtabnet": 4096, "chemdraw": 256, "grandstaff": 1024,
}  # fmt: skip


@pytest.mark.parametrize("name", LENGTHS)
def test_answers_are_as_long_as_the_transfer_s_text(name: str) -> None:
    assert benchmark_named(name).max_new_tokens == LENGTHS[name]


@pytest.mark.parametrize(
    "name", ["docvqa", "chartqa", "chartqa-human", "chartqa-augmented", "pope-random"]
)
def test_documents_charts_and_pope_are_asked_the_bare_question(name: str) -> None:
    assert benchmark_named(name).prompt == "{question}"


@pytest.mark.parametrize("name", ["ai2d", "aokvqa-mc"])
def test_two_blanks_stand_before_a_question_of_multiple_choice(name: str) -> None:
    assert benchmark_named(name).prompt.startswith("answer en  {question} choose from: ")


@pytest.mark.parametrize("name", ["vqav2", "textvqa", "gqa", "docvqa", "chartqa", "infovqa"])
def test_prompts_are_those_the_transfer_was_trained_with(name: str) -> None:
    assert benchmark_named(name).prompt == recipe_named(name).prefix


@pytest.mark.parametrize("name", ["nocaps", "xm3600", "xgqa", "marvl", "mmvp", "countbenchqa"])
def test_what_was_never_trained_on_says_whose_checkpoint_is_scored(name: str) -> None:
    benchmark = benchmark_named(name)
    assert "nothing was trained on" in benchmark.training_needed
    assert {each.stage for each in benchmark.published} <= {"zero-shot", "mix"}


def test_checkpoints_that_are_named_were_published() -> None:
    assert checkpoint_of("docvqa") == "google/paligemma-3b-ft-docvqa-224"
    assert checkpoint_of("docci") == "google/paligemma2-3b-ft-docci-448"
    assert checkpoint_of("vsr") == ""
    for benchmark in BENCHMARKS:
        for word in benchmark.training_needed.replace(".", "").split():
            if word.startswith("google/"):
                assert find_published(word.rstrip(":;,")), benchmark.name


@every_benchmark
def test_prompts_hold_no_field_that_nothing_fills(benchmark: Benchmark) -> None:
    fields = {"question": "", "choices": "", "options": "", "context": "", "language": ""}
    assert "{" not in benchmark.prompt.format(**fields)


@every_benchmark
def test_a_figure_is_printed_as_the_tables_print_it(benchmark: Benchmark) -> None:
    assert benchmark.printed(0.5) == (0.5 if benchmark.unit == "" else 50)
