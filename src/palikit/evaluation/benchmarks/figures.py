"""Every score that was published for PaliGemma and PaliGemma 2, table by table.

A row names the benchmark, after "/" the part of its score, after "@" the split where it is not the
benchmark's first; then the values in the order of the columns, "~" before a standard deviation and
"-" where nothing was published. Where two tables disagree both values stand, each with its source.

The cosine similarities of Objaverse Multiview and the ratings of generated text are left out: they
are measured by other models.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from palikit.evaluation.benchmarks.row import Published, Stage
from palikit.recipes.row import ModelSize

FIRST_CARD = "model card of PaliGemma (big_vision, configs/proj/paligemma/README.md)"
REPORT = "PaliGemma 2 report, arXiv 2412.03555"
GEMMA3 = "Gemma 3 report, table 12"

Column = tuple[ModelSize, int]

_MODELS: tuple[ModelSize, ...] = (
    "paligemma-3b", "paligemma2-3b", "paligemma2-10b", "paligemma2-28b",
)  # fmt: skip

_FIRST: tuple[Column, ...] = tuple((_MODELS[0], side) for side in (224, 448, 896))

_SIDE_BY_SIDE = tuple((model, side) for side in (224, 448) for model in _MODELS)

_SECOND_AT_448 = tuple((model, 448) for model in _MODELS[1:])

_SECOND_AT_896 = tuple((model, 896) for model in _MODELS[1:])

_DETECTION = tuple((model, side) for side in (224, 448, 896) for model in _MODELS[:3])

ZERO_SHOT = frozenset(
    {
        "nocaps", "xm3600", "mmvp", "pope-random", "pope-popular", "pope-adversarial", "xgqa",
        "marvl", "countbenchqa",
    }
)  # fmt: skip
"""Benchmarks scored with a checkpoint that was fine-tuned on another one."""


@dataclass(frozen=True)
class Table:
    """Published scores that share a source and columns.

    Attributes:
        source: document and table.
        columns: model and picture side of each column.
        rows: see the head of this file.
        stage: None for "ft", or "zero-shot" where the benchmark is one of `ZERO_SHOT`.
        note: of every value.
    """

    source: str
    columns: tuple[Column, ...]
    rows: str
    stage: Stage | None = None
    note: str = ""


TABLES: tuple[Table, ...] = (
    Table(
        f"{REPORT}, tables 13 and 15",
        _SIDE_BY_SIDE,
        """
ai2d                72.1      74.7~0.5  83.1~0.4  83.2~0.7  73.3      76.0~0.2  84.4~0.4  84.6~0.4
aokvqa-da           61.1      64.2~0.5  68.9~0.3  70.2~0.2  65.7      67.9~0.3  70.8~0.5  71.2~0.2
aokvqa-mc           78.5      79.7~1.0  83.7~1.1  84.7~0.8  80.3      82.5~0.4  85.9~0.2  87.0~0.3
activitynet-cap     34.6      34.2~0.3  35.9~0.5  -         -         -         -         -
activitynet-qa      50.8      51.3~0.2  53.2~0.4  -         -         -         -         -
coco35l             113.7     113.9~0.2 115.8~0.0 116.5~0.1 115.8     115.8~0.3 117.2~0.1 117.2~0.1
coco35l/en          139.2     138.4~0.2 140.8~0.3 142.4~0.4 141.2     140.4~0.4 142.4~0.4 142.3~0.8
cococap             141.9     141.3~0.5 143.7~0.2 144.0~0.3 144.6     143.4~0.4 145.0~0.3 145.2~0.4
chartqa-augmented   74.2      74.4~0.7  74.2~0.8  68.9~0.6  88.5      89.2~0.4  90.1~0.5  85.1~0.2
chartqa-human       40.0      42.0~0.3  48.4~1.1  46.8~0.6  54.2      54.0~0.6  66.4~0.5  61.3~0.6
countbenchqa        81.9      81.0~1.0  84.0~1.4  86.4~1.6  83.1      82.0~1.2  85.3~1.7  87.4~1.0
docvqa              37.8      39.9~0.3  43.9~0.6  44.9~0.4  74.1      73.6~0.3  76.6~0.5  76.1~0.4
gqa                 65.6      66.2~0.3  67.2~0.2  67.3~0.2  67.0      68.1~0.2  68.3~0.3  68.3~0.1
infovqa             25.5      25.2~0.2  33.6~0.2  36.4~0.1  37.0      37.5~0.3  47.8~0.2  46.7~0.4
marvl               80.6      83.5~0.2  89.5~0.2  90.6~0.2  76.8      82.7~0.3  89.1~0.0  89.7~0.1
msrvtt-cap          70.5      68.5~1.3  72.1~0.5  -         -         -         -         -
msrvtt-qa           50.1      50.5~0.1  51.9~0.1  -         -         -         -         -
msvd-qa             60.2      61.1~0.2  62.5~0.2  -         -         -         -         -
nlvr2               90.0      91.4~0.1  93.9~0.2  94.2~0.1  88.9      91.6~0.2  93.7~0.2  94.1~0.2
nocaps              121.7     123.1~0.3 126.3~0.4 127.1~0.3 123.6     123.5~0.3 126.9~0.1 127.0~0.2
ocrvqa              72.3      73.4~0.0  74.7~0.1  75.3~0.2  74.6      75.7~0.1  76.3~0.1  76.6~0.1
okvqa               63.5      64.2~0.1  68.0~0.1  71.2~0.2  63.2      64.1~0.4  68.6~0.5  70.6~0.2
rsvqa-hr            92.6      92.7~0.1  92.6~0.0  92.7~0.0  92.8      92.8~0.0  92.8~0.1  92.8~0.1
rsvqa-hr@test2      90.6      90.9~0.1  90.8~0.1  90.9~0.1  90.5      90.7~0.2  90.7~0.2  90.8~0.1
rsvqa-lr            92.6      93.0~0.4  92.8~0.6  93.5~0.2  93.1      92.7~0.8  93.1~0.6  93.7~0.4
refcoco-testa       75.7      75.7~0.2  77.2~0.1  76.8~0.1  77.9      78.6~0.3  79.7~0.1  79.3~0.1
refcoco-testb       70.7      71.0~0.3  74.2~0.3  73.9~0.1  72.4      73.5~0.1  76.2~0.3  74.8~0.1
refcoco-val         73.4      73.4~0.1  75.9~0.1  75.0~0.0  75.6      76.3~0.1  78.2~0.1  77.3~0.1
refcoco-plus-testa  71.9      72.7~0.2  74.7~0.2  73.6~0.2  74.2      76.1~0.2  77.7~0.2  76.6~0.1
refcoco-plus-testb  64.5      64.2~0.2  68.4~0.3  67.1~0.1  64.5      67.0~0.3  71.1~0.2  68.6~0.1
refcoco-plus-val    68.3      68.6~0.1  72.0~0.2  70.3~0.2  69.8      72.1~0.3  74.4~0.1  72.8~0.1
refcocog-test       68.2      69.0~0.2  71.9~0.1  70.7~0.1  71.0      72.7~0.1  74.8~0.1  73.7~0.1
refcocog-val        67.7      68.3~0.3  71.4~0.2  70.5~0.1  70.1      72.3~0.2  74.4~0.1  73.0~0.1
stvqa               61.6      61.9~0.1  64.3~0.4  65.1~0.4  79.7      80.5~0.1  82.0~0.3  81.8~0.1
scicap              162.3     165.1~0.5 159.5~0.7 156.9~1.0 181.5     183.3~0.7 177.2~0.3 172.7~1.5
science-qa          95.4      96.1~0.3  98.2~0.2  98.2~0.2  95.9      96.2~0.2  98.5~0.2  98.6~0.2
screen2words        117.6     113.3~0.8 117.8~0.7 122.8~0.5 119.6     114.0~0.5 119.1~1.9 123.4~0.8
tallyqa/complex     69.6      70.3~0.3  73.4~0.1  74.2~0.1  72.3      73.6~0.2  76.7~0.3  76.8~0.2
tallyqa/simple      81.7      81.8~0.1  83.2~0.1  83.4~0.1  84.9      85.3~0.1  86.2~0.1  85.7~0.1
textcaps            127.5     127.5~0.3 137.9~0.3 139.9~0.4 153.9     152.1~0.3 157.7~0.7 153.6~0.5
textvqa             59.0      59.6~0.3  64.0~0.3  64.7~0.2  74.6      75.2~0.2  76.6~0.1  76.2~0.1
vatex-cap           79.7      80.8~0.4  82.7~0.5  -         -         -         -         -
vqav2@minival       82.1      83.0~0.2  84.3~0.2  84.5~0.1  84.6      84.8~0.2  85.8~0.1  85.8~0.2
vizwizvqa           73.7      76.4~0.4  78.1~0.4  78.7~0.2  75.5      77.5~0.2  78.6~0.4  78.9~0.5
widgetcap           136.1     138.1~0.7 139.8~1.0 138.8~0.8 148.4     151.4~0.8 151.9~0.4 148.9~0.7
xm3600              41.9      42.8~0.1  44.5~0.1  45.2~0.1  42.4      43.2~0.1  44.6~0.1  45.2~0.1
xm3600/en           78.0      79.8~0.7  80.7~0.3  81.0~0.9  80.0      80.3~0.8  81.5~0.4  81.0~0.2
xgqa                57.3      58.6~0.2  61.4~0.1  61.1~0.1  57.9      60.4~0.2  62.6~0.2  62.1~0.3
""",
    ),
    Table(
        FIRST_CARD,
        _FIRST,
        """
cococap 141.92 144.60
nocaps 121.72 123.58
coco35l/en 139.2 141.2
coco35l 115.8 118.0
coco35l/all 116.4 118.6
xm3600/en 78.1 80.0
xm3600 41.3 41.9
xm3600/all 42.4 42.9
textcaps 127.48 153.94
scicap 162.25 181.49
scicap/bleu4 19.2 21.1
screen2words 117.57 119.59
widgetcap 136.07 148.36
vqav2@test-std 83.19 85.64
mmvp 47.33 45.33
pope-random 87.80 88.23
pope-popular 85.87 86.77
pope-adversarial 84.27 85.90
okvqa 63.54 63.15
aokvqa-mc@test 76.37 76.90
aokvqa-da@test 61.85 63.22
gqa 65.61 67.03
xgqa/all 58.37 59.07
nlvr2 90.02 88.93
marvl 80.57 76.78
ai2d 72.12 73.28
science-qa 95.39 95.93
rsvqa-lr 92.65 93.11
rsvqa-hr 92.61 92.79
rsvqa-hr@test2 90.58 90.54
chartqa 57.08 71.36
vizwizvqa@test-std 73.7 75.52
tallyqa/simple 81.72 84.86
tallyqa/complex 69.56 72.27
ocrvqa 73.24 75.60 75.90
textvqa@test 55.47 73.15 76.48
docvqa@test 43.74 78.02 84.77
infovqa@test 28.46 40.47 47.75
stvqa@test 63.29 81.82 84.40
refcoco-val 73.40 75.57 76.94
refcoco-plus-val 68.32 69.76 72.18
refcocog-val 67.65 70.17 72.22
msrvtt-cap 70.54
msrvtt-qa 50.09
activitynet-cap 34.62
activitynet-qa 50.78
vatex-cap 79.73
msvd-qa 60.22
""",
    ),
    Table(
        GEMMA3,
        _SECOND_AT_896,
        """
docvqa 81.6 86.3 85.1
infovqa 41.4 53.1 50.2
textvqa 76.3 76.3 75.1
chartqa 70.7 79.1 71.3
""",
        note="the split is not named",
    ),
    Table(
        GEMMA3,
        _SECOND_AT_448,
        """
ai2d 76.0 84.4 84.6
okvqa 64.1 68.6 70.6
countbenchqa 82.0 85.3 87.4
vqav2@minival 84.8 85.8 85.8
tallyqa 80.6 82.4 82.1
""",
    ),
    Table(
        f"{REPORT}, section 4",
        (("paligemma2-3b", 896),),
        """
icdar15 75.9
icdar15/precision 81.9
icdar15/recall 70.7
total-text 74.2
total-text/precision 73.8
total-text/recall 74.5
fintabnet 98.9
fintabnet/s_teds 99.2
fintabnet/grits_top 99.4
fintabnet/grits_con 99.2
pubtabnet 97.3
pubtabnet/s_teds 97.6
pubtabnet/grits_top 98.0
pubtabnet/grits_con 97.8
grandstaff 1.6
grandstaff/ser 2.3
grandstaff/ler 6.7
""",
    ),
    Table(f"{REPORT}, section 4", (("paligemma2-10b", 448),), "chemdraw 94.8"),
    Table(
        f"{REPORT}, section 4",
        (("paligemma-3b", 448), ("paligemma2-3b", 448), ("paligemma2-10b", 448)),
        """
docci/nes 34.3 28.4 20.3
docci - 529 521
docci/sentences - 7.7 7.5
""",
        note="100 pictures of qual_dev; NES is judged by people, lower is better",
    ),
    Table(
        f"{REPORT}, section 4",
        (("paligemma2-3b", 224), ("paligemma2-10b", 224)),
        """
vsr@zeroshot 74.8 79.8
vsr@random 81.6 86.8
""",
    ),
    Table(
        f"{REPORT}, section 4",
        (("paligemma2-3b", 896), ("paligemma2-10b", 896)),
        """
mimic-cxr 19.9 17.4
mimic-cxr/bleu4 14.6 15.0
mimic-cxr/rouge_l 31.9 32.4
mimic-cxr/radgraph_f1 28.8 29.5
""",
    ),
    Table(
        f"{REPORT}, appendix C",
        _DETECTION,
        """
coco-detection 28.7 30.4 30.3 37.0 38.5 39.2 41.1 42.3 43.6
doclaynet 50.8 46.7 50.4 64.1 62.5 63.5 66.5 66.1 66.0
""",
    ),
    Table(
        f"{REPORT}, table 10",
        (("paligemma2-3b", 224),),
        """
cococap 140.0
textcaps 126.3
ai2d 75.4
okvqa 64.0
docvqa 39.8
""",
        note="greedy, float32",
    ),
    Table(
        f"{REPORT}, table 10",
        (("paligemma2-3b", 224),),
        """
cococap 139.8
textcaps 126.6
ai2d 75.6
okvqa 64.1
docvqa 39.8
""",
        note="greedy, gemma.cpp with 8 bits",
    ),
    Table(
        FIRST_CARD,
        _FIRST[:2],
        """
mmvp 46.00 45.33
pope-random 88.00 89.37
pope-popular 86.63 88.40
pope-adversarial 85.67 87.47
""",
        stage="mix",
    ),
)


def published_scores(name: str) -> tuple[Published, ...]:
    """What was published for the benchmark of that name, in the order of the tables."""
    return tuple(found for table in TABLES for found in _of(table, name))


def _of(table: Table, name: str) -> Iterator[Published]:
    for line in table.rows.splitlines():
        if not line.strip() or _key(line)[0] != name:
            continue
        _, part, split = _key(line)
        for (model, side), cell in zip(table.columns, line.split()[1:], strict=False):
            if cell == "-":
                continue
            value, _, deviation = cell.partition("~")
            yield Published(
                model,
                side,
                float(value),
                float(deviation) if deviation else None,
                table.stage or ("zero-shot" if name in ZERO_SHOT else "ft"),
                table.source,
                part,
                split,
                table.note,
            )


def _key(line: str) -> tuple[str, str, str]:
    """Benchmark, part and split of a row."""
    first, _, split = line.split(maxsplit=1)[0].partition("@")
    name, _, part = first.partition("/")
    return name, part, split
