"""nano's tokenizer: the file that its weights were trained with, and its languages."""

import hashlib
import json

from palikit.nano import lessons
from palikit.nano.vocabulary import nano_tokenizer_json
from palikit.published import BUILT_IN_LANGUAGES
from palikit.sentencepiece_model import Kind, Piece, _tokenizer_json

TRAINED_WITH = "dd0a97233ddeb2260d983123bc9de94d209514039ff9c281b25bfc922d3e1659"


def test_the_tokenizer_is_the_one_that_the_weights_were_trained_with() -> None:
    text = nano_tokenizer_json()
    assert hashlib.sha256(text.encode()).hexdigest() == TRAINED_WITH


def test_words_of_the_lessons_stay_whole_and_released_vocabularies_are_merged() -> None:
    assert json.loads(nano_tokenizer_json())["model"]["ignore_merges"]
    pieces = [Piece("<unk>", 0.0, Kind.UNKNOWN), Piece("a", 0.0, Kind.NORMAL)]
    model = _tokenizer_json(pieces)["model"]
    assert (model["ignore_merges"], model["merges"]) == (False, [])


def test_the_languages_that_are_told_are_those_of_the_lessons() -> None:
    told = set(BUILT_IN_LANGUAGES.replace(",", " ").replace(")", " ").split())
    assert {"English", "de", "zh"} <= told
    assert set(lessons.GERMAN) == set(lessons.CHINESE)
