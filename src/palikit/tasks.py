"""PaliGemma's text protocol in both directions: prompts, training suffixes, and reading answers.

    prompt       caption en | describe en | answer en Q | question en A | ocr
                 detect a ; b | segment a ; b | a referring expression | anything else
    box          <locYMIN><locXMIN><locYMAX><locXMAX>
    detection    box, space, label
    segment      box, 16 x <segNNN>, space, label (RefCOCO checkpoints: neither space nor label)
    several      joined by " ; " (RefCOCO checkpoints: by nothing)

The final newline of a prompt is not part of it here: it is a token of its own, added when the
prompt is encoded. Sources: the prompts of the PaliGemma report (arXiv 2407.07726, 3.2.5) and
big_vision's transfer configurations and evaluators.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from palikit.errors import InputError
from palikit.results import (
    Answer,
    Box,
    Caption,
    Detections,
    OcrText,
    Result,
    Segment,
    Segments,
    TokenScore,
)
from palikit.tasks_parsing import CONTROL_TOKEN, read_objects
from palikit.vocab import (
    CODES_PER_MASK,
    NUM_LOC,
    NUM_SEG,
    Coordinates,
    loc_fraction,
    loc_token,
    seg_token,
)

TaskName = Literal[
    "caption", "describe", "answer", "question", "ocr", "detect", "segment", "refer", "generate"
]

SEPARATOR = " ; "
"""Between the labels of a prompt and between the objects of an answer."""

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")

_RESULT_OF: dict[TaskName, type[Result]] = {
    "caption": Caption,
    "describe": Caption,
    "answer": Answer,
    "question": Answer,
    "generate": Answer,
    "ocr": OcrText,
    "detect": Detections,
    "segment": Segments,
    "refer": Segments,
}


@dataclass(frozen=True)
class Task:
    """What is asked of the model about a picture.

    Attributes:
        name: the verb, which decides the type of the result.
        prompt: the text the model is sent, without the final newline.
        labels: what `detect` and `segment` look for, or the one expression of `refer`.
        allow_special: whether location tokens in the prompt are meant as tokens. Only for prompts
            written here: a user's text must not be able to smuggle tokens in.
    """

    name: TaskName
    prompt: str
    labels: tuple[str, ...] = ()
    allow_special: bool = False


def caption(language: str = "en", *, short: bool = False) -> Task:
    """Ask for a caption in a language; `short` asks with `cap`, for the shorter pretraining style.

    Raises:
        InputError: `language` is not a language code such as "en" or "pt-BR".
    """
    return Task("caption", f"{'cap' if short else 'caption'} {_language(language)}")


def describe(language: str = "en") -> Task:
    """Ask for a longer description. Raises InputError as `caption` does."""
    return Task("describe", f"describe {_language(language)}")


def answer(question: str, language: str = "en") -> Task:
    """Ask a question. Raises InputError on an empty one or a malformed language code."""
    return Task("answer", f"answer {_language(language)} {_words(question, 'question')}")


def question(answer: str, language: str = "en") -> Task:
    """Ask for the question that `answer` answers. Raises InputError as `answer` does."""
    return Task("question", f"question {_language(language)} {_words(answer, 'answer')}")


def ocr() -> Task:
    """Ask for the text in the picture."""
    return Task("ocr", "ocr")


def detect(labels: str | Sequence[str]) -> Task:
    """Ask for boxes around everything that a label names.

    Args:
        labels: a sequence of labels, or one text with ";" between them, as in "a cat ; a dog".
            Duplicates are dropped; the order is kept and can change what the model finds.

    Raises:
        InputError: no label at all, or one that is empty, spans lines or holds ";" or tokens.
    """
    names = _label_list(labels)
    return Task("detect", "detect " + SEPARATOR.join(names), names)


def segment(labels: str | Sequence[str]) -> Task:
    """Ask for boxes and outlines; `labels` and errors as in `detect`."""
    names = _label_list(labels)
    return Task("segment", "segment " + SEPARATOR.join(names), names)


def grounded_caption(box: Box, width: int, height: int, coordinates: Coordinates = "1023") -> Task:
    """Ask for a caption of one region of a picture of `width` x `height` pixels.

    Raises:
        InputError: the box is empty, or no part of it lies inside the picture.
    """
    tokens = _box_tokens(box, width, height, coordinates)
    return Task("caption", f"caption {tokens}", allow_special=True)


def refer(expression: str) -> Task:
    """Ask for the outline of what a phrase refers to, as RefCOCO checkpoints were trained.

    The prompt is the bare phrase and the answer has no label: results carry the phrase instead.

    Raises:
        InputError: the expression is empty, spans lines or holds tokens.
    """
    phrase = _words(expression, "expression")
    _forbid_control(phrase, "expression")
    return Task("refer", phrase, (phrase,))


def plain(prompt: str) -> Task:
    """Any prompt as it is, the empty one included; the result is an `Answer`."""
    return Task("generate", prompt)


def task_from_prompt(prompt: str) -> Task:
    """The task that a prompt written by hand stands for; never raises.

    Recognised are "detect a ; b" and "segment a ; b" (the separator is brought to its one
    spelling), "caption en", "cap en", "describe en", "answer en ...", "question en ..." and
    "ocr". Anything else, a malformed prompt of these included, is sent as it stands. Newlines at
    the end go in either case: the one that closes a prompt is added when it is encoded.
    """
    text = prompt.strip()
    verb, _, rest = text.partition(" ")
    if verb in ("detect", "segment"):
        try:
            return detect(rest) if verb == "detect" else segment(rest)
        except InputError:
            return plain(prompt.rstrip("\r\n"))
    name = _name_by_hand(verb, rest)
    return Task(name, text) if name else plain(prompt.rstrip("\r\n"))


def render(task: Task, result: Result, coordinates: Coordinates = "1023") -> str:
    """The text a model should answer with: the suffix of a training example.

    Boxes are cut at the picture's edge and go to the nearest location tokens; one thinner than
    the distance between two tokens is widened to it, since an empty box cannot be read back.
    No object at all is the empty text.

    Raises:
        InputError: the result is not of the task's type, or holds a box outside the picture, a
            label that could not be read back, or a wrong number or range of codes.
    """
    expected = _RESULT_OF[task.name]
    if not isinstance(result, expected):
        raise InputError(
            f"the result of {task.name} is a {type(result).__name__}: "
            f"give a {expected.__name__}, or the task that fits the result"
        )
    if isinstance(result, Caption | Answer | OcrText):
        return result.text
    bare = task.name == "refer"
    texts = [
        _box_tokens(found.box, result.width, result.height, coordinates)
        + (_code_tokens(found.codes) if isinstance(found, Segment) else "")
        + ("" if bare else f" {_checked_label(found.label)}")
        for found in result.objects
    ]
    return ("" if bare else SEPARATOR).join(texts)


def parse(
    task: Task,
    text: str,
    width: int,
    height: int,
    *,
    coordinates: Coordinates = "1023",
    token_scores: Sequence[TokenScore] = (),
) -> Result:
    """Read an answer. Never raises, whatever the text, and never drops any of it.

    Each character is in an object or in `unparsed`, separators and white space around them
    excepted. A box takes exactly four location tokens in a row, 0000 .. 1023, with y_min < y_max
    and x_min < x_max; an outline exactly 16 codes, 000 .. 127, right after its box. What breaks
    these rules is left unparsed as a whole, except that a segment answered to `detect` keeps its
    box and leaves only the codes behind. A label is any text up to ";", a line's end or a token.
    An object without one gets the task's only label; with several to choose from it keeps an
    empty label and is reported. Labels that were not asked for are kept.

    Args:
        task: what was asked.
        text: what the model wrote.
        width: of the picture, in pixels; boxes come back in its pixels.
        height: of the picture, in pixels.
        coordinates: the grid the location tokens stand on.
        token_scores: the tokens of `text`, in its order. An object's score is the geometric mean
            of the probabilities of the tokens from the separator before it to its label's end,
            forced ones left out; None where none is left.
    """
    if task.name in ("caption", "describe"):
        return Caption(text)
    if task.name == "ocr":
        return OcrText(text)
    if task.name in ("answer", "question", "generate"):
        return Answer(text)
    return read_objects(
        text,
        width,
        height,
        coordinates=coordinates,
        token_scores=token_scores,
        with_codes=task.name != "detect",
        only_label=task.labels[0] if len(task.labels) == 1 else "",
    )


def _box_tokens(box: Box, width: int, height: int, coordinates: Coordinates) -> str:
    if not (box.x1 < box.x2 and box.y1 < box.y2):  # nor where one is not a number
        raise InputError(f"the box {box.to_list()} is empty: expected x1 < x2 and y1 < y2")
    if not (box.x1 < width and box.x2 > 0 and box.y1 < height and box.y2 > 0):
        raise InputError(
            f"the box {box.to_list()} lies outside the picture of {width} x {height}: expected "
            "pixels of the picture"
        )
    y1, y2 = _edge_tokens(box.y1, box.y2, height, coordinates)
    x1, x2 = _edge_tokens(box.x1, box.x2, width, coordinates)
    return y1 + x1 + y2 + x2


def _edge_tokens(low: float, high: float, size: int, coordinates: Coordinates) -> tuple[str, str]:
    low, high = max(low, 0.0), min(high, float(size))
    first, second = (loc_token(edge / size, coordinates) for edge in (low, high))
    if first == second:
        index = min(int(first[4:-1]), NUM_LOC - 2)
        first, second = (
            loc_token(loc_fraction(i, coordinates), coordinates) for i in (index, index + 1)
        )
    return first, second


def _code_tokens(codes: tuple[int, ...]) -> str:
    if len(codes) != CODES_PER_MASK or not all(0 <= code < NUM_SEG for code in codes):
        raise InputError(
            f"a segment has the codes {codes}: it takes {CODES_PER_MASK}, each 0 .. {NUM_SEG - 1}"
        )
    return "".join(seg_token(code) for code in codes)


def _name_by_hand(verb: str, rest: str) -> TaskName | None:
    language, _, words = rest.partition(" ")
    if not _LANGUAGE.fullmatch(language):
        return "ocr" if verb == "ocr" and not rest else None
    if words.strip():
        return "answer" if verb == "answer" else "question" if verb == "question" else None
    return "caption" if verb in ("caption", "cap") else "describe" if verb == "describe" else None


def _language(code: str) -> str:
    if not isinstance(code, str) or not _LANGUAGE.fullmatch(code):
        raise InputError(f'language is {code!r}: give a language code such as "en" or "pt-BR"')
    return code


def _words(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise InputError(f"the {what} is {text!r}: give a text")
    if not text.strip():
        raise InputError(f"the {what} is empty: give at least one word")
    return text.strip()


def _label_list(labels: str | Sequence[str]) -> tuple[str, ...]:
    parts = labels.split(";") if isinstance(labels, str) else list(labels)
    wrong = [part for part in parts if not isinstance(part, str)]
    if wrong:
        raise InputError(f"a label is {wrong[0]!r}: labels are texts")
    names = tuple(dict.fromkeys(_checked_label(part.strip()) for part in parts))
    if not names:
        raise InputError('there is no label: name what to look for, for example "cat ; dog"')
    return names


def _checked_label(label: str) -> str:
    """The label, if an answer that holds it can be read back."""
    if not label:
        raise InputError("a label is empty: give every object a name")
    if ";" in label:
        raise InputError(f'the label {label!r} holds ";", which stands between labels: rename it')
    if label != label.strip():
        raise InputError(f"the label {label!r} begins or ends with white space: strip it")
    _forbid_control(label, "label")
    return label


def _forbid_control(text: str, what: str) -> None:
    if CONTROL_TOKEN.search(text) or "\n" in text or "\r" in text:
        raise InputError(
            f"the {what} {text!r} holds a newline or a token such as <loc0000> or <eos>: "
            "give plain text on one line"
        )
