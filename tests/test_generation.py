"""Decoding against the naive way: a whole forward pass for every token."""

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from palikit import tasks
from palikit.beam_search import beam_search
from palikit.choosing import likeliest, log_prob, pick, sampling_probabilities
from palikit.generation import Decoding, Generation, Row, Token, allocate_cache, generate, stream
from palikit.grammar import ObjectGrammar
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from palikit.processor import Query
from tests import tiny

families = pytest.mark.parametrize("family", tiny.FAMILIES)


def batch_of(prompts: list[str]) -> ModelInputs:
    predictor = tiny.predictor()
    pictures = [tiny.picture(seed) for seed in range(len(prompts))]
    queries = [Query((p,), text) for p, text in zip(pictures, prompts, strict=True)]
    return predictor.processor(queries)


def naive_logits(model: PaliGemma, inputs: ModelInputs, tokens: list[int]) -> torch.Tensor:
    """Scores of the token after a prompt and `tokens`, from a whole forward pass."""
    ids = torch.cat((inputs.input_ids, torch.tensor([tokens], dtype=torch.int64)), dim=1)
    longer = replace(inputs, input_ids=ids, lengths=inputs.lengths + len(tokens), has_suffix=True)
    with torch.inference_mode():
        return model(longer)[0, -1, : model.config.image_token_index]


def naive_greedy(model: PaliGemma, inputs: ModelInputs, steps: int) -> list[int]:
    tokens: list[int] = []
    while len(tokens) < steps and (not tokens or tokens[-1] != model.config.eos_token_id):
        tokens.append(int(naive_logits(model, inputs, tokens).argmax()))
    return tokens


def ids(generation: Generation) -> list[int]:
    return [token.id for token in generation.tokens]


@families
def test_greedy_equals_a_forward_pass_a_token(family: str) -> None:
    model, inputs = tiny.model(family), batch_of(["caption en"])
    generation = generate(model, inputs, GenerationOptions(max_new_tokens=12))[0]
    assert ids(generation) == naive_greedy(model, inputs, 12)


@families
def test_a_row_is_decoded_as_if_it_were_alone(family: str) -> None:
    model, prompts = tiny.model(family), ["caption en", "ocr", "answer en what is on the left?"]
    together = generate(model, batch_of(prompts), GenerationOptions(max_new_tokens=10))
    for seed, prompt in enumerate(prompts):
        query = Query((tiny.picture(seed),), prompt)
        alone = generate(
            model, tiny.predictor().processor([query]), GenerationOptions(max_new_tokens=10)
        )[0]
        assert ids(together[seed]) == ids(alone)
        assert together[seed].tokens[-1].vocabulary_log_prob == pytest.approx(
            alone.tokens[-1].vocabulary_log_prob, abs=1e-4
        )


def test_log_probabilities_are_those_of_the_whole_vocabulary() -> None:
    model, inputs = tiny.model(), batch_of(["caption en"])
    generation = generate(model, inputs, GenerationOptions(max_new_tokens=4))[0]
    for place, token in enumerate(generation.tokens):
        expected = naive_logits(model, inputs, ids(generation)[:place]).log_softmax(-1)[token.id]
        assert token.vocabulary_log_prob == pytest.approx(float(expected), abs=1e-3)
        assert token.grammar_log_prob is None


def test_the_end_token_ends_and_the_limit_ends() -> None:
    model, inputs = tiny.model(), batch_of(["caption en"])
    assert generate(model, inputs, GenerationOptions(max_new_tokens=3))[0].finish_reason == "length"
    raise_logit(model, model.config.eos_token_id, 1e3)
    generation = generate(model, inputs, GenerationOptions(max_new_tokens=3))[0]
    assert ids(generation) == [model.config.eos_token_id]
    assert generation.finish_reason == "stop"


def test_rows_of_the_table_behind_the_last_id_are_never_predicted() -> None:
    model, inputs = tiny.model(), batch_of(["caption en"])
    raise_logit(model, model.config.image_token_index, 1e3)
    generation = generate(model, inputs, GenerationOptions(max_new_tokens=3))[0]
    assert max(ids(generation)) < model.config.image_token_index


def test_the_likeliest_token_is_the_first_of_the_largest_with_its_log_probability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.Tensor, "double", None)  # which a Mac's GPU does not have
    logits = torch.randn(5, 3000, generator=torch.Generator().manual_seed(0)) * 10
    logits[1, [7, 700]] = 99.0
    greedy = GenerationOptions()
    found = likeliest(logits)
    assert [index for index, _ in found] == [pick(row, greedy, None) for row in logits]
    assert found[1][0] == 7
    for row, (index, chance) in zip(logits, found, strict=True):
        assert chance == pytest.approx(log_prob(row, index), abs=1e-6)


# Batches


def fed_shapes(model: PaliGemma, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shape of the tokens of every step from now on: rows computed, tokens a row."""
    shapes: list[tuple[int, ...]] = []
    step = model.decode_step

    def counted(token_ids: torch.Tensor, *rest: object) -> torch.Tensor:
        shapes.append(tuple(token_ids.shape))
        return step(token_ids, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(model, "decode_step", counted)
    return shapes


@families
@pytest.mark.parametrize("prompts", [["ocr"] * 5, ["ocr", "caption en", "ocr", "count cat", "x"]])
def test_rows_that_have_ended_are_left_out_and_change_no_other(
    family: str, prompts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, limits = tiny.model(family), [2, 9, 3, 12, 2]
    alone = [
        generate(model, row_alone(prompts, seed), GenerationOptions(max_new_tokens=limit))[0]
        for seed, limit in enumerate(limits)
    ]
    decoding = Decoding(model, batch_of(prompts), GenerationOptions(max_new_tokens=12))
    for row, limit in zip(decoding.rows, limits, strict=True):
        row.limit = limit
    shapes = fed_shapes(model, monkeypatch)
    while not decoding.is_done:
        decoding.step()
    for row, expected in zip(decoding.rows, alone, strict=True):
        assert ids(row.result()) == ids(expected)
        assert row.tokens[-1].vocabulary_log_prob == pytest.approx(
            expected.tokens[-1].vocabulary_log_prob, abs=1e-4
        )
    # 5 rows; 3 are more than half of 5, 2 are not; then 1 is half of 2.
    assert [rows for rows, _ in shapes] == [5, 5, *[2] * 6, *[1] * 3]


def row_alone(prompts: list[str], seed: int) -> ModelInputs:
    return tiny.predictor().processor([Query((tiny.picture(seed),), prompts[seed])])


# Sampling


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    model, inputs = tiny.model(), batch_of(["caption en"])
    texts = [
        ids(generate(model, inputs, GenerationOptions(max_new_tokens=8, temperature=2, seed=s))[0])
        for s in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_a_sampled_row_does_not_depend_on_its_neighbours() -> None:
    model, options = tiny.model(), GenerationOptions(max_new_tokens=8, temperature=2, seed=3)
    alone = generate(model, batch_of(["caption en"]), options)[0]
    together = generate(model, batch_of(["caption en", "ocr"]), options)[0]
    assert ids(alone) == ids(together)


@families
def test_memory_that_nobody_has_written_is_never_looked_at(
    monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    model, inputs = tiny.model(family), batch_of(["caption en", "answer en what is it?"])
    options, empty = GenerationOptions(max_new_tokens=12), torch.empty
    expected = generate(model, inputs, options)

    def of_nans(*of: Any, **options: Any) -> torch.Tensor:
        made = empty(*of, **options)
        return made.fill_(torch.nan) if made.is_floating_point() else made

    monkeypatch.setattr(torch, "empty", of_nans)
    for now, before in zip(generate(model, inputs, options), expected, strict=True):
        assert [token.id for token in now.tokens] == [token.id for token in before.tokens]


def test_top_k_and_top_p_keep_the_likeliest() -> None:
    logits = torch.tensor([0.5, 0.2, 0.2, 0.1]).log()
    kept = sampling_probabilities(logits, GenerationOptions(temperature=1, top_k=1))
    assert kept.tolist() == [1, 0, 0, 0]
    kept = sampling_probabilities(logits, GenerationOptions(temperature=1, top_p=0.6))
    torch.testing.assert_close(kept, torch.tensor([5, 2, 2, 0]) / 9)
    kept = sampling_probabilities(logits, GenerationOptions(temperature=0.5))
    torch.testing.assert_close(kept, logits.exp() ** 2 / (logits.exp() ** 2).sum())


def test_samples_follow_the_probabilities() -> None:
    logits, generator = torch.tensor([0.7, 0.3]).log(), torch.Generator().manual_seed(0)
    options = GenerationOptions(temperature=1)
    share = sum(pick(logits, options, generator) for _ in range(2000)) / 2000
    assert share == pytest.approx(0.3, abs=0.04)


# Beams


def test_beam_search_finds_the_best_of_all_short_texts() -> None:
    model, inputs = tiny.model(seed=4), batch_of(["caption en"])
    eos = model.config.eos_token_id
    keep = torch.tensor([eos, 300, 301, 302])  # a vocabulary small enough to try everything
    cut_vocabulary(model, keep)
    best, best_text = -math.inf, []
    for length in range(3):
        for text in itertools.product(keep[1:].tolist(), repeat=length):
            score = sum_log_prob(model, inputs, [*text, eos])
            if score > best:
                best, best_text = score, [*text, eos]
    found = beam_search(model, inputs, GenerationOptions(num_beams=16, max_new_tokens=3))[0]
    assert ids(found) == best_text
    assert sum(t.vocabulary_log_prob or 0 for t in found.tokens) == pytest.approx(best, abs=1e-3)


def test_beams_of_a_batch_equal_those_of_single_queries() -> None:
    model, prompts = tiny.model(), ["caption en", "ocr"]
    options = GenerationOptions(num_beams=3, max_new_tokens=6)
    together = beam_search(model, batch_of(prompts), options)
    query = Query((tiny.picture(1),), "ocr")
    alone = beam_search(model, tiny.predictor().processor([query]), options)
    assert ids(together[1]) == ids(alone[0])


def test_steered_beams_follow_the_grammar() -> None:
    model, task = tiny.model(), tasks.detect("cat ; dog")
    rules, inputs = grammar(task), batch_of([task.prompt])
    options = GenerationOptions(num_beams=3, max_new_tokens=12)
    found = beam_search(model, inputs, options, [rules])[0]
    assert found.follows_grammar
    assert found.tokens[-1].id == model.config.eos_token_id


def naive_beams(model: PaliGemma, inputs: ModelInputs, width: int, limit: int) -> list[int]:
    """The same search, every step from whole forward passes and without an early end."""
    eos, best = model.config.eos_token_id, (-math.inf, [-1])
    beams: list[tuple[float, list[int]]] = [(0.0, [])]
    for _ in range(limit):
        reached = []
        for score, text in beams:
            sums = score + naive_logits(model, inputs, text).log_softmax(-1)
            best = max(best, (float(sums[eos]), [*text, eos]))
            sums[eos] = -math.inf
            values, tokens = sums.topk(width)
            reached += [(float(v), [*text, int(t)]) for v, t in zip(values, tokens, strict=True)]
        beams = sorted(reached, reverse=True)[:width]
    return best[1] if best[0] > -math.inf else beams[0][1]


@families
@pytest.mark.parametrize("end", [4.0, 8.0, -math.inf])
def test_beams_equal_the_same_search_by_whole_forward_passes(family: str, end: float) -> None:
    """With an end that is likely, and with one that never comes: then the best unfinished text."""
    model, inputs = tiny.model(family), batch_of(["caption en"])
    raise_logit(model, model.config.eos_token_id, end)
    for width in (2, 4):
        options = GenerationOptions(num_beams=width, max_new_tokens=8)
        found = beam_search(model, inputs, options)[0]
        assert ids(found) == naive_beams(model, inputs, width, 8)
        assert found.finish_reason == ("length" if end < 0 else "stop")


def raise_logit(model: PaliGemma, token: int, by: float) -> None:
    """Add to one token's logit, wherever logits are computed."""
    original = model.language_model.logits

    def logits(hidden: torch.Tensor, ids: torch.Tensor | None = None, *, softcap: bool = True):
        full = original(hidden, softcap=softcap)
        full[..., token] += by
        return full if ids is None else full[..., ids]

    model.language_model.logits = logits  # type: ignore[method-assign]


@pytest.mark.parametrize("labels", ["cat", "big dog"])
def test_forced_tokens_of_beams_are_fed_together_and_change_nothing(
    labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, task = tiny.model(seed=2), tasks.detect(labels)
    rules, inputs = grammar(task), batch_of([task.prompt])
    raise_logit(model, rules.eos_id, -5.0)
    options = GenerationOptions(num_beams=3, max_new_tokens=30)
    shapes = fed_shapes(model, monkeypatch)
    together = beam_search(model, inputs, options, [rules])[0]
    num_together = len(shapes)
    monkeypatch.setattr("palikit.beam_search._accept_forced", lambda _: None)
    one_by_one = beam_search(model, inputs, options, [rules])[0]
    assert ids(together) == ids(one_by_one)
    assert [t.forced for t in together.tokens] == [t.forced for t in one_by_one.tokens]
    for one, other in zip(together.tokens, one_by_one.tokens, strict=True):
        assert one.grammar_log_prob == pytest.approx(other.grammar_log_prob, abs=1e-4)
    assert num_together < len(shapes) - num_together
    assert together.finish_reason == one_by_one.finish_reason


@pytest.mark.parametrize("verb", [tasks.detect, tasks.segment])
@pytest.mark.parametrize("seed", range(4))
def test_steered_beams_name_nothing_twice_and_keep_the_form(verb, seed: int) -> None:
    model, task = tiny.model(seed=seed), verb("cat")
    rules, inputs = grammar(task), batch_of([task.prompt])
    options = GenerationOptions(num_beams=2, max_new_tokens=120)
    found = beam_search(model, inputs, options, [rules])[0]
    state = rules.start
    for token in found.tokens:
        following = rules.advance(state, token.id)
        assert following is not None
        assert not following.repeated
        state = following
    assert found.finish_reason in {"stop", "repeat", "length"}


def test_a_steered_beam_that_repeats_itself_has_ended_before() -> None:
    """The same box and then a separator, over and over, is all that this model wants to write."""
    model, task = tiny.model(), tasks.detect("cat")
    rules, inputs = grammar(task), batch_of([task.prompt])
    box = rules.loc_ids[7]
    raise_logit(model, box, 1e3)
    raise_logit(model, rules.separator[0], 1e3)
    raise_logit(model, rules.eos_id, -math.inf)
    options = GenerationOptions(num_beams=2, max_new_tokens=60)
    found = beam_search(model, inputs, options, [rules])[0]
    assert found.finish_reason == "repeat"
    assert ids(found) == [box] * 4 + list(rules.labels[0])


def test_watched_beams_carry_scores_of_the_grammar() -> None:
    model, task = tiny.model(), tasks.detect("cat ; dog")
    rules, inputs = grammar(task), batch_of([task.prompt])
    raise_logit(
        model, model.config.eos_token_id, 100.0
    )  # nothing found: a text that follows the grammar
    options = GenerationOptions(num_beams=2, max_new_tokens=20, grammar=False)
    free = beam_search(model, inputs, options, [rules])[0]
    assert ids(free) == [rules.eos_id]
    assert free.follows_grammar
    with torch.inference_mode():
        scores = model.language_model.logits(prefilled(model, inputs))[0]
    allowed = torch.tensor(list(rules.allowed(rules.start)))
    expected = scores[rules.eos_id] - scores[allowed].logsumexp(-1)
    assert free.tokens[0].grammar_log_prob == pytest.approx(float(expected), abs=1e-3)
    assert free.tokens[0].vocabulary_log_prob is not None


@torch.inference_mode()
def prefilled(model: PaliGemma, inputs: ModelInputs) -> torch.Tensor:
    return model.prefill(inputs, allocate_cache(model, inputs, 1))


def cut_vocabulary(model: PaliGemma, keep: torch.Tensor) -> None:
    """Make every other token impossible by a head that gives it a very low score."""
    original = model.language_model.logits

    def logits(hidden: torch.Tensor, ids: torch.Tensor | None = None, *, softcap: bool = True):
        full = original(hidden, softcap=softcap)
        masked = torch.full_like(full, -1e4)
        masked[..., keep] = full[..., keep] / 10
        return masked if ids is None else masked[..., ids]

    model.language_model.logits = logits  # type: ignore[method-assign]


def sum_log_prob(model: PaliGemma, inputs: ModelInputs, text: list[int]) -> float:
    return sum(
        float(naive_logits(model, inputs, text[:place]).log_softmax(-1)[token])
        for place, token in enumerate(text)
    )


# Grammar


def grammar(task: tasks.Task) -> ObjectGrammar:
    made = tiny.predictor().engine.grammar(task)
    assert made is not None
    return made


@families
@pytest.mark.parametrize("verb", [tasks.detect, tasks.segment])
def test_a_steered_text_follows_its_grammar_and_takes_the_likeliest_allowed_token(
    family: str, verb
) -> None:
    model, task = tiny.model(family), verb("cat ; big dog")
    rules, inputs = grammar(task), batch_of([task.prompt])
    generation = generate(model, inputs, GenerationOptions(max_new_tokens=60), [rules])[0]
    state, written = rules.start, []
    for token in generation.tokens:
        allowed = list(rules.allowed(state))
        scores = naive_logits(model, inputs, written)[torch.tensor(allowed)]
        assert token.id == allowed[int(scores.argmax())]
        expected = scores.log_softmax(-1).max()
        assert token.grammar_log_prob == pytest.approx(float(expected), abs=1e-3)
        assert token.forced == (len(allowed) == 1)
        written.append(token.id)
        following = rules.advance(state, token.id)
        assert following is not None
        state = following


def test_without_the_grammar_the_text_is_the_plain_greedy_one() -> None:
    model, task = tiny.model(), tasks.detect("cat")
    inputs, options = batch_of([task.prompt]), GenerationOptions(max_new_tokens=12, grammar=False)
    watched = generate(model, inputs, options, [grammar(task)])[0]
    assert ids(watched) == ids(generate(model, inputs, options)[0])
    assert all(token.vocabulary_log_prob is not None for token in watched.tokens)


def test_a_watched_text_is_scored_as_the_grammar_would(monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = tiny.model(), tasks.detect("cat ; dog")
    rules, inputs = grammar(task), batch_of([task.prompt])
    steered = generate(model, inputs, GenerationOptions(max_new_tokens=7), [rules])[0]
    script = iter(ids(steered))  # the tiny model would not speak the grammar by itself

    def next_of_script(logits: torch.Tensor) -> list[tuple[int, float]]:
        token = next(script)
        return [(token, log_prob(logits[0], token))]

    monkeypatch.setattr("palikit.choosing.likeliest", next_of_script)
    options = GenerationOptions(max_new_tokens=len(steered.tokens), grammar=False)
    watched = generate(model, inputs, options, [rules])[0]
    assert watched.follows_grammar
    for free, held in zip(watched.tokens, steered.tokens, strict=True):
        assert free.grammar_log_prob == pytest.approx(held.grammar_log_prob, abs=1e-3)
        assert free.forced == held.forced
        assert free.vocabulary_log_prob is not None
        assert held.vocabulary_log_prob is None


def row_after(text: str, *, is_steered: bool) -> Row:
    """A row that has written `text`, as far as it let itself."""
    rules = grammar(tasks.detect("cat ; dog"))
    row = Row(rules.eos_id, 100, rules, is_steered)
    for token in tiny.tokenizer().encode(text, allow_special=True):
        if row.finish_reason is None:
            row.accept(Token(token, 0.0, 0.0))
    return row


CAT, DOG = (f"<loc0001><loc0002><loc0003><loc0004> {label}" for label in ("cat", "dog"))


def test_an_object_named_twice_ends_the_list_and_is_left_out() -> None:
    row = row_after(f"{CAT} ; {DOG} ; {CAT} ; {DOG}", is_steered=True)
    assert row.finish_reason == "repeat"
    assert tiny.tokenizer().decode(ids(row.result())) == f"{CAT} ; {DOG}"


def test_a_watched_row_may_repeat_itself() -> None:
    text = f"{CAT} ; {CAT} ; {DOG}<eos>"
    row = row_after(text, is_steered=False)
    assert row.finish_reason == "stop"
    assert tiny.tokenizer().decode(ids(row.result())) == text.removesuffix("<eos>")


def test_an_unfinished_object_can_still_be_taken_back() -> None:
    row = row_after(f"{CAT} ; <loc0001>", is_steered=True)
    assert tiny.tokenizer().decode([t.id for t in row.tokens[: row.settled()]]) == CAT


def test_a_stream_gives_the_same_tokens_as_the_whole() -> None:
    model = tiny.model()
    for task in (tasks.segment("cat ; dog"), tasks.caption()):
        inputs, rules = batch_of([task.prompt]), tiny.predictor().engine.grammar(task)
        options = GenerationOptions(max_new_tokens=50)
        whole = generate(model, inputs, options, [rules])[0]
        assert tuple(stream(model, inputs, options, rules)) == whole.tokens
