"""Transfers that describe pictures, videos, or regions."""

from palikit.recipes.row import Recipe, Setting, at, transfer

CAPTIONS: tuple[Recipe, ...] = (
    transfer(
        "cococap",
        "captions",
        "caption",
        "coco_captions train+restval; val",
        "caption en",
        "one of 5 captions",
        32,
        "CIDEr",
        at({224: "141.9", 448: "144.6"}, 5, 256, 1e-5, 1e-6),
        beams=2,
        note="NoCaps is scored with the same model: 121.7 at 224 px, 123.6 at 448 px.",
    ),
    transfer(
        "coco35l",
        "captions in 35 languages",
        "caption",
        "coco35l train, 35 languages in equal shares; dev",
        "caption {language}",
        "caption",
        32,
        "CIDEr, mean of the 34 beside English",
        tuple(
            Setting(res, None, 256, 1e-5, 1e-6, steps=11_063, result=result)
            for res, result in ((224, "113.7"), (448, "115.8"))
        ),
        note="2,832,175 examples: 25 times the pictures of COCO. English: 139.2 and 141.2.",
    ),
    transfer(
        "textcaps",
        "captions that read text",
        "caption",
        "text_caps train; val",
        "caption en",
        "caption, lower case",
        32,
        "CIDEr",
        at({224: "127.5", 448: "153.9"}, 5, 256, 1e-5, 1e-6),
        beams=3,
    ),
    transfer(
        "scicap",
        "captions of scientific figures",
        "caption",
        "scicap first_sentence_subfig_no train+val; test",
        "caption en",
        "caption, lower case, tokenised",
        96,
        "CIDEr",
        at({224: "162.3", 448: "181.5"}, 80, 256, 3e-5, label_smoothing=0.1, dropout=0.1),
    ),
    transfer(
        "screen2words",
        "summaries of screens",
        "caption",
        "screen2_words train+dev; test",
        "caption en",
        "one of the summaries",
        24,
        "CIDEr",
        at({224: "117.6", 448: "119.6"}, 10, 256, 1e-5, label_smoothing=0.2, dropout=0.3),
    ),
    transfer(
        "widgetcap",
        "captions of a marked widget",
        "caption",
        "widgetcap train+dev; test",
        "caption en",
        "one of the captions",
        32,
        "CIDEr",
        at({224: "136.1", 448: "148.4"}, 4, 64, 3e-6, 3e-7, label_smoothing=0.1, dropout=0.1),
        note="The widget is marked by a red box of 1 px, drawn at the model's resolution.",
    ),
)

SEGMENTATION: tuple[Recipe, ...] = (
    transfer(
        "refcoco_seg",
        "outline of what a phrase means",
        "segment",
        "RefCOCO, RefCOCO+, RefCOCOg combined, 24,407 pictures without those of val and test; val",
        "{sentence}",
        "4 loc and 16 seg tokens, no label",
        48,
        "mIoU RefCOCO / + / g",
        (
            *at({224: "73.4 / 68.3 / 67.7"}, 100, 256, 3e-5, label_smoothing=0.3, dropout=0.1),
            *at({448: "75.6 / 69.8 / 70.2"}, 100, 256, 1e-5, label_smoothing=0.3),
            *at({896: "76.9 / 72.2 / 72.2"}, 100, 64, 1e-5, label_smoothing=0.3),
        ),
        note="Each epoch takes one object of a picture and one of its phrases, at random.",
    ),
)
