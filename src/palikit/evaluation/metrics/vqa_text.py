"""How VQA's evaluation writes an answer before it compares it, with its faults.

All facts are those of GT-Vision-Lab/VQA `PythonEvaluationTools/vqaEvaluation/vqaEval.py`; a figure
is comparable with a published one only if its faults are kept.
"""

import re

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
"""Marks that are dropped or made a blank, in the order of the original; no apostrophe or colon."""

_COMMA_IN_NUMBER = re.compile(r"\d,\d")

_STOP = re.compile(r"\.(?!\d)")
"""Full stops that no digit follows. The original also means to spare those after a digit, but its
look-behind is misspelt and spares nothing."""

_STOPS = 32
"""How many of them go: the original gives `re.UNICODE`, which is 32, where the count belongs."""

_WORDS = "zero one two three four five six seven eight nine ten"

_NUMBERS = {"none": "0", **{word: str(number) for number, word in enumerate(_WORDS.split())}}

_ARTICLES = {"a", "an", "the"}

_CONTRACTED = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's "
    "how'd how'll how's isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've "
    "o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd someone'll "
    "someone's something'd something'll that's there'd there're there's they'd they'll they're "
    "they've 'twas wasn't we've weren't what'll what're what's what've when's where'd where's "
    "where've who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd "
    "you'll you're you've couldn't've hadn't've he'd've it'd've mightn't've she'd've shouldn't've "
    "somebody'd've someone'd've something'd've there'd've they'd've we'd've who'd've wouldn't've "
    "you'd've y'all'll y'all'd've 'ow's'at"
)

CONTRACTIONS = {
    full[:place] + full[place + 1 :]: full
    for full in _CONTRACTED.split()
    for place, letter in enumerate(full)
    if letter == "'"
} | {"somebody'd": "somebodyd"}
"""Words with one apostrophe missing, and what they become; the last entry is the original's own
mistake. Its entries with a capital I are left out: words are lowered before they are looked up."""


def tidied(text: str) -> str:
    """One line without blanks at the ends: all that is done where the truths are all the same."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def normalised(text: str) -> str:
    """What is compared where the truths differ.

    Marks, then stops go; the text is lowered; number words up to ten become digits, articles go,
    contractions get their apostrophe. Faults kept: whether a mark is dropped or becomes a blank
    depends on the whole text ("top-left" is "top left", but "top-left - red" is "topleft red"), and
    a comma between two digits anywhere makes every mark drop; "3.b" is "3b".

    Args:
        text: from `tidied`.
    """
    words = (_NUMBERS.get(word, word) for word in _without_marks(text).lower().split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_marks(text: str) -> str:
    in_number = _COMMA_IN_NUMBER.search(text) is not None
    bare = text
    for mark in _PUNCTUATION:
        if mark in text:
            drop = in_number or f"{mark} " in text or f" {mark}" in text
            bare = bare.replace(mark, "" if drop else " ")
    return _STOP.sub("", bare, count=_STOPS)
