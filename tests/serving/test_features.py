"""Features kept by the content of their pictures."""

import pytest
import torch

from palikit.model.paligemma import PaliGemma
from palikit.serving.features import FeatureCache, digest_of
from tests import tiny


def pixels_of(*seeds: int) -> torch.Tensor:
    processor = tiny.predictor().processor
    return processor.pixel_values([tiny.picture(seed) for seed in seeds])


def features(cache: FeatureCache, model: PaliGemma, *seeds: int) -> torch.Tensor:
    pixels = pixels_of(*seeds)
    return cache.features(model, pixels, [digest_of(each) for each in pixels])


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[PaliGemma, list[int]]:
    model, sizes = tiny.model(), []
    encode = model.encode_images
    monkeypatch.setattr(model, "encode_images", lambda x: sizes.append(len(x)) or encode(x))
    return model, sizes


@torch.inference_mode()
def one_size(model: PaliGemma) -> int:
    return model.encode_images(pixels_of(0)).nbytes


def test_features_are_those_of_the_image_tower_in_the_order_of_the_batch(counted) -> None:
    model, sizes = counted
    cache = FeatureCache(2**20)
    features(cache, model, 1, 3)
    got = features(cache, model, 3, 2, 1, 2)
    with torch.inference_mode():
        expected = model.encode_images(pixels_of(3, 2, 1, 2))
    torch.testing.assert_close(got, expected)
    assert sizes == [2, 1, 4]
    assert (cache.hits, cache.misses) == (3, 3)


def test_pictures_that_differ_in_one_grey_level_are_not_taken_for_each_other(counted) -> None:
    model, sizes = counted
    cache, one = FeatureCache(2**20), pixels_of(0)
    other = one.clone()
    other[0, 0, 0, 0] += 2 / 255
    for pixels in (one, other):
        cache.features(model, pixels, [digest_of(pixels[0])])
    assert sizes == [1, 1]


def test_the_bytes_held_are_bounded_and_the_one_used_longest_ago_goes(counted) -> None:
    model, sizes = counted
    cache = FeatureCache(3 * one_size(model) + 1)
    sizes.clear()
    features(cache, model, 1, 2, 3)
    features(cache, model, 1)
    features(cache, model, 4)  # in the place of 2
    assert cache.nbytes == 3 * one_size(model)
    sizes.clear()
    features(cache, model, 1, 3, 4)
    assert sizes == []
    features(cache, model, 2)
    assert sizes == [1]
    for seed in range(20):
        features(cache, model, seed, seed + 1)
        assert cache.nbytes <= cache.max_bytes
        assert cache.nbytes == sum(held.nbytes for held in cache._held.values())


def test_a_picture_holds_no_memory_of_those_it_was_encoded_with(counted) -> None:
    model, _ = counted
    cache = FeatureCache(2**20)
    features(cache, model, 1, 2, 3)
    for held in cache._held.values():
        assert held.untyped_storage().nbytes() == held.nbytes


@pytest.mark.parametrize("max_bytes", [0, 100])
def test_nothing_is_kept_where_there_is_no_room(counted, max_bytes: int) -> None:
    model, sizes = counted
    cache = FeatureCache(max_bytes)
    first = features(cache, model, 1, 1)
    assert torch.equal(first[0], first[1])
    features(cache, model, 1)
    assert sizes == [1, 1]
    assert cache.nbytes == 0
