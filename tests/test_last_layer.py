"""The last layer reads one token of a row; the cache is cut, not indexed, where rows are even."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from palikit.model.cache import KVCache
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.quantization import quantize
from tests import tiny
from tests.quantization import made
from tests.tiny import random_inputs

families = pytest.mark.parametrize("family", tiny.FAMILIES)
batches = pytest.mark.parametrize(
    "batch", [random_inputs([6, 6]), random_inputs([9, 4, 7])], ids=["even", "padded"]
)


def cache_for(model: PaliGemma, batch: ModelInputs, more: int = 4) -> KVCache:
    B, T = batch.input_ids.shape
    num_image = model.config.vision_config.num_image_tokens
    return KVCache.allocate(
        model.config.text_config, B, num_image + T + more, dtype=model.dtype, device=model.device
    )


def close(got: Tensor, expected: Tensor) -> bool:
    return bool((got - expected).abs().max() <= 2e-5 * expected.abs().max())


@families
@batches
@torch.no_grad()
def test_reading_one_token_equals_computing_every_one(family: str, batch: ModelInputs) -> None:
    model = tiny.model(family)
    last = model.hidden_states(batch)[torch.arange(len(batch.lengths)), batch.lengths - 1]
    assert close(model.prefill(batch, cache_for(model, batch)), last)


@families
@torch.no_grad()
def test_any_token_can_be_read_with_and_without_limits(family: str) -> None:
    decoder = tiny.model(family).language_model
    embeds = torch.randn(3, 11, 32, generator=torch.Generator().manual_seed(0))
    positions = torch.arange(11).expand(3, 11)
    for limits in (None, positions + 1, torch.full((3, 11), 7)):
        every = decoder(embeds, positions, limits, None)
        for read in ([0, 0, 0], [10, 3, 7]):
            index = torch.tensor(read)
            one = decoder(embeds, positions, limits, None, index)
            assert one.shape == (3, 1, 32)
            assert close(one[:, 0], every[torch.arange(3), index])


@families
@batches
@torch.no_grad()
def test_the_cache_holds_every_token_though_one_is_read(family: str, batch: ModelInputs) -> None:
    """The last layer's keys and values too, and steps after it are as without a cache."""
    model = tiny.model(family)
    cache = cache_for(model, batch)
    model.prefill(batch, cache)
    B = len(batch.lengths)
    new = torch.tensor([[400, 401, 402], [500, 501, 502], [600, 601, 602]])[:B]
    got = [model.decode_step(new[:, :1], cache), model.decode_step(new[:, 1:], cache)]
    for steps, hidden in zip((1, 3), got, strict=True):
        for b in range(B):
            row = tiny.row_of(batch, b)
            ids = torch.cat((row.input_ids, new[b : b + 1, :steps]), dim=1)
            whole = replace(row, input_ids=ids, lengths=row.lengths + steps, has_suffix=True)
            expected = model.hidden_states(whole)[0, -1]
            assert (hidden[b] - expected).abs().max() <= 1e-4 * expected.abs().max()


@families
@torch.no_grad()
def test_rows_that_rest_keep_what_they_have(family: str) -> None:
    """Steps of different lengths leave the even path; what was written before stays."""
    model, batch = tiny.model(family), random_inputs([6, 6])
    cache = cache_for(model, batch)
    model.prefill(batch, cache)
    assert cache.is_uniform
    ids = torch.tensor([[400, 401], [500, 0]])
    hidden = model.decode_step(ids, cache, counts=torch.tensor([2, 1]))
    assert not cache.is_uniform
    assert cache.lengths.tolist() == [4 + 8, 4 + 7]
    for b, count in ((0, 2), (1, 1)):
        single = random_inputs([6, 6])
        row = tiny.row_of(single, b)
        alone = cache_for(model, row)
        model.prefill(row, alone)
        expected = model.decode_step(ids[b : b + 1, :count], alone)[0]
        assert (hidden[b] - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_slices_and_indices_write_the_same_cache() -> None:
    config = tiny.config().text_config
    even, uneven = (
        KVCache.allocate(config, 2, 9, dtype=torch.float32, device=torch.device("cpu"))
        for _ in range(2)
    )
    uneven.is_uniform = False
    K, H = config.num_key_value_heads, config.head_dim
    for start, length in ((0, 5), (5, 1), (6, 3)):
        k, v = torch.randn(2, K, length, H), torch.randn(2, K, length, H)
        slots = torch.arange(start, start + length).expand(2, length)
        results = []
        for cache in (even, uneven):
            cache.end = start + length
            results.append(cache.update(1, k, v, slots))
        for ours, theirs in zip(*results, strict=True):
            assert ours.shape == (2, K, start + length, H)
            assert torch.equal(ours, theirs)
    assert torch.equal(even.keys, uneven.keys)
    assert torch.equal(even.values, uneven.values)


@torch.no_grad()
def test_a_quantised_model_reads_its_last_token_alone_too() -> None:
    model, batch = made.model(), random_inputs([9, 4, 7])
    quantize(model, "int8")
    last = model.hidden_states(batch)[torch.arange(3), batch.lengths - 1]
    got = model.prefill(batch, cache_for(model, batch))
    # What differs by a rounding of floats can fall to the next of 255 steps.
    assert made.relative_error(got, last) < 0.01
