"""Captions: of photos, in one language and in many, of figures, of screens, of regions."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import captions, screens
from palikit.evaluation.benchmarks.row import Benchmark
from palikit.evaluation.metrics.cider import cider_d

_FAMILY = "captions"
_CIDER = Scored(judges.cider, "CIDEr", "x100")
_BY_LANGUAGE = Scored(
    judges.languages(cider_d, without=("en",)), "CIDEr, mean of the languages but English", "x100"
)
_SEGMENTER = (
    "PTB tokens in every language, as in the published figures, though that divides no Chinese, "
    "Japanese or Thai."
)

CAPTIONS: tuple[Benchmark, ...] = (
    benchmark(
        "cococap",
        "COCO captions",
        _FAMILY,
        Data(
            ("val", "test"),
            captions.karpathy,
            "Karpathy's split, dataset_coco.json (cs.stanford.edu/people/karpathy/deepimagesent, "
            "caption_datasets.zip), and the pictures of cocodataset.org in val2014/ and "
            "train2014/.",
        ),
        Asked("cococap", task="caption"),
        Scored(judges.cider, "CIDEr", "x100", "coco-captions"),
    ),
    benchmark(
        "nocaps",
        "NoCaps",
        _FAMILY,
        Data(
            ("val",),
            captions.nocaps,
            "From nocaps.org: nocaps_val_4500_captions.json, and the pictures (Open Images) that "
            "it names in val/.",
            "lmms-lab/NoCaps",
        ),
        Asked("cococap", beams=1, task="caption", transfer="cococap"),
        Scored(judges.cider, "CIDEr", "x100", "coco-captions"),
        "Greedy as every benchmark but two; whether the 2 beams of COCO captions, whose checkpoint "
        "it is, were taken here too could not be checked.",
    ),
    benchmark(
        "coco35l",
        "COCO-35L",
        _FAMILY,
        Data(
            ("dev",),
            captions.coco35l,
            "From google.github.io/crossmodal-3600 (CC BY 4.0): coco_mt_dev.jsonl (unpacked), and "
            "the pictures of cocodataset.org in val2014/ and train2014/. The names of its fields "
            "(image_id, caption_tokenized, trg_lang, translation_tokenized) could not be checked.",
        ),
        Asked("coco35l", task="caption"),
        _BY_LANGUAGE,
        f"Part en is English, part all the mean of all 35. {_SEGMENTER}",
    ),
    benchmark(
        "xm3600",
        "Crossmodal-3600",
        _FAMILY,
        Data(
            ("test",),
            captions.xm3600,
            "From google.github.io/crossmodal-3600 (CC BY 4.0): captions.jsonl, and the pictures "
            "of images.tgz in images/.",
        ),
        Asked("coco35l", task="caption", transfer="coco35l"),
        _BY_LANGUAGE,
        f"Part en is English, part all the mean of all 36. {_SEGMENTER} The untokenised captions "
        "are the references.",
    ),
    benchmark(
        "textcaps",
        "TextCaps",
        _FAMILY,
        Data(
            ("val", "test"),
            captions.textcaps,
            "From textvqa.org/textcaps (CC BY 4.0): TextCaps_0.1_val.json, and the pictures of "
            "TextVQA in train_images/ (validation pictures are among them) and test_images/.",
            "lmms-lab/TextCaps",
        ),
        Asked("textcaps", task="caption"),
        Scored(judges.cider, "CIDEr", "x100", "coco-captions"),
    ),
    benchmark(
        "scicap",
        "SciCap",
        _FAMILY,
        Data(
            ("test", "val"),
            screens.scicap,
            "From github.com/tingyaohsu/SciCap (CC BY-NC-SA 4.0), scicap_data.zip unpacked: "
            "List-of-Files-for-Each-Experiments/First-Sentence/No-Subfig/Test/*.json, "
            "SciCap-Caption-All/Test/*.json, SciCap-No-Subfig-Img/Test/*.png.",
        ),
        Asked("scicap", task="caption"),
        Scored(judges.cider_and_bleu, "CIDEr", "x100"),
        "The reference is the first sentence in lower case and tokens, its figure number removed; "
        "which of SciCap's normalisations the published figures take could not be checked.",
    ),
    benchmark(
        "screen2words",
        "Screen2Words",
        _FAMILY,
        Data(
            ("test", "dev"),
            screens.screen2words,
            "From github.com/google-research-datasets/screen2words: screen_summaries.csv, split/; "
            "and the screens of Rico (interactionmining.org/rico, unique_uis.tar.gz) in combined/.",
            "rootsautomation/RICO-Screen2Words",
        ),
        Asked("screen2words", task="caption"),
        _CIDER,
    ),
    benchmark(
        "widgetcap",
        "Widget Captioning",
        _FAMILY,
        Data(
            ("test", "dev"),
            screens.widgetcap,
            "From github.com/google-research-datasets/widget-caption (CC BY 4.0): "
            "widget_captions.csv, split/; and the screens of Rico with their view hierarchies "
            "(interactionmining.org/rico, unique_uis.tar.gz) in combined/. That a nodeId is the "
            "way through the hierarchy, a child's place at each step, could not be checked; in "
            'SPLIT.jsonl "box" says where the widget is.',
            "rootsautomation/RICO-WidgetCaptioning",
        ),
        Asked("widgetcap", task="caption"),
        _CIDER,
        "The widget is framed in red, 1 px at the model's resolution.",
    ),
    benchmark(
        "docci",
        "DOCCI",
        _FAMILY,
        Data(
            ("qual_dev", "qual_test", "test"),
            captions.docci,
            "From google.github.io/docci (CC BY 4.0): docci_descriptions.jsonlines, and the "
            "pictures of docci_images.tar.gz in images/.",
            "google/docci",
        ),
        Asked("docci", length=192, task="caption"),
        Scored(judges.length, "characters of a caption", ""),
        "The published figure of quality is NES, the share of sentences that five people did not "
        "find true of the picture: --judgements takes a file of what they said.",
    ),
)
