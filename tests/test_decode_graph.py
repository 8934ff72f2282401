"""Captured steps over kept caches against plain steps over fresh ones.

Off CUDA a capture is played: run at once, as a real one warms up, and afterwards whenever it is
wanted, with its result in the same place each time.
"""

import pytest
import torch
from torch import Tensor

from palikit import tasks
from palikit.generation import Decoding, allocate_cache, generate, stream
from palikit.grammar import ObjectGrammar
from palikit.model.cache import KVCache
from palikit.model.decode_graph import Capturer, Lane, Step, feed
from palikit.model.lanes import MAX_LANES, Lanes, lanes_of
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.processor import Query
from tests import tiny

families = pytest.mark.parametrize("family", tiny.FAMILIES)

CLOSE = 1e-3
"""Largest difference of float32 hidden states, whose size here is about 20."""

PLENTY = 2**30


class Played:
    """In the place of `capture`, counting."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, step: Step, device: torch.device) -> Step:
        self.times += 1
        out = step()

        def run() -> Tensor:
            return out.copy_(step())

        return run


@pytest.fixture
def played() -> Played:
    return Played()


@pytest.fixture
def lanes(played: Played, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """Where every model of the test keeps its caches."""
    made = Lanes(PLENTY, Capturer(played))
    monkeypatch.setattr("palikit.generation.lanes_of", lambda model: made)
    return made


def inputs_of(prompts: list[str]):
    return tiny.predictor().processor(
        [Query((tiny.picture(seed),), prompt) for seed, prompt in enumerate(prompts)]
    )


def grammar(task: tasks.Task) -> ObjectGrammar | None:
    return tiny.predictor().engine.grammar(task)


def plain(model: PaliGemma, *arguments: object):
    """What is generated without any of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("palikit.generation.lanes_of", lambda model: None)
        return generate(model, *arguments)  # type: ignore[arg-type]


def assert_same(got, expected) -> None:
    assert [[t.id for t in g.tokens] for g in got] == [[t.id for t in g.tokens] for g in expected]
    for one, other in zip(got, expected, strict=True):
        for mine, its in zip(one.tokens, other.tokens, strict=True):
            assert mine.vocabulary_log_prob == pytest.approx(its.vocabulary_log_prob, abs=1e-3)
            assert mine.grammar_log_prob == pytest.approx(its.grammar_log_prob, abs=1e-3)


@families
@pytest.mark.parametrize("prompts", [["ocr"], ["ocr", "ocr"], ["ocr", "caption en", "x"]])
def test_captured_steps_write_what_plain_ones_write(
    family: str, prompts: list[str], lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.model.cache.BAND", 8)  # windows that the text grows through
    model, options = tiny.model(family), GenerationOptions(max_new_tokens=20)
    got = generate(model, inputs_of(prompts), options)
    assert_same(got, plain(model, inputs_of(prompts), options))
    assert len(lanes.kept[0].steps) >= 3


@families
def test_forced_tokens_are_fed_together_by_captured_steps(family: str, lanes: Lanes) -> None:
    model, options = tiny.model(family), GenerationOptions(max_new_tokens=40)
    asked = [tasks.detect("big dog"), tasks.segment("cat"), tasks.caption()]
    inputs, rules = inputs_of([task.prompt for task in asked]), [grammar(task) for task in asked]
    got = generate(model, inputs, options, rules)
    assert_same(got, plain(model, inputs, options, rules))
    assert {width for width, _ in lanes.kept[0].steps} > {1}


@torch.inference_mode()
def test_more_tokens_than_a_captured_step_takes_go_the_plain_way(played: Played) -> None:
    model, inputs = tiny.model(), tiny.random_inputs([6, 4])
    lane = Lane(allocate_cache(model, inputs, 40), Capturer(played))
    other = allocate_cache(model, inputs, 40)
    for cache in (lane.cache, other):
        model.prefill(inputs, cache)
    for new in ([[310], [311, 312]], [list(range(320, 332)), [7]], [[9, 8], []], [[5], [6]]):
        got, expected = lane.feed(model, new), feed(model, other, new)
        fed = [row for row, ids in enumerate(new) if ids]
        torch.testing.assert_close(got[fed], expected[fed], atol=CLOSE, rtol=0)
        other.lengths.copy_(lane.cache.lengths)  # a row that rests has run along
    assert sorted(width for width, _ in lane.steps) == [1, 2]


@families
@torch.inference_mode()
def test_slots_that_nobody_has_written_are_not_seen(family: str, played: Played) -> None:
    """All that a batch before has left is there, and larger than anything that is meant."""
    model, inputs = tiny.model(family), tiny.random_inputs([6, 4])
    lane = Lane(allocate_cache(model, inputs, 200), Capturer(played))
    lane.cache.keys.normal_().mul_(100)
    lane.cache.values.fill_(1e4)
    fresh = allocate_cache(model, inputs, 200)
    for cache in (lane.cache, fresh):
        model.prefill(inputs, cache)
    for new in ([[310], [311]], [[312, 313], [314]], [[315], [316]]):
        got, expected = lane.feed(model, new), feed(model, fresh, new)
        torch.testing.assert_close(got, expected, atol=CLOSE, rtol=0)
    assert lane.cache.lengths.tolist() == fresh.lengths.tolist()


def test_a_kept_cache_serves_the_next_batch_as_a_new_one(lanes: Lanes, played: Played) -> None:
    model, options = tiny.model(), GenerationOptions(max_new_tokens=10)
    generate(model, inputs_of(["caption en", "x"]), options)
    (lane,), times = lanes.kept, played.times
    place = lane.cache.keys.data_ptr()
    with torch.inference_mode():
        lane.cache.keys.fill_(torch.nan)  # as an overflow of half precision leaves it
        lane.cache.values.fill_(torch.nan)
    again = inputs_of(["ocr", "count cat"])
    assert_same(generate(model, again, options), plain(model, again, options))
    assert lanes.kept == [lane]
    assert lane.cache.keys.data_ptr() == place
    assert played.times == times  # nothing had to be captured again


def test_a_batch_that_is_not_finished_keeps_its_cache_to_itself(lanes: Lanes) -> None:
    model, inputs = tiny.model(), inputs_of(["caption en"])
    options = GenerationOptions(max_new_tokens=8)
    generate(model, inputs, options)  # which leaves a cache behind
    tokens = stream(model, inputs, options)
    first = [next(tokens), next(tokens)]
    between = generate(model, inputs_of(["ocr"]), options)
    (expected,) = plain(model, inputs, options)
    assert [t.id for t in [*first, *tokens]] == [t.id for t in expected.tokens]
    assert_same(between, plain(model, inputs_of(["ocr"]), options))
    assert len(lanes.kept) == 2


def test_steps_are_captured_again_when_weights_have_been_replaced(
    lanes: Lanes, played: Played
) -> None:
    model, options = tiny.model(), GenerationOptions(max_new_tokens=4)
    inputs = inputs_of(["caption en"])
    generate(model, inputs, options)
    generate(model, inputs, options)
    assert played.times == 1
    down = model.language_model.layers[0].mlp.down_proj
    down.weight = torch.nn.Parameter(down.weight.detach() * 2)
    assert_same(generate(model, inputs, options), plain(model, inputs, options))
    assert played.times == 2


def test_what_cannot_be_captured_runs_plainly_after_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts = []

    def refuse(step: Step, device: torch.device) -> Step:
        attempts.append(device)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    lanes = Lanes(PLENTY, Capturer(refuse))
    monkeypatch.setattr("palikit.generation.lanes_of", lambda model: lanes)
    model, inputs = tiny.model(), inputs_of(["caption en", "ocr"])
    options = GenerationOptions(max_new_tokens=6)
    with pytest.warns(RuntimeWarning, match="not permitted when stream is capturing"):
        first = generate(model, inputs, options)
    second = generate(model, inputs, options)
    assert len(attempts) == 1
    assert_same(first, plain(model, inputs, options))
    assert_same(second, plain(model, inputs, options))


def test_only_so_many_steps_are_kept(lanes: Lanes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palikit.model.cache.BAND", 4)
    monkeypatch.setattr("palikit.model.decode_graph.MAX_STEPS", 2)
    generate(tiny.model(), inputs_of(["caption en"]), GenerationOptions(max_new_tokens=24))
    (lane,) = lanes.kept
    windows = [window for _, window in lane.steps]
    assert len(windows) == 2
    assert windows[-1] > windows[0] > 24


def test_the_cache_used_longest_ago_makes_way(lanes: Lanes) -> None:
    model, taken = tiny.model(), []
    for batch_size in range(1, MAX_LANES + 3):
        lane = lanes.take(model, batch_size, 100)
        assert lane is not None
        lanes.give_back(lane)
        taken.append(lane)
    assert lanes.kept == taken[-MAX_LANES:]
    assert lanes.take(model, 1, 100) not in taken
    assert lanes.take(model, MAX_LANES, 100) in taken
    assert lanes.take(model, MAX_LANES + 2, 300) not in taken  # it would not hold so many


def test_caches_take_no_more_memory_than_they_may() -> None:
    model = tiny.model()
    one = KVCache.allocate(
        model.config.text_config, 1, 256, dtype=model.dtype, device=model.device
    ).nbytes
    lanes = Lanes(3 * one, Capturer(Played()))
    assert lanes.take(model, 4, 100) is None
    first, second = lanes.take(model, 1, 100), lanes.take(model, 1, 100)
    assert first is not None
    assert second is not None
    lanes.give_back(first)
    lanes.give_back(second)
    assert lanes.take(model, 2, 100) is not None
    assert lanes.kept == [second]


def test_a_batch_too_large_to_be_kept_is_decoded_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lanes = Lanes(1000, Capturer(Played()))
    monkeypatch.setattr("palikit.generation.lanes_of", lambda model: lanes)
    model, inputs = tiny.model(), inputs_of(["ocr"])
    decoding = Decoding(model, inputs, GenerationOptions(max_new_tokens=3))
    while not decoding.is_done:
        decoding.step()
    expected = plain(model, inputs, GenerationOptions(max_new_tokens=3))
    assert_same([row.result() for row in decoding.rows], expected)
    assert not lanes.kept


def test_off_cuda_no_cache_is_kept() -> None:
    assert lanes_of(tiny.model()) is None


@torch.inference_mode()
def test_rows_that_rest_run_along_only_where_that_costs_nothing() -> None:
    """Then all rows go on writing the same slots; with unequal numbers of tokens they cannot."""
    model, inputs = tiny.model(), tiny.random_inputs([5, 5])
    cache = allocate_cache(model, inputs, 20)
    model.prefill(inputs, cache)
    feed(model, cache, [[310], []])
    assert cache.is_uniform
    feed(model, cache, [[310, 311], [312]])
    assert not cache.is_uniform
