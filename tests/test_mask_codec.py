"""The mask codec against a plain NumPy account of it, its files, and its place in the picture."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from palikit.errors import CheckpointError, InputError
from palikit.masks import Mask, iou
from palikit.model.mask_codec import (
    MaskCodec,
    MaskCodecConfig,
    crop_mask,
    load_mask_codec,
    paste_mask,
    save_mask_codec,
)
from palikit.results import Box
from palikit.vocab import MaskEdges, loc_fraction
from tests.conftest import shared

Floats = npt.NDArray[np.float64]

SMALL = MaskCodecConfig(
    encoder_channels=(4, 5, 6, 7), codebook_width=9, decoder_channels=(12, 8, 6, 5, 4)
)
ODD = MaskCodecConfig(
    encoder_channels=(4, 5, 6, 7),
    encoder_kernels=(3, 4, 3, 2),
    residual_kernels=(3, 1, 3),
    projection_kernel=3,
    codebook_width=9,
    decoder_channels=(12, 8, 6, 5, 4),
)


def random_codec(config: MaskCodecConfig) -> MaskCodec:
    torch.manual_seed(0)
    return MaskCodec(config)


# An independent account in NumPy, of pictures [h, w, channels] and kernels in the file's layout.


def conv_same(x: Floats, w: dict[str, Floats], name: str, stride: int = 1) -> Floats:
    kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    size = kernel.shape[2]
    out_side = -(-len(x) // stride)
    total = max((out_side - 1) * stride + size - len(x), 0)
    before = total // 2
    x = np.pad(x, ((before, total - before), (before, total - before), (0, 0)))
    out = np.empty((out_side, out_side, len(bias)))
    for i in range(out_side):
        for j in range(out_side):
            window = x[i * stride : i * stride + size, j * stride : j * stride + size]
            out[i, j] = np.einsum("hwi,oihw->o", window, kernel) + bias
    return out


def conv_transpose(x: Floats, w: dict[str, Floats], name: str) -> Floats:
    """Every pixel stamps its kernel at twice its place; one pixel is cut all around."""
    kernel, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    side = len(x)
    out = np.zeros((2 * side + 2, 2 * side + 2, len(bias)))
    for i in range(side):
        for j in range(side):
            stamp = np.einsum("i,iohw->hwo", x[i, j], kernel)
            out[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += stamp
    return out[1:-1, 1:-1] + bias


def residual(x: Floats, w: dict[str, Floats], name: str) -> Floats:
    inner = np.maximum(conv_same(x, w, f"{name}.net.0"), 0)
    inner = np.maximum(conv_same(inner, w, f"{name}.net.2"), 0)
    return x + conv_same(inner, w, f"{name}.net.4")


def numpy_features(mask: Floats, w: dict[str, Floats]) -> Floats:
    x = 2 * (mask[:, :, None] - 0.5)
    for layer in (0, 2, 4, 6):
        x = np.maximum(conv_same(x, w, f"encoder.{layer}", stride=2), 0)
    x = residual(residual(x, w, "encoder.8"), w, "encoder.9")
    return conv_same(x, w, "encoder.10")


def numpy_encode(mask: Floats, w: dict[str, Floats]) -> list[int]:
    features = numpy_features(mask, w).reshape(16, -1)
    return [int(np.argmin(((w["_vq_vae._embedding"] - x) ** 2).sum(1))) for x in features]


def numpy_decode(codes: npt.NDArray[np.int64], w: dict[str, Floats]) -> Floats:
    x = w["_vq_vae._embedding"][codes].reshape(4, 4, -1)
    x = np.maximum(conv_same(x, w, "decoder.0"), 0)
    x = residual(residual(x, w, "decoder.2"), w, "decoder.3")
    for layer in (4, 6, 8, 10):
        x = np.maximum(conv_transpose(x, w, f"decoder.{layer}"), 0)
    return conv_same(x, w, "decoder.12")[:, :, 0]


def saved(config: MaskCodecConfig, folder: Path) -> tuple[Path, dict[str, Floats]]:
    path = folder / "vae-oid.npz"
    save_mask_codec(random_codec(config), path)
    with np.load(path, allow_pickle=False) as arrays:
        return path, {name: array.astype(np.float64) for name, array in arrays.items()}


@pytest.mark.parametrize("config", [SMALL, ODD])
def test_codec_agrees_with_its_plain_account(config: MaskCodecConfig, tmp_path: Path) -> None:
    path, weights = saved(config, tmp_path)
    codec = load_mask_codec(path)
    masks = np.random.default_rng(1).random((2, 64, 64)).astype(np.float32)
    codes = np.random.default_rng(2).integers(0, 128, (2, 16))

    features = codec.encoder(2 * torch.from_numpy(masks)[:, None] - 1)
    encoded = codec.encode(torch.from_numpy(masks)[:, None])
    decoded = codec.decode(torch.from_numpy(codes))

    for index in range(2):
        expected = numpy_features(masks[index], weights).transpose(2, 0, 1)
        np.testing.assert_allclose(features[index], expected, atol=1e-5)
        assert encoded[index].tolist() == numpy_encode(masks[index], weights)
        np.testing.assert_allclose(decoded[index], numpy_decode(codes[index], weights), atol=1e-5)


def test_published_layout_is_read_and_written_unchanged(tmp_path: Path) -> None:
    codec = MaskCodec()
    save_mask_codec(codec, tmp_path / "one.npz")
    loaded = load_mask_codec(tmp_path / "one.npz")

    assert all(torch.equal(loaded.state_dict()[k], v) for k, v in codec.state_dict().items())
    assert loaded.codebook.shape == (128, 512)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    with np.load(tmp_path / "one.npz", allow_pickle=False) as arrays:
        assert arrays["_vq_vae._embedding"].shape == (128, 512)
        assert arrays["encoder.0.weight"].shape == (16, 1, 4, 4)
        assert arrays["encoder.9.net.4.bias"].shape == (128,)
        assert arrays["decoder.4.weight"].shape == (128, 128, 4, 4)
        assert arrays["decoder.12.weight"].shape == (1, 16, 1, 1)


def test_codec_is_read_from_safetensors_and_half_precision(tmp_path: Path) -> None:
    path, weights = saved(SMALL, tmp_path)
    halves = {name: torch.from_numpy(array).bfloat16() for name, array in weights.items()}
    save_file(halves, tmp_path / "codec.safetensors")

    codec = load_mask_codec(tmp_path / "codec.safetensors")

    assert codec.codebook.dtype == torch.float32
    torch.testing.assert_close(codec.codebook, load_mask_codec(path).codebook, rtol=1e-2, atol=0)


def test_statistics_of_the_authors_training_are_passed_over(tmp_path: Path) -> None:
    path, weights = saved(SMALL, tmp_path)
    leftovers = {"_vq_vae._ema_cluster_size": np.ones(128), "_vq_vae._ema_w": np.ones((128, 9))}
    np.savez(path, **weights, **leftovers)

    assert load_mask_codec(path).codebook.shape == (128, 9)


def test_all_that_is_wrong_with_the_names_is_said_at_once(tmp_path: Path) -> None:
    path, weights = saved(SMALL, tmp_path)
    del weights["encoder.8.net.2.bias"]
    weights["extra"] = np.ones(1)
    weights["decoder.12.bias"] = np.ones(2)
    np.savez(path, **weights)

    with pytest.raises(CheckpointError) as caught:
        load_mask_codec(path)

    for part in ("missing encoder.8.net.2.bias", "unexpected extra", "decoder.12.bias of shape"):
        assert part in str(caught.value)


def test_a_codebook_of_another_size_is_refused(tmp_path: Path) -> None:
    path, weights = saved(SMALL, tmp_path)
    weights["_vq_vae._embedding"] = weights["_vq_vae._embedding"][:100]
    np.savez(path, **weights)

    with pytest.raises(CheckpointError, match=r"codebook of shape \[100, 9\] instead"):
        load_mask_codec(path)


def test_sizes_that_contradict_each_other_allocate_nothing(tmp_path: Path) -> None:
    path, weights = saved(SMALL, tmp_path)
    for layer in (0, 2):  # together they would ask for a layer of a trillion weights
        weights[f"encoder.{layer}.weight"] = np.ones((1_000_000, 1, 1, 1), np.float32)
    np.savez(path, **weights)

    with pytest.raises(CheckpointError, match=r"encoder\.2\.weight of shape"):
        load_mask_codec(path)


def test_tensors_of_other_shapes_are_refused() -> None:
    codec = random_codec(SMALL)

    with pytest.raises(InputError, match=r"\[B, 1, 64, 64\]"):
        codec.encode(torch.zeros(2, 64, 64))
    with pytest.raises(InputError, match=r"\[B, 16\]"):
        codec.decode(torch.zeros(16, dtype=torch.int64))


def test_no_codes_decode_to_no_masks() -> None:
    assert random_codec(SMALL).decode(torch.zeros(0, 16, dtype=torch.int64)).shape == (0, 64, 64)


# Crop and paste.


def test_pixels_of_a_box_are_those_of_the_authors_evaluator() -> None:
    for side in (64, 224, 333, 640, 1023, 6000):
        for token in range(1, 1024):
            edge = loc_fraction(token) * side
            box, ones = Box(0, 0, edge, 1), np.ones((64, 64), np.float32)
            pasted = paste_mask(ones, box, side, 1, edges="truncate")
            assert pasted.area == int(np.int32(token) / 1023 * side)


def test_paste_scales_raw_values_and_cuts_at_zero() -> None:
    ramp = np.tile(np.linspace(-1, 1, 64, dtype=np.float32), (64, 1))

    mask = paste_mask(ramp, Box(10.9, 20.2, 30.9, 25.7), 50, 40)

    expected = np.zeros((40, 50), np.bool_)
    expected[20:26, 21:31] = True
    np.testing.assert_array_equal(mask.to_array(), expected)


def test_a_value_of_exactly_zero_is_outside() -> None:
    assert paste_mask(np.zeros((64, 64), np.float32), Box(0, 0, 8, 8), 8, 8).area == 0


@pytest.mark.parametrize("box", [Box(3.1, 1, 3.4, 5), Box(1, 3.1, 5, 3.4), Box(5, 5, 2, 2)])
def test_a_box_without_a_whole_pixel_gives_an_empty_mask(box: Box) -> None:
    mask = paste_mask(np.ones((64, 64), np.float32), box, 8, 6)

    assert (mask.width, mask.height, mask.area) == (8, 6, 0)


def test_a_box_beyond_the_picture_is_refused() -> None:
    with pytest.raises(InputError, match="does not lie within"):
        paste_mask(np.ones((64, 64), np.float32), Box(0, 0, 1e9, 1e9), 8, 6)


def test_crop_takes_the_rounded_box_and_scales_it() -> None:
    picture = np.zeros((40, 50), np.bool_)
    picture[10:20, 5:25] = True

    crop = crop_mask(picture, Box(5.4, 9.6, 44.6, 19.8))

    assert crop.shape == (64, 64)
    assert crop.dtype == np.float32
    inside = 20 / 40  # the object's share of the box's width
    assert crop[:, : int(64 * inside) - 2].min() == 1
    assert crop[:, int(64 * inside) + 2 :].max() == 0


def test_crop_of_a_large_mask_is_antialiased() -> None:
    stripes = np.zeros((640, 640), np.bool_)
    stripes[:, ::2] = True

    assert np.abs(crop_mask(stripes, Box(0, 0, 640, 640))[2:-2, 2:-2] - 0.5).max() < 0.03


def test_crop_of_no_pixels_is_refused() -> None:
    picture = np.ones((40, 50), np.bool_)

    for box in (Box(3.1, 1, 3.4, 9), Box(60, 1, 70, 9)):
        with pytest.raises(InputError, match="holds no pixel"):
            crop_mask(picture, box)


def nuclei() -> Iterator[tuple[npt.NDArray[np.bool_], Box]]:
    """Outlines of real nuclei in their pictures, those at least 8 pixels wide and high."""
    for entry in json.loads(shared("data", "dsb2018_nuclei", "index.json").read_text()):
        path = shared("data", "dsb2018_nuclei", "labels", f"{entry['id']}.png")
        with Image.open(path) as file:
            labels = np.asarray(file)
        for number, (x1, y1, x2, y2, _) in enumerate(entry["boxes_xyxy_area"], start=1):
            if min(x2 - x1, y2 - y1) >= 8:
                yield labels == number, Box(x1, y1, x2, y2)


def on_grid(box: Box, width: int, height: int) -> Box:
    """The box as location tokens can say it."""
    x1, x2 = (loc_fraction(round(x / width * 1023)) * width for x in (box.x1, box.x2))
    y1, y2 = (loc_fraction(round(y / height * 1023)) * height for y in (box.y1, box.y2))
    return Box(x1, y1, x2, y2)


def overlaps_after_crop_and_paste(*, edges: MaskEdges, grid: bool = True) -> list[float]:
    """For the first 300 nuclei: IoU of the outline with its way into the square and back.

    The codec is left out: the values that go in are those that a perfect one would give back.
    """
    overlaps = []
    for outline, exact in islice(nuclei(), 300):
        height, width = outline.shape
        box = on_grid(exact, width, height) if grid else exact
        values = crop_mask(outline, box) * 2 - 1
        pasted = paste_mask(values, box, width, height, edges=edges)
        overlaps.append(iou(pasted, Mask.from_array(outline)))
    assert len(overlaps) == 300
    return overlaps


def test_real_outlines_survive_the_way_into_the_square_and_back() -> None:
    for grid in (True, False):
        overlaps = overlaps_after_crop_and_paste(edges="round", grid=grid)
        assert np.mean(overlaps) > 0.999
        assert min(overlaps) > 0.99


def test_on_the_token_grid_truncation_costs_small_outlines_up_to_a_pixel_an_edge() -> None:
    # The authors' evaluator truncates: an edge that the grid puts a hair before a pixel's border
    # falls back by that pixel. Most of these nuclei are 8 to 24 pixels wide, where this alone
    # takes the mean from 1.00 to 0.88; rounding would lose nothing.
    overlaps = overlaps_after_crop_and_paste(edges="truncate")

    assert 0.87 < np.mean(overlaps) < 0.9
