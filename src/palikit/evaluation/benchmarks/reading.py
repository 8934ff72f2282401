"""What is written or drawn: words in scenes, tables, molecules, sheet music, X-rays."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.changes import padded
from palikit.evaluation.benchmarks.layouts import science, tables, words
from palikit.evaluation.benchmarks.row import Benchmark

_OUR_PROMPT = "The prompt of the published figures is not public: this one is PaliKit's."
_SPOTTING = Scored(judges.spotting, "F1 of words, found and read")
_WORDS_NOTE = f"{_OUR_PROMPT} Each word has its box before or behind it."
_TABLES = Scored(judges.tables, "TEDS")
_TABLES_NOTE = f"{_OUR_PROMPT} Pictures are padded with white to a square."

READING: tuple[Benchmark, ...] = (
    benchmark(
        "icdar15",
        "ICDAR 2015 Incidental Scene Text",
        "text",
        Data(
            ("test",),
            words.icdar15,
            "From rrc.cvc.uab.es (registration), Incidental Scene Text, task 4: gt_img_*.txt in "
            "Challenge4_Test_Task4_GT/, and the pictures in ch4_test_images/.",
        ),
        Asked("text-detection", "ocr", task="detect"),
        _SPOTTING,
        _WORDS_NOTE,
    ),
    benchmark(
        "total-text",
        "Total-Text",
        "text",
        Data(
            ("test",),
            words.total_text,
            "From github.com/cs-chan/Total-Text-Dataset (BSD-3): poly_gt_img*.txt in "
            "Groundtruth/Polygon/Test/, and the pictures in Images/Test/.",
        ),
        Asked("text-detection", "ocr", task="detect"),
        _SPOTTING,
        _WORDS_NOTE,
    ),
    benchmark(
        "pubtabnet",
        "PubTabNet",
        "tables",
        Data(
            ("val", "test"),
            tables.pubtabnet,
            "From github.com/ibm-aur-nlp/PubTabNet (annotations CDLA-Permissive): "
            "PubTabNet_2.0.0.jsonl, and the pictures in val/. Whether the published figures are of "
            "val or of the later test set is not named; give that one as test.jsonl.",
            change=padded,
        ),
        Asked("tables", "ocr", task="ocr"),
        _TABLES,
        _TABLES_NOTE,
    ),
    benchmark(
        "fintabnet",
        "FinTabNet",
        "tables",
        Data(
            ("test", "val"),
            tables.fintabnet,
            "From IBM's Data Asset eXchange (CDLA-Permissive): FinTabNet_1.0.0_table_test.jsonl "
            "(records with html), and each table cut out of its page in PDF beforehand, as "
            "images/TABLE_ID.png. How the authors drew the pages is not published.",
            change=padded,
        ),
        Asked("tables", "ocr", task="ocr"),
        _TABLES,
        _TABLES_NOTE,
    ),
    benchmark(
        "chemdraw",
        "MolScribe's ChemDraw set",
        "science",
        Data(
            ("test",),
            science.chemdraw,
            "From github.com/thomas0809/MolScribe, benchmarks/synthetic: chemdraw.csv (image_id, "
            "SMILES), and the pictures in chemdraw/.",
            change=padded,
        ),
        Asked("molecules", "ocr", task="ocr"),
        Scored(judges.exact, "full match of SMILES"),
        f"{_OUR_PROMPT} Texts are compared as they stand; whether the published figure makes "
        "SMILES canonical first is not said. Pictures are padded with white.",
    ),
    benchmark(
        "grandstaff",
        "GrandStaff",
        "science",
        Data(
            ("test",),
            science.grandstaff,
            "From sites.google.com/view/multiscore-project/datasets: the folders of scores, "
            "NAME.krn (or NAME.bekrn) beside NAME.jpg; and test.txt, the paths of the test set's "
            "scores, one a line, which its authors keep in another form.",
            "antoniorv6/grandstaff",
            change=padded,
        ),
        Asked("music", "ocr", task="ocr"),
        Scored(judges.music, "CER, lower is better", "", higher_is_better=False),
        f"{_OUR_PROMPT} The undistorted pictures, padded with white. Parts ser and ler are the "
        "rates of symbols and lines.",
    ),
    benchmark(
        "mimic-cxr",
        "MIMIC-CXR reports",
        "medical",
        Data(
            ("test", "validate"),
            science.mimic_cxr,
            "From physionet.org (credentials and a course are required): of MIMIC-CXR-JPG "
            "mimic-cxr-2.0.0-split.csv and the pictures, of MIMIC-CXR the reports, in the folders "
            "that they come in, files/p10/p10000032/s50414267.txt.",
        ),
        Asked("mimic-cxr", "{context}", 512, "caption"),
        Scored(judges.report, "CIDEr", "x100"),
        "The prompt is the report's indication, the truth its findings. For the published figures "
        "a language model took out what is said of earlier studies; here nothing is taken out. "
        "RadGraph F1 needs a model of its own and is not computed. The longest answer is not "
        "published.",
    ),
)
