"""Outlines of what an expression means."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import objects
from palikit.evaluation.benchmarks.layouts.source import Official
from palikit.evaluation.benchmarks.row import Benchmark


def _refcoco(name: str, title: str, file: str, split: str, read: Official) -> Benchmark:
    return benchmark(
        f"{name}-{split.lower()}",
        f"{title} {split}",
        "segmentation",
        Data(
            (split,),
            read,
            f"From github.com/lichengunc/refer, {name.replace('-plus', '+')}.zip: instances.json "
            f"and {file}.p, with the pictures of cocodataset.org in train2014/. {file}.p is a "
            f"Python pickle, which can run code and is not opened here: save its list as "
            f"{file}.json.",
        ),
        Asked("refcoco-seg", "{question}", task="refer"),
        Scored(judges.outlines, "mean IoU of outlines", submission="refcoco"),
        "The bare expression, as people wrote it; each of an object's expressions counts once. The "
        "published weights of the outline decoder are needed.",
    )


SEGMENTATION: tuple[Benchmark, ...] = (
    *(
        _refcoco("refcoco", "RefCOCO", "refs(unc)", split, objects.refcoco_unc)
        for split in ("val", "testA", "testB")
    ),
    *(
        _refcoco("refcoco-plus", "RefCOCO+", "refs(unc)", split, objects.refcoco_unc)
        for split in ("val", "testA", "testB")
    ),
    *(
        _refcoco("refcocog", "RefCOCOg", "refs(umd)", split, objects.refcoco_umd)
        for split in ("val", "test")
    ),
)
