"""Records -> rows: the prompts and suffixes a model is trained on.

Every suffix is written by `palikit.tasks.render`, so that what training writes is what inference
reads. What is drawn at random for a picture depends on the seed and the picture's name alone.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from palikit import tasks
from palikit.data.admitting import admit_records
from palikit.data.findings import Findings
from palikit.data.options import OBJECT_TASKS, RenderOptions
from palikit.data.records import Annotation, Question, Record, Records
from palikit.data.rows import Encode, Row, Rows
from palikit.errors import InputError
from palikit.results import Detection, Detections, Segment, Segments

__all__ = ["RenderOptions", "check_material", "render_admitted", "render_records"]


@dataclass(frozen=True)
class _Rendering:
    """What holds for all records of a data set."""

    options: RenderOptions
    classes: tuple[str, ...]
    encode: Encode | None
    findings: Findings


def render_records(
    records: Records, options: RenderOptions | None = None, encode: Encode | None = None
) -> Rows:
    """Turn records into rows.

    - detect, segment: a row a picture, or with `prompt_classes="one"` a row for each class that is
      present and for `negatives` absent ones. A picture without objects gets an empty suffix, or is
      dropped; with "present" it is dropped if there is no absent class to ask for.
    - caption: a row a picture, its captions as suffixes.
    - vqa: a row a question, all answers as suffixes, repeats included: they are drawn as often.
    - ocr: a row a picture.

    Args:
        records: as a reader gives them.
        options: the defaults where None.
        encode: turns an outline into codes; needed for the task "segment".

    Returns:
        Rows in the order of the records, and the problems of the records and of this step.

    Raises:
        InputError: nothing in the source fits the task, an unknown class is chosen or renamed, or
            `encode` is missing.
    """
    options = options or RenderOptions()
    check_material(records, options)
    if options.task in OBJECT_TASKS:
        records = admit_records(records, options)
    return render_admitted(records, options, encode)


def render_admitted(records: Records, options: RenderOptions, encode: Encode | None = None) -> Rows:
    """As `render_records`, of records that `check_material` and `admit_records` let through.

    Raises:
        InputError: `encode` is missing.
    """
    if options.task == "segment" and encode is None:
        raise InputError(
            "outlines become codes with a mask codec, and none was given: take the codec of the "
            "built-in model with --model nano, or that of the released models with --mask-codec "
            "vae-oid.npz"
        )
    findings = Findings()
    classes = records.classes if options.task in OBJECT_TASKS else ()
    rendering = _Rendering(options, classes, encode, findings)
    rows = [row for record in records.records for row in _rows(record, rendering)]
    return Rows(tuple(rows), classes, (*records.problems, *findings.problems))


def check_material(records: Records, options: RenderOptions) -> None:
    """Raises InputError where no record has what the task needs, and says what there is."""
    given = [task for task in _HAS if any(_HAS[task](record) for record in records.records)]
    if not records.records or options.task in given:
        return
    there = f"choose --task {' or '.join(given)}" if given else "it has pictures only"
    raise InputError(f"the data set holds nothing to learn {options.task} from: {there}")


def _has_outlines(record: Record) -> bool:
    """Whether there is an outline, or nothing that would need one."""
    objects = record.objects
    return objects is not None and (not objects or any(each.mask for each in objects))


_HAS: dict[str, Callable[[Record], bool]] = {
    "detect": lambda record: record.objects is not None,
    "segment": _has_outlines,
    "caption": lambda record: bool(record.captions),
    "vqa": lambda record: bool(record.questions),
    "ocr": lambda record: record.text is not None,
}


def _rows(record: Record, rendering: _Rendering) -> Iterator[Row]:
    options = rendering.options
    if options.task in OBJECT_TASKS:
        yield from _object_rows(record, rendering)
    elif options.task == "vqa":
        for question in record.questions:
            yield from _question_row(record, question, rendering)
    elif options.task == "caption":
        task = tasks.caption(options.language)
        yield from _text_row(record, task.prompt, record.captions, rendering)
    elif record.text is not None or _note_missing(record, rendering):
        yield from _text_row(record, tasks.ocr().prompt, (record.text or "",), rendering)


def _question_row(record: Record, question: Question, rendering: _Rendering) -> Iterator[Row]:
    words = " ".join(question.text.split())  # a prompt is one line
    if not words:
        rendering.findings.error(
            record.where, "a question is empty: give one, or remove it", "empty question"
        )
        return
    prompt = tasks.answer(words, rendering.options.language).prompt
    yield from _text_row(record, prompt, question.answers, rendering)


def _text_row(
    record: Record, prompt: str, texts: tuple[str, ...], rendering: _Rendering
) -> Iterator[Row]:
    options, findings = rendering.options, rendering.findings
    if not texts:
        _note_missing(record, rendering)
        return
    suffixes = tuple(text.strip() for text in texts)
    if not all(suffixes) and options.task != "ocr":
        findings.error(
            record.where,
            f"a text to learn {options.task} from is empty: give one, or remove it",
            "empty suffix",
        )
    elif suffixes == ("",) and options.empty == "drop":
        findings.note(record.where, "it holds no text and is dropped", "empty picture")
    else:
        objects = () if suffixes == ("",) else None  # tells readers that nothing is there
        yield _row(record, options.prefix or prompt, suffixes, options, objects)


def _note_missing(record: Record, rendering: _Rendering) -> bool:
    """Notes a picture without anything for the task; never true."""
    rendering.findings.note(
        record.where,
        f"it has nothing to learn {rendering.options.task} from and is left out",
        "nothing for the task",
    )
    return False


def _object_rows(record: Record, rendering: _Rendering) -> Iterator[Row]:
    options, findings = rendering.options, rendering.findings
    if record.objects is None:
        _note_missing(record, rendering)
        return
    ordered = sorted(record.objects, key=lambda each: (each.box.y1, each.box.x1))
    prompts = _prompts(record, ordered, rendering)
    for names in prompts:
        asked = tuple(each for each in ordered if each.label in names)
        is_empty = all(each.crowd for each in asked)
        if names and not (is_empty and options.empty == "drop"):
            yield _object_row(record, names, asked, rendering)
        else:
            findings.note(
                record.where, "nothing is to be found in it and it is dropped", "empty picture"
            )


def _prompts(
    record: Record, objects: list[Annotation], rendering: _Rendering
) -> list[tuple[str, ...]]:
    """The classes of each prompt about a picture; absent ones stand among those present."""
    options, names = rendering.options, rendering.classes
    if options.prompt_classes == "all":
        return [names]
    present = {each.label for each in objects if not each.crowd}
    # A class seen only as a crowd is neither asked for nor absent.
    absent = [name for name in names if name not in {each.label for each in objects}]
    drawn = _draw(record, absent, options)
    asked = tuple(name for name in names if name in present or name in drawn)
    if options.prompt_classes == "present":
        return [asked]
    return [(name,) for name in asked]


def _draw(record: Record, absent: list[str], options: RenderOptions) -> set[str]:
    random = np.random.default_rng([options.seed, zlib.crc32(record.images[0].name.encode())])
    drawn = random.permutation(len(absent))[: options.negatives]
    return {absent[index] for index in drawn}


def _object_row(
    record: Record, names: tuple[str, ...], objects: tuple[Annotation, ...], rendering: _Rendering
) -> Row:
    options = rendering.options
    task = tasks.detect(names) if options.task == "detect" else tasks.segment(names)
    suffix = tasks.render(task, _result(record, objects, rendering))
    return _row(record, options.prefix or task.prompt, (suffix,), options, objects)


def _result(
    record: Record, objects: tuple[Annotation, ...], rendering: _Rendering
) -> Detections | Segments:
    encode = rendering.encode
    targets = [each for each in objects if not each.crowd]
    if rendering.options.task == "detect" or encode is None:
        found = tuple(Detection(each.box, each.label) for each in targets)
        return Detections(found, record.width, record.height)
    outlined = tuple(
        Segment(each.box, each.label, encode(each.mask, each.box))
        for each in targets
        if each.mask is not None
    )
    return Segments(outlined, record.width, record.height)


def _row(
    record: Record,
    prefix: str,
    suffixes: tuple[str, ...],
    options: RenderOptions,
    objects: tuple[Annotation, ...] | None,
) -> Row:
    is_shuffled = options.task in OBJECT_TASKS and options.object_order == "random"
    return Row(
        images=record.images,
        prefix=prefix,
        suffixes=suffixes,
        order="random" if is_shuffled else "fixed",
        objects=objects,
        width=record.width,
        height=record.height,
        where=record.where,
        split=record.split,
    )
