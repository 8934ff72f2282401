"""The loss against a plain one that holds all logits at once."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from palikit.errors import InputError
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LossOptions
from palikit.training import loss as loss_module
from palikit.training.loss import TrainingModel, loss_count, suffix_loss
from tests import tiny
from tests.tiny import random_inputs

families = pytest.mark.parametrize("family", tiny.FAMILIES)

OPTIONS = [
    LossOptions(),
    LossOptions(mean="token"),
    LossOptions(label_smoothing=0.3),
    LossOptions(mean="token", label_smoothing=0.1, padding_rows=True),
    LossOptions(softcap=True, padding_rows=True),
    LossOptions(softcap=True, label_smoothing=0.2),
    LossOptions(location_smoothing=2.5),
    LossOptions(location_smoothing=0.4, label_smoothing=0.2, mean="token"),
]


def batch(seed: int = 0) -> ModelInputs:
    """Suffixes of 4, 0 and 9 tokens, with padding."""
    return random_inputs([9, 6, 12], [5, 6, 3], seed=seed)


def long_batch() -> ModelInputs:
    """216 rows to score: more than one chunk of the smallest size."""
    return random_inputs([12] * 24, [3] * 24)


def plain_loss(model: PaliGemma, inputs: ModelInputs, options: LossOptions) -> Tensor:
    """All logits at once, and the target distribution written out."""
    scores = model.language_model.logits(model.hidden_states(inputs), softcap=options.softcap)
    ids, e = model.config.image_token_index, options.label_smoothing
    if not options.padding_rows:
        scores = scores[..., :ids]
    examples = []
    for b, (start, end) in enumerate(zip(inputs.prefix_lengths, inputs.lengths, strict=True)):
        log_p = scores[b, start - 1 : end - 1].log_softmax(dim=-1)
        wanted = torch.zeros_like(log_p)
        wanted[:, :ids] = e / (ids - 1)
        for row, token in enumerate(inputs.input_ids[b, start:end].tolist()):
            near = neighbours(token, ids, options.location_smoothing)
            for other, share in near.items():
                wanted[row, other] = (1 - e) * share + e / (ids - 1) * (1 - share)
        examples.append(-(wanted * log_p).sum(dim=1))
    if options.mean == "token":
        return torch.cat(examples).mean()
    return torch.stack([each.sum() / max(len(each), 1) for each in examples]).mean()


def neighbours(token: int, ids: int, spread: float) -> dict[int, float]:
    """What the share of the right token goes to."""
    first, last = ids - 128 - 1024, ids - 128 - 1
    if not first <= token <= last or not spread:
        return {token: 1.0}
    reach = math.ceil(3 * spread)
    around = range(max(first, token - reach), min(last, token + reach) + 1)
    bell = {i: math.exp(-((i - token) ** 2) / (2 * spread**2)) for i in around}
    return {i: height / sum(bell.values()) for i, height in bell.items()}


def gradients(model: PaliGemma, loss: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    loss.backward()
    return {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}


def assert_same_gradients(got: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert got.keys() == expected.keys()
    for name, want in expected.items():
        # Scores of the tower's key bias cancel: its gradient is rounding alone.
        if not name.endswith("k_proj.bias"):
            assert (got[name] - want).norm() <= 1e-4 * want.norm(), name


@families
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_loss_and_gradients_equal_those_of_a_plain_loss(family: str, options: LossOptions) -> None:
    model = tiny.model(family)
    got, expected = (f(model, batch(), options) for f in (suffix_loss, plain_loss))
    assert got.dtype == torch.float32
    assert got.shape == ()
    assert abs(got - expected) < 1e-5
    assert_same_gradients(gradients(model, got), gradients(model, expected))


def test_the_token_mean_without_smoothing_is_plain_cross_entropy() -> None:
    model, inputs = tiny.model(), random_inputs([8, 8], [5, 5])
    with torch.no_grad():
        logits = model(inputs)
        expected = F.cross_entropy(logits[:, 4:7].flatten(0, 1), inputs.input_ids[:, 5:].flatten())
        got = suffix_loss(model, inputs, LossOptions(mean="token", softcap=True, padding_rows=True))
    assert abs(got - expected) < 1e-5


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_chunks_and_blocks_change_nothing(options: LossOptions, monkeypatch) -> None:
    model, inputs = tiny.model(), long_batch()
    whole = suffix_loss(model, inputs, options)
    expected = gradients(model, whole)
    monkeypatch.setattr(loss_module, "TABLE_BLOCK", 100)
    parts = suffix_loss(model, inputs, replace(options, max_chunk_mib=1))
    assert abs(parts - whole) < 1e-5
    assert_same_gradients(gradients(model, parts), expected)


class MostRows(TorchDispatchMode):
    """Records the largest number of rows of a tensor as wide as the vocabulary."""

    def __init__(self, widths: set[int]) -> None:
        super().__init__()
        self.widths, self.rows = widths, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for each in out if isinstance(out, tuple | list) else (out,):
            if isinstance(each, Tensor) and each.ndim and each.shape[-1] in self.widths:
                self.rows = max(self.rows, each.numel() // each.shape[-1])
        return out


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_logits_of_all_rows_never_exist_at_once(options: LossOptions) -> None:
    model, inputs = tiny.model(), long_batch()
    widths = {model.config.image_token_index, model.config.text_config.vocab_size}
    chunk = 2**20 // (4 * min(widths))
    with MostRows(widths) as seen:
        suffix_loss(model, inputs, replace(options, max_chunk_mib=1)).backward()
    assert 0 < seen.rows <= chunk < 216
    with MostRows(widths) as seen:
        plain_loss(model, inputs, options).backward()
    assert seen.rows >= 216  # the count does see logits


def test_smoothing_gives_padding_rows_nothing() -> None:
    """A row that nobody aims at is pushed down: its own gradient says by how much."""
    model, inputs = tiny.model(), batch()
    ids = model.config.image_token_index
    with torch.no_grad():
        model.language_model.embed_tokens.weight[ids:] -= 1.0
    one_hot, smooth = (
        suffix_loss(model, inputs, LossOptions(label_smoothing=e, padding_rows=True))
        for e in (0.0, 0.5)
    )
    table = "language_model.embed_tokens.weight"
    plain, smoothed = gradients(model, one_hot)[table], gradients(model, smooth)[table]
    assert plain[ids:].abs().max() > 0
    assert torch.equal(plain[ids:], smoothed[ids:])
    assert not torch.equal(plain[:ids], smoothed[:ids])


def test_padding_rows_take_no_part_by_default() -> None:
    model, inputs = tiny.model(), batch()
    before = suffix_loss(model, inputs, LossOptions(label_smoothing=0.1))
    table = gradients(model, before)["language_model.embed_tokens.weight"]
    assert not table[model.config.image_token_index :].any()
    with torch.no_grad():
        model.language_model.embed_tokens.weight[model.config.image_token_index :] = 9.0
    assert suffix_loss(model, inputs, LossOptions(label_smoothing=0.1)) == before


@pytest.mark.parametrize("mean", ["example", "token"])
def test_parts_of_a_batch_add_up_to_its_loss_and_gradients(mean: str) -> None:
    model, options, inputs = tiny.model(), LossOptions(mean=mean), random_inputs([9, 8], [5, 3])
    whole = suffix_loss(model, inputs, options)
    expected = gradients(model, whole)
    parts = [part(inputs, b) for b in range(2)]
    count = sum(loss_count(each, options) for each in parts)
    assert count == loss_count(inputs, options) == (2 if mean == "example" else 9)
    total = sum(suffix_loss(model, each, options, count=count) for each in parts)
    assert abs(total - whole) < 1e-5
    assert_same_gradients(gradients(model, total), expected)


def part(inputs: ModelInputs, b: int) -> ModelInputs:
    return replace(
        inputs,
        image_index=inputs.image_index[b : b + 1],
        input_ids=inputs.input_ids[b : b + 1],
        prefix_lengths=inputs.prefix_lengths[b : b + 1],
        lengths=inputs.lengths[b : b + 1],
    )


def test_a_batch_without_a_suffix_is_refused() -> None:
    with pytest.raises(InputError, match="without a suffix"):
        suffix_loss(tiny.model(), random_inputs([5, 5]), LossOptions())


def test_the_loss_needs_no_gradients() -> None:
    model, inputs = tiny.model(), batch()
    with torch.no_grad():
        without = suffix_loss(model, inputs, LossOptions())
    assert not without.requires_grad
    torch.testing.assert_close(without, suffix_loss(model, inputs, LossOptions()).detach())


def test_a_second_backward_pass_is_refused() -> None:
    loss = suffix_loss(tiny.model(), batch(), LossOptions())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="one backward pass only"):
        loss.backward()


def test_gradients_follow_a_factor_on_the_loss() -> None:
    model = tiny.model()
    expected = gradients(model, suffix_loss(model, batch(), LossOptions()))
    got = gradients(model, suffix_loss(model, batch(), LossOptions()) / 4)
    assert_same_gradients(got, {name: each / 4 for name, each in expected.items()})


def test_a_frozen_table_gets_no_gradient_and_the_others_the_same() -> None:
    model = tiny.model()
    expected = gradients(model, suffix_loss(model, batch(), LossOptions()))
    model.language_model.embed_tokens.requires_grad_(requires_grad=False)
    got = gradients(model, suffix_loss(model, batch(), LossOptions()))
    del expected["language_model.embed_tokens.weight"]
    assert_same_gradients(got, expected)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_autocast_gives_float32_gradients_near_the_exact_ones(is_frozen: bool) -> None:
    model, inputs = tiny.model(), batch()
    model.language_model.embed_tokens.requires_grad_(requires_grad=not is_frozen)
    exact = suffix_loss(model, inputs, LossOptions())
    expected = gradients(model, exact)["language_model.norm.weight"]
    with torch.autocast("cpu", torch.bfloat16):
        rounded = suffix_loss(model, inputs, LossOptions())
    got = gradients(model, rounded)
    assert abs(rounded - exact) < 0.05 * exact
    assert {each.dtype for each in got.values()} == {torch.float32}
    assert ("language_model.embed_tokens.weight" in got) is not is_frozen
    assert F.cosine_similarity(got["language_model.norm.weight"], expected, dim=0) > 0.9


def test_a_bfloat16_model_has_a_float32_loss() -> None:
    model, inputs = tiny.model(), batch()
    exact = suffix_loss(model, inputs, LossOptions()).detach()
    loss = suffix_loss(model.bfloat16(), inputs, LossOptions())
    assert loss.dtype == torch.float32
    assert abs(loss - exact) < 0.05 * exact
    loss.backward()


def test_image_embeddings_may_come_from_outside() -> None:
    model, inputs = tiny.model(), batch()
    embeds = model.encode_images(inputs.pixel_values).detach()
    blind = replace(inputs, pixel_values=torch.full_like(inputs.pixel_values, torch.nan))
    training = TrainingModel(model, LossOptions())
    assert training(blind, embeds) == training(inputs)


# --- options ---


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mean": "sum"}, "'example' or 'token'"),
        ({"label_smoothing": 1.0}, "below 1"),
        ({"label_smoothing": -0.1}, "at least 0"),
        ({"label_smoothing": float("nan")}, "at least 0"),
        ({"max_chunk_mib": 0}, "1 or more"),
    ],
)
def test_wrong_options_are_named(wrong: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        LossOptions(**wrong)


@pytest.mark.gpu
@pytest.mark.parametrize("is_frozen", [False, True])
def test_on_a_gpu_loss_and_gradients_are_those_of_the_cpu(is_frozen: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    model, inputs = tiny.model(), batch()
    model.language_model.embed_tokens.requires_grad_(requires_grad=not is_frozen)
    options = LossOptions(label_smoothing=0.1, softcap=True)
    loss = suffix_loss(model, inputs, options)
    expected = gradients(model, loss)
    cuda = torch.device("cuda")
    there = suffix_loss(model.to(cuda), inputs.to(cuda), options)
    assert abs(there.cpu() - loss) < 1e-4
    got = {name: each.cpu() for name, each in gradients(model, there).items()}
    for name, want in expected.items():
        if not name.endswith("k_proj.bias"):
            assert (got[name] - want).norm() <= 1e-3 * want.norm(), name
