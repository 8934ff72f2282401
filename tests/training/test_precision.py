"""Dtypes of weights, products and files; kept features; memory; roles of tokens."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from palikit.data.rows import Row
from palikit.errors import CheckpointError, InputError
from palikit.processor import Processor, Query
from palikit.scores import Scores
from palikit.train_options import LoraOptions, LossOptions
from palikit.training import Mixture, RowExamples, features
from palikit.training.batches import Batches
from palikit.training.features import FeatureStore, with_kept_features
from palikit.training.memory import estimate_memory
from palikit.training.tokens import example_tokens
from tests import tiny
from tests.training.toy import are_equal, train, trained, with_options


def bfloat16_model():
    return tiny.model().to(torch.bfloat16)


def test_what_learns_is_float32_and_what_is_frozen_stays(tmp_path: Path) -> None:
    model = bfloat16_model()
    tower = model.vision_tower.layers[0].mlp.fc1.weight.clone()
    seen = {}

    def evaluate(model, folder: Path) -> Scores:
        seen["dtypes"] = {weight.dtype for weight in model.parameters()}
        return Scores((("ap", 0.0),), "ap")

    options = with_options(method="frozen_tower", precision="bfloat16")
    train(tmp_path / "run", options, model=model, evaluate=evaluate)
    assert model.vision_tower.layers[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert torch.equal(model.vision_tower.layers[0].mlp.fc1.weight, tower)
    assert model.language_model.layers[0].mlp.up_proj.weight.dtype == torch.float32
    assert seen["dtypes"] == {torch.bfloat16}
    saved = load_file(tmp_path / "run" / "best" / "model.safetensors")
    assert {weight.dtype for weight in saved.values()} == {torch.bfloat16}
    checkpoint = tmp_path / "run" / "checkpoints" / "step-000006" / "weights.safetensors"
    assert {weight.dtype for weight in load_file(checkpoint).values()} == {torch.float32}


def test_float32_holds_for_all_weights(tmp_path: Path) -> None:
    model = bfloat16_model()
    train(tmp_path / "run", with_options(method="frozen_tower", precision="float32"), model=model)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_products_with_a_base_of_four_bits_have_the_precision_of_the_run(precision: str) -> None:
    from palikit.training.setup import choose_learning

    model = bfloat16_model()
    choose_learning(model, with_options(method="qlora", precision=precision), LoraOptions())
    layer = model.language_model.layers[0].mlp.up_proj.base_layer
    assert layer.compute_dtype == getattr(torch, precision)


def test_steps_too_small_for_bfloat16_add_up(tmp_path: Path) -> None:
    """The reason for float32 masters: a bfloat16 weight would not move by a 1000th of itself."""
    model = bfloat16_model()
    before = model.multi_modal_projector.weight.float().clone()
    options = with_options(precision="bfloat16", learning_rate=1e-6, schedule="constant")
    train(tmp_path / "run", options, model=model)
    after = model.multi_modal_projector.weight.detach()
    assert (after != before).float().mean() > 0.9
    assert (after.to(torch.bfloat16).float() == before).float().mean() > 0.9


def test_loaded_weights_are_not_written_into_their_file(tmp_path: Path) -> None:
    from palikit.checkpoints import load_checkpoint, save_checkpoint

    save_checkpoint(tiny.model(), tmp_path / "model", tokenizer_file=None)
    bytes_before = (tmp_path / "model" / "model.safetensors").read_bytes()
    loaded = load_checkpoint(tmp_path / "model", dtype=None, device=torch.device("cpu"))
    train(tmp_path / "run", model=loaded.model)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == bytes_before
    assert are_equal(loaded.model, trained(tmp_path / "other"))


@pytest.fixture
def rows(tmp_path: Path) -> tuple[Row, ...]:
    made = []
    for n in range(5):
        tiny.picture(n).save(tmp_path / f"{n}.png")
        made.append(Row((tmp_path / f"{n}.png",), "cat", ("dog " * (n % 3 + 1), "big")))
    return tuple(made)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_kept_features_change_no_loss(
    tmp_path: Path, rows: tuple[Row, ...], precision: str
) -> None:
    options = with_options(method="frozen_tower", precision=precision)
    losses = {}
    for keeps in (False, True):
        figures: list = []
        train(
            tmp_path / f"run{keeps}",
            replace(options, cache_features=keeps),
            examples=RowExamples(rows),
            on_step=figures.append,
        )
        losses[keeps] = [each.loss for each in figures]
    assert losses[True] == pytest.approx(losses[False], rel=1e-5)
    assert list((tmp_path / "runTrue" / "features").rglob("*.safetensors"))


def test_features_are_computed_once_a_picture(tmp_path: Path, rows: tuple[Row, ...]) -> None:
    options = with_options(
        method="frozen_tower", cache_features=True, features=str(tmp_path / "features")
    )
    told: list[str] = []
    for name, some in (("a", rows[:4]), ("b", rows[:4]), ("c", (*rows, rows[0]))):
        train(tmp_path / name, options, examples=RowExamples(some), on_remark=told.append)
    counted = [line for line in told if "features" in line]
    assert len(counted) == 2
    assert "features of 4 pictures" in counted[0]
    assert "features of 1 pictures" in counted[1]


def test_kept_features_reach_processes_that_share_no_memory(
    tmp_path: Path, rows: tuple[Row, ...]
) -> None:
    processor = Processor(tiny.tokenizer(), 28)
    examples, kept = with_kept_features(
        RowExamples(rows), processor, tiny.model(), tmp_path, torch.float32, lambda _: None
    )
    options = with_options(method="frozen_tower", cache_features=True)
    made = Batches(examples, kept, options, LossOptions())
    sent = pickle.loads(pickle.dumps(made))
    (part,), (again,) = made.at(0).parts, sent.at(0).parts
    assert torch.equal(part.pixel_values, again.pixel_values)
    assert torch.equal(part.input_ids, again.input_ids)


def test_two_runs_may_keep_features_in_one_folder_at_once(tmp_path: Path) -> None:
    one, other = FeatureStore(tmp_path), FeatureStore(tmp_path)
    one.add(["a"], torch.ones(1, 4, 2))
    other.add(["b"], torch.zeros(1, 4, 2))
    assert one.get("a").eq(1).all()
    both = FeatureStore(tmp_path)
    assert both.get("a").eq(1).all()
    assert both.get("b").eq(0).all()


def test_features_that_cannot_be_written_or_read_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(tmp_path)
    store.add(["a"], torch.ones(1, 4, 2))
    (shard,) = tmp_path.iterdir()
    shard.write_bytes(shard.read_bytes()[:20])
    with pytest.raises(CheckpointError, match=r"is damaged .*computed again"):
        FeatureStore(tmp_path)

    def full(*_: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(features, "write_tensors", full)
    with pytest.raises(CheckpointError, match=r"could not be written .*No space left"):
        store.add(["b"], torch.ones(1, 4, 2))
    assert list(tmp_path.iterdir()) == [shard]


def test_pictures_that_are_opened_in_another_way_have_no_kept_features(
    tmp_path: Path, rows: tuple[Row, ...]
) -> None:
    options = with_options(method="frozen_tower", cache_features=True)
    with pytest.raises(InputError, match="opened as they are"):
        train(tmp_path / "run", options, examples=RowExamples(rows, lambda _: tiny.picture()))


def test_features_of_another_tower_are_others(tmp_path: Path, rows: tuple[Row, ...]) -> None:
    options = with_options(
        method="frozen_tower", cache_features=True, features=str(tmp_path / "features")
    )
    mixture = Mixture(((RowExamples(rows), 2.0), (RowExamples(rows[:2]), 1.0)))
    train(tmp_path / "a", options, examples=mixture)
    train(tmp_path / "b", options, examples=mixture, model=tiny.model(seed=1))
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_features_of_a_tower_that_learns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the image tower learns"):
        train(tmp_path / "run", with_options(cache_features=True))


def test_a_row_with_several_suffixes_shows_each(rows: tuple[Row, ...]) -> None:
    import numpy as np

    examples = RowExamples(rows)
    seen = {examples.query(0, np.random.default_rng(seed)).suffix for seed in range(20)}
    assert seen == set(rows[0].suffixes)


def test_objects_in_random_order_are_shuffled_and_none_is_lost(rows: tuple[Row, ...]) -> None:
    import numpy as np

    suffix = "<loc0001> a ; <loc0002> b ; <loc0003> c"
    examples = RowExamples([replace(rows[0], suffixes=(suffix,), order="random")])
    seen = {examples.query(0, np.random.default_rng(seed)).suffix for seed in range(60)}
    assert len(seen) == 6
    assert {tuple(sorted(each.split(" ; "))) for each in seen} == {tuple(suffix.split(" ; "))}


def test_a_picture_that_is_gone_is_told_with_its_row(tmp_path: Path, rows: tuple[Row, ...]) -> None:
    gone = replace(rows[0], images=(tmp_path / "gone.png",), where="train.jsonl, line 7")
    with pytest.raises(InputError, match=r"^train.jsonl, line 7: no such file: .*gone.png"):
        train(tmp_path / "run", examples=RowExamples([gone]))


def test_the_order_of_examples_is_in_their_fingerprint(rows: tuple[Row, ...]) -> None:
    whole = RowExamples(rows).fingerprint
    assert RowExamples(rows).fingerprint == whole
    assert RowExamples(rows[::-1]).fingerprint != whole
    changed = replace(rows[0], suffixes=("other",))
    assert RowExamples((changed, *rows[1:])).fingerprint != whole


def measured_activations(image_size: int = 28, **changes) -> tuple[int, int]:
    """Bytes kept for the backward pass of a real batch, and the estimate."""
    from palikit.training.loss import suffix_loss

    options = with_options(dropout=0.0, **changes)
    model = tiny.model(image_size=image_size)
    kept: dict[int, torch.Tensor] = {}
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    inputs = tiny.random_inputs([40] * 4, [20] * 4)
    inputs = replace(inputs, pixel_values=torch.zeros(4, 3, image_size, image_size))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        suffix_loss(model, inputs, LossOptions())
    total = sum(tensor.untyped_storage().nbytes() for p, tensor in kept.items() if p not in weights)
    estimate = estimate_memory(
        model.config,
        options,
        LossOptions(),
        None,
        text_tokens=40,
        pictures=1,
        stored=torch.float32,
        compute=torch.float32,
    )
    return total, estimate.activations


@pytest.mark.parametrize("image_size", [28, 224])  # 4 and 256 image tokens
def test_the_estimate_of_activations_is_near_what_is_kept(image_size: int) -> None:
    measured, estimated = measured_activations(image_size)
    assert estimated == pytest.approx(measured, rel=0.05)


def test_checkpointing_layers_lowers_the_estimate() -> None:
    _, whole = measured_activations()
    _, checkpointed = measured_activations(gradient_checkpointing=True)
    assert checkpointed < 0.6 * whole


def test_the_estimate_counts_weights_gradients_and_moments() -> None:
    def estimate(**changes):
        return estimate_memory(
            tiny.config(),
            with_options(**changes),
            LossOptions(),
            LoraOptions(),
            text_tokens=40,
            pictures=1,
            stored=torch.bfloat16,
            compute=torch.bfloat16,
        )

    whole = estimate()
    count = sum(weight.numel() for weight in tiny.model().parameters())
    assert (whole.weights, whole.gradients, whole.optimizer) == (6 * count, 4 * count, 8 * count)
    lora = estimate(method="lora")
    assert lora.optimizer == 2 * lora.gradients
    assert 2 * count < lora.weights < 2 * count + 2 * lora.gradients
    assert estimate(method="qlora").weights < lora.weights
    assert estimate(optimizer="sgd").optimizer == 0
    matrices = sum(
        weight.numel()
        for name, weight in tiny.model().named_parameters()
        if ".layers." in name and weight.ndim == 2
    )
    assert estimate(optimizer="muon").optimizer == 8 * count - 4 * matrices
    assert estimate(batch_size=8).logits == 2 * estimate().logits


def test_an_example_is_shown_as_the_model_sees_it() -> None:
    processor = Processor(tiny.tokenizer(), 28)
    query = Query((tiny.picture(),), "cat", "<loc0001>dog")
    tokens = example_tokens(query, processor, 4)
    assert [(token.role, token.text) for token in tokens] == [
        ("image", "<image>"),
        ("bos", "<bos>"),
        ("prefix", "cat"),
        ("newline", "\\n"),
        ("suffix", "<loc0001>"),
        ("suffix", "dog"),
        ("eos", "<eos>"),
    ]
    inputs = processor([query])
    with_loss = sum(token.has_loss for token in tokens)
    assert with_loss == int(inputs.lengths - inputs.prefix_lengths)
    assert sum(token.count for token in tokens) == 4 + int(inputs.lengths)
