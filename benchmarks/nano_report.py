"""Write docs/nano.md and its curves from the records of nano's training (needs matplotlib).

    python benchmarks/nano_report.py

Reads what the stages of the training left in benchmarks/results/nano: pretraining.jsonl and
codec.jsonl as printed, training_*.jsonl, the metrics of each run of `palikit.nano.training` (of the
last, every fifth step), scores.json of `python -m palikit.nano.evaluation`, and commands.txt.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from palikit.checkpoints import inspect_checkpoint
from palikit.checkpoints.hub import BUILT_IN_FOLDER
from palikit.nano.lessons import SHARES
from palikit.nano.scenes import COLORS, KINDS

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "benchmarks" / "results" / "nano"
CURVES = ROOT / "docs" / "images" / "nano-curves.png"

FIGURES: dict[str, tuple[str, str]] = {
    "detect_ap50": ("boxes, all 16 kinds asked at once: mAP at IoU .5", ">= 0.80"),
    "detect_ap": ("the same: mAP at IoU .5 to .95", ">= 0.55"),
    "segment_mean_iou": ("outlines: mean IoU of matched objects", ">= 0.70"),
    "segment_recall": ("outlines: share of the objects that is matched", ""),
    "count_exact": ("how many ...?", ">= 0.90"),
    "color_exact": ("what color is the ...?", ">= 0.90"),
    "other_exact": ("where, what, is there, what does it say", ""),
    "word_exact": ("printed words it has never seen, read without a fault", ">= 0.90"),
    "caption_exact": ("captions, word for word", ""),
    "describe_exact": ("descriptions, word for word", ""),
    "absent_reported": ("kinds that are absent, reported all the same", "<= 0.03"),
}
"""What each figure is, and what was aimed at."""


def rows(name: str) -> list[dict[str, Any]]:
    """The records of one stage."""
    path = RECORDS / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def draw_curves(stages: list[Path]) -> None:
    """The losses of all stages, side by side."""
    figure, (first, second) = plt.subplots(1, 2, figsize=(11, 3.6), constrained_layout=True)
    found = rows("pretraining.jsonl")
    begun = found[-1]["pictures"]
    found += [{**r, "pictures": begun + r["pictures"]} for r in rows("pretraining2.jsonl")]
    for name in ("kind", "color", "box", "order", "letter", "place", "outline"):
        first.plot([r["pictures"] for r in found], [r[name] for r in found], label=name)
    first.set(title="image tower: what every cell shows", xlabel="pictures", yscale="log")
    first.legend(fontsize=8, ncols=2)
    start = 0
    for stage in stages:
        steps = [r for r in rows(stage.name) if "loss" in r]
        ends = range(50, steps[-1]["step"] + 1, 50)
        losses = [[r["loss"] for r in steps if end - 50 < r["step"] <= end] for end in ends]
        second.plot(
            [start + end for end in ends],
            [statistics.fmean(each) for each in losses],
            label=stage.stem.removeprefix("training_"),
        )
        start += steps[-1]["step"]
    second.set(title="lessons: loss of the answer", xlabel="steps of 64 lessons", yscale="log")
    second.legend(fontsize=8)
    CURVES.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(CURVES, dpi=110)


def text(stages: list[Path]) -> str:
    """docs/nano.md."""
    scores = json.loads((RECORDS / "scores.json").read_text(encoding="utf-8"))
    model = inspect_checkpoint(BUILT_IN_FOLDER)
    size = sum(path.stat().st_size for path in BUILT_IN_FOLDER.iterdir()) / 1e6
    table = "\n".join(
        f"| {what} | {scores[name]:.3f} | {aim} |" for name, (what, aim) in FIGURES.items()
    )
    commands = (RECORDS / "commands.txt").read_text(encoding="utf-8").rstrip()
    codec = rows("codec.jsonl")[-1]
    shares = ", ".join(f"{name} {share:.0%}" for name, share in SHARES.items())
    return f"""# nano, the built-in model

nano is a demonstration. It is a PaliGemma 2 of {model.parameter_count:,} parameters for pictures
of {model.image_size} px, with a tokenizer and a mask codec of its own; its files take
{size:.1f} MB and have the layout of the released checkpoints. This package trained it on scenes
that it draws itself, and nano knows what they show: {len(KINDS)} kinds of objects
({", ".join(KINDS)}) in {len(COLORS)} colours, and printed capitals and digits.
**On real pictures it is of no use** before it is fine-tuned;
for those take a released checkpoint, `--model google/paligemma2-3b-mix-448`.

It answers every verb: `caption` (en, de, zh), `describe`, `answer` (what, what color, how many,
where, is there, what does it say), `ocr`, `detect`, `segment`.

## What it can do

{scores["scenes"]:,} scenes that no training saw, drawn at 320 px, with words that no training saw;
{scores["absent_asked"]:,} questions for a kind that is absent.

| | measured | aim |
|---|---|---|
{table}

    python -m palikit.nano.evaluation --model nano --scenes {scores["scenes"]}

## How it was trained

![losses](images/nano-curves.png)

1. **The image tower** learns what each cell of a picture shows: the kind, colour and box of the
   object there, the letter, an 8 x 8 outline. A plain linear reading of each image token has to
   tell, and is thrown away afterwards. Positions begin as waves, and in the second run boxes are
   told in waves too.
2. **The mask codec**, apart: outlines of the scenes' shapes and of blobs, partly covered; mean IoU
   of what comes back {codec["iou"]:.3f}.
3. **The decoder** learns to answer with the tower frozen. Its location tokens begin as the same
   waves, the projector with the tower's reading of them, and one layer with heads that copy them:
   what is left to learn about a box is where to look. An edge one pixel off is nearly right to the
   loss (`--location-smoothing`). Lessons: {shares}.
4. **Both together**, at a rate that falls to 0.

Stages 3 and 4 are `palikit.training.finetune` on scenes drawn as they are needed. These commands
made the weights:

```
{commands}
```

A scene shows 1 to 8 objects with sides of 8 to 60 % of the picture's, three of ten under 15 %,
overlapping up to an IoU of 0.3, on backgrounds of gradients, clouds, stripes, checks and blocks
with grain; half of the scenes have a word of 3 to 8 letters, or a number, in one of many faces.
Every background is drawn anew, so that none of a test was seen before. Test words are those whose
hash says so, and are never drawn for training.
"""


def main() -> None:
    """Draw and write."""
    stages = sorted(RECORDS.glob("training_*.jsonl"))
    draw_curves(stages)
    (ROOT / "docs" / "nano.md").write_text(text(stages), encoding="utf-8")


if __name__ == "__main__":
    main()
