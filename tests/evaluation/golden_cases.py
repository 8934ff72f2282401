"""Official figures of the shared golden cases beside ours, folder by folder.

`python -m benchmarks.metric_golden` makes the table of docs/metrics.md out of the same cases.
"""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from palikit.evaluation.metrics.anls import anls
from palikit.evaluation.metrics.bleu import bleu
from palikit.evaluation.metrics.cider import cider_d
from palikit.evaluation.metrics.counting import NUMERALS, counting_accuracy
from palikit.evaluation.metrics.exact import exact_match
from palikit.evaluation.metrics.objects import PictureObjects, TrueObject
from palikit.evaluation.metrics.questions import over_parts
from palikit.evaluation.metrics.refcoco import Referral, refcoco_iou
from palikit.evaluation.metrics.relaxed import relaxed_accuracy
from palikit.evaluation.metrics.rouge import rouge_l
from palikit.evaluation.metrics.teds import teds, teds_of_table
from palikit.evaluation.metrics.voc import voc_average_precision
from palikit.evaluation.metrics.yes_no import pope_accuracy, yes_no_accuracy
from palikit.results import Box, Detection, Segment
from tests.conftest import shared
from tests.evaluation.agreement import apart
from tests.evaluation.coco_cases import all_twelve, from_coco

TWELVE = ("AP", "AP50", "AP75", "AP small", "AP medium", "AP large")
TWELVE += ("AR 1", "AR 10", "AR 100", "AR small", "AR medium", "AR large")
EXACT = 1e-12
POPE_SETS = ("random", "popular", "adversarial")

README_ANSWERS = ["a man is speaking", "rain falls"]
README_REFERENCES = [
    [
        "a man speaks.",
        "someone speaks.",
        "a man is speaking while a bird is chirping in the background",
    ],
    ["rain is falling hard on a surface"],
]
"""The example of the README of aac-metrics, whose figures are among the golden ones."""

Captions = tuple[list[str], list[list[str]]]


@dataclass(frozen=True)
class Golden:
    """One official figure, or one for each of many examples, and ours.

    Attributes:
        case: what was scored.
        figure: by which metric.
        tolerance: half a unit of the last digit where an official figure is rounded.
    """

    case: str
    figure: str
    official: tuple[float, ...]
    ours: tuple[float, ...]
    tolerance: float = EXACT

    @property
    def difference(self) -> float:
        return apart(self.ours, self.official)


def one(
    case: str, figure: str, official: float, ours: float | None, error: float = EXACT
) -> Golden:
    return Golden(case, figure, (official,), (float("nan") if ours is None else ours,), error)


def many(case: str, figure: str, official: Iterable[float], ours: Iterable[float]) -> Golden:
    return Golden(case, figure, tuple(official), tuple(ours))


def read(*parts: str) -> Any:
    return json.loads(shared("golden", *parts).read_text("utf-8"))


def coco_results(kind: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    truth = read("coco_ap", "instances_val2014_100.json")
    return truth, read("coco_ap", f"instances_val2014_fake{kind}100_results.json")


def coco_ap() -> Iterator[Golden]:
    expected = read("coco_ap", "expected.json")
    boxes = from_coco(*coco_results("bbox"))
    yield from twelve("COCO boxes", expected["bbox"], all_twelve(boxes))
    yield from twelve(
        "COCO boxes, all scores 1",
        expected["bbox_all_scores_1"],
        all_twelve(boxes, confidence="constant"),
    )
    masks = from_coco(*coco_results("segm"), masks=True)
    yield from twelve("COCO masks", expected["segm"], all_twelve(masks, shape="mask"))
    truth = read("coco_ap", "rafael_sampled_gts.json")
    results = read("coco_ap", "rafael_sampled_bbox_results.json")["annotations"]
    for each in truth["annotations"]:
        each["area"] = each["bbox"][2] * each["bbox"][3]
    published = [0.503647, 0.696973, 0.571667, 0.593252, 0.557991, 0.489363]
    published += [0.386813, 0.593680, 0.595353, 0.654764, 0.603130, 0.553744]
    ours = all_twelve(from_coco(truth, results))
    yield from twelve("boxes of R. Padilla's repository", published, ours, 1e-6)


def twelve(
    case: str, official: Sequence[float], ours: Sequence[float | None], error: float = 1e-9
) -> Iterator[Golden]:
    for name, theirs, our in zip(TWELVE, official, ours, strict=True):
        yield one(case, name, theirs, our, error)


def voc_ap() -> Iterator[Golden]:
    folder = shared("golden", "voc_ap")
    pictures = []
    for path in sorted((folder / "gts").glob("*.txt")):
        true = tuple(TrueObject(name, box_of(*numbers)) for name, *numbers in fields(path))
        found = tuple(
            Detection(box_of(*numbers), name, float(score))
            for name, score, *numbers in fields(folder / "dets" / path.name)
        )
        pictures.append(PictureObjects(true, found))
    published: dict[Literal["every", "eleven"], tuple[float, ...]] = {
        "eleven": (0.3333333333, 0.2683982683, 0.0303030303, 0.0),
        "every": (0.3371980676, 0.2456866804, 0.0222222222, 0.0),
    }
    for points, values in published.items():
        for iou, value in zip((0.1, 0.3, 0.5, 0.75), values, strict=True):
            ours = voc_average_precision(pictures, min_iou=iou, points=points, edges="inclusive")
            figure = f"AP, {'11' if points == 'eleven' else 'all'} points, IoU {iou}"
            yield one("7 pictures", figure, value, ours.value, 1e-10)


def fields(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines() if line.strip()]


def box_of(x: str, y: str, width: str, height: str) -> Box:
    return Box(float(x), float(y), float(x) + float(width), float(y) + float(height))


def teds_cases() -> Iterator[Golden]:
    expected = read("teds", "expected.json")
    names, answers, truths = teds_tables()
    score, structure = teds(answers, truths), teds(answers, truths, structure_only=True)
    published = [expected["published_TEDS"][each] for each in names]
    yield many("PubTabNet's 20 tables", "TEDS of each", published, score.per_example)
    recomputed = [expected["computed_S_TEDS"][each] for each in names]
    yield many("PubTabNet's 20 tables", "S-TEDS of each", recomputed, structure.per_example)
    yield one("PubTabNet's 20 tables", "TEDS", expected["mean_TEDS"], score.value)
    yield one("PubTabNet's 20 tables", "S-TEDS", expected["mean_S_TEDS"], structure.value)
    pair = expected["single"]
    alone = teds_of_table(pair["pred"], pair["true"])
    yield one("PubTabNet's pair", "TEDS", pair["published_TEDS"], alone)


def teds_tables() -> tuple[list[str], list[str], list[str]]:
    """Names, answers and truths."""
    answers, truths = read("teds", "sample_pred.json"), read("teds", "sample_gt.json")
    return list(answers), list(answers.values()), [truths[each]["html"] for each in answers]


def caption_small() -> Iterator[Golden]:
    expected = read("caption_small", "expected.json")
    nlg = nlg_eval()
    computed = "computed_pycocoevalcap_1.2"
    yield from caption_figures("nlg-eval, published", expected["nlgeval"]["published"], nlg, 1e-6)
    yield from caption_figures("nlg-eval, pycocoevalcap", expected["nlgeval"][computed], nlg)
    each = cider_d(*nlg).per_example
    yield many(
        "nlg-eval, pycocoevalcap", "CIDEr of each", expected["nlgeval"]["per_item_cider"], each
    )
    for number, count in ((1, 464), (2, 912)):
        pairs, name = audio_captions(number), f"aac_example_{number}"
        assert len(pairs[0]) == count
        yield from caption_figures(f"{count} audio captions", expected[name][computed], pairs)
    readme, official = (README_ANSWERS, README_REFERENCES), expected["aac_readme"]
    yield from caption_figures("aac-metrics' README", official["computed"], readme)
    each = cider_d(*readme).per_example
    yield many("aac-metrics' README", "CIDEr of each", official["per_item_cider"], each)
    pix2struct = expected["pix2struct"]
    tokens = [pix2struct["tok_res"][name][0] for name in pix2struct["tok_gts"]]
    score = cider_d(tokens, list(pix2struct["tok_gts"].values()), tokenized=True)
    yield one("pix2struct's 8 pairs", "CIDEr", pix2struct["CIDEr"], score.value)
    yield many("pix2struct's 8 pairs", "CIDEr of each", pix2struct["per_item"], score.per_example)


def caption_figures(
    case: str, official: dict[str, float], pairs: Captions, error: float = EXACT
) -> Iterator[Golden]:
    """All figures but METEOR, which needs a Java program."""
    ours = {name.replace("BLEU-", "Bleu_"): value for name, value in bleu(*pairs).parts}
    ours |= {"ROUGE_L": rouge_l(*pairs).value, "CIDEr": cider_d(*pairs).value}
    for name, value in ours.items():
        yield one(
            case, name.replace("Bleu_", "BLEU-").replace("_", "-"), official[name], value, error
        )


def nlg_eval() -> Captions:
    answers, *references = (
        shared("golden", "caption_small", f"nlgeval_{name}.txt").read_text("utf-8").splitlines()
        for name in ("hyp", "ref1", "ref2")
    )
    return answers, [list(each) for each in zip(*references, strict=True)]


def audio_captions(number: int) -> Captions:
    path = shared("golden", "caption_small", f"aac_example_{number}.csv")
    rows = list(csv.DictReader(path.read_text("utf-8").splitlines()))
    references = [[row[f"caption_{place}"] for place in range(1, 6)] for row in rows]
    return [row["caption_predicted"] for row in rows], references


def anls_sroie() -> Iterator[Golden]:
    cases = read("anls_sroie", "cases.json")
    rows, case = cases["rows"], "239 strings of receipts"
    answers, truths = [row["prediction"] for row in rows], [row["targets"] for row in rows]
    rules: tuple[tuple[str, str, dict[str, bool]], ...] = (
        ("anls_lower_lt", "ANLS, big_vision's", {}),
        ("anls_lower_le", "ANLS, pix2struct's", {"inclusive": True}),
        ("anls_case_lt", "ANLS, case counts", {"ignore_case": False}),
        ("anls_official_strip_lower_lt", "ANLS, space ignored", {"ignore_space": True}),
    )
    for name, figure, options in rules:
        score = anls(answers, truths, **options)
        yield one(case, figure, cases["summary"][name], score.value)
        yield many(case, f"{figure}, of each", (row[name] for row in rows), score.per_example)
    exact = exact_match(answers, truths).value
    yield one(case, "exact match", cases["summary"]["exact"], exact)


def anls_chartqa_pix2struct() -> Iterator[Golden]:
    cases = read("anls_chartqa_pix2struct", "cases.json")
    pairs, published = (cases["predictions"], cases["targets"]), cases["published"]
    ours = {
        "exact_match": exact_match(*pairs).value,
        "anls": anls(*pairs, inclusive=True).value,
        "relaxed_accuracy": relaxed_accuracy(*pairs).value,
    }
    for name, value in ours.items():
        figure = f"{name.replace('_', ' ')}, x100"
        yield one("pix2struct's 8 pairs", figure, published[name], 100 * value)
    cider = 100 * cider_d(*pairs).value
    yield one("pix2struct's 8 pairs", "CIDEr, x100", published["cider"], cider, 0.05)


def pope() -> Iterator[Golden]:
    expected = read("pope", "expected.json")
    answers, truths, names = pope_answers()
    parts = {}
    for name in POPE_SETS:
        chosen = [place for place, each in enumerate(names) if each == name]
        found, right = ([texts[place] for place in chosen] for texts in (answers, truths))
        official, score, case = expected[name], pope_accuracy(found, right), f"POPE {name}"
        yield one(case, "accuracy", official["expected"]["accuracy"], score.value)
        for part in ("precision", "recall", "f1", "yes_ratio"):
            yield one(case, part, official["expected"][part], score.part(part))
        equal = yes_no_accuracy(found, right).value
        yield one(case, "accuracy, big_vision's", official["bigvision_exact_lower_acc"], equal)
        parts[name] = official["expected"]["accuracy"]
    whole = over_parts(pope_accuracy(answers, truths), names)
    yield one("POPE, all sets", "accuracy", sum(parts.values()) / 3, whole.value)


def pope_answers() -> tuple[list[str], list[str], list[str]]:
    """Answers, truths and names of the sets of all 9,000 questions."""
    answers, truths, names = [], [], []
    for name in POPE_SETS:
        questions, found = (
            [json.loads(line) for line in shared("golden", "pope", file).read_text().splitlines()]
            for file in (f"coco_pope_{name}.json", f"answers_{name}.jsonl")
        )
        ids = [row["question_id"] for row in questions]
        assert ids == [row["question_id"] for row in found]
        answers += [row["answer"] for row in found]
        truths += [row["label"] for row in questions]
        names += [name] * len(ids)
    return answers, truths, names


def refcoco_miou() -> Iterator[Golden]:
    expected = read("refcoco_miou", "expected.json")
    score, summary = refcoco_iou(list(referrals(expected["pairs"]))), expected["summary"]
    case = f"{summary['pairs']} pairs of masks"
    yield many(case, "IoU of each", (each["iou"] for each in expected["pairs"]), score.per_example)
    yield one(case, "mean IoU", summary["mean_iou_gIoU"], score.value)
    yield one(case, "cumulative IoU", summary["cumulative_iou_cIoU"], score.part("ciou"))
    for limit in (0.5, 0.6, 0.7, 0.8, 0.9):
        yield one(case, f"P@{limit}", summary[f"P@{limit}"], score.part(f"precision/{limit}"))


def referrals(pairs: Sequence[dict[str, int]]) -> Iterator[Referral]:
    truth, results = coco_results("segm")
    annotations = {each["id"]: each for each in truth["annotations"]}
    images = {each["id"]: each for each in truth["images"]}
    for pair in pairs:
        alone = {"annotations": [annotations[pair["ann_id"]]], "images": [images[pair["image_id"]]]}
        (picture,) = from_coco(alone, [results[pair["result_index"]]], masks=True)
        (item,), (found,) = picture.truth, picture.found
        assert isinstance(found, Segment)
        assert item.mask is not None
        yield Referral(found.mask, found.box, item.mask, item.box)


def countbenchqa() -> Iterator[Golden]:
    """The official questions; their counts are elsewhere, so that truths and answers are made."""
    questions = read("countbenchqa", "countbench_paired_questions.json")
    words, count = list(NUMERALS)[3:12], len(questions)
    truths = [str(2 + place % 9) for place in range(count)]
    answers = [words[place % 9].title() if place % 3 else "cats" for place in range(count)]
    score = counting_accuracy(answers, truths)
    yield one("CountBenchQA", "questions", 540, len(score.per_example))
    yield one("CountBenchQA, made answers", "accuracy", 2 / 3, score.value)
    yield one("CountBenchQA, made answers", "accuracy of counts of 2", 0, score.part("count/2"))
    yield one("CountBenchQA, made answers", "accuracy of counts of 3", 1, score.part("count/3"))
    yield one("CountBenchQA, made answers", "invalid", 180, score.invalid)


GOLDEN: dict[str, Callable[[], Iterable[Golden]]] = {
    "coco_ap": coco_ap,
    "voc_ap": voc_ap,
    "teds": teds_cases,
    "caption_small": caption_small,
    "anls_chartqa_pix2struct": anls_chartqa_pix2struct,
    "anls_sroie": anls_sroie,
    "pope": pope,
    "refcoco_miou": refcoco_miou,
    "countbenchqa": countbenchqa,
}
"""The cases of every folder."""


@cache
def golden_of(folder: str) -> tuple[Golden, ...]:
    """The cases of one folder, computed once a process."""
    return tuple(GOLDEN[folder]())
