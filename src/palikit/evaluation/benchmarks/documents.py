"""Questions whose answers are to be read: charts, book covers, scene text, documents."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import documents
from palikit.evaluation.benchmarks.row import Benchmark

_FAMILY = "documents"
_RELAXED = Scored(judges.relaxed, "relaxed accuracy")
_CHARTS = (
    "From github.com/vis-nlp/ChartQA (GPL-3.0), the folder ChartQA Dataset: test/test_human.json, "
    "test/test_augmented.json, test/png/."
)
_CHARTS_ON_HUB = "HuggingFaceM4/ChartQA"
_BARE = "The bare question, without `answer en`."
_PORTAL = "From rrc.cvc.uab.es (registration), the challenge"

DOCUMENTS: tuple[Benchmark, ...] = (
    benchmark(
        "textvqa",
        "TextVQA",
        _FAMILY,
        Data(
            ("val", "test"),
            documents.textvqa,
            "From textvqa.org (CC BY 4.0): TextVQA_0.5.1_val.json or TextVQA_0.5.1_test.json "
            "(answers secret), and the pictures in train_images/ (those of val too) or "
            "test_images/.",
            "facebook/textvqa",
        ),
        Asked("textvqa"),
        Scored(judges.vqa, "VQA accuracy", submission="textvqa"),
        "For the published figures the rotation that Open Images states was undone, which is not "
        "done here.",
    ),
    benchmark(
        "chartqa-human",
        "ChartQA, human questions",
        _FAMILY,
        Data(("test", "val"), documents.chartqa_human, _CHARTS, _CHARTS_ON_HUB),
        Asked("chartqa"),
        _RELAXED,
        _BARE,
    ),
    benchmark(
        "chartqa-augmented",
        "ChartQA, augmented questions",
        _FAMILY,
        Data(("test", "val"), documents.chartqa_augmented, _CHARTS, _CHARTS_ON_HUB),
        Asked("chartqa"),
        _RELAXED,
        _BARE,
    ),
    benchmark(
        "chartqa",
        "ChartQA",
        _FAMILY,
        Data(("test", "val"), documents.chartqa, _CHARTS, _CHARTS_ON_HUB),
        Asked("chartqa"),
        Scored(judges.relaxed, "relaxed accuracy, mean of human and augmented"),
        _BARE,
    ),
    benchmark(
        "ocrvqa",
        "OCR-VQA",
        _FAMILY,
        Data(
            ("test", "val"),
            documents.ocrvqa,
            "From ocr-vqa.github.io: dataset.json, and the covers that it names in images/, each "
            "called after its key.",
            "howard-hou/OCR-VQA",
        ),
        Asked("ocrvqa"),
        Scored(judges.exact_lower, "exact match, lower case"),
    ),
    benchmark(
        "docvqa",
        "DocVQA",
        _FAMILY,
        Data(
            ("val", "test"),
            documents.docvqa,
            f"{_PORTAL} Document Visual Question Answering, task 1: val_v1.0_withQT.json or "
            "test_v1.0.json (answers secret), and the pictures in spdocvqa_images/ (older "
            "downloads: val_v1.0.json and documents/).",
            "lmms-lab/DocVQA",
        ),
        Asked("docvqa"),
        Scored(judges.near, "ANLS", submission="docvqa"),
        _BARE,
    ),
    benchmark(
        "infovqa",
        "InfographicVQA",
        _FAMILY,
        Data(
            ("val", "test"),
            documents.infovqa,
            f"{_PORTAL} Document Visual Question Answering, task 3: "
            "infographicsVQA_val_v1.0_withQT.json or infographicsVQA_test_v1.0.json (answers "
            "secret), and the pictures in infographicsvqa_images/.",
            "lmms-lab/DocVQA",
        ),
        Asked("infovqa"),
        Scored(judges.near, "ANLS", submission="docvqa"),
        "An answer that is a list is right in any order. On the Hub it is a part of "
        "lmms-lab/DocVQA.",
    ),
    benchmark(
        "stvqa",
        "ST-VQA",
        _FAMILY,
        Data(
            ("val", "test"),
            documents.stvqa,
            f"{_PORTAL} Scene Text Visual Question Answering: test_task_3.json (answers secret), "
            "and the pictures as it names them. There is no official validation set; the published "
            "figures of val are over 2628 questions of the training set that are not named: give "
            "val.jsonl.",
            "lmms-lab/ST-VQA",
        ),
        Asked("stvqa"),
        Scored(judges.near, "ANLS", submission="stvqa"),
    ),
)
