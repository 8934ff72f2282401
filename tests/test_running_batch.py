"""Rows that join and leave a batch against the same rows decoded from beginning to end alone."""

import random
from dataclasses import dataclass, field
from functools import cache

import pytest
import torch

from palikit import tasks
from palikit.generation import Generation, Row, generate, new_row
from palikit.grammar import ObjectGrammar
from palikit.model.cache import BAND, cache_bytes
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.processor import Query
from palikit.running_batch import RunningBatch
from tests import tiny

families = pytest.mark.parametrize("family", tiny.FAMILIES)

PLENTY = 2**40

CLOSE = 1e-4
"""Logits of the tiny models are in the hundreds before any cap, where float32 steps by 1.5e-5."""

PROMPTS = ("caption en", "ocr", "answer en what is it?", "detect cat ; dog", "segment big dog")


@dataclass
class Case:
    """A request, its row while it runs, and what it is to come to."""

    inputs: ModelInputs
    options: GenerationOptions
    grammar: ObjectGrammar | None
    expected: Generation
    row: Row | None = field(default=None)

    def start(self, model: PaliGemma) -> Row:
        self.row = new_row(model, self.options, self.grammar)
        return self.row


def batch(model: PaliGemma, max_rows: int = 4, max_bytes: int = PLENTY) -> RunningBatch:
    return RunningBatch(model, max_rows=max_rows, max_bytes=max_bytes)


def query_of(prompt: str, seed: int, pictures: int = 1) -> Query:
    return Query(tuple(tiny.picture(seed + i) for i in range(pictures)), prompt)


def case(
    model: PaliGemma, prompt: str, options: GenerationOptions, seed: int = 0, pictures: int = 1
) -> Case:
    predictor = tiny.predictor()
    verb, _, labels = prompt.partition(" ")
    task = {"detect": tasks.detect, "segment": tasks.segment}.get(verb)
    grammar = None if task is None else predictor.engine.grammar(task(labels))
    inputs = predictor.processor([query_of(prompt, seed, pictures)])
    return Case(inputs, options, grammar, generate(model, inputs, options, [grammar])[0])


@cache
def random_cases(family: str, number: int, seed: int) -> list[Case]:
    draw, model = random.Random(seed), tiny.model(family)
    return [
        case(
            model,
            draw.choice(PROMPTS),
            GenerationOptions(
                max_new_tokens=draw.randint(1, 18),
                temperature=draw.choice((0, 0, 0.7, 2)),
                top_k=draw.choice((0, 5)),
                top_p=draw.choice((1.0, 0.9)),
                seed=draw.randint(0, 99),
                grammar=draw.random() < 0.8,
            ),
            seed=number,
            pictures=draw.choice((1, 1, 2)),
        )
        for number in range(number)
    ]


def assert_same(row: Row | None, expected: Generation) -> None:
    assert row is not None
    got = row.result()
    assert [token.id for token in got.tokens] == [token.id for token in expected.tokens]
    assert got.finish_reason == expected.finish_reason
    for one, other in zip(got.tokens, expected.tokens, strict=True):
        assert one.forced == other.forced
        assert one.grammar_log_prob == pytest.approx(other.grammar_log_prob, abs=CLOSE)
        assert one.vocabulary_log_prob == pytest.approx(other.vocabulary_log_prob, abs=CLOSE)


def join(running: RunningBatch, cases: list[Case]) -> None:
    """Cases of equal numbers of pictures, as one group."""
    for each in cases:
        running.join(each.inputs, [each.start(running.model)])


@families
@pytest.mark.parametrize("seed", range(3))
def test_rows_that_come_and_go_at_random_are_decoded_as_if_alone(family: str, seed: int) -> None:
    model, draw = tiny.model(family), random.Random(seed)
    cases = random_cases(family, 10, seed)
    running, waiting, sizes = batch(model), list(cases), set()
    while waiting or running.rows:
        while waiting and len(running.rows) < 4 and draw.random() < 0.5:
            join(running, [waiting.pop()])
        sizes.add(len(running.rows))
        if running.rows:
            running.step()
    assert max(sizes) == 4
    for each in cases:
        assert_same(each.row, each.expected)


@families
def test_prompts_of_different_lengths_join_as_one_group(family: str) -> None:
    model, options = tiny.model(family), GenerationOptions(max_new_tokens=9)
    first = case(model, "ocr", options, seed=7)
    prompts = ["caption en", "ocr", "answer en what is on the left?"]
    expected = [case(model, prompt, options, seed).expected for seed, prompt in enumerate(prompts)]
    running = batch(model)
    join(running, [first])
    running.step()
    queries = [query_of(prompt, seed) for seed, prompt in enumerate(prompts)]
    rows = [new_row(model, options, None) for _ in prompts]
    running.join(tiny.predictor().processor(queries), rows)
    while running.rows:
        running.step()
    assert_same(first.row, first.expected)
    for row, each in zip(rows, expected, strict=True):
        assert_same(row, each)


@pytest.mark.parametrize("gone", [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_rows_taken_out_in_the_middle_change_no_other(gone: list[int]) -> None:
    model = tiny.model()
    cases = random_cases("paligemma2", 8, seed=5)
    cases = [each for each in cases if len(each.expected.tokens) > 6][:4]
    running = batch(model)
    join(running, cases[:3])
    running.step()
    running.leave([cases[place].row for place in gone])  # type: ignore[misc]
    assert len(running.rows) == 3 - len(gone)
    join(running, cases[3:])  # in the place of one that has left
    while running.rows:
        running.step()
    for place, each in enumerate(cases):
        if place not in gone:
            assert_same(each.row, each.expected)


def test_rows_that_have_ended_are_handed_back_once_and_computed_no_more() -> None:
    model = tiny.model()
    cases = [case(model, "ocr", GenerationOptions(max_new_tokens=n), n) for n in (1, 3, 5)]
    running = batch(model)
    join(running, cases)
    ended = [running.step() for _ in range(5)]
    assert [len(rows) for rows in ended] == [1, 0, 1, 0, 1]
    assert [row for rows in ended for row in rows] == [each.row for each in cases]


def test_a_prompt_that_fails_leaves_the_running_rows_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny.model()
    good, bad = (case(model, "ocr", GenerationOptions(max_new_tokens=8), n) for n in (0, 1))
    running = batch(model)
    join(running, [good])
    running.step()
    with monkeypatch.context() as patch:
        patch.setattr(model, "encode_images", lambda _: (_ for _ in ()).throw(RuntimeError()))
        with pytest.raises(RuntimeError):
            join(running, [bad])
    while running.rows:
        running.step()
    assert_same(good.row, good.expected)


def test_a_place_forgets_what_was_in_it() -> None:
    """A NaN of one row must not reach the next one in its place, whose weight for it is zero."""
    model, options = tiny.model("paligemma"), GenerationOptions(max_new_tokens=6)
    running = batch(model)
    long, short = (case(model, prompt, options) for prompt in ("ocr " + "cat " * 20, "ocr"))
    join(running, [long, long])
    with torch.inference_mode():
        running._made().keys[:, :, :, : running._seen[0]] = torch.nan
        running._made().values[:, :, :, : running._seen[0]] = torch.nan
    running.leave(running.rows)
    neighbour = case(model, "answer en what is on the left?", options, seed=3)
    join(running, [short, neighbour])
    while running.rows:
        running.step()
    assert_same(short.row, short.expected)
    assert_same(neighbour.row, neighbour.expected)


# Memory


def bytes_of(model: PaliGemma, rows: int, tokens: int) -> int:
    return cache_bytes(model.config.text_config, rows, tokens, model.dtype)


def test_the_cache_stays_within_its_bytes_and_one_row_always_fits() -> None:
    model = tiny.model()
    running = batch(model, max_rows=8, max_bytes=bytes_of(model, 4, BAND))
    assert running.has_room(4, BAND)
    assert not running.has_room(5, 10)
    assert running.has_room(2, BAND + 1)
    assert not running.has_room(3, BAND + 1)
    assert running.has_room(1, 100 * BAND)
    join(running, [case(model, "ocr", GenerationOptions(max_new_tokens=3))])
    assert running._made().nbytes == bytes_of(model, 1, BAND)
    assert not running.has_room(1, 5 * BAND)  # not beside another
    join(running, [case(model, "ocr", GenerationOptions(max_new_tokens=3)) for _ in range(3)])
    assert running._made().nbytes == bytes_of(model, 4, BAND)


def test_a_longer_row_moves_the_others_to_a_larger_cache_and_shorter_ones_back() -> None:
    model = tiny.model()
    running = batch(model, max_rows=4, max_bytes=bytes_of(model, 4, BAND))
    first, *rest = (case(model, "ocr", GenerationOptions(max_new_tokens=8), n) for n in range(4))
    join(running, [first])
    running.step()
    long = case(model, "ocr", GenerationOptions(max_new_tokens=5), 9)
    row = long.start(model)
    row.limit = BAND  # a limit that is never reached, but could be
    running.join(long.inputs, [row])
    assert running._made().capacity == 2 * BAND
    assert len(running._made().lengths) == 2
    running.step()
    running.leave([row])
    join(running, rest)
    assert running._made().capacity == BAND
    assert len(running._made().lengths) == 4
    while running.rows:
        running.step()
    for each in (first, *rest):
        assert_same(each.row, each.expected)


def test_more_than_there_is_room_for_is_refused() -> None:
    model = tiny.model()
    running = batch(model, max_rows=1)
    cases = [case(model, "ocr", GenerationOptions(max_new_tokens=3), n) for n in range(2)]
    with pytest.raises(ValueError, match="no room"):
        join(running, cases)
