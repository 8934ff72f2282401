"""The model in training: where gradients flow, dropout, what is kept for the backward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from palikit.model.attention import attention, attention_reference, rotary_angles
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LossOptions
from palikit.training.loss import suffix_loss
from tests import tiny
from tests.tiny import random_inputs
from tests.training.test_loss import batch, families, gradients


def logits_and_embeddings(model: PaliGemma, inputs: ModelInputs) -> tuple[Tensor, Tensor]:
    """Logits [B, T, V], and the text embeddings [B, T, D] they were computed from."""
    seen: list[Tensor] = []
    handle = model.language_model.embed_tokens.register_forward_hook(
        lambda _module, _args, out: seen.append(out)
    )
    logits = model(inputs)
    handle.remove()
    return logits, seen[0]


@families
@pytest.mark.parametrize("function", [attention, attention_reference])
def test_gradients_flow_as_the_mask_says(family: str, function) -> None:
    prefix, length = 4, 8
    inputs = random_inputs([length, 10], [prefix, 9])  # two places of padding
    model = tiny.model(family, attention_function=function)
    logits, embeds = logits_and_embeddings(model, inputs)
    for t in range(length):
        (grad,) = torch.autograd.grad(logits[0, t].sum(), embeds, retain_graph=True)
        reach = grad[0].abs().amax(dim=1) > 0
        limit = max(prefix, t + 1)
        assert reach.tolist() == [True] * limit + [False] * (10 - limit)
        assert not grad[1].any()


def test_dropout_is_off_in_eval_and_on_in_training() -> None:
    model, inputs = tiny.model(), batch()
    plain = suffix_loss(model, inputs, LossOptions())
    model.language_model.set_dropout(0.3)
    assert suffix_loss(model.eval(), inputs, LossOptions()) == plain
    assert suffix_loss(model.train(), inputs, LossOptions()) != plain
    model.language_model.set_dropout(0.0)
    assert suffix_loss(model.train(), inputs, LossOptions()) == plain


def test_dropout_is_decided_by_the_seed() -> None:
    model, inputs = tiny.model().train(), batch()
    model.language_model.set_dropout(0.3)

    def seeded(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return suffix_loss(model, inputs, LossOptions())

    assert seeded(1) == seeded(1)
    assert seeded(1) != seeded(2)


@families
def test_dropout_stands_where_big_vision_has_it(family: str, monkeypatch) -> None:
    """Behind the norm after attention, but before the norm after the MLP."""
    layer = tiny.model(family).language_model.layers[0]
    x = torch.randn(1, 5, 32, generator=torch.Generator().manual_seed(0))
    positions = torch.arange(5)[None]
    angles = rotary_angles(positions, layer.self_attn.head_dim, 10000.0)
    given = angles, positions, None, None
    keeps = torch.arange(32) % 2 == 0
    monkeypatch.setattr(F, "dropout", lambda x, p, training: x * keeps)
    attended = layer.self_attn(layer.input_layernorm(x), *given)
    if layer.has_post_norms:
        middle = x + layer.post_attention_layernorm(attended) * keeps
        mixed = layer.mlp(layer.pre_feedforward_layernorm(middle)) * keeps
        expected = middle + layer.post_feedforward_layernorm(mixed)
    else:
        middle = x + attended * keeps
        expected = middle + layer.mlp(layer.post_attention_layernorm(middle)) * keeps
    assert torch.equal(layer(x, *given), expected)


@contextmanager
def kept_bytes() -> Iterator[list[int]]:
    """Sizes of the tensors kept for the backward pass, weights included."""
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        sizes.append(tensor.nbytes)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


@families
def test_checkpointing_keeps_less_and_changes_no_gradient(family: str) -> None:
    model, inputs = tiny.model(family).train(), batch()
    model.language_model.set_dropout(0.2)
    results = []
    for is_on in (False, True):
        model.language_model.checkpoint_layers = model.vision_tower.checkpoint_layers = is_on
        torch.manual_seed(0)
        with kept_bytes() as kept:
            loss = suffix_loss(model, inputs, LossOptions())
        results.append((sum(kept), loss.detach(), gradients(model, loss)))
    (plain_size, plain_loss, plain), (size, loss, checkpointed) = results
    assert size < plain_size / 3
    assert torch.equal(loss, plain_loss)
    assert plain.keys() == checkpointed.keys()
    assert all(torch.equal(checkpointed[name], want) for name, want in plain.items())


def test_a_frozen_tower_keeps_nothing() -> None:
    model, inputs = tiny.model().train(), batch()
    for each in (model.vision_tower, model.multi_modal_projector):
        each.requires_grad_(requires_grad=False)
    with kept_bytes() as kept:
        model.encode_images(inputs.pixel_values)
    assert not kept
    model.vision_tower.checkpoint_layers = True
    assert not model.encode_images(inputs.pixel_values).requires_grad


def test_no_scores_of_capped_attention_are_kept() -> None:
    inputs = random_inputs([70], [5])  # and 4 image tokens
    with kept_bytes() as kept:
        tiny.model().hidden_states(inputs)
    scores = 8 * 74 * 74 * 4
    assert sum(size == scores for size in kept) == 0
    with kept_bytes() as kept:
        tiny.model(attention_function=attention_reference).hidden_states(inputs)
    assert sum(size == scores for size in kept) > 0
