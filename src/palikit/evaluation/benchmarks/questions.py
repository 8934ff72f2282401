"""Questions about photos, diagrams and pictures from above."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import knowledge, photos
from palikit.evaluation.benchmarks.row import Benchmark
from palikit.evaluation.metrics.exact import exact_match

_FAMILY = "questions"
_CHOOSE = "answer en  {question} choose from: {choices}"
_EXACT = Scored(judges.exact, "exact match")
_TWO_BLANKS = (
    "Two blanks stand after en, and blank, tab, blank between the choices; the answer is the text "
    "of a choice."
)
_COCO_2014 = "and the pictures of cocodataset.org in val2014/"

QUESTIONS: tuple[Benchmark, ...] = (
    benchmark(
        "vqav2",
        "VQAv2",
        _FAMILY,
        Data(
            ("val", "minival", "test-dev", "test-std"),
            photos.vqav2,
            "From visualqa.org (CC BY 4.0): v2_OpenEnded_mscoco_val2014_questions.json, "
            "v2_mscoco_val2014_annotations.json, and the pictures of cocodataset.org in val2014/; "
            "for test-dev and test-std the questions of test-dev2015 and test2015 and the pictures "
            "in test2015/, whose answers are secret. Which questions minival holds is not in these "
            "files: give it as minival.jsonl.",
            "lmms-lab/VQAv2",
        ),
        Asked("vqav2"),
        Scored(judges.vqa, "VQA accuracy", submission="vqa"),
    ),
    benchmark(
        "okvqa",
        "OK-VQA",
        _FAMILY,
        Data(
            ("val",),
            photos.okvqa,
            "From okvqa.allenai.org (v1.1): OpenEnded_mscoco_val2014_questions.json, "
            f"mscoco_val2014_annotations.json, {_COCO_2014}.",
            "lmms-lab/OK-VQA",
        ),
        Asked("okvqa"),
        Scored(judges.soft, "VQA accuracy, soft"),
        "The references are the file's answer, not its raw_answer.",
    ),
    benchmark(
        "aokvqa-da",
        "A-OKVQA, direct answers",
        _FAMILY,
        Data(
            ("val", "test"),
            photos.aokvqa_direct,
            "From github.com/allenai/aokvqa: aokvqa_v1p0_val.json or aokvqa_v1p0_test.json "
            "(answers secret), and the pictures of COCO 2017 in val2017/, train2017/, test2017/.",
            "HuggingFaceM4/A-OKVQA",
        ),
        Asked("aokvqa-da"),
        Scored(judges.soft, "VQA accuracy, soft", submission="aokvqa"),
        "Questions marked as difficult to answer directly are left out, as the official script "
        "does.",
    ),
    benchmark(
        "aokvqa-mc",
        "A-OKVQA, multiple choice",
        _FAMILY,
        Data(
            ("val", "test"),
            photos.aokvqa_choice,
            "From github.com/allenai/aokvqa: aokvqa_v1p0_val.json or aokvqa_v1p0_test.json "
            "(answers secret), and the pictures of COCO 2017 in val2017/, train2017/, test2017/.",
            "HuggingFaceM4/A-OKVQA",
        ),
        Asked("aokvqa-mc", _CHOOSE),
        Scored(judges.exact, "exact match", submission="aokvqa"),
        _TWO_BLANKS,
    ),
    benchmark(
        "gqa",
        "GQA",
        _FAMILY,
        Data(
            ("testdev_balanced", "val_balanced"),
            photos.gqa,
            "From cs.stanford.edu/people/dorarad/gqa: testdev_balanced_questions.json, and the "
            "pictures in images/.",
            "lmms-lab/GQA",
        ),
        Asked("gqa"),
        _EXACT,
    ),
    benchmark(
        "xgqa",
        "xGQA",
        _FAMILY,
        Data(
            ("testdev_balanced",),
            photos.xgqa,
            "From github.com/adapter-hub/xGQA (CC BY 4.0), data/zero_shot: "
            "testdev_balanced_questions_bn.json and those of de, en, id, ko, pt, ru, zh; and the "
            "pictures of GQA in images/.",
        ),
        Asked("gqa", transfer="gqa"),
        Scored(
            judges.languages(exact_match, without=("en",)),
            "exact match, mean of the languages but English",
        ),
        "Answers are English in every language, and so is the prompt. Part all is the mean of all "
        "8.",
    ),
    benchmark(
        "ai2d",
        "AI2D",
        _FAMILY,
        Data(
            ("test",),
            knowledge.ai2d,
            "From allenai.org/data/diagrams: ai2d-all.zip unpacked (questions/, annotations/, "
            "images/) and ai2d_test_ids.csv.",
            "lmms-lab/ai2d",
        ),
        Asked("ai2d", _CHOOSE),
        _EXACT,
        f"{_TWO_BLANKS} Of questions about letters the texts of the diagram are painted over; the "
        "published figures have the letters in another font.",
    ),
    benchmark(
        "science-qa",
        "ScienceQA",
        _FAMILY,
        Data(
            ("test", "val"),
            knowledge.science_qa,
            "From scienceqa.github.io (CC BY-NC-SA 4.0): problems.json, pid_splits.json, and the "
            "pictures as test/PID/image.png.",
            "derek-thomas/ScienceQA",
        ),
        Asked(
            "science-qa",
            "Question: {question}\nContext: {context}\nOptions: {options}\nAnswer:",
        ),
        Scored(judges.letters, "accuracy of the letter"),
        "Questions with a picture alone, choices in their order. What stands for the context where "
        "there is none is not published; here nothing does.",
    ),
    benchmark(
        "rsvqa-lr",
        "RSVQA-LR",
        _FAMILY,
        Data(
            ("test", "val"),
            knowledge.rsvqa_low,
            "From zenodo.org/records/6344334 (CC BY 4.0): LR_split_test_questions.json, "
            "LR_split_test_answers.json, and the pictures in Images_LR/.",
        ),
        Asked("rsvqa-lr"),
        Scored(judges.rsvqa_low, "mean accuracy over question types"),
        "Answers in lower case; questions for a count are left out.",
    ),
    benchmark(
        "rsvqa-hr",
        "RSVQA-HR",
        _FAMILY,
        Data(
            ("test", "test2", "val"),
            knowledge.rsvqa_high,
            "From zenodo.org/records/6344367 (CC BY 4.0): USGS_split_test_questions.json, "
            "USGS_split_test_answers.json (test2: USGS_split_test_phili_...), and the pictures in "
            "Data/.",
        ),
        Asked("rsvqa-hr"),
        Scored(judges.rsvqa_high, "mean accuracy over question types"),
        "Answers in lower case; questions for a count or an area are left out.",
    ),
    benchmark(
        "vizwizvqa",
        "VizWiz-VQA",
        _FAMILY,
        Data(
            ("val", "test-std"),
            photos.vizwiz,
            "From vizwiz.org (CC BY 4.0): Annotations/val.json or test.json (answers secret), and "
            "the pictures in val/ or test/.",
            "lmms-lab/VizWiz-VQA",
        ),
        Asked("vizwizvqa"),
        Scored(judges.soft, "VQA accuracy, soft", submission="vizwiz"),
        "Empty answers are dropped.",
    ),
    benchmark(
        "tallyqa",
        "TallyQA",
        _FAMILY,
        Data(
            ("test",),
            photos.tallyqa,
            "From github.com/manoja328/TallyQA_dataset: test.json, and the pictures of Visual "
            "Genome and COCO as it names them, VG_100K/, VG_100K_2/, val2014/, train2014/.",
        ),
        Asked("tallyqa"),
        Scored(judges.counts, "accuracy"),
        "The published figures are those of the parts simple and complex.",
    ),
    benchmark(
        "countbenchqa",
        "CountBenchQA",
        _FAMILY,
        Data(
            ("test",),
            photos.countbench,
            "From github.com/google-research/big_vision: countbench_paired_questions.json; from "
            'CountBench its rows in order as CountBench.json ([{"number": 4}, ...]), and the '
            "pictures as images/ROW.jpg, counted from 0; many are no longer to be fetched.",
            "nielsr/countbench",
        ),
        Asked("tallyqa", transfer="tallyqa"),
        Scored(judges.counts, "accuracy"),
        "The published figures are over all 540 pictures, of which about 491 are left.",
    ),
)
