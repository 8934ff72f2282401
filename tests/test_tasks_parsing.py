"""Answers of models, well formed and mutilated: what is understood, reported and scored."""

import math
import random
import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from palikit.results import Box, Detection, Detections, Segment, TokenScore
from palikit.tasks import caption, detect, ocr, parse, plain, refer, render, segment
from tests.test_tasks import BOX, CODE_NUMBERS, CODES, DETECT, GRIDS, OTHER, SEGMENT, box_text


def read(task, text, **options):
    # A side of 1023 pixels makes a token's number its pixel.
    return parse(task, text, 1023, 1023, **options)


def labels(result):
    return [found.label for found in result]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("coordinates", "token", "pixel"),
    [
        ("1023", 0, 0.0),
        ("1023", 512, 512 / 1023 * 4000),
        ("1023", 1023, 4000.0),
        ("1024", 0, 0.0),
        ("1024", 512, 2000.0),
        ("1024", 1023, 3996.09375),
    ],
)
def test_tokens_become_pixels_on_the_grid_asked_for(coordinates, token, pixel):
    columns = (0, token) if token else (token, 1023)
    text = f"{box_text((0, 1023), columns)} cat"
    (found,) = parse(DETECT, text, 4000, 300, coordinates=coordinates).objects
    assert (found.box.x2 if token else found.box.x1) == pytest.approx(pixel, abs=1e-9)


def test_rows_come_before_columns():
    (found,) = read(DETECT, f"{BOX} cat").objects
    assert found == Detection(Box(200.0, 100.0, 400.0, 300.0), "cat", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{BOX} cat ; {OTHER} dog", ["cat", "dog"]),
        (f"{BOX}cat;{OTHER}dog", ["cat", "dog"]),
        (f"{BOX} cat\n{OTHER} dog\n", ["cat", "dog"]),
        (f"{BOX} cat {OTHER} dog", ["cat", "dog"]),
        (f" ; {BOX} cat ;; ", ["cat"]),
        (f"{BOX} men's shoe", ["men's shoe"]),
        (f"{BOX} c++ / x, (big) & <b> #1 < 2", ["c++ / x, (big) & <b> #1 < 2"]),
        (
            f"{BOX} t-shirt ; {BOX} 黑猫 ; {BOX} кошка ; {BOX} قطة",
            ["t-shirt", "黑猫", "кошка", "قطة"],
        ),
        (f"{BOX} unicorn", ["unicorn"]),
        (BOX.replace("><", "> <") + "  cat", ["cat"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_well_formed_objects_leave_nothing_unparsed(text, expected):
    result = read(DETECT, text)
    assert (labels(result), result.unparsed, result.problems) == (expected, "", ())
    outlined = read(SEGMENT, re.sub(r"((?:<loc\d{4}> ?){4})", rf"\1{CODES}", text))
    assert (labels(outlined), outlined.unparsed, outlined.problems) == (expected, "", ())
    assert {found.codes for found in outlined} <= {CODE_NUMBERS}


@pytest.mark.parametrize(
    ("text", "kept", "unparsed", "says"),
    [
        (
            f"{BOX} cat ; <loc0001><loc0002><loc0003>",
            ["cat"],
            "<loc0001><loc0002><loc0003>",
            "3 of 4",
        ),
        (f"{BOX}<loc0500> cat", [], f"{BOX}<loc0500> cat", "5 location tokens"),
        (f"{BOX}{BOX} cat ; {BOX} dog", ["dog"], f"{BOX}{BOX} cat", "8 location tokens"),
        ("<loc0300><loc0200><loc0100><loc0400> cat", [], ..., "empty or reversed"),
        ("<loc0100><loc0400><loc0300><loc0200> cat", [], ..., "empty or reversed"),
        ("<loc0100><loc0200><loc0100><loc0400> cat", [], ..., "empty or reversed"),
        ("<loc0100><loc0200><loc0300><loc0200> cat", [], ..., "empty or reversed"),
        ("<loc0100><loc0200><loc0300><loc1024> cat", [], ..., "outside <loc0000> .. <loc1023>"),
        ("<loc0100><loc0200><loc0300><loc12> cat", [], ..., "outside <loc0000> .. <loc1023>"),
        (f"<loc{'9' * 5000}> cat", [], ..., "outside <loc0000> .. <loc1023>"),
        (f"Here:\nlook; {BOX} cat", ["cat"], "Here:\nlook", "Text without a box"),
        (f"{BOX} cat ; dog ; {OTHER} dog", ["cat", "dog"], "dog", "Text without a box"),
        (f"{BOX} cat<eos>", ["cat"], "<eos>", "Text without a box"),
        (f"{BOX} cat<eos> dog", ["cat"], "<eos> dog", "Text without a box"),
        (f"{BOX} cat ; {CODES} dog", ["cat"], f"{CODES} dog", "An outline without a box"),
        (f"{BOX}{CODES} cat", ["cat"], CODES, "only a box was asked"),
        (f"{BOX}<seg128> cat", ["cat"], "<seg128>", "only a box was asked"),
        ("There is no cat.", [], ..., "Text without a box"),
    ],
)
def test_mutilated_boxes_are_reported_word_for_word(text, kept, unparsed, says):
    result = read(DETECT, text)
    assert labels(result) == kept
    assert result.unparsed == (text if unparsed is ... else unparsed)
    assert len(result.problems) == 1
    assert says in result.problems[0]


@pytest.mark.parametrize(
    ("text", "kept", "unparsed", "says"),
    [
        (f"{BOX}{CODES[: 12 * 8]} cat", [], ..., "12 of 16 segmentation tokens"),
        (f"{BOX}{CODES}<seg001> cat", [], ..., "17 of 16 segmentation tokens"),
        (f"{BOX} cat", [], ..., "0 of 16 segmentation tokens"),
        (f"{BOX}{CODES[:-8]}<seg128> cat", [], ..., "outside <seg000> .. <seg127>"),
        (f"{BOX}{CODES[:-8]}<seg5> cat", [], ..., "outside <seg000> .. <seg127>"),
        (f"{BOX}{CODES} cat ; {BOX}{CODES[:80]}", ["cat"], f"{BOX}{CODES[:80]}", "10 of 16"),
        (f"{CODES} cat ; {BOX}{CODES} dog", ["dog"], f"{CODES} cat", "without a box"),
    ],
)
def test_mutilated_outlines_are_reported_word_for_word(text, kept, unparsed, says):
    result = read(SEGMENT, text)
    assert labels(result) == kept
    assert result.unparsed == (text if unparsed is ... else unparsed)
    assert len(result.problems) == 1
    assert says in result.problems[0]


def test_several_pieces_are_listed_on_lines_of_their_own():
    result = read(DETECT, f"well ; {BOX} cat ; <loc0001> dog ; {BOX} dog ; bye")
    assert labels(result) == ["cat", "dog"]
    assert result.unparsed == "well\n<loc0001> dog\nbye"
    assert len(result.problems) == 3


def test_a_missing_label_is_the_only_one_asked_for():
    assert labels(read(detect("cat"), f"{BOX} ; {OTHER} dog")) == ["cat", "dog"]
    assert labels(read(segment("cat"), BOX + CODES)) == ["cat"]
    assert labels(read(refer("the left cat"), BOX + CODES + OTHER + CODES)) == ["the left cat"] * 2


def test_a_missing_label_among_several_is_reported_and_the_box_kept():
    result = read(DETECT, f"{BOX} ; {OTHER} dog")
    assert labels(result) == ["", "dog"]
    assert result.unparsed == ""
    assert result.problems == (f"The object has no label: {BOX!r}.",)


def test_long_pieces_are_shortened_in_the_sentence_only():
    text = "word " * 1000 + "end"
    result = read(DETECT, text)
    assert result.unparsed == text
    assert len(result.problems[0]) < 120


# ---------------------------------------------------------------- properties


def bare(text):
    """The characters that may not be lost, in any order."""
    return sorted(re.sub(r"[\s;]", "", text))


def assert_nothing_is_lost(task, text):
    result = parse(task, text, 640, 480)
    kept = [result.unparsed]
    for found in result:
        kept.append(
            "".join(render(DETECT, Detections((Detection(found.box, "x"),), 640, 480))[:36])
        )
        kept.append(found.label)
        if isinstance(found, Segment):
            kept += [f"<seg{code:03d}>" for code in found.codes]
    assert bare("".join(kept)) == bare(text)
    assert len(result.problems) >= bool(result.unparsed)


TOKENS = (BOX, OTHER, CODES, "<loc0001>", "<loc1024>", "<loc>", "<seg128>", "<eos>", "<image>")
OTHERS = (" ", ";", " ; ", "\n", "cat", " dog", "<", ">", "<loc", "\x1c", "\u2028", "\u00a0", "猫")
FRAGMENTS = st.sampled_from(TOKENS + OTHERS)


@given(st.lists(FRAGMENTS | st.text(max_size=4), max_size=30).map("".join))
def test_every_character_is_in_an_object_or_unparsed(text):
    assert_nothing_is_lost(DETECT, text)
    assert_nothing_is_lost(SEGMENT, text)


@given(st.text(), st.integers(), st.integers(), GRIDS)
def test_no_text_raises(text, width, height, coordinates):
    for task in (DETECT, SEGMENT, refer("it"), caption(), ocr(), plain("")):
        parse(task, text, width, height, coordinates=coordinates)


def mutilated(rng):
    text = " ; ".join(
        f"{BOX}{rng.choice(['', CODES])} {rng.choice(['cat', 'a dog', '猫'])}"
        for _ in range(rng.randrange(4))
    )
    for _ in range(rng.randrange(5)):
        at, until = sorted((rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)))
        change = rng.randrange(4)
        if change == 0:
            text = text[:at] + text[min(until, at + 9) :]
        elif change == 1:
            text = text[:at] + rng.choice(["<loc1024>", "<seg9>", "<", ";", "\n", "x"]) + text[at:]
        elif change == 2:
            text = text[:at] + text[at:until] * 2 + text[until:]
        else:
            text = text[:until]
    return text


def test_100_000_mutilated_answers_are_read_without_an_error():
    rng = random.Random(20240514)
    tasks = (DETECT, SEGMENT, refer("it"), detect("cat"))
    for turn in range(100_000):
        text = mutilated(rng)
        result = parse(tasks[turn % 4], text, 640, 480)
        # Detections leave the codes behind, so that every location token is accounted for.
        assert text.count("<loc") == sum(
            4 + found.label.count("<loc") for found in result
        ) + result.unparsed.count("<loc")


@pytest.mark.parametrize(
    "text",
    [
        "<loc0001>" * 11_000,
        "<loc0001>;" * 10_000,
        "<loc0001> ;" * 9_000,
        "<loc" + "0" * 100_000,
        "<loc" * 25_000,
        "a" + " " * 100_000 + "b",
        " ;" * 50_000 + "b",
        f"{BOX} cat ; " * 2_500,
        f"{BOX} cat" + " " * 100_000 + "<eos>",
    ],
    ids=lambda text: text[:12],
)
def test_reading_takes_time_linear_in_the_text(text):
    began = time.perf_counter()
    read(DETECT, text)
    read(SEGMENT, text)
    assert time.perf_counter() - began < 1.0


# ---------------------------------------------------------------- scores


def scored(*tokens):
    """Token scores of (text, probability) or (text, probability, forced) in a row."""
    scores, position = [], 0
    for text, probability, *forced in tokens:
        end = position + len(text)
        scores.append(TokenScore(position, end, math.log(probability), bool(forced)))
        position = end
    return "".join(token[0] for token in tokens), tuple(scores)


def boxed(*probabilities):
    names = ("<loc0100>", "<loc0200>", "<loc0300>", "<loc0400>")
    return list(zip(names, probabilities, strict=True))


def test_a_score_is_the_geometric_mean_over_the_object_and_its_separator():
    text, scores = scored(
        *boxed(0.5, 0.5, 0.5, 0.5),
        (" cat", 0.5),
        (" ;", 0.25),
        (" ", 0.25),
        *boxed(1, 1, 1, 1),
        (" d", 0.25),
        ("og", 0.25),
        ("", 0.001),
    )
    first, second = read(DETECT, text, token_scores=scores)
    assert first.score == pytest.approx(0.5)
    assert second.score == pytest.approx(0.25 ** (4 / 8))


def test_leading_text_does_not_count_into_a_score():
    text, scores = scored(("Look", 0.1), (" ", 0.1), *boxed(0.5, 0.5, 0.5, 0.5), (" cat", 0.5))
    (found,) = read(DETECT, text, token_scores=scores)
    assert found.score == pytest.approx(0.5)


def test_forced_tokens_do_not_count():
    text, scores = scored(*boxed(0.5, 0.5, 0.5, 0.5), (" cat", 0.001, True))
    (found,) = read(DETECT, text, token_scores=scores)
    assert found.score == pytest.approx(0.5)


def test_there_is_no_score_without_free_tokens():
    text, scores = scored(
        *[(name, 0.5, True) for name, _ in boxed(1, 1, 1, 1)], (" cat", 0.5, True)
    )
    assert [found.score for found in read(DETECT, text, token_scores=scores)] == [None]
    assert [found.score for found in read(DETECT, text)] == [None]


def test_the_bytes_of_a_letter_count_although_they_have_no_characters():
    tokens = [*boxed(0.5, 0.5, 0.5, 0.5), (" ", 0.5), ("", 0.5), ("", 0.5), ("𓀀", 0.5**4)]
    text, scores = scored(*tokens)
    (found,) = read(DETECT, text, token_scores=scores)
    assert found.score == pytest.approx(0.5 ** (11 / 8))


def test_outlines_are_scored_with_their_codes():
    codes = [(f"<seg{code:03d}>", 0.5) for code in CODE_NUMBERS]
    text, scores = scored(*boxed(1, 1, 1, 1), *codes)
    (found,) = read(refer("it"), text, token_scores=scores)
    assert found.score == pytest.approx(0.5 ** (16 / 20))


@example([1e-6] * 5)
@example([-math.inf] * 5)
@given(st.lists(st.floats(max_value=1e-6, allow_nan=False), min_size=5, max_size=5))
def test_scores_stay_between_0_and_1(log_probs):
    text = f"{BOX} cat"
    edges = [0, 9, 18, 27, 36, 40]
    scores = [
        TokenScore(start, end, value)
        for start, end, value in zip(edges, edges[1:], log_probs, strict=False)
    ]
    (found,) = read(DETECT, text, token_scores=scores)
    assert 0 <= found.score <= 1
