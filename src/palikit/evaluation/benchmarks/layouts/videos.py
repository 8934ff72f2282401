"""Films: MSR-VTT, MSVD, ActivityNet, VATEX."""

from collections.abc import Iterator
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import (
    Item,
    entries_of,
    lines_of,
    named_entries,
)
from palikit.evaluation.benchmarks.layouts.source import Source
from palikit.video import VIDEO_SUFFIXES


def msrvtt_captions(source: Source) -> Iterator[Entry]:
    """test_videodatainfo.json: {"videos": [{"video_id", "split"}], "sentences": [...]}."""
    path = source.need("test_videodatainfo.json", "MSRVTT_data.json")
    captions: dict[str, list[str]] = {}
    for item in entries_of(path, "sentences"):
        captions.setdefault(item.text("video_id"), []).append(item.text("caption"))
    for item in entries_of(path, "videos"):
        if item.text("split") == source.split:
            name = item.text("video_id")
            film = _film(source, name, item.where, "TestVideo", "videos")
            answers = tuple(captions.get(name, ()))
            yield Entry(name, (), answers=answers, video=film, where=item.where)


def msrvtt_questions(source: Source) -> Iterator[Entry]:
    """test_qa.json: [{"id", "video_id": 7010, "question", "answer"}], video/video7010.mp4."""
    for item in entries_of(source.need(f"{source.split}_qa.json")):
        yield _question(source, item, f"video{item.name('video_id')}")


def msvd_questions(source: Source) -> Iterator[Entry]:
    """test_qa.json as of MSR-VTT; youtube_mapping.txt ("NAME vid1") names the films."""
    mapping = source.find("youtube_mapping.txt")
    names: dict[str, str] = {}
    for number, line in lines_of(mapping) if mapping else ():
        film, _, short = line.strip().rpartition(" ")
        if not film:
            raise InputError(
                f"youtube_mapping.txt, line {number}, is {line[:80]!r}: expected a film's name and "
                "its short one"
            )
        names[short] = film
    for item in entries_of(source.need(f"{source.split}_qa.json")):
        short = f"vid{item.name('video_id')}"
        yield _question(source, item, names.get(short, short))


def activitynet_captions(source: Source) -> Iterator[Entry]:
    """val_1.json: {"v_NAME": {"timestamps", "sentences"}}, each segment a film of its own.

    Segments are cut beforehand: clips/v_NAME_0.mp4 is the first of its film.
    """
    file = {"val": "val_1.json", "val2": "val_2.json"}.get(source.split, f"{source.split}.json")
    for name, item in named_entries(source.need(file)):
        for number, sentence in enumerate(item.texts("sentences")):
            clip = f"{name}_{number}"
            film = _film(source, clip, item.where, "clips")
            yield Entry(clip, (), answers=(sentence.strip(),), video=film, where=item.where)


def activitynet_questions(source: Source) -> Iterator[Entry]:
    """test_q.json and test_a.json: [{"question_id", "video_name", "question"}], answers beside."""
    answers = {
        item.name("question_id"): item for item in entries_of(source.need(f"{source.split}_a.json"))
    }
    for item in entries_of(source.need(f"{source.split}_q.json")):
        name = item.name("question_id")
        if name not in answers:
            raise InputError(f"{item.where}: question {name} is not in {source.split}_a.json")
        answer = answers[name]
        film = item.text("video_name")
        yield Entry(
            name,
            (),
            item.text("question"),
            (answer.text("answer"),),
            answer.name("type") if "type" in answer else "",
            video=_film(source, f"v_{film.removeprefix('v_')}", item.where, "videos"),
            where=item.where,
        )


def vatex(source: Source) -> Iterator[Entry]:
    """vatex_public_test_english_v1.1.json: [{"videoID", "enCap"}]."""
    names = {
        "test": "vatex_public_test_english_v1.1.json",
        "val": "vatex_validation_v1.0.json",
    }
    for item in entries_of(source.need(names.get(source.split, f"{source.split}.json"))):
        name = item.text("videoID")
        film = _film(source, name, item.where, "videos")
        yield Entry(name, (), answers=item.texts("enCap"), video=film, where=item.where)


def _question(source: Source, item: Item, film: str) -> Entry:
    return Entry(
        item.name("id"),
        (),
        item.text("question"),
        (item.text("answer"),),
        video=_film(source, film, item.where, "video", "YouTubeClips", "TestVideo", "videos"),
        where=item.where,
    )


def _film(source: Source, name: str, where: str, *folders: str) -> Path:
    """A film by its name without an ending, which differs with where it was fetched."""
    for suffix in (".mp4", ".avi", ".mkv", ".webm", *sorted(VIDEO_SUFFIXES)):
        if (path := source.file_if_there(name + suffix, where, *folders)) is not None:
            return path
    return source.file(f"{name}.mp4", where, *folders)
