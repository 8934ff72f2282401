"""Our logits and continuations against transformers', on random weights of all three kinds."""

from pathlib import Path

import pytest
import torch

from palikit.checkpoints import load_checkpoint
from palikit.generation import generate
from palikit.model.paligemma import PaliGemma
from palikit.options import GenerationOptions
from tests import tiny
from tests.parity.oracle import (
    Oracle,
    cut_at_eos,
    load_oracle,
    relative_difference,
    save_tiny,
)
from tests.tiny import random_inputs, row_of

pytestmark = pytest.mark.parity

TOLERANCE = 1e-4
"""Largest difference of float32 logits over their standard deviation."""

CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[PaliGemma, Oracle, Path]:
    """Our model, and transformers' loaded from what we saved."""
    model = tiny.model(request.param)
    folder = save_tiny(tmp_path_factory.mktemp("checkpoint") / request.param, model)
    return model, load_oracle(folder), folder


@torch.no_grad()
def difference(model: PaliGemma, oracle: Oracle, **kwargs) -> float:
    inputs = random_inputs([9], [5], **kwargs)
    return relative_difference(model(inputs), oracle.logits(inputs))


def test_logits_of_prefix_and_suffix_agree(pair) -> None:
    model, oracle, _ = pair
    assert max(difference(model, oracle, seed=seed) for seed in range(10)) < TOLERANCE


def test_logits_with_two_pictures_agree(pair) -> None:
    model, oracle, _ = pair
    assert difference(model, oracle, pictures=2) < TOLERANCE


@torch.no_grad()
def test_a_padded_batch_agrees_with_single_queries(pair) -> None:
    model, oracle, _ = pair
    inputs = random_inputs([9, 6, 12], [5, 6, 3])
    ours = model(inputs)
    for b, length in enumerate([9, 6, 12]):
        theirs = oracle.logits(row_of(inputs, b))[0]
        assert relative_difference(ours[b, :length], theirs) < TOLERANCE


def test_greedy_continuations_of_20_queries_are_identical_over_64_tokens(pair) -> None:
    model, oracle, _ = pair
    lengths = [3 + (7 * seed) % 11 for seed in range(20)]
    inputs = random_inputs(lengths)
    generations = generate(model, inputs, GenerationOptions(max_new_tokens=64))
    ours = [[token.id for token in generation.tokens] for generation in generations]
    singly = [oracle.greedy(row_of(inputs, b), 64)[0] for b in range(20)]
    assert ours == singly
    assert ours == oracle.greedy(inputs, 64)  # their batch is padded on the left
    assert max(map(len, ours)) == 64


def test_greedy_continuations_with_two_pictures_are_identical(pair) -> None:
    model, oracle, _ = pair
    inputs = random_inputs([5, 8], pictures=2)
    ours = generate(model, inputs, GenerationOptions(max_new_tokens=32))
    assert [cut_at_eos([t.id for t in g.tokens]) for g in ours] == oracle.greedy(inputs, 32)


@torch.no_grad()
def test_what_we_save_we_read_back_unchanged(pair) -> None:
    model, _, folder = pair
    again = load_checkpoint(folder, dtype=None, device=CPU).model
    inputs = random_inputs([6])
    assert torch.equal(model(inputs), again(inputs))


@torch.no_grad()
def test_what_transformers_saves_we_read(pair, tmp_path) -> None:
    model, oracle, _ = pair
    oracle.model.save_pretrained(tmp_path / "theirs")
    again = load_checkpoint(tmp_path / "theirs", dtype=None, device=CPU).model
    inputs = random_inputs([6])
    assert torch.equal(model(inputs), again(inputs))


@torch.no_grad()
def test_in_bfloat16_we_are_no_further_from_transformers_than_it_is_from_itself(pair) -> None:
    _, oracle, folder = pair
    ours = load_checkpoint(folder, dtype=torch.bfloat16, device=CPU).model
    theirs = load_oracle(folder, torch.bfloat16)
    own_error, distance = 0.0, 0.0
    for seed in range(5):
        inputs = random_inputs([9], [5], seed=seed)
        rounded = theirs.logits(inputs).float()
        own_error = max(own_error, float((rounded - oracle.logits(inputs)).abs().max()))
        distance = max(distance, float((ours(inputs) - rounded).abs().max()))
    assert distance <= 2 * own_error


@torch.no_grad()
def test_past_the_window_transformers_forgets_image_tokens_and_we_do_not(pair) -> None:
    """The released configs carry a window of 4096; a small one shows the same thing at once."""
    model, oracle, folder = pair
    if model.config.family == "PaliGemma":
        pytest.skip("the first generation has no window")
    narrow = load_oracle(folder, window=6)
    inputs = random_inputs([4] * 6)
    generations = generate(model, inputs, GenerationOptions(max_new_tokens=24))
    ours = [[token.id for token in generation.tokens] for generation in generations]
    assert ours == oracle.greedy(inputs, 24)
    assert ours != narrow.greedy(inputs, 24)
