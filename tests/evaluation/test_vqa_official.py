"""VQA accuracy against a slow transcription of the official script's rules."""

import random
from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from palikit.evaluation.metrics.vqa import vqa_accuracy
from palikit.evaluation.metrics.vqa_text import CONTRACTIONS, normalised, tidied
from tests.evaluation.agreement import apart
from tests.evaluation.vqa_oracle import MARKS, TABLE, slow_accuracy, slowly_normalised

WORDS = ["1", "27", "3,4", "1.5", "a", "The", "an", "none", "Ten", "red", "Dog", "é", "yes", "Yes"]
WORDS += ["two", "2", "İ", "\xa0", "٣", "...", " ", " "]

pieces = st.sampled_from([*MARKS, *TABLE, *WORDS, *" .:'\t"])
texts = st.lists(pieces, max_size=7).map("".join)


ANSWERS = ["yes", "Yes", "yes.", "no", "2", "two", "a red-ish dog", "red ish dog", "dont", "don't"]
ANSWERS += ["1,000", "1000", "on the left", "on left ", "left\n", "", "none", "0", "U.S.", "us"]


def questions(count: int) -> tuple[list[str], list[list[str]]]:
    """Answers and truths; ten people agree, or are divided over two or four answers."""
    draw = random.Random(0)
    truths = [
        draw.choices(draw.sample(ANSWERS, draw.choice([1, 2, 4])), k=10) for _ in range(count)
    ]
    return [draw.choice([*right, *ANSWERS[:4]]) for right in truths], truths


def vqa_differences(cases: int) -> Iterator[float]:
    answers, truths = questions(cases)
    slow = [slow_accuracy(*pair) for pair in zip(answers, truths, strict=True)]
    score = vqa_accuracy(answers, truths)
    yield apart([score.value], [sum(slow) / cases])
    yield apart(score.per_example, slow)


@settings(max_examples=300)
@given(texts)
@example("." * 40)
@example("a.b.1.c")
@example("." * 31 + " 1,2 - x.5.")
def test_an_answer_is_written_as_the_official_rules_write_it(text: str) -> None:
    assert normalised(tidied(text)) == slowly_normalised(tidied(text))


def test_every_contraction_of_the_official_table_is_known_and_no_other() -> None:
    reachable = {key: value for key, value in TABLE.items() if key.islower() and key != value}
    assert reachable == CONTRACTIONS


@given(texts, st.lists(texts, min_size=2, max_size=12))
def test_one_answer_scores_as_by_leaving_each_person_out(answer: str, truths: list[str]) -> None:
    for each in (answer, truths[0]):
        assert abs(vqa_accuracy([each], [truths]).value - slow_accuracy(each, truths)) < 1e-12


def test_questions_score_as_by_leaving_each_person_out() -> None:
    assert max(vqa_differences(1_000)) < 1e-12
    assert {round(slow_accuracy(*pair), 9) for pair in zip(*questions(200), strict=True)} == {
        *(0.0, 0.3, 0.6, 0.9, 1.0)
    }
