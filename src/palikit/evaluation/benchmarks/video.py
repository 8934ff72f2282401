"""Captions of videos and questions about them."""

from palikit.evaluation.benchmarks import judges
from palikit.evaluation.benchmarks.build import Asked, Data, Scored, benchmark
from palikit.evaluation.benchmarks.layouts import videos
from palikit.evaluation.benchmarks.layouts.source import Official
from palikit.evaluation.benchmarks.row import Benchmark

_CIDER = Scored(judges.cider, "CIDEr", "x100")
_EXACT = Scored(judges.exact, "exact match")


def _video(
    name: str,
    title: str,
    read: Official,
    layout: str,
    frames: tuple[int, int],
    *,
    splits: tuple[str, ...] = ("test",),
    note: str = "",
) -> Benchmark:
    is_caption = name.endswith("-cap")
    return benchmark(
        name,
        title,
        "video",
        Data(splits, read, layout, frames=frames[0], stride=frames[1]),
        Asked(name, task="caption" if is_caption else "answer"),
        _CIDER if is_caption else _EXACT,
        f"{frames[0]} frames, every {frames[1]}th from the first on; a short clip begins again. "
        f"{note}".strip(),
    )


VIDEO: tuple[Benchmark, ...] = (
    _video(
        "msrvtt-cap",
        "MSR-VTT captions",
        videos.msrvtt_captions,
        "The challenge's test set of 2016: test_videodatainfo.json (or MSRVTT_data.json with all), "
        "and the films in TestVideo/.",
        (16, 9),
    ),
    _video(
        "msrvtt-qa",
        "MSRVTT-QA",
        videos.msrvtt_questions,
        "From github.com/xudejing/video-question-answering: MSRVTT-QA's test_qa.json, and the "
        "films in video/ as video7010.mp4.",
        (16, 9),
    ),
    _video(
        "msvd-qa",
        "MSVD-QA",
        videos.msvd_questions,
        "From github.com/xudejing/video-question-answering: MSVD-QA's test_qa.json, "
        "youtube_mapping.txt, and the films in YouTubeClips/.",
        (8, 26),
    ),
    _video(
        "activitynet-cap",
        "ActivityNet Captions",
        videos.activitynet_captions,
        "From cs.stanford.edu/people/ranjaykrishna/densevid: val_1.json (or val_2.json as val2), "
        "and each segment cut out of its film beforehand, as clips/v_NAME_0.mp4 for the first.",
        (16, 30),
        splits=("val", "val2", "test"),
        note="Which split and which segments the published figure is over could not be checked.",
    ),
    _video(
        "activitynet-qa",
        "ActivityNet-QA",
        videos.activitynet_questions,
        "From github.com/MILVLG/activitynet-qa (dataset/): test_q.json, test_a.json, and the films "
        "in videos/ as v_NAME.mp4.",
        (16, 70),
    ),
    _video(
        "vatex-cap",
        "VATEX",
        videos.vatex,
        "From eric-xw.github.io/vatex-website (CC BY 4.0): vatex_public_test_english_v1.1.json, "
        "and the clips in videos/, each called after its videoID.",
        (16, 7),
        splits=("test", "val"),
    ),
)
