"""Lengths of long captions, and the share of their sentences that are not entailed."""

import json
from pathlib import Path

import pytest

from palikit.errors import InputError
from palikit.evaluation.metrics.long_captions import (
    SentenceJudgement,
    mean_characters,
    mean_sentences,
    non_entailment,
    read_judgements,
    sentences,
)

E, N, C, X = "entailment", "neutral", "contradiction", "nothing to assess"

CSV = """caption,sentence,rater_1,rater_2,rater_3,rater_4,rater_5
a.jpg,A dog.,Entailment,Entailment,Neutral,Entailment,Entailment
a.jpg,"It runs, fast.",Neutral,Contradiction,Neutral,Entailment,Entailment
b.jpg,A cat.,Entailment,Entailment,Entailment,Nothing to assess,Entailment
"""


@pytest.mark.parametrize(
    ("caption", "count"),
    [
        ("", 0),
        ("A dog", 1),
        ("A dog. It runs. 2 cats sleep!", 3),
        ("Mr. Smith of the U.S. is 5.5 ft. tall, e.g. tall. He waves.", 2),
        ('A sign reads "Stop." It is red.', 2),
        ("What? Yes!! (It is.) Well...", 4),
        ("First line\nsecond line", 2),
        ("一只猫。两只狗！好", 3),
        ("No 3.14 splits, nor file.txt. End", 2),
        ("to be continued... and more", 2),
    ],
)
def test_sentences_end_at_stops_and_line_breaks(caption: str, count: int) -> None:
    assert len(sentences(caption)) == count
    assert "".join("".join(sentences(caption)).split()) == "".join(caption.split())


def test_lengths_are_means_over_captions() -> None:
    captions = ["A dog. It runs.", "猫 "]
    assert mean_characters(captions).value == 8.0
    assert mean_characters(captions).per_example == (15.0, 1.0)
    assert mean_sentences(captions).value == 1.5
    with pytest.raises(InputError, match="no answers"):
        mean_sentences([])


def test_most_of_the_raters_decide() -> None:
    rows = [
        SentenceJudgement("a", "1", (N, C, N, E, E)),
        SentenceJudgement("a", "2", (N, C, X, E, E)),
        SentenceJudgement("b", "3", (X, X, X, N, C)),
        SentenceJudgement("b", "4", (C, C, C, C, E)),
    ]
    score = non_entailment(rows)
    assert score.value == 0.5
    assert score.per_example == (0.5, 0.5)
    assert dict(score.parts) == {E: 0.0, N: 0.0, C: 0.25, X: 0.25}


def test_sentences_count_alike_whatever_caption_they_are_of() -> None:
    rows = [SentenceJudgement("a", str(number), (N,)) for number in range(3)]
    score = non_entailment([*rows, SentenceJudgement("b", "x", (E,))])
    assert score.value == 0.75
    assert score.per_example == (1.0, 0.0)
    assert score.interval == (0.0, 1.0)


def test_a_table_of_judgements_is_read(tmp_path: Path) -> None:
    path = tmp_path / "judgements.csv"
    path.write_text("\ufeff" + CSV, "utf-8")
    rows = read_judgements(path)
    assert rows[1] == SentenceJudgement("a.jpg", "It runs, fast.", (N, C, N, E, E))
    assert non_entailment(rows).value == pytest.approx(1 / 3)


def test_json_lines_hold_the_same(tmp_path: Path) -> None:
    table, lines = tmp_path / "j.csv", tmp_path / "j.jsonl"
    table.write_text(CSV, "utf-8")
    rows = read_judgements(table)
    objects = [{"caption": r.caption, "sentence": r.sentence, "raters": r.verdicts} for r in rows]
    lines.write_text("\n".join(map(json.dumps, objects)) + "\n\n", "utf-8")
    assert read_judgements(lines) == rows


def test_a_rater_may_have_said_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.csv"
    path.write_text(
        "caption,sentence,rater 1,rater 2,rater 3,rater 4\na,s,,Neutral,Neutral,neutral\n"
    )
    assert read_judgements(path)[0].verdicts == (N, N, N)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("j.csv", "caption,sentence,rater_1\na,s,maybe\n", "j.csv:2: 'maybe' is no verdict"),
        ("j.csv", "caption,sentence,rater_1,rater_2\na,s,neutral,neutral\n", "odd number"),
        ("j.csv", "caption,sentence,rater_1\na,s,\n", "0 verdicts"),
        ("j.csv", "caption,sentence\na,s\n", "no column starts with 'rater'"),
        ("j.csv", "caption,text,rater_1\na,s,neutral\n", "'sentence' is missing"),
        ("j.csv", "caption,sentence,rater_1\n", "holds no judgements"),
        ("j.csv", "", "no column starts with 'rater'"),
        ("j.csv", 'caption,sentence,rater_1\na,"s,neutral\n', "is not CSV"),
        ("j.csv", "caption,sentence,rater_1\na,s,neutral\na,s,neutral\n", "line 2 again"),
        ("j.jsonl", "{", "j.jsonl:1: is not JSON"),
        ("j.jsonl", "[1]", "expected an object with a list 'raters'"),
        ("j.jsonl", '{"caption": "a", "sentence": "s", "raters": "neutral"}', "a list 'raters'"),
        ("j.txt", "", "expected a .csv or .jsonl"),
    ],
)
def test_files_that_say_something_else_are_refused(
    name: str, text: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        read_judgements(tmp_path / name)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_judgements(tmp_path / "absent.csv")
    (tmp_path / "j.csv").write_bytes(b"caption,\xff")
    with pytest.raises(InputError, match="cannot be read as UTF-8"):
        read_judgements(tmp_path / "j.csv")


def test_no_judgements_are_refused() -> None:
    with pytest.raises(InputError, match="no answers"):
        non_entailment([])
    with pytest.raises(InputError, match="odd number"):
        non_entailment([SentenceJudgement("a", "s", (N, E))])
