"""Transfers that the report of PaliGemma 2 adds, with as much of their settings as it gives.

For the tasks of the first report it keeps the hyper-parameters and searches the learning rate anew
for each size; what it prints of that search are scores, and that larger models want smaller rates.
"""

from palikit.data.options import DataTask
from palikit.recipes.row import ModelSize, Recipe, Setting
from palikit.train_options import TrainOptions


def _row(
    name: str,
    what: str,
    task: DataTask,
    data: str,
    prefix: str,
    suffix: str,
    text_length: int | None,
    metric: str,
    settings: tuple[Setting, ...],
    *,
    model: ModelSize = "paligemma2-3b",
    note: str = "",
) -> Recipe:
    return Recipe(
        name,
        what,
        task,
        data,
        prefix,
        suffix,
        text_length,
        metric,
        settings,
        "arXiv 2412.03555, section 4 and appendix",
        model=model,
        train=TrainOptions(max_text_tokens=text_length) if text_length else TrainOptions(),
        note=note,
    )


SECOND_REPORT: tuple[Recipe, ...] = (
    _row(
        "text-detection",
        "words and where they stand",
        "detect",
        "ICDAR'15, Total-Text, MLT17, MLT19, HierText, TextOCR, IntelOCR; ICDAR'15, Total-Text",
        "not published",
        "boxes with their words",
        2048,
        "word P / R / F1 on ICDAR'15",
        (
            Setting(
                896, None, 256, 1e-5, label_smoothing=0.1, steps=15_000, result="81.9 / 70.7 / 75.9"
            ),
        ),
        note="Rates from 1e-6 to 1e-4 were tried. Total-Text: 73.8 / 74.5 / 74.2.",
    ),
    _row(
        "tables",
        "structure and text of tables as HTML",
        "ocr",
        "PubTabNet 516k, FinTabNet 113k; test",
        "not published",
        "HTML with the box of each cell",
        4096,
        "TEDS on PubTabNet",
        (Setting(896, None, 256, 1e-4, steps=15_000, result="97.3"),),
        note="Pictures are padded with white to a square. FinTabNet: 98.9.",
    ),
    _row(
        "molecules",
        "SMILES of drawn molecules",
        "ocr",
        "1M of PubChem, rendered with Indigo; 5.7k of ChemDraw",
        "not published",
        "SMILES",
        256,
        "exact match",
        (Setting(448, None, 256, 1e-4, label_smoothing=0.1, steps=30_000, result="94.8"),),
        model="paligemma2-10b",
        note="Pictures are padded with white to a square.",
    ),
    _row(
        "music",
        "scores as **kern",
        "ocr",
        "GrandStaff 53.7k; test",
        "not published",
        "**kern",
        1024,
        "CER / SER / LER in %, lower is better",
        (
            Setting(
                896, None, 256, 1e-4, label_smoothing=0.1, steps=30_000, result="1.6 / 2.3 / 6.7"
            ),
        ),
        note="Pictures are padded with white.",
    ),
    _row(
        "docci",
        "long captions",
        "caption",
        "DOCCI 15k; 100 pictures of qual_dev",
        "caption en",
        "caption",
        None,
        "NES in %, by people, lower is better",
        (Setting(448, None, None, None, result="28.4"),),
        note="The hyper-parameters chosen, from the first report's search space, are not printed. "
        "Answers of up to 192 tokens.",
    ),
    _row(
        "vsr",
        "is a spatial statement true",
        "vqa",
        "VSR, zero-shot and random split; test",
        "answer en {statement}",
        "True or False",
        18,
        "accuracy zero-shot / random",
        (Setting(224, None, 1024, None, result="74.8 / 81.6"),),
        note="Tried: rates 1e-7, 2e-7, 1e-6, 3e-6, decay 1e-7 to 1e-6, dropout 0 to .2, 1 to 30 "
        "epochs; those chosen are not printed.",
    ),
    _row(
        "mimic-cxr",
        "reports of chest X-rays",
        "caption",
        "MIMIC-CXR 377k, mentions of prior studies removed; test",
        "{indication}",
        "report",
        None,
        "CIDEr / BLEU-4 / ROUGE-L / RadGraph F1, at 896 px",
        (
            Setting(448, 8, None, 5e-6),
            Setting(896, None, None, None, result="19.9 / 14.6 / 31.9 / 28.8"),
        ),
        note="The rate was searched again for each size and resolution.",
    ),
    _row(
        "coco-detection",
        "boxes of 80 classes",
        "detect",
        "COCO; val",
        "detect all classes",
        "boxes of all objects in random order, then noise boxes up to the length",
        None,
        "AP",
        (
            Setting(224, 50, None, None, result="30.4"),
            Setting(448, 50, None, None, result="38.5"),
            Setting(896, 50, None, None, result="42.3"),
        ),
        note="With the authors' noise boxes, which are no part of training here.",
    ),
    _row(
        "doclaynet",
        "boxes of the parts of pages",
        "detect",
        "DocLayNet; test",
        "detect all classes",
        "boxes of all objects in random order, then noise boxes up to the length",
        None,
        "AP",
        (
            Setting(224, 50, None, None, result="46.7"),
            Setting(448, 50, None, None, result="62.5"),
            Setting(896, 50, None, None, result="66.1"),
        ),
        note="With the authors' noise boxes, which are no part of training here.",
    ),
)
