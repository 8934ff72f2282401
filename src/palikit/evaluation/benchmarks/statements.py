"""Whether something is so: statements about pictures, yes and no, pairs of questions."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import statements
from palikit.evaluation.benchmarks.row import Benchmark
from palikit.evaluation.metrics.exact import exact_match

_FAMILY = "questions"
_ASK = "answer en {question}"
_EXACT = Scored(judges.exact, "exact match")
_COCO_2014 = "and the pictures of cocodataset.org in val2014/"

STATEMENTS: tuple[Benchmark, ...] = (
    benchmark(
        "nlvr2",
        "NLVR2",
        _FAMILY,
        Data(
            ("test", "dev"),
            statements.nlvr2,
            "From github.com/lil-lab/nlvr (nlvr2/data): test1.json or dev.json; the pictures, on "
            "request from its authors, in test1/ or dev/.",
        ),
        Asked("nlvr2", _ASK),
        _EXACT,
        "Two pictures, left, then right; the answer is True or False.",
    ),
    benchmark(
        "marvl",
        "MaRVL",
        _FAMILY,
        Data(
            ("test",),
            statements.marvl,
            "From marvl-challenge.github.io (CC BY 4.0): marvl-id.jsonl and those of sw, ta, tr, "
            "zh, right in the folder or in annotations/; the pictures as id/images/CONCEPT/NAME.",
        ),
        Asked("nlvr2", _ASK, transfer="nlvr2"),
        Scored(judges.languages(exact_match), "exact match, mean of the languages"),
        "Two pictures, left, then right; sentences in their own language, the answer True or "
        "False.",
    ),
    *(
        benchmark(
            f"pope-{kind}",
            f"POPE, {kind} objects",
            _FAMILY,
            Data(
                (kind,),
                statements.pope,
                f"From github.com/RUCAIBox/POPE (MIT): coco_pope_{kind}.json, {_COCO_2014}.",
                "lmms-lab/POPE",
            ),
            Asked("pope", transfer="vqav2"),
            Scored(judges.yes_no, "accuracy"),
            "The bare question, as in big_vision's configuration; the report shows `answer en` "
            "before it. Parts official/... read the answers as POPE's own script does.",
        )
        for kind in ("random", "popular", "adversarial")
    ),
    benchmark(
        "mmvp",
        "MMVP",
        _FAMILY,
        Data(
            ("test",),
            statements.mmvp,
            "From huggingface.co/datasets/MMVP/MMVP (MIT): Questions.csv and MMVP Images/.",
            "MMVP/MMVP",
        ),
        Asked("vqav2", transfer="vqav2"),
        Scored(judges.pairs, "accuracy of pairs"),
        "Neither prompt nor rule of the published figures is public: here the question is asked "
        "without its options, and the text of the right option is the answer.",
    ),
    benchmark(
        "vsr",
        "VSR",
        _FAMILY,
        Data(
            ("zeroshot", "random"),
            statements.vsr,
            "From github.com/cambridgeltl/visual-spatial-reasoning: splits/zeroshot/test.jsonl and "
            "splits/random/test.jsonl, and the pictures of COCO 2017 in images/ or trainval2017/.",
            "cambridgeltl/vsr_zeroshot",
        ),
        Asked("vsr", _ASK),
        _EXACT,
        "The answer is True or False; that it is asked as a question is published, the words are "
        "not.",
    ),
)
