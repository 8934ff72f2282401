"""How long metrics take, beside other implementations of them on the same data.

    python -m benchmarks.metric_speed           # writes results/ and the table of docs/metrics.md
    python -m benchmarks.metric_speed --page    # the table alone, out of the last results

Generated data of the size of real test sets: 20,000 captions with 5 references, 100,000 answers of
10 people each, 5,000 pictures with 36,000 true and as many found boxes of 80 classes. Every
measurement is a process of its own, so that nothing is remembered from an earlier one, and the two
sides take turns. Making the data and importing libraries is not measured. Processor time stands
beside time by the clock, for a machine that has other things to do; the best of the rounds counts.
"""

import argparse
import contextlib
import importlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.metric_data import (
    ANSWERS,
    BOXES,
    CAPTIONS,
    PEOPLE,
    PICTURES,
    REFERENCES,
    answers,
    boxes,
    captions,
)
from benchmarks.page_parts import METRICS_PAGE, write_part
from benchmarks.speed.environment import environment
from benchmarks.speed.table import markdown

RESULTS = Path(__file__).parent / "results" / "metric_speed.json"
PACKAGES = ("numpy", "pycocoevalcap", "faster-coco-eval")

Sides = dict[str, Callable[[], Callable[[], float]]]
"""For each side what prepares its data and gives what is measured, which gives the figure."""


@dataclass(frozen=True)
class Case:
    """One metric on one set of data.

    Attributes:
        limit_seconds: what is aimed at, of processor time; None where only the ratio counts.
        limit_ratio: the same of the ratio to the peer.
        imports: modules that the sides need, imported before anything is measured.
    """

    name: str
    what: str
    peer: str | None
    sides: Sides
    imports: tuple[str, ...]
    limit_seconds: float | None = None
    limit_ratio: float | None = None


def our_cider(*, plain: bool) -> Callable[[], float]:
    from palikit.evaluation.metrics.cider import cider_d

    answers, references = captions(plain=plain)
    return lambda: cider_d(answers, references, tokenized=not plain).value


def their_cider() -> Callable[[], float]:
    from pycocoevalcap.cider.cider import Cider

    answers, references = captions(plain=False)
    right, found = dict(enumerate(references)), {n: [text] for n, text in enumerate(answers)}
    return lambda: float(Cider().compute_score(right, found)[0])


def our_vqa() -> Callable[[], float]:
    from palikit.evaluation.metrics.vqa import vqa_accuracy

    found, truths = answers()
    return lambda: vqa_accuracy(found, truths).value


def their_vqa() -> Callable[[], float]:
    from tests.evaluation.vqa_oracle import slow_accuracy

    found, truths = answers()
    return lambda: sum(map(slow_accuracy, found, truths)) / len(found)


def our_ap() -> Callable[[], float]:
    from palikit.evaluation.metrics.detection import average_precision
    from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
    from palikit.results import Box, Detection

    truth, results = boxes()
    true: list[list[TrueObject]] = [[] for _ in range(PICTURES)]
    found: list[list[Detection]] = [[] for _ in range(PICTURES)]

    def box(x: float, y: float, width: float, height: float) -> Box:
        return Box(x, y, x + width, y + height)

    for each in truth["annotations"]:
        item = TrueObject(str(each["category_id"]), box(*each["bbox"]), area=each["area"])
        true[each["image_id"] - 1].append(item)
    for each in results:
        one = Detection(box(*each["bbox"]), str(each["category_id"]), each["score"])
        found[each["image_id"] - 1].append(one)
    pictures = [PictureObjects(*map(tuple, pair)) for pair in zip(true, found, strict=True)]
    return lambda: average_precision(pictures).ap or 0.0


def their_ap() -> Callable[[], float]:
    """The library by itself, from the dictionaries it reads, with one limit of detections."""
    from faster_coco_eval import COCO, COCOeval_faster

    truth, results = boxes()

    def measured() -> float:
        coco = COCO(truth)
        evaluator = COCOeval_faster(coco, coco.loadRes(results), "bbox", separate_eval=False)
        # As on our side; its own three limits take longer.
        evaluator.params.maxDets = [100]
        evaluator.evaluate()
        evaluator.accumulate()
        precision = evaluator.eval["precision"][:, :, :, 0, 0]
        return float(precision[precision > -1].mean())

    return measured


CASES = (
    Case(
        "cider-text",
        f"CIDEr-D of {CAPTIONS:,} captions, {REFERENCES} references each, from plain text",
        None,
        {"palikit": lambda: our_cider(plain=True)},
        ("palikit.evaluation.metrics.cider",),
        limit_seconds=10,
    ),
    Case(
        "cider-tokens",
        "the same of captions that are tokens already",
        "pycocoevalcap",
        {"palikit": lambda: our_cider(plain=False), "peer": their_cider},
        ("palikit.evaluation.metrics.cider", "pycocoevalcap.cider.cider"),
        limit_seconds=10,
    ),
    Case(
        "vqa",
        f"VQA accuracy of {ANSWERS:,} answers, {PEOPLE} people each",
        "the rules, written out plainly",
        {"palikit": our_vqa, "peer": their_vqa},
        ("palikit.evaluation.metrics.vqa", "tests.evaluation.vqa_oracle"),
        limit_seconds=5,
    ),
    Case(
        "ap",
        f"AP of {PICTURES:,} pictures with {BOXES:,} boxes, {BOXES:,} found",
        "faster-coco-eval",
        {"palikit": our_ap, "peer": their_ap},
        ("palikit.evaluation.metrics.detection", "faster_coco_eval"),
        limit_ratio=1.1,
    ),
)


def measure(case: Case, side: str) -> dict[str, float]:
    """One call in this process."""
    for name in case.imports:
        with contextlib.suppress(ModuleNotFoundError):  # the peer's, which our side can do without
            importlib.import_module(name)
    call = case.sides[side]()
    with contextlib.redirect_stdout(io.StringIO()):
        start, cpu_start = time.perf_counter(), time.process_time()
        figure = call()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    return {"seconds": seconds, "cpu_seconds": cpu_seconds, "figure": figure}


def in_own_process(case: Case, side: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.metric_speed", "--case", case.name, "--side", side]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def compared(case: Case, rounds: int) -> dict[str, Any]:
    """All rounds of both sides, the best of each, and their ratios."""
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in case.sides}
    for _ in range(rounds):
        for side, done in runs.items():
            done.append(in_own_process(case, side))
            print(case.name, side, done[-1], flush=True)
    figures = {run["figure"] for done in runs.values() for run in done}
    if max(figures) - min(figures) > 1e-9:
        sys.exit(f"{case.name}: the two sides come to different figures: {sorted(figures)}")
    best = {
        side: {key: min(run[key] for run in done) for key in ("seconds", "cpu_seconds")}
        for side, done in runs.items()
    }
    peer = best.get("peer")
    ratios = {key: best["palikit"][key] / peer[key] for key in peer} if peer else None
    return {
        "name": case.name,
        "what": case.what,
        "peer": case.peer,
        "limit_seconds": case.limit_seconds,
        "limit_ratio": case.limit_ratio,
        "best": best,
        "ratios": ratios,
        "runs": runs,
    }


def table(results: list[dict[str, Any]]) -> str:
    """Processor time and time by the clock, in seconds, and our share of the peer's."""
    header = ("what", "limit", "PaliKit: CPU s", "clock s", "peer", "CPU s", "ratio: CPU", "clock")
    return "\n".join(markdown(header, [_row(each) for each in results]))


def page_text(report: dict[str, Any]) -> str:
    """The table, and where it was measured."""
    where, versions = report["where"], report["where"]["versions"]
    names = ", ".join(f"{name} {versions[name]}" for name in ("python", *PACKAGES))
    machine = f"{where['processor'] or where['system']}, {names}"
    return f"{report['date']}; {machine}; one thread.\n\n{table(report['results'])}"


def _row(result: dict[str, Any]) -> tuple[str, ...]:
    ours, peer, ratios = result["best"]["palikit"], result["best"].get("peer"), result["ratios"]
    limits = [f"{result['limit_seconds']:g} s"] if result["limit_seconds"] else []
    limits += [f"ratio {result['limit_ratio']}"] if result["limit_ratio"] else []
    return (
        result["what"],
        ", ".join(limits),
        f"{ours['cpu_seconds']:.2f}",
        f"{ours['seconds']:.2f}",
        result["peer"] or "-",
        f"{peer['cpu_seconds']:.2f}" if peer else "-",
        f"{ratios['cpu_seconds']:.3f}" if ratios else "-",
        f"{ratios['seconds']:.3f}" if ratios else "-",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [case.name for case in CASES]
    parser.add_argument("--case", choices=names, help="this one alone, without writing a file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="only write the last results' table")
    parser.add_argument("--side", choices=["palikit", "peer"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.page:
        write_part(METRICS_PAGE, "speed", page_text(json.loads(RESULTS.read_text("utf-8"))))
        return
    chosen = [case for case in CASES if args.case in (None, case.name)]
    if args.side:
        print(json.dumps(measure(chosen[0], args.side)))
        return
    results = [compared(case, args.rounds) for case in chosen]
    print("\n" + table(results))
    if args.case is None:
        where = asdict(environment("cpu"))
        where["versions"] |= {name: version(name) for name in PACKAGES}
        report = {"date": datetime.now(UTC).date().isoformat(), "where": where, "results": results}
        RESULTS.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        write_part(METRICS_PAGE, "speed", page_text(report))


if __name__ == "__main__":
    main()
