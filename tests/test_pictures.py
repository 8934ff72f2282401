"""Any source of a picture becomes the same upright RGB picture, or one clear InputError."""

import io
import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from palikit.errors import InputError
from palikit.pictures import (
    FORMATS,
    PICTURE_SUFFIXES,
    describe_source,
    load_picture,
)
from tests.conftest import shared

ORIENTATION = 0x0112
UNTURNED = {  # the stored picture that each orientation turns into the upright one
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


def noise(height: int = 6, width: int = 9, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(picture: Image.Image, fmt: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, fmt, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    idat = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + idat + chunk(b"IEND", b"")


# Sources


def test_a_path_bytes_a_stream_a_picture_and_an_array_give_the_same_pixels(tmp_path: Path) -> None:
    array = noise()
    picture = Image.fromarray(array)
    path = tmp_path / "a.png"
    picture.save(path)
    with path.open("rb") as stream:
        for source in (str(path), path, path.read_bytes(), stream, picture, array):
            loaded = load_picture(source)
            assert loaded.mode == "RGB"
            assert np.array_equal(pixels(loaded), array)
        assert not stream.closed


def test_a_stream_is_read_from_its_start_wherever_it_stands() -> None:
    stream = io.BytesIO(encoded(Image.fromarray(noise())))
    stream.read(50)
    assert np.array_equal(pixels(load_picture(stream)), noise())


def test_the_result_shares_nothing_with_its_source() -> None:
    array, picture = noise(), Image.fromarray(noise())
    for source in (array, picture):
        load_picture(source).paste("red", (0, 0, 9, 6))
    assert np.array_equal(array, noise())
    assert np.array_equal(pixels(picture), noise())


def test_a_pil_picture_keeps_its_exif_its_mode_and_its_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with Image.open(path) as picture:
        picture.seek(1)
        assert load_picture(picture).getpixel((0, 0)) == (0, 255, 0)
        assert picture.tell() == 1
    jpeg = rotated_jpeg(6)
    with Image.open(io.BytesIO(jpeg)) as picture:
        load_picture(picture)
        assert picture.getexif()[ORIENTATION] == 6


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"no such file: nowhere/cat\.jpg"):
        load_picture("nowhere/cat.jpg")


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        load_picture(tmp_path)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    for name in ("a\0b.png", "x" * 5000):
        with pytest.raises(InputError):
            load_picture(name)


def test_a_pipe_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os = pytest.importorskip("os")
    if not hasattr(os, "mkfifo"):
        pytest.skip("no named pipes on this system")
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(InputError, match="not a regular file"):
        load_picture(tmp_path / "pipe.png")


@pytest.mark.parametrize("source", [None, 7, ["a.png"]])
def test_a_value_that_is_no_source_is_refused_by_its_type(source: object) -> None:
    with pytest.raises(InputError, match=f"got {type(source).__name__} for a picture"):
        load_picture(source)  # type: ignore[arg-type]


def test_an_address_is_not_opened_unless_allowed() -> None:
    with pytest.raises(InputError, match="addresses are not opened here"):
        load_picture("http://127.0.0.1:9/cat.png")


def test_sources_are_described_by_path_address_or_size(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (4, 3)).save(path)
    assert describe_source("dir/a.png") == "dir/a.png"
    assert describe_source(path) == str(path)
    assert describe_source("https://example.org/a.png") == "https://example.org/a.png"
    assert (
        describe_source("data:image/png;base64,AAAA") == "data:image/png;base64,... (4 characters)"
    )
    assert describe_source(b"123") == "picture in memory (3 bytes)"
    assert describe_source(Image.new("L", (640, 480))) == "picture in memory (640 x 480)"
    assert describe_source(np.zeros((3, 4), bool)) == "array of shape [3, 4] and type bool"
    assert describe_source(io.BytesIO()) == "picture in memory"
    with Image.open(path) as picture, path.open("rb") as stream:
        assert describe_source(picture) == describe_source(stream) == str(path)


def test_the_suffixes_of_folder_scans_belong_to_formats_that_pillow_knows() -> None:
    Image.init()
    for suffix in PICTURE_SUFFIXES - {".heic", ".heif", ".jxl"}:
        assert Image.EXTENSION[suffix] in FORMATS


# Pixels


def test_rgb_photos_are_exactly_what_pillow_decodes() -> None:
    photos = sorted(p for p in shared("data", "photos").iterdir() if p.suffix in PICTURE_SUFFIXES)
    assert len(photos) == 47
    compared = 0
    for path in photos:
        with Image.open(path) as picture:
            if picture.getexif().get(ORIENTATION, 1) != 1 or picture.has_transparency_data:
                continue
            assert np.array_equal(pixels(load_picture(path)), pixels(picture.convert("RGB"))), path
            compared += 1
    assert compared > 40


def rotated_jpeg(orientation: int) -> bytes:
    """Blocks of 16 x 16 in flat colours, so that JPEG keeps them through every turn."""
    blocks = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[0] * 3, [128] * 3, [255] * 3]])
    upright = blocks.astype(np.uint8).repeat(16, 0).repeat(16, 1)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.ascontiguousarray(UNTURNED[orientation](upright)))
    return encoded(stored, "JPEG", quality=100, subsampling=0, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_picture(orientation: int) -> None:
    jpeg = rotated_jpeg(orientation)
    expected = pixels(load_picture(rotated_jpeg(1))).astype(int)
    for source in (jpeg, Image.open(io.BytesIO(jpeg))):
        assert np.abs(pixels(load_picture(source)) - expected).max() <= 2


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "WEBP"])
def test_the_orientation_of_other_formats_is_applied_once(fmt: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {"lossless": True} if fmt == "WEBP" else {}
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(noise())))
    assert np.array_equal(pixels(load_picture(encoded(stored, fmt, exif=exif, **options))), noise())


def test_loading_a_loaded_picture_does_not_turn_it_again() -> None:
    once = load_picture(rotated_jpeg(6))
    assert np.array_equal(pixels(load_picture(once)), pixels(once))


@pytest.mark.parametrize("fmt", ["PNG", "WEBP"])
def test_a_damaged_exif_block_does_not_cost_the_picture(fmt: str) -> None:
    options = {"lossless": True} if fmt == "WEBP" else {}
    data = encoded(Image.fromarray(noise()), fmt, exif=b"Exif\0\0" + b"\xff" * 12, **options)
    assert np.array_equal(pixels(load_picture(data)), noise())


def test_transparency_is_laid_over_white() -> None:
    array = np.zeros((1, 3, 4), np.uint8)
    array[0, :, 3] = [0, 128, 255]
    expected = [[255] * 3, [127] * 3, [0] * 3]
    straight = Image.fromarray(array)
    for picture in (straight, straight.convert("LA"), straight.convert("RGBa")):
        assert pixels(load_picture(picture))[0].tolist() == expected
    assert pixels(load_picture(straight.convert("LA").convert("La")))[0].tolist() == expected
    assert pixels(load_picture(array))[0].tolist() == expected


def test_a_palette_gives_its_colours_and_its_transparent_entries_white() -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for x in range(3):
        picture.putpixel((x, 0), x)
    colours = [[10, 20, 30], [40, 50, 60], [70, 80, 90]]
    assert pixels(load_picture(encoded(picture)))[0].tolist() == colours
    white = [255] * 3
    one, table = encoded(picture, transparency=1), encoded(picture, transparency=b"\xff\x00\xff")
    for data in (one, table, encoded(picture, "GIF", transparency=1)):
        assert pixels(load_picture(data))[0].tolist() == [colours[0], white, colours[2]]


def test_the_transparent_colour_of_a_png_without_alpha_becomes_white() -> None:
    rgb = Image.fromarray(np.array([[[9, 9, 9], [1, 2, 3]]], np.uint8))
    grey = Image.fromarray(np.array([[2570, 5140]], np.uint16))
    as_rgb = pixels(load_picture(encoded(rgb, transparency=(1, 2, 3))))
    as_grey = pixels(load_picture(encoded(grey, transparency=5140)))
    assert as_rgb[0].tolist() == [[9] * 3, [255] * 3]
    assert as_grey[0].tolist() == [[10] * 3, [255] * 3]


def test_grey_and_one_bit_pictures_become_rgb() -> None:
    grey = noise(channels=1)[..., 0]
    assert np.array_equal(pixels(load_picture(encoded(Image.fromarray(grey))))[..., 2], grey)
    bits = grey > 127
    assert np.array_equal(pixels(load_picture(encoded(Image.fromarray(bits))))[..., 1], bits * 255)


DEEP = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
SCALED = [[0, 0, 1, 1, 128, 255]]


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(fmt: str) -> None:
    loaded = load_picture(encoded(Image.fromarray(DEEP), fmt))
    assert pixels(loaded)[..., 0].tolist() == SCALED


def test_every_sixteen_bit_mode_of_pillow_is_scaled() -> None:
    big_endian = Image.frombytes("I;16B", (6, 1), DEEP.astype(">u2").tobytes())
    tiff = encoded(big_endian, "TIFF")
    assert tiff[:2] == b"MM"
    for source in (big_endian, tiff, Image.fromarray(DEEP.astype(np.int32))):
        assert pixels(load_picture(source))[..., 0].tolist() == SCALED


def test_integers_beyond_sixteen_bits_are_refused() -> None:
    for value in (-1, 65536):
        with pytest.raises(InputError, match="expected 0 to 65535"):
            load_picture(Image.fromarray(np.full((2, 2), value, np.int32)))


def test_pictures_of_floats_go_to_1_or_to_255() -> None:
    to_1 = np.array([[0, 0.5, 1]], np.float32)
    for values in (to_1, to_1 * 255):
        picture = Image.fromarray(values)
        for source in (picture, encoded(picture, "TIFF")):
            assert pixels(load_picture(source))[0, :, 0].tolist() == [0, 128, 255]
    for bad in (np.nan, np.inf, -1, 300):
        with pytest.raises(InputError, match="expected 0 to 1"):
            load_picture(Image.fromarray(np.full((1, 1), bad, np.float32)))


def test_cmyk_and_ycbcr_are_converted_as_pillow_does() -> None:
    cmyk = Image.fromarray(noise(16, 16, 4), "CMYK")
    for fmt in ("JPEG", "TIFF"):
        data = encoded(cmyk, fmt)
        expected = Image.open(io.BytesIO(data)).convert("RGB")
        assert np.array_equal(pixels(load_picture(data)), pixels(expected))
    ycbcr = Image.fromarray(noise()).convert("YCbCr")
    assert np.array_equal(pixels(load_picture(ycbcr)), pixels(ycbcr.convert("RGB")))


def test_an_inverted_adobe_cmyk_jpeg_is_not_a_negative() -> None:
    """Adobe stores ink as 255 - ink and says so in a marker, which Pillow writes as well."""
    data = encoded(Image.new("CMYK", (16, 16), (0, 0, 0, 0)), "JPEG")
    assert b"Adobe" in data
    assert pixels(load_picture(data)).min() == 255


def test_lab_pictures_are_converted_through_their_profile() -> None:
    rgb = Image.fromarray(np.array([[[255, 255, 255], [0, 0, 0], [200, 40, 40]]], np.uint8))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    stored = ImageCms.buildTransform(srgb, lab, "RGB", "LAB").apply(rgb)
    difference = pixels(load_picture(encoded(stored, "TIFF"))).astype(int) - pixels(rgb)
    assert np.abs(difference).max() <= 3


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken(fmt: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], fmt, save_all=True, append_images=frames[1:], lossless=True)
    assert pixels(load_picture(data))[0, 0].tolist() == [255, 0, 0]


# Arrays


def test_arrays_of_every_allowed_type_and_shape_are_scaled_to_eight_bits() -> None:
    eight = noise(channels=3)
    for array in (eight, eight.astype(np.uint16) * 257, eight / 255, (eight / 255).astype("f4")):
        assert np.array_equal(pixels(load_picture(array)), eight)
    grey = eight[..., 0]
    for array in (grey, grey[..., None], grey / 255.0):
        assert np.array_equal(pixels(load_picture(array))[..., 0], grey)
    assert np.array_equal(pixels(load_picture(grey > 9))[..., 0], (grey > 9) * 255)
    assert np.array_equal(pixels(load_picture(eight[::-1, ::2])), eight[::-1, ::2])
    assert pixels(load_picture(np.array([[65535]], ">u2")))[0, 0].tolist() == [255] * 3


@pytest.mark.parametrize("shape", [(5,), (), (2, 3, 2), (3, 4, 5), (1, 2, 3, 3)])
def test_arrays_of_other_shapes_are_refused_by_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"array of shape \[.*\] and type uint8 is not a picture"):
        load_picture(np.zeros(shape, np.uint8))


def test_arrays_of_other_types_or_ranges_are_refused() -> None:
    for array in (np.zeros((2, 2), np.int64), np.zeros((2, 2), complex), np.array([["a"]])):
        with pytest.raises(InputError, match=f"type {array.dtype}"):
            load_picture(array)
    for value in (-0.1, 1.5, 255.0, np.nan):
        with pytest.raises(InputError, match="expected 0 to 1"):
            load_picture(np.full((2, 2, 3), value))


def test_pictures_without_a_pixel_are_refused() -> None:
    for source in (np.zeros((0, 4, 3), np.uint8), Image.new("RGB", (0, 5))):
        with pytest.raises(InputError):
            load_picture(source)


# Limits and damage


def test_a_huge_header_is_refused_before_anything_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(50_000, 50_000))
    with pytest.raises(InputError, match=r"huge.png is 50000 x 50000 pixels, more than the 178,9"):
        load_picture(path)


def test_between_pillows_two_bounds_there_is_no_warning() -> None:
    """100 million pixels: Pillow's own check would warn, and warnings are errors in this suite."""
    with pytest.raises(InputError, match=r"is damaged"):
        load_picture(png_header(10_000, 10_000))


def test_the_limit_of_pixels_can_be_set_and_is_inclusive() -> None:
    for source in (
        noise(6, 9),
        Image.fromarray(noise(6, 9)),
        encoded(Image.fromarray(noise(6, 9))),
    ):
        assert load_picture(source, max_pixels=54).size == (9, 6)
        with pytest.raises(InputError, match="is 9 x 6 pixels, more than the 53 allowed"):
            load_picture(source, max_pixels=53)


def test_a_picture_of_one_endless_row_is_refused() -> None:
    with pytest.raises(InputError, match="is 16711688 x 8 pixels: expected sides of at most"):
        load_picture(png_header(16_711_688, 8))


def test_a_text_file_called_jpg_is_not_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("These are my notes, and they are long enough to be looked at.")
    with pytest.raises(InputError, match=r"notes.jpg is not a picture"):
        load_picture(path)


@pytest.mark.parametrize("size", range(1, 16))
def test_a_few_bytes_of_text_are_not_a_picture(size: int) -> None:
    with pytest.raises(InputError, match="is not a picture"):
        load_picture(b"these are words"[:size])


def test_a_zero_byte_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.touch()
    with pytest.raises(InputError, match=r"empty.png is empty"):
        load_picture(path)


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(noise()), "PNG"))
    assert np.array_equal(pixels(load_picture(path)), noise())


def test_postscript_is_never_handed_to_an_interpreter() -> None:
    with pytest.raises(InputError, match="is not a picture"):
        load_picture(encoded(Image.fromarray(noise()), "EPS"))


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_truncated_file_is_refused_and_not_half_decoded(fmt: str, tmp_path: Path) -> None:
    data = encoded(Image.fromarray(noise(64, 64)), fmt)
    path = tmp_path / f"half.{fmt.lower()}"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=path.name):
        load_picture(path)


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_a_file_cut_anywhere_gives_the_whole_picture_or_none(fmt: str) -> None:
    """The last bytes of some formats say nothing about pixels; without those a picture is whole."""
    for options in ({}, {"progressive": True}) if fmt == "JPEG" else ({},):
        data = encoded(Image.fromarray(noise(24, 24)), fmt, **options)
        whole = pixels(load_picture(data))
        for end in range(len(data)):
            try:
                loaded = load_picture(data[:end])
            except InputError:
                continue
            assert np.array_equal(pixels(loaded), whole), end
            assert end > len(data) - 30


def test_a_truncated_file_that_pillow_has_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    data = encoded(Image.fromarray(noise(64, 64)))
    path.write_bytes(data[: len(data) // 2])
    with Image.open(path) as picture, pytest.raises(InputError, match=r"half\.png is damaged"):
        load_picture(picture)


def test_a_damaged_file_gives_a_picture_or_an_input_error_and_nothing_else() -> None:
    rng = random.Random(0)
    whole = Image.fromarray(noise(24, 24))
    originals = [encoded(whole, fmt) for fmt in ("PNG", "GIF", "WEBP", "TIFF")] + [rotated_jpeg(6)]
    refused = 0
    for trial in range(300):
        data = bytearray(originals[trial % len(originals)])
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(len(data) if rng.random() < 0.5 else 64)] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        try:
            assert load_picture(bytes(data), max_pixels=10**6).mode == "RGB"
        except InputError:
            refused += 1
    assert 100 < refused < 300


def test_running_out_of_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "load", load)
    with pytest.raises(InputError, match="needs more memory than there is"):
        load_picture(Image.new("L", (2, 2)))


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Image.new("RGB", (3, 2)).save(tmp_path / "x.png")
    assert load_picture("~/x.png").size == load_picture(Path("~/x.png")).size == (3, 2)
    with pytest.raises(InputError, match=r"no such file: ~nobody-at-all/x\.png"):
        load_picture("~nobody-at-all/x.png")


def test_a_generator_is_not_a_picture_and_a_list_is_advised(tmp_path: Path) -> None:
    for many in (tmp_path.glob("*.png"), map(str, ["a.png"]), {"a.png"}):
        with pytest.raises(InputError, match="make it a list of pictures"):
            load_picture(many)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected a path"):
        load_picture(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("fmt", ["JPEG", "BMP", "PNG", "TIFF"])
def test_a_file_that_is_cut_short_is_told_in_plain_words(fmt: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(noise(64, 64)).save(stream, fmt)
    whole = stream.getvalue()
    for length in (20, 28, 60, len(whole) // 2):
        with pytest.raises(InputError) as caught:
            load_picture(whole[:length])
        for jargon in ("truncated", "unpack", "buffer", "processed"):
            assert jargon not in str(caught.value).lower()
