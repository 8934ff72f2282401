"""Measure cases: contenders in turn, medians, ratios, and shares of this machine's limits.

    python -m benchmarks.speed --case caption-224-1 --repeats 3
    python -m benchmarks.speed --case first-token-224 --engines palikit-int8,transformers-float32
    python -m benchmarks.speed --case caption-224-1 --checkpoint my-checkpoint/
    python -m benchmarks.speed --list

The first engine is the one whose ratios to the others are told. What has failed, such as a library
that is not installed, is said and left out. Results go to benchmarks/results/speed, one JSON file a
case; `python -m benchmarks.speed.table` makes the tables of the README out of them.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.speed.cases import (
    CASES,
    DEFAULT_ENGINES,
    ENGINES,
    Case,
    case_named,
    contenders_of,
)
from benchmarks.speed.checkpoints import TOKENIZER, Checkpoints, config_of
from benchmarks.speed.environment import environment, physical_cores
from benchmarks.speed.machine import best_of
from benchmarks.speed.photos import REAL, draw_pictures, picture_files
from benchmarks.speed.report import write_report
from benchmarks.speed.running import Settings, measure_limits, take_turns
from benchmarks.speed.summary import differences, summarise
from benchmarks.speed.table import RESULTS, read_reports, tables


def main() -> None:
    args = arguments()
    if args.list:
        print("\n".join(f"{case.name:<26}{case.title}" for case in CASES))
        return
    names = args.engines or ",".join(DEFAULT_ENGINES[args.device])
    with tempfile.TemporaryDirectory() as scratch:
        settings = settings_of(args, Path(scratch))
        for name in args.case or [case.name for case in CASES]:
            case = case_named(name)
            if args.checkpoint is not None and case.needs_checkpoint:
                case = replace(case, title=f"{args.checkpoint.name}, as {name}")
            measure(case, tuple(names.split(",")), settings, args)


def measure(
    case: Case, names: tuple[str, ...], settings: Settings, args: argparse.Namespace
) -> None:
    """All turns of a case between two measurements of the limits; the result is kept and shown."""
    say(f"{case.name}: {case.title}")
    contenders, where = contenders_of(case, names), environment(settings.device)
    has_limits = settings.has_limits and case.needs_checkpoint
    limits = measure_limits(settings) if has_limits else None
    trials = list(take_turns(case, contenders, settings, say))
    if limits is not None:
        limits = best_of(limits, measure_limits(settings))
    measured = any(trial.measurement for trial in trials)
    config = None
    if measured and case.needs_checkpoint:
        config = config_of(settings.checkpoints.float_one(case))
    summaries, remarks = summarise(contenders, trials, limits, config), differences(trials)
    for summary in summaries:
        if summary.error:
            say(f"NOTE {summary.name}: {summary.error}")
    if not measured:
        say(f"{case.name}: nothing could be measured; an earlier result stays as it is")
        return
    write_report(args.output, case, settings, where, limits, trials, summaries, remarks)
    for remark in remarks:
        say(f"NOTE {remark}")
    reports = read_reports(args.output, settings.device)
    print(tables([each for each in reports if each["case"]["name"] == case.name]))
    equal = [(s.name, s.same_output) for s in summaries[1:] if s.same_output is not None]
    for name, share in equal:
        print(f"the same output as {summaries[0].name}: {name}, {share:.0%}")


def settings_of(args: argparse.Namespace, scratch: Path) -> Settings:
    """What was asked for; pictures are drawn where no real ones are at hand."""
    pictures = scratch / "pictures"
    pictures.mkdir()
    given = args.pictures or (REAL if REAL.is_dir() else None)
    if given is None:
        draw_pictures(pictures)
    else:
        for file in picture_files(given):
            (pictures / file.name).write_bytes(file.read_bytes())
    if not picture_files(pictures):
        sys.exit(f"{given} holds no .jpg or .png pictures")
    return Settings(
        device=args.device,
        threads=args.threads,
        repeats=args.repeats,
        runs=args.runs,
        checkpoints=Checkpoints(args.checkpoints, args.tokenizer, args.checkpoint),
        pictures=pictures,
        timeout=args.timeout,
        scale=args.scale,
        has_limits=not args.no_limits,
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--case", action="append", choices=[case.name for case in CASES], help="default: all")
    add("--list", action="store_true", help="name the cases")
    add("--engines", help="names with commas: " + ", ".join(engine.name for engine in ENGINES))
    add("--repeats", type=int, default=3, help="turns of each")
    add("--runs", type=int, default=3, help="calls of each kind in a turn")
    add("--device", default="cpu", choices=["cpu", "cuda"])
    add("--threads", type=int, default=physical_cores(), help="default: the cores")
    add("--output", type=Path, default=RESULTS, help="folder of the results")
    kept = Path(tempfile.gettempdir()) / "palikit-speed"
    add(
        "--checkpoints", type=Path, default=kept, help="random ones are made and kept: 9 GB a model"
    )
    add("--checkpoint", type=Path, help="a float checkpoint to measure in place of random ones")
    add("--tokenizer", type=Path, default=TOKENIZER, help="the released tokenizer.json")
    add("--pictures", type=Path, help="a folder; default: photos, else drawn ones")
    add("--timeout", type=float, default=3600, help="seconds a turn may take")
    add("--no-limits", action="store_true", help="do not measure the machine's limits")
    add("--scale", type=float, default=1.0, help="of the limits' sizes, below 1 to try it out")
    args = parser.parse_args()
    known = {engine.name for engine in ENGINES}
    if args.engines and (unknown := set(args.engines.split(",")) - known):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}")
    return args


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
