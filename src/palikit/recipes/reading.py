"""Transfers that read: charts, documents, text in scenes."""

from palikit.recipes.row import Recipe, at, transfer

_ASK = "answer en {question}"

READING: tuple[Recipe, ...] = (
    transfer(
        "chartqa",
        "questions about charts",
        "vqa",
        "chartqa human (weight 7398) + augmented (20901), train+val; test",
        "{question}",
        "answer",
        48,
        "relaxed accuracy human / augmented",
        at(
            {224: "40.0 / 74.2", 448: "54.2 / 88.5"},
            30,
            256,
            1e-5,
            1e-6,
            label_smoothing=0.2,
            dropout=0.1,
        ),
    ),
    transfer(
        "ocrvqa",
        "questions about book covers",
        "vqa",
        "ocrvqa train+val; test",
        _ASK,
        "answer",
        32,
        "exact match, lower case",
        (*at({224: "72.3", 448: "74.6"}, 3, 128, 3e-6), *at({896: "74.9"}, 3, 128, 1e-5)),
    ),
    transfer(
        "textvqa",
        "questions about text in photos",
        "vqa",
        "textvqa train+val; test server",
        _ASK,
        "one of 10 answers",
        32,
        "VQA accuracy",
        (
            *at({224: "55.5"}, 5, 256, 3e-6),
            *at({448: "73.2"}, 10, 256, 3e-6, 3e-7),
            *at({896: "76.5"}, 10, 256, 3e-6),
        ),
    ),
    transfer(
        "docvqa",
        "questions about documents",
        "vqa",
        "docvqa train+val; test server",
        "{question}",
        "one of the answers",
        32,
        "ANLS",
        at({224: "43.7", 448: "78.0", 896: "84.8"}, 10, 256, 1e-5, 1e-6),
    ),
    transfer(
        "infovqa",
        "questions about infographics",
        "vqa",
        "infovqa train+val; test server",
        _ASK,
        "answer, lower case",
        48,
        "ANLS",
        (
            *at({224: "28.5"}, 3, 256, 1e-5, 1e-6, label_smoothing=0.4),
            *at({448: "40.5"}, 3, 128, 1e-5, 1e-6, label_smoothing=0.4),
            *at({896: "47.8"}, 3, 32, 3e-6, 3e-7, label_smoothing=0.4),
        ),
    ),
    transfer(
        "stvqa",
        "questions about scene text",
        "vqa",
        "stvqa train+val; test server",
        _ASK,
        "answer, lower case",
        48,
        "ANLS",
        (
            *at({224: "63.3"}, 3, 256, 1e-5, 1e-6, label_smoothing=0.1),
            *at({448: "81.8"}, 3, 128, 1e-5, 1e-6, label_smoothing=0.1),
            *at({896: "84.4"}, 3, 32, 3e-6, 3e-7, label_smoothing=0.1),
        ),
    ),
)
