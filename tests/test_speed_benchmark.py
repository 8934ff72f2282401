"""The speed benchmark compares the same work, and says what it has measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.speed import checkpoints
from benchmarks.speed.cases import CASES, ENGINES, case_named, contenders_of, engine_named
from benchmarks.speed.checkpoints import Checkpoints, PreparationError
from benchmarks.speed.machine import Limits, best_of, measure_cpu, read_torch
from benchmarks.speed.measurement import Decoded, Measurement, Trial
from benchmarks.speed.photos import draw_pictures, open_pictures
from benchmarks.speed.running import Settings, take_turns
from benchmarks.speed.summary import differences, summarise
from benchmarks.speed.table import markdown, replaced, tables
from benchmarks.speed.work import highest_decode_rate, operations
from benchmarks.speed.worker import Supply

from palikit.published import config_for
from tests import tiny
from tests.parity.oracle import save_tiny

ROOT = Path(__file__).resolve().parents[1]
CAPTION = case_named("first-token-224")
OURS, THEIRS = contenders_of(CAPTION, ("palikit-float32", "transformers-float32"))


def trial(name: str, first_token: float, rate: float, **changes: object) -> Trial:
    measured = {
        "load_seconds": 2.0 * first_token,
        "first_token_seconds": [first_token, 9 * first_token, first_token / 9],
        "decode_tokens_per_second": [rate],
        "peak_bytes": int(1000 * first_token),
        "prompt_ids": [[2, 5, 108]],
        "pixel_mean": 0.1,
        "pixel_std": 0.5,
        "output": [[7, 8, 9, 9]],
        "threads": 2,
    }
    return Trial(name, 0, Measurement(**{**measured, **changes}))


def run_benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.speed", "--threads", "1", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("name", "engines"),
    [
        ("first-token-224", "palikit-float32,transformers-float32"),
        ("detect-224", "palikit-float32"),
    ],
)
def test_a_tiny_model_is_measured_from_end_to_end(tmp_path: Path, name: str, engines: str) -> None:
    folder = save_tiny(tmp_path / "model", tiny.model())
    (tmp_path / "pictures").mkdir()
    tiny.picture().save(tmp_path / "pictures" / "one.png")
    run_benchmark(
        *("--case", name, "--checkpoint", str(folder), "--output", str(tmp_path / "results")),
        *("--engines", engines, "--repeats", "1", "--runs", "1"),
        *("--pictures", str(tmp_path / "pictures"), "--no-limits"),
    )
    report = json.loads((tmp_path / "results" / f"{name}-cpu.json").read_text())
    ours, *others = report["summaries"]
    assert report["remarks"] == []
    for each in (ours, *others):
        assert each["error"] is None
        assert each["first_token_seconds"] > 0
        assert each["decode_tokens_per_second"] > 0
        assert each["peak_bytes"] > 10**7
    assert {t["measurement"]["threads"] for t in report["trials"]} == {1}
    assert others[0]["same_output"] == 1  # the same ids, or the work was not the same
    written = report["trials"][0]["measurement"]["output"]
    assert len(written[0]) == case_named(name).tokens


def test_every_case_has_contenders_whose_names_differ() -> None:
    names = ("palikit-int8", "transformers-float32")
    for case in CASES:
        called = [contender.name for contender in contenders_of(case, names)]
        assert len(called) == len(set(called)) >= 2, case.name


def test_the_grammar_is_measured_against_plain_greedy_of_the_same_engine() -> None:
    steered, plain = contenders_of(case_named("detect-224"), ("palikit-int8",))
    assert steered.engine == plain.engine == engine_named("palikit-int8")
    assert (steered.is_steered, plain.is_steered) == (True, False)


def test_ratios_are_those_of_medians_of_the_first_contender_to_each() -> None:
    trials = [trial(OURS.name, 1.0, 12.0), trial(THEIRS.name, 4.0, 3.0)]
    ours, theirs = summarise((OURS, THEIRS), trials, None, None)
    assert (ours.first_token_seconds, theirs.first_token_seconds) == (1.0, 4.0)
    assert (theirs.first_token_ratio, theirs.decode_ratio) == (0.25, 4.0)
    assert (theirs.load_ratio, theirs.memory_ratio) == (0.25, 0.25)
    assert theirs.same_output == 1


def test_the_share_of_the_limit_is_of_bytes_read_and_of_operations() -> None:
    config = tiny.config()
    decoder = tiny.model().language_model
    weights = sum(weight.numel() for weight in decoder.parameters() if weight.ndim == 2)
    limits = Limits(read_bytes_per_second=4.0 * weights * 100, float32_per_second=1e9)
    assert highest_decode_rate(config, OURS, limits) == pytest.approx(100)
    shortest = operations(config, 1, 3) / 1e9
    trials = [trial(OURS.name, 10 * shortest, 25.0)]
    (summary,) = summarise((OURS,), trials, limits, config)
    assert summary.decode_share == pytest.approx(0.25)
    assert summary.first_token_share == pytest.approx(0.1)


def test_the_share_beside_is_of_what_memory_could_do_before_or_after_each_run() -> None:
    config = tiny.config()
    decoder = tiny.model().language_model
    weights = sum(weight.numel() for weight in decoder.parameters() if weight.ndim == 2)
    whole = 4.0 * weights * 100  # bytes/s for 100 tokens/s
    limits = Limits(read_bytes_per_second=whole, float32_per_second=1e9)
    runs = {
        "decode_tokens_per_second": [40.0, 25.0, 30.0],
        "reads_beside": [whole / 2, whole / 2, whole],
    }
    (summary,) = summarise((OURS,), [trial(OURS.name, 1.0, 0.0, **runs)], limits, config)
    assert summary.decode_share == pytest.approx(0.30)
    assert summary.decode_share_beside == pytest.approx(0.5)  # of 0.8, 0.5 and 0.3


def test_the_operations_of_the_3b_are_those_of_its_matrices() -> None:
    # 2 x 2.02e9 x 272 for the decoder, 0.22e12 for the image tower, 0.02e12 for scores.
    config = config_for("PaliGemma 2", "3B", 224)
    assert operations(config, 1, 16) == pytest.approx(1.35e12, rel=0.02)
    assert operations(config, 4, 16) == pytest.approx(4 * operations(config, 1, 16))


def test_int8_bytes_are_a_quarter_of_those_of_float32_and_the_peer_keeps_its_head() -> None:
    config = config_for("PaliGemma 2", "3B", 224)
    limits = Limits(read_bytes_per_second=33e9)
    names = ("palikit-int8", "palikit-float32", "transformers-bitsandbytes-int8")
    rates = [
        highest_decode_rate(config, contender, limits)
        for contender in contenders_of(case_named("caption-224-1"), names)
    ]
    assert rates[0] == pytest.approx(4 * rates[1])
    assert rates[0] == pytest.approx(12.7, rel=0.01)
    assert rates[1] < rates[2] < rates[0]


def test_the_head_of_4_bits_is_read_in_8_or_16_and_a_cpu_reads_8_bits_for_4() -> None:
    config = config_for("PaliGemma 2", "3B", 224)
    names = ("palikit-int8", "palikit-int4", "palikit-nf4")

    def rates(limits: Limits) -> list[float]:
        contenders = contenders_of(case_named("caption-224-1"), names)
        return [highest_decode_rate(config, each, limits) for each in contenders]

    int8, int4, nf4 = rates(Limits(read_bytes_per_second=33e9))
    assert int4 == int8
    assert int8 < nf4 < 1.5 * int8  # its head is in half precision
    int8, int4, nf4 = rates(Limits(copy_bytes_per_second=33e9))
    assert int8 < int4 < 2 * int8
    assert nf4 < int4


def test_the_peak_on_a_gpu_is_that_of_its_memory() -> None:
    on_gpu = [
        trial(OURS.name, 1.0, 12.0, peak_device_bytes=7),
        trial(THEIRS.name, 4.0, 3.0, peak_device_bytes=14),
    ]
    ours, theirs = summarise((OURS, THEIRS), on_gpu, None, None)
    assert (ours.peak, theirs.memory_ratio) == (7, 0.5)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prompt_ids": [[2, 6, 108]]}, "other prompt ids"),
        ({"pixel_mean": 0.2}, "other pixels"),
        ({"threads": 1}, "1 threads"),
    ],
)
def test_what_was_not_the_same_is_told(change: dict[str, object], told: str) -> None:
    same = [trial(OURS.name, 1.0, 1.0), trial(THEIRS.name, 2.0, 1.0)]
    assert differences(same) == []
    (remark,) = differences([same[0], trial(THEIRS.name, 2.0, 1.0, **change)])
    assert told in remark


def test_forced_tokens_count_in_the_rate_of_boxes_and_a_hiccup_not_in_that_of_captions() -> None:
    assert Decoded([], [1, 2, 1, 2], [0.5] * 4).total_rate() == 3
    assert Decoded([], [4, 4, 4], [1.0, 9.0, 1.0]).median_rate() == 4


def test_a_contender_that_fails_is_told_once_and_the_others_go_on(tmp_path: Path) -> None:
    missing = Checkpoints(tmp_path, given=tmp_path / "nothing")
    settings = Settings("cpu", 1, 3, 1, missing, tmp_path, timeout=60)
    trials = list(take_turns(CAPTION, (OURS, THEIRS), settings, lambda _: None))
    assert [each.contender for each in trials] == [OURS.name, THEIRS.name]
    assert all("nothing" in str(each.error) for each in trials)
    ours, _ = summarise((OURS, THEIRS), trials, None, None)
    assert "nothing" in str(ours.error)


def test_a_checkpoint_is_not_made_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(PreparationError, match="give --tokenizer"):
        Checkpoints(tmp_path, tmp_path / "no.json").float_one(CAPTION)


def test_the_quantised_form_of_one_checkpoint_is_not_taken_for_that_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(checkpoints, "_run", lambda command: made.append(command[-1]))
    for place in ("a", "b"):
        folder = save_tiny(tmp_path / place / "model", tiny.model())
        Checkpoints(tmp_path / "kept", given=folder).quantised(CAPTION, "int8")
    assert len(set(made)) == 2
    assert all(Path(name).parent == tmp_path / "kept" for name in made)


def test_pictures_are_new_objects_in_the_same_order_for_everybody(tmp_path: Path) -> None:
    draw_pictures(tmp_path, 3)
    pictures = open_pictures(tmp_path)
    first, second = Supply(pictures), Supply(pictures)
    one, other = first.take(2) + first.take(2), second.take(1) + second.take(3)
    assert [a.tobytes() for a in one] == [b.tobytes() for b in other]
    assert len({id(picture) for picture in one + other + pictures}) == 11


def test_the_limits_of_the_machine_are_measured() -> None:
    limits = measure_cpu(1, 0.002)
    assert limits.read_method in ("compiled", "torch")
    assert min(limits.bandwidth, limits.rate("float32"), limits.rate("int8")) > 0
    assert limits.rate("int4") is None
    assert read_torch(10**6) > 0
    assert best_of(Limits(float32_per_second=1.0), Limits(float32_per_second=2.0)) == Limits(
        float32_per_second=2.0
    )


def test_the_table_stands_between_its_marks_and_nothing_else_changes() -> None:
    page = "before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n"
    new = replaced(page, "| new |")
    assert new == "before\n<!-- speed -->\n\n| new |\n<!-- /speed -->\nafter\n"
    assert replaced(new, "| new |") == new
    with pytest.raises(ValueError, match="no single pair"):
        replaced("no marks", "| new |")


def test_a_table_has_a_line_for_each_contender_and_ratios_to_the_others() -> None:
    trials = [trial(OURS.name, 1.0, 12.0), trial(THEIRS.name, 4.0, 3.0)]
    summaries = summarise((OURS, THEIRS), trials, None, None)
    where = {
        "processor": "a processor",
        "gpu": None,
        "flags": ["avx2"],
        "memory_bytes": 24e9,
        "versions": {"torch": "2.13.0", "bitsandbytes": None},
        "commit": "abc1234",
    }
    report = {
        "case": {"title": "a case"},
        "environment": where,
        "limits": None,
        "threads": 2,
        "date": "2026-01-02",
        "summaries": [vars(summary) for summary in summaries],
    }
    text = tables([report])
    assert "a processor, 2 threads (avx2), 24 GB; torch 2.13.0; " in text
    assert "commits, in the order of the cases: abc1234 (2026-01-02) for 1." in text
    assert "| palikit-float32      | 1.00" in text
    assert "| transformers-float32 | 0.25                | 4.00 times" in text
    assert all(line.startswith("|") for line in markdown(("a", "b"), [("1", "22")]))


def test_engines_are_named_after_their_library() -> None:
    assert all(engine.name.startswith(f"{engine.library}-") for engine in ENGINES)
