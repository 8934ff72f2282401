"""Our training loss and its gradients against transformers', on random weights of all kinds."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from palikit.checkpoints.names import to_hub
from palikit.model.inputs import ModelInputs
from palikit.model.paligemma import PaliGemma
from palikit.train_options import LossOptions
from palikit.training.loss import suffix_loss
from tests import tiny
from tests.parity.oracle import Oracle, hugging_face_inputs, load_oracle, save_tiny
from tests.tiny import random_inputs

pytestmark = pytest.mark.parity

THEIRS = LossOptions(mean="token", softcap=True, padding_rows=True)
"""The loss that transformers computes from `labels`."""


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory) -> tuple[PaliGemma, Oracle]:
    """A tiny model whose losses are near 8, as where training begins."""
    model = tiny.model(request.param)
    with torch.no_grad():
        model.language_model.norm.weight -= 18.0
    folder = tmp_path_factory.mktemp("checkpoint") / request.param
    return model, load_oracle(save_tiny(folder, model))


def their_loss(oracle: Oracle, inputs: ModelInputs) -> Tensor:
    given = hugging_face_inputs(inputs, oracle.image_id)
    labels = given["input_ids"].masked_fill(given["token_type_ids"] == 0, -100)
    return oracle.model(**given, labels=labels).loss


def gradient(model: torch.nn.Module, loss: Callable[[], Tensor]) -> tuple[Tensor, dict]:
    model.zero_grad()
    value = loss()
    value.backward()
    return value.detach(), {n: w.grad for n, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize(
    ("lengths", "prefixes", "pictures"),
    [([9], [5], 1), ([9, 9], [5, 3], 1), ([9, 6, 12], [5, 4, 3], 1), ([8], [4], 2)],
    ids=["one", "two", "padded", "two pictures"],
)
def test_loss_and_gradients_agree(pair, lengths, prefixes, pictures) -> None:
    model, oracle = pair
    inputs = random_inputs(lengths, prefixes, pictures=pictures)
    ours, got = gradient(model, lambda: suffix_loss(model, inputs, THEIRS))
    theirs, expected = gradient(oracle.model, lambda: their_loss(oracle, inputs))
    assert abs(ours - theirs) < 1e-5
    names = {name: released(name) for name in got}
    assert set(names.values()) == set(expected)
    for name, their_name in names.items():
        # Scores of the tower's key bias cancel: its gradient is rounding alone.
        if not name.endswith("k_proj.bias"):
            want = expected[their_name]
            assert (got[name] - want).norm() <= 1e-3 * want.norm(), name


def released(name: str) -> str:
    """The name that transformers gives a weight in memory."""
    name = to_hub(name).replace("language_model.model.", "language_model.")
    return "model." + name.replace("vision_model.", "")


def test_the_default_differs_from_theirs_by_mean_cap_and_rows(pair) -> None:
    """Each of the three counts: without it the losses are not equal."""
    model, oracle = pair
    inputs = random_inputs([9, 12], [5, 3])
    theirs = their_loss(oracle, inputs)
    for change in ({"mean": "example"}, {"softcap": False}, {"padding_rows": False}):
        if "softcap" in change and model.config.text_config.final_logit_softcapping is None:
            continue
        assert abs(suffix_loss(model, inputs, replace(THEIRS, **change)) - theirs) > 1e-3
