"""What of a command is inputs and what is the text after them: questions, labels, prompts."""

import glob
import os
import re
from collections.abc import Sequence

from palikit.errors import InputError
from palikit.tasks import SEPARATOR

_EXAMPLE_OF = {
    "question": 'palikit answer photo.jpg "what is in the picture?"',
    "list of labels": 'palikit detect photo.jpg "cat ; dog"',
    "expression": 'palikit segment --refer photo.jpg "the cat on the left"',
    "prompt": 'palikit generate photo.jpg "caption en"',
}
"""The form of a command that takes a text, by what the text is."""

_PLAIN_LABEL = re.compile(r"[^\W\d_][\w'-]*(?: [\w'-]+){0,2}")
"""A label of up to three words, as in a list with commas; one of numbers may be "1,5 l bottle"."""

_NOT_TEXT = "the {what} is not text: write it in UTF-8"


def labels_of(text: str) -> tuple[str, list[str]]:
    """Labels as they are asked for, with ";" between them, and what to remark of that.

    Commas are read as ";" where the text is plainly a list; a ";" anywhere, at the end too, leaves
    them in their labels.
    """
    if ";" in text:
        return text.strip().removesuffix(";"), []
    parts = [part.strip() for part in text.strip(" ,").split(",")]
    if len(parts) == 1:
        return text, []
    if not all(map(_PLAIN_LABEL.fullmatch, parts)):
        return text, [f'{text!r} is asked for as one label: write ";" between several']
    labels = SEPARATOR.join(parts)
    return labels, [f'read as {len(parts)} labels: {labels}; a text that ends in ";" is one']


def split_questions(arguments: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """Inputs and the questions after them, each of several in quotes of its own.

    Raises:
        InputError: as of `split_text`, or a question stands before an input.
    """
    form = f"write for example: {_EXAMPLE_OF['question']}"
    if arguments and _is_question(arguments[0]):
        raise InputError(f"no input before {arguments[0]!r}: {form}")
    first = len(arguments) - 1
    if arguments and not _ends_with_input(arguments):
        while first > 1 and _is_question(arguments[first - 1]):
            first -= 1
    if before := next(filter(_is_question, arguments[1:first]), None):
        raise InputError(
            f"{before!r} stands before {arguments[first]}: inputs come first, then the questions, "
            f"each in quotes; {form}"
        )
    inputs, text = split_text(arguments[: first + 1], "question")
    questions = [text, *arguments[first + 1 :]]
    if not all(map(_is_utf8, questions)):
        raise InputError(_NOT_TEXT.format(what="question"))
    return inputs, questions


def _ends_with_input(arguments: Sequence[str]) -> bool:
    last = arguments[-1]
    return _is_input(last) and (os.path.isfile(last) or not re.search(r"\s", last))  # noqa: PTH113 (as below)


def _is_question(word: str) -> bool:
    """Whether a word that is not the last is a text and no input: one in quotes, of several words.

    Words of a text that was not put in quotes come one by one, without blanks.
    """
    if not re.search(r"\S\s+\S", word) or _is_input(word) or glob.glob(word):  # noqa: PTH207 (Path raises on long texts)
        return False
    return word.rstrip().endswith("?") or not set("/\\*[") & set(word)


def split_text(arguments: Sequence[str], what: str) -> tuple[Sequence[str], str]:
    """Inputs and the text after them.

    Raises:
        InputError: there is no input or no text, or a text was not put in quotes.
    """
    form = f"write for example: {_EXAMPLE_OF[what]}"
    if not arguments:
        raise InputError(f"no input and no {what}: {form}")
    *inputs, text = arguments
    if not inputs and not _is_input(text):
        raise InputError(f"no input before {text!r}: {form}")
    if not inputs or os.path.isfile(text) or _is_address(text):  # noqa: PTH113 (Path raises on long texts)
        raise InputError(f"the {what} is missing after {text}: {form}")
    if not _is_utf8(text):  # the bytes that a shell hands over need not be
        raise InputError(_NOT_TEXT.format(what=what))
    if not text.strip() and what != "prompt":
        raise InputError(f"the {what} is empty: {form}")
    for word in inputs:
        if not (_is_input(word) or set("./\\*?[") & set(word)):
            raise InputError(
                f"no such file or folder: {word}; a text of several words stands in quotes: {form}"
            )
    return inputs, text


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_input(word: str) -> bool:
    from palikit.batch import has_known_suffix

    return os.path.exists(word) or _is_address(word) or has_known_suffix(word)  # noqa: PTH110 (as above)


def _is_address(word: str) -> bool:
    from palikit.urls import is_url

    return word == "-" or is_url(word)
