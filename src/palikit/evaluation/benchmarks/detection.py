"""Boxes of every object."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import objects
from palikit.evaluation.benchmarks.row import Benchmark

_AP = Scored(judges.boxes, "AP at IoU .5 to .95", submission="coco-detections")
_AP_NOTE = (
    "Published with noise boxes in training and the class token's probability as the score, the "
    "token of noise and the end barred. The longest answer is not published."
)

DETECTION: tuple[Benchmark, ...] = (
    benchmark(
        "coco-detection",
        "COCO detection",
        "detection",
        Data(
            ("val",),
            objects.coco_detection,
            "From cocodataset.org (annotations CC BY 4.0): annotations/instances_val2017.json, and "
            "the pictures in val2017/.",
        ),
        Asked("coco-detection", length=1024, task="detect"),
        _AP,
        _AP_NOTE,
    ),
    benchmark(
        "doclaynet",
        "DocLayNet",
        "detection",
        Data(
            ("test", "val"),
            objects.doclaynet,
            "From github.com/DS4SD/DocLayNet (CDLA-Permissive), DocLayNet_core.zip: COCO/test.json "
            "and PNG/.",
            "docling-project/DocLayNet",
        ),
        Asked("doclaynet", length=1024, task="detect"),
        _AP,
        _AP_NOTE,
    ),
)
