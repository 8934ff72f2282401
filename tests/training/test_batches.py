"""Batches and the steps made of them."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from palikit.errors import InputError, PaliKitError
from palikit.processor import Processor, Query
from palikit.train_options import LossOptions
from palikit.training.batches import Batch, Batches
from tests import tiny
from tests.training.toy import Toy, train, trained, with_options


def batches(**changes) -> Batches:
    rest = {name: changes.pop(name) for name in ("rank", "processes") if name in changes}
    source = changes.pop("source", Toy())
    processor = Processor(tiny.tokenizer(), 28)
    return Batches(source, processor, with_options(**changes), LossOptions(), **rest)


def texts(batch: Batch) -> list[list[int]]:
    rows = [
        row[:length].tolist()
        for part in batch.parts
        for row, length in zip(part.input_ids, part.lengths, strict=True)
    ]
    return sorted(rows)


@pytest.mark.parametrize("changes", [{"num_workers": 0}, {"num_workers": 3}])
def test_batches_come_in_their_order(changes: dict) -> None:
    made = batches(**changes)
    for step, batch in enumerate(made.between(2, 9), start=2):
        assert batch.step == step
        assert texts(batch) == texts(made.at(step))


def test_processes_prepare_the_same_batches() -> None:
    made = batches(num_workers=2, worker_processes=True)
    with_processes = [texts(batch) for batch in made.between(0, 4)]
    assert with_processes == [texts(made.at(step)) for step in range(4)]


class Greedy(Toy):
    """Takes more memory than there is, in the process that prepares batches alone."""

    def __init__(self) -> None:
        self.owner = os.getpid()

    def query(self, index: int, random: np.random.Generator) -> Query:
        if os.getpid() != self.owner:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().query(index, random)


def test_a_process_that_is_killed_is_told_in_a_sentence() -> None:
    made = batches(source=Greedy(), num_workers=1, worker_processes=True)
    with pytest.raises(PaliKitError, match=r"for want of memory: .*--resume"):
        list(made.between(0, 4))


def test_parts_hold_the_examples_of_the_whole() -> None:
    whole, parts = batches().at(3), batches(accumulation=2).at(3)
    assert len(parts.parts) == 2
    assert texts(whole) == texts(parts)
    assert whole.count == parts.count == 4


def test_processes_hold_the_examples_of_one() -> None:
    shares = [batches(rank=rank, processes=2).at(3) for rank in (0, 1)]
    assert sorted(texts(shares[0]) + texts(shares[1])) == texts(batches().at(3))


def test_a_batch_that_cannot_be_divided_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size is 4: it must be a multiple of 3"):
        batches(processes=3)


class Long(Toy):
    def query(self, index: int, random: np.random.Generator) -> Query:
        return Query((tiny.picture(0),), "cat", "dog " * 40)


def test_a_text_beyond_the_limit_is_an_error_that_shows_it() -> None:
    with pytest.raises(InputError, match=r"'cat' -> 'dog dog.*max_text_tokens, 20"):
        next(batches(source=Long(), max_text_tokens=20).between(0, 1))


class Album(Toy):
    def query(self, index: int, random: np.random.Generator) -> Query:
        query = super().query(index, random)
        return replace(query, pictures=query.pictures * (1 + index % 2))


def test_examples_of_one_and_of_two_pictures_share_a_step(tmp_path: Path) -> None:
    batch = batches(source=Album()).at(0)
    assert sorted(part.image_index.shape[1] for part in batch.parts) == [1, 2]
    assert batch.pictures == 6
    assert train(tmp_path / "run", examples=Album()).step == 6


@pytest.mark.parametrize("mean", ["example", "token"])
def test_accumulation_changes_no_weight_beyond_rounding(tmp_path: Path, mean: str) -> None:
    # Plain SGD: what Adam does to a gradient near zero magnifies any rounding.
    options = with_options(dropout=0.0, optimizer="sgd", learning_rate=1e-2)
    loss = LossOptions(mean=mean)
    one = trained(tmp_path / "one", options, loss=loss)
    four = trained(tmp_path / "four", replace(options, accumulation=4), loss=loss)
    for (name, a), b in zip(one.named_parameters(), four.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)
    started = tiny.model()
    assert not torch.allclose(
        started.language_model.embed_tokens.weight, one.language_model.embed_tokens.weight
    )
