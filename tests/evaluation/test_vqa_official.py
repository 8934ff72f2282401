"""VQA accuracy against a slow transcription of the official script's rules."""

import random
import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from palikit.evaluation.metrics.vqa import answer_vqa_accuracy, vqa_accuracy
from palikit.evaluation.metrics.vqa_text import CONTRACTIONS, normalised, tidied

PAIRS = (
    "aint=ain't arent=aren't cant=can't couldve=could've couldnt=couldn't couldn'tve=couldn't've "
    "couldnt've=couldn't've didnt=didn't doesnt=doesn't dont=don't hadnt=hadn't "
    "hadnt've=hadn't've hadn'tve=hadn't've hasnt=hasn't havent=haven't hed=he'd hed've=he'd've "
    "he'dve=he'd've hes=he's howd=how'd howll=how'll hows=how's Id've=I'd've I'dve=I'd've Im=I'm "
    "Ive=I've isnt=isn't itd=it'd itd've=it'd've it'dve=it'd've itll=it'll let's=let's maam=ma'am "
    "mightnt=mightn't mightnt've=mightn't've mightn'tve=mightn't've mightve=might've "
    "mustnt=mustn't mustve=must've neednt=needn't notve=not've oclock=o'clock oughtnt=oughtn't "
    "ow's'at='ow's'at 'ows'at='ow's'at 'ow'sat='ow's'at shant=shan't shed've=she'd've "
    "she'dve=she'd've she's=she's shouldve=should've shouldnt=shouldn't shouldnt've=shouldn't've "
    "shouldn'tve=shouldn't've somebody'd=somebodyd somebodyd've=somebody'd've "
    "somebody'dve=somebody'd've somebodyll=somebody'll somebodys=somebody's someoned=someone'd "
    "someoned've=someone'd've someone'dve=someone'd've someonell=someone'll someones=someone's "
    "somethingd=something'd somethingd've=something'd've something'dve=something'd've "
    "somethingll=something'll thats=that's thered=there'd thered've=there'd've "
    "there'dve=there'd've therere=there're theres=there's theyd=they'd theyd've=they'd've "
    "they'dve=they'd've theyll=they'll theyre=they're theyve=they've twas='twas wasnt=wasn't "
    "wed've=we'd've we'dve=we'd've weve=we've werent=weren't whatll=what'll whatre=what're "
    "whats=what's whatve=what've whens=when's whered=where'd wheres=where's whereve=where've "
    "whod=who'd whod've=who'd've who'dve=who'd've wholl=who'll whos=who's whove=who've "
    "whyll=why'll whyre=why're whys=why's wont=won't wouldve=would've wouldnt=wouldn't "
    "wouldnt've=wouldn't've wouldn'tve=wouldn't've yall=y'all yall'll=y'all'll y'allll=y'all'll "
    "yall'd've=y'all'd've y'alld've=y'all'd've y'all'dve=y'all'd've youd=you'd youd've=you'd've "
    "you'dve=you'd've youll=you'll youre=you're youve=you've "
)
"""The official contractions, of which those with a capital can never be met."""

TABLE = dict(pair.split("=") for pair in PAIRS.split())

DIGITS = "none=0 zero=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10"

MARKS = [";", "/", "[", "]", '"', "{", "}", "(", ")", "=", "+", "\\", "_", "-", ">", "<", "@", "`"]
MARKS += [",", "?", "!"]

WORDS = ["1", "27", "3,4", "1.5", "a", "The", "an", "none", "Ten", "red", "Dog", "é", "yes", "Yes"]
WORDS += ["two", "2", "İ", "\xa0", "٣", "...", " ", " "]

pieces = st.sampled_from([*MARKS, *TABLE, *WORDS, *" .:'\t"])
texts = st.lists(pieces, max_size=7).map("".join)


def slowly_normalised(text: str) -> str:
    result = text
    for mark in MARKS:
        beside_blank = mark + " " in text or " " + mark in text
        if beside_blank or re.search("[0-9٣],[0-9٣]", text):
            result = result.replace(mark, "")
        else:
            result = result.replace(mark, " ")
    without_stops, dropped = "", 0
    for place, letter in enumerate(result):
        before_digit = result[place + 1 : place + 2].isdecimal()
        if letter == "." and not before_digit and dropped < 32:
            dropped += 1
        else:
            without_stops += letter
    words = []
    digits = dict(pair.split("=") for pair in DIGITS.split())
    for word in without_stops.lower().split():
        number = digits.get(word, word)
        if number not in ("a", "an", "the"):
            words.append(TABLE.get(number, number))
    return " ".join(words)


def slow_accuracy(answer: str, truths: list[str]) -> float:
    answer = answer.replace("\n", " ").replace("\t", " ").strip()
    truths = [each.replace("\n", " ").replace("\t", " ").strip() for each in truths]
    if any(each != truths[0] for each in truths):
        answer, truths = slowly_normalised(answer), [slowly_normalised(each) for each in truths]
    total = 0.0
    for person in range(len(truths)):
        others = truths[:person] + truths[person + 1 :]
        total += min(1, sum(each == answer for each in others) / 3)
    return total / len(truths)


@settings(max_examples=1000, deadline=None)
@given(texts)
@example("." * 40)
@example("a.b.1.c")
@example("." * 31 + " 1,2 - x.5.")
def test_an_answer_is_written_as_the_official_rules_write_it(text: str) -> None:
    assert normalised(tidied(text)) == slowly_normalised(tidied(text))


def test_every_contraction_of_the_official_table_is_known_and_no_other() -> None:
    reachable = {key: value for key, value in TABLE.items() if key.islower() and key != value}
    assert reachable == CONTRACTIONS


@settings(deadline=None)
@given(texts, st.lists(texts, min_size=2, max_size=12))
def test_one_answer_scores_as_by_leaving_each_person_out(answer: str, truths: list[str]) -> None:
    for each in (answer, truths[0]):
        assert abs(answer_vqa_accuracy(each, truths) - slow_accuracy(each, truths)) < 1e-12


def test_two_thousand_questions_score_as_by_leaving_each_person_out() -> None:
    draw = random.Random(0)
    words = [
        "yes",
        "Yes",
        "yes.",
        "no",
        "2",
        "two",
        "a red-ish dog",
        "red ish dog",
        "dont",
        "don't",
    ]
    words += ["1,000", "1000", "on the left", "on left ", "left\n", "", "none", "0", "U.S.", "us"]
    truths = [draw.choices(draw.sample(words, draw.choice([1, 2, 4])), k=10) for _ in range(2000)]
    answers = [draw.choice([*right, *words[:4]]) for right in truths]
    slow = [slow_accuracy(*pair) for pair in zip(answers, truths, strict=True)]
    score = vqa_accuracy(answers, truths)
    assert max(abs(a - b) for a, b in zip(score.per_example, slow, strict=True)) < 1e-12
    assert abs(score.value - sum(slow) / len(slow)) < 1e-12
    assert {round(each, 9) for each in slow} == {0.0, 0.3, 0.6, 0.9, 1.0}
