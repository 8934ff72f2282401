"""Captions of photos: COCO in Karpathy's splits, NoCaps, COCO-35L, XM3600, TextCaps, DOCCI."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from palikit.errors import InputError
from palikit.evaluation.benchmarks.layouts.entry import Entry
from palikit.evaluation.benchmarks.layouts.items import Item, entries_of, line_items
from palikit.evaluation.benchmarks.layouts.source import Source

_COCO_NUMBER = re.compile(r"(?:COCO_[a-z]+\d+_)?0*(\d+)")
"""The number in a COCO image's name or id; an ending or a caption's number may follow."""


def karpathy(source: Source) -> Iterator[Entry]:
    """dataset_coco.json: {"images": [{"filepath", "filename", "cocoid", "split", "sentences"}]}."""
    for item in entries_of(source.need("dataset_coco.json"), "images"):
        if item.text("split") != source.split:
            continue
        folder = item.text("filepath") if "filepath" in item else ""
        name = item.text("filename")
        yield Entry(
            item.name("cocoid"),
            (source.file(name, item.where, folder, "val2014", "train2014"),),
            answers=tuple(each.text("raw") for each in item.items("sentences")),
            where=item.where,
        )


def nocaps(source: Source) -> Iterator[Entry]:
    """nocaps_val_4500_captions.json, COCO's layout, with the domain of each image."""
    path = source.need("nocaps_val_4500_captions.json")
    captions: dict[str, list[str]] = {}
    for item in entries_of(path, "annotations"):
        captions.setdefault(item.name("image_id"), []).append(item.text("caption"))
    for item in entries_of(path, "images"):
        name = item.name("id")
        yield Entry(
            name,
            (source.file(item.text("file_name"), item.where, "val", "images"),),
            answers=tuple(captions.get(name, ())),
            group=item.text("domain") if "domain" in item else "",
            where=item.where,
        )


def coco35l(source: Source) -> Iterator[Entry]:
    """coco_mt_dev.jsonl: each line an English caption and its translation to one language.

    The English captions come once for each language that they were translated to.
    """
    path = source.need(f"coco_mt_{source.split}.jsonl")
    found: dict[tuple[str, str], Entry] = {}
    for item in line_items(path):
        number = coco_number(item)
        language = item.text("trg_lang")
        for code, key in (("en", "caption_tokenized"), (language, "translation_tokenized")):
            if key not in item:
                continue
            entry = found.get((number, code)) or _coco_entry(source, item, number, code)
            # The English ones stand there once for each language; of translations two may agree.
            if code != "en" or item.text(key) not in entry.answers:
                entry = replace(entry, answers=(*entry.answers, item.text(key)))
            found[number, code] = entry
    yield from found.values()


def xm3600(source: Source) -> Iterator[Entry]:
    """captions.jsonl: each line an image and its captions by language."""
    for item in line_items(source.need("captions.jsonl")):
        key = item.name("image/key")
        picture = (source.file(f"{key}.jpg", item.where, "images"),)
        for language in item.keys():  # noqa: SIM118 (it is no dict)
            if not isinstance(item.any(language), dict):
                continue
            captions = item.item(language).texts("caption")
            yield Entry(
                f"{key}-{language}", picture, "", captions, language, language=language,
                where=f"{item.where}, {language}",
            )  # fmt: skip


def textcaps(source: Source) -> Iterator[Entry]:
    """TextCaps_0.1_val.json: {"data": [{"image_id", "caption_str", "reference_strs"}]}."""
    path = source.need(f"TextCaps_0.1_{source.split}.json")
    folder = "test_images" if source.split == "test" else "train_images"
    found: dict[str, Entry] = {}
    for item in entries_of(path, "data"):
        name = item.name("image_id")
        references = item.texts("reference_strs") if "reference_strs" in item else ()
        if not references and "caption_str" in item:
            references = (item.text("caption_str"),)
        if name in found:
            known = found[name].answers
            more = tuple(each for each in references if each not in known)
            found[name] = replace(found[name], answers=known + more)
            continue
        picture = source.file(f"{name}.jpg", item.where, folder)
        found[name] = Entry(name, (picture,), answers=references, where=item.where)
    yield from found.values()


def docci(source: Source) -> Iterator[Entry]:
    """docci_descriptions.jsonlines: {"split", "example_id", "image_file", "description"}."""
    for item in line_items(source.need("docci_descriptions.jsonlines")):
        if item.text("split") == source.split:
            picture = source.file(item.text("image_file"), item.where, "images")
            yield Entry(
                item.name("example_id"),
                (picture,),
                answers=(item.text("description"),),
                where=item.where,
            )


def coco_number(item: Item, key: str = "image_id") -> str:
    """The number of a COCO image, from 391895, "000000391895.jpg" or "COCO_val2014_000000391895".

    Raises:
        InputError: there is none.
    """
    match = _COCO_NUMBER.match(item.name(key))
    if match is None:
        raise item.fault(key, "the number of a COCO image")
    return match[1]


def coco_picture(source: Source, number: str, where: str, years: Iterable[str]) -> Path:
    """A COCO image by its number; the files of 2014 have their set in their names.

    Args:
        source: folder.
        number: without leading zeros.
        where: place of the entry.
        years: the sets it may be in, "val2014" or "val2017".

    Raises:
        InputError: it is not there.
    """
    names = []
    for year in years:
        plain = f"{int(number):012}.jpg"
        name = f"COCO_{year}_{plain}" if year.endswith(("2014", "2015")) else plain
        path = source.file_if_there(name, where, year, "images")
        if path is not None:
            return path
        names.append(f"{year}/{name}")
    raise InputError(
        f"{where}: there is no picture {' or '.join(names)} in {source.folder}: fetch it from "
        f"cocodataset.org. {source.layout}"
    )


def _coco_entry(source: Source, item: Item, number: str, language: str) -> Entry:
    picture = coco_picture(source, number, item.where, ("val2014", "train2014"))
    return Entry(
        f"{number}-{language}", (picture,), group=language, language=language, where=item.where
    )
