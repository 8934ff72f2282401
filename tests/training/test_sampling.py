"""Which example comes when."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from palikit.errors import InputError
from palikit.training import sampling
from palikit.training.examples import Mixture
from palikit.training.sampling import (
    BLOCK,
    MAX_SHUFFLED,
    block_counts,
    generator_of,
    place_of,
)
from tests.training.toy import Toy


@given(size=st.integers(1, 50), epoch=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_an_epoch_holds_every_example_once(size: int, epoch: int, seed: int) -> None:
    positions = range(epoch * size, (epoch + 1) * size)
    indices = [place_of(position, (size,), (1.0,), seed).index for position in positions]
    assert sorted(indices) == list(range(size))


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(epoch: int, seed: int) -> list[int]:
        return [place_of(epoch * 100 + i, (100,), (1.0,), seed).index for i in range(100)]

    assert len({tuple(order(epoch, seed)) for epoch in range(3) for seed in range(3)}) == 9


def test_examples_without_an_end_are_taken_in_their_order() -> None:
    size = 2**40
    assert size > MAX_SHUFFLED
    assert [place_of(p, (size,), (1.0,), 0).index for p in (0, 5, 10**9)] == [0, 5, 10**9]


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=4),
    blocks=st.integers(0, 3),
    seed=st.integers(0, 9),
)
def test_each_part_of_a_mixture_goes_through_its_own_epochs(
    sizes: list[int], blocks: int, seed: int
) -> None:
    shares = tuple(float(n) for n in range(1, len(sizes) + 1))
    first = blocks * BLOCK
    places = [place_of(first + i, tuple(sizes), shares, seed) for i in range(BLOCK)]
    for part, size in enumerate(sizes):
        own = [place for place in places if place.part == part]
        assert [place.position for place in own] == list(
            range(own[0].position, own[0].position + len(own))
        )
        assert own[0].position == blocks * len(own)
        assert len(own) == block_counts(shares)[part]
        epochs = Counter(place.position // size for place in own)
        for epoch in [number for number, count in epochs.items() if count == size]:
            indices = [place.index for place in own if place.position // size == epoch]
            assert sorted(indices) == list(range(size))


def test_shares_of_a_mixture_are_those_of_its_weights() -> None:
    places = [place_of(p, (10, 10, 10), (7.0, 2.0, 1.0), 3) for p in range(2 * BLOCK)]
    assert Counter(place.part for place in places) == {0: 1400, 1: 400, 2: 200}


def test_the_least_of_weights_still_comes() -> None:
    assert block_counts((1e9, 1.0)) == (BLOCK - 1, 1)


def test_choices_differ_between_visits_and_are_repeatable() -> None:
    def draws(position: int) -> list[int]:
        return generator_of(place_of(position, (4,), (1.0,), 0), 0).integers(1000, size=3).tolist()

    visits = [p for p in range(40) if place_of(p, (4,), (1.0,), 0).index == 1]
    assert len({tuple(draws(p)) for p in visits}) == len(visits)
    assert draws(7) == draws(7)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_number_above_zero(weight: float) -> None:
    with pytest.raises(InputError, match="must be above 0"):
        Mixture(((Toy(), weight),))


def test_an_order_is_shuffled_once_an_epoch_however_many_the_data_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shuffled: list[tuple[int, ...]] = []
    make = sampling._order

    def counted(seed: int, part: int, size: int, epoch: int):
        shuffled.append((part, epoch))
        return make(seed, part, size, epoch)

    monkeypatch.setattr(sampling, "_order", counted)
    sampling._orders.cache_clear()
    for position in range(2 * BLOCK):
        place_of(position, (1000,) * 40, (1.0,) * 40, 11)
    assert len(shuffled) == len(set(shuffled)) == 40


def test_random_state_of_numpy_is_left_alone() -> None:
    before = np.random.get_state()[1].tolist()  # noqa: NPY002 (what is looked at)
    generator_of(place_of(1, (4,), (1.0,), 0), 0).random()
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
