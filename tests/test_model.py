"""The network against its own slow, obvious form."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from palikit.model.attention import (
    attention,
    attention_reference,
    prefix_limits,
    rotary_angles,
    rotate,
)
from palikit.model.cache import KVCache
from palikit.model.gemma import RMSNorm
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from tests import tiny
from tests.tiny import random_inputs as inputs
from tests.tiny import row_of as row

CLOSE = 1e-3
"""Largest difference of float32 logits, whose standard deviation here is about 10."""

families = pytest.mark.parametrize("family", tiny.FAMILIES)


def test_limits_draw_the_prefix_lm_mask() -> None:
    limits = prefix_limits(torch.tensor([2, 1]), torch.tensor([4, 1]), num_image=2, total=7)
    assert limits.tolist() == [[4, 4, 4, 4, 5, 6, 6], [3, 3, 3, 3, 3, 3, 3]]


@pytest.mark.parametrize("softcap", [None, 5.0])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_fused_attention_equals_the_obvious_one(
    softcap: float | None, masked: bool, kv_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.model.attention.MAX_SCORES", 4 * 2 * 40 * 7)  # blocks of 7
    q = torch.randn(2, 4, 37, 8) * 3
    k, v = torch.randn(2, kv_heads, 40, 8), torch.randn(2, kv_heads, 40, 8)
    limits = torch.randint(1, 41, (2, 37)) if masked else None
    fast = attention(q, k, v, limits, 0.3, softcap)
    slow = attention_reference(q, k, v, limits, 0.3, softcap)
    assert fast.shape == slow.shape
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


@families
def test_the_whole_model_agrees_with_its_slow_attention(family: str) -> None:
    batch = inputs([7, 9], [4, 5])
    slow = tiny.model(family, attention_function=attention_reference)
    assert_equal_text_rows(tiny.model(family)(batch), slow(batch), batch)


@families
def test_padding_does_not_change_logits(family: str) -> None:
    model, batch = tiny.model(family), inputs([9, 4, 7], [5, 4, 3])
    together = model(batch)
    for b in range(3):
        alone = model(row(batch, b))
        torch.testing.assert_close(together[b, : alone.shape[1]], alone[0], atol=CLOSE, rtol=0)


@families
def test_prefill_and_single_steps_equal_the_full_forward(family: str) -> None:
    model, batch = tiny.model(family), inputs([9, 8], [4, 3])
    prompt = replace(
        batch,
        input_ids=batch.input_ids[:, :4].where(torch.arange(4) < batch.prefix_lengths[:, None], 0),
        lengths=batch.prefix_lengths,
        has_padding=True,
        has_suffix=False,
    )
    cache = empty_cache(model, 2, 4 + 9)
    full = model(batch)
    hidden = model.prefill(prompt, cache)
    for step in range(4):
        logits = model.language_model.logits(hidden)
        for b, prefix in enumerate((4, 3)):
            place = prefix - 1 + step
            torch.testing.assert_close(logits[b], full[b, place], atol=CLOSE, rtol=0)
        following = torch.stack(
            [batch.input_ids[b, prefix + step] for b, prefix in enumerate((4, 3))]
        )
        hidden = model.decode_step(following[:, None], cache)


@families
def test_tokens_fed_together_equal_tokens_fed_one_by_one(family: str) -> None:
    model, batch = tiny.model(family), inputs([4, 4])
    tokens = torch.tensor([[310, 311, 312], [320, 0, 0]])
    together, apart = empty_cache(model, 2, 20), empty_cache(model, 2, 20)
    model.prefill(batch, together)
    model.prefill(batch, apart)
    hidden = model.decode_step(tokens, together, torch.tensor([3, 1]))
    for step in range(3):
        counts = torch.tensor([1, int(step == 0)])
        last = model.decode_step(tokens[:, step : step + 1], apart, counts)
        if step == 0:
            torch.testing.assert_close(hidden[1], last[1], atol=CLOSE, rtol=0)
    torch.testing.assert_close(hidden[0], last[0], atol=CLOSE, rtol=0)
    assert together.lengths.tolist() == apart.lengths.tolist() == [4 + 4 + 3, 4 + 4 + 1]
    after = torch.tensor([[330], [331]])
    torch.testing.assert_close(
        model.decode_step(after, together), model.decode_step(after, apart), atol=CLOSE, rtol=0
    )


@families
def test_a_later_suffix_token_has_no_influence_and_a_later_prompt_token_has(family: str) -> None:
    model, batch = tiny.model(family), inputs([8], [5])
    before = model(batch)[0]
    changed = batch.input_ids.clone()
    changed[0, 6] += 1  # the second suffix token
    after = model(replace(batch, input_ids=changed))[0]
    assert torch.equal(before[:6], after[:6])
    assert not torch.allclose(before[6], after[6])
    changed = batch.input_ids.clone()
    changed[0, 4] += 1  # the last prompt token
    assert not torch.allclose(before[0], model(replace(batch, input_ids=changed))[0, 0])


@families
def test_two_pictures_are_seen_in_order(family: str) -> None:
    model, batch = tiny.model(family), inputs([5], pictures=2)
    swapped = replace(batch, image_index=batch.image_index.flip(1))
    assert not torch.allclose(model(batch), model(swapped))
    stacked = replace(batch, pixel_values=batch.pixel_values.flip(0))
    torch.testing.assert_close(model(swapped), model(stacked), atol=CLOSE, rtol=0)


def test_image_features_can_be_computed_beforehand() -> None:
    model, batch = tiny.model(), inputs([5, 6])
    embeds = model.encode_images(batch.pixel_values)
    assert embeds.shape == (2, 4, 32)
    assert torch.equal(model.hidden_states(batch, embeds), model.hidden_states(batch))


def test_chosen_rows_of_the_head_equal_the_whole_head() -> None:
    decoder = tiny.model().language_model
    hidden, ids = torch.randn(2, 32), torch.tensor([5, 1300, 7])
    torch.testing.assert_close(decoder.logits(hidden, ids), decoder.logits(hidden)[:, ids])


def test_the_output_cap_can_be_left_out() -> None:
    decoder = tiny.model().language_model
    hidden = torch.randn(2, 32) * 30
    raw = decoder.logits(hidden, softcap=False)
    assert raw.abs().max() > 30
    torch.testing.assert_close(decoder.logits(hidden), 30 * torch.tanh(raw / 30))


@pytest.mark.parametrize(
    ("width", "factor"), [(2048, 45.25), (2304, 48.0), (3584, 59.75), (4608, 68.0)]
)
def test_the_embedding_factor_is_rounded_to_the_tables_dtype(width: int, factor: float) -> None:
    from palikit.config import TextConfig
    from palikit.model.gemma import Decoder

    config = TextConfig(vocab_size=4, hidden_size=width, num_hidden_layers=0)
    decoder = Decoder(config).to(torch.bfloat16)
    torch.nn.init.ones_(decoder.embed_tokens.weight)
    assert decoder.embed(torch.tensor([[1]])).unique().tolist() == [factor]


def test_rotation_depends_on_the_distance_of_positions_only() -> None:
    x, y = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

    def product(first: int, second: int) -> Tensor:
        turned = [
            rotate(value, *rotary_angles(torch.tensor([[place]]), 16, 10000.0))
            for value, place in ((x, first), (y, second))
        ]
        return (turned[0] * turned[1]).sum()

    torch.testing.assert_close(product(3, 10), product(1003, 1010), atol=1e-4, rtol=1e-4)


def test_a_prompt_longer_than_gemmas_window_sees_every_image_token() -> None:
    """4200 image tokens: a sliding window of 4096 would hide the first of them from the text."""
    batch = inputs([4])
    embeds = torch.randn(1, 4200, 32, generator=torch.Generator().manual_seed(1))
    other = embeds.clone()
    other[:, :100] *= -1  # all of them further back than 4096 from the second text token
    fast, slow = tiny.model(), tiny.model(attention_function=attention_reference)
    for model in (fast, slow):
        model.language_model.layers = model.language_model.layers[:1]
    step, changed = second_token(fast, batch, embeds), second_token(fast, batch, other)
    assert (step - changed).abs().max() > 10 * CLOSE
    torch.testing.assert_close(step, second_token(slow, batch, embeds), atol=CLOSE, rtol=0)


def second_token(model: PaliGemma, batch: ModelInputs, image_embeds: Tensor) -> Tensor:
    """Logits after the prompt and one generated token."""
    cache = empty_cache(model, 1, image_embeds.shape[1] + 8)
    with torch.inference_mode():
        model.prefill(batch, cache, image_embeds)
        return model.language_model.logits(model.decode_step(torch.tensor([[310]]), cache))


def test_an_inputs_batch_with_mismatched_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 2 texts needs 2 rows"):
        replace(inputs([4, 4]), image_index=torch.zeros(1, 1, dtype=torch.int64))


def assert_equal_text_rows(got: Tensor, expected: Tensor, batch: ModelInputs) -> None:
    for b, length in enumerate(batch.lengths.tolist()):
        torch.testing.assert_close(got[b, :length], expected[b, :length], atol=CLOSE, rtol=0)


def empty_cache(model: PaliGemma, batch_size: int, capacity: int) -> KVCache:
    return KVCache.allocate(
        model.config.text_config, batch_size, capacity, dtype=model.dtype, device=model.device
    )


def test_one_query_against_keys_beyond_the_cache_equals_the_obvious_attention() -> None:
    q, k, v = torch.randn(1, 4, 1, 256), torch.randn(1, 2, 600, 256), torch.randn(1, 2, 600, 256)
    assert k.nbytes > 2**20
    for softcap in (None, 50.0):
        fast = attention(q, k, v, None, 0.0625, softcap)
        slow = attention_reference(q, k, v, None, 0.0625, softcap)
        torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_norm_without_gradients_equals_the_one_with_them(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    norm = RMSNorm(96, 1e-6).to(dtype)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(3, 5, 96, dtype=dtype)
    x[0, 0] = 0
    x[0, 1] *= 1e-4
    expected = norm(x)
    assert expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(norm(x), expected.detach(), rtol=2e-6, atol=1e-6)
