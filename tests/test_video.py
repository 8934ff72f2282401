"""Frames are taken evenly over a film or an animation, upright, without holding the others."""

import io
import random
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from palikit import video
from palikit.errors import InputError, MissingExtraError
from palikit.video import frame_indices, is_video, load_frames

STEP = 10  # grey levels from one frame to the next


def film(
    frames: int,
    container: str = "mp4",
    codec: str = "mpeg4",
    size: tuple[int, int] = (64, 48),
    rotation: int = 0,
    times: list[int] | None = None,
    path: Path | None = None,
    **options: str,
) -> bytes:
    """A film whose frame `i` is of the grey `i * STEP`, with a white patch at the top left."""
    av = pytest.importorskip("av")
    stream = io.BytesIO()
    with av.open(path or stream, "w", format=container, options=options) as output:
        track = output.add_stream(codec, rate=10)
        track.width, track.height, track.pix_fmt = *size, "yuv420p"
        if rotation:
            if not hasattr(track, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            track.set_display_rotation(rotation)
        for i in range(frames):
            pixels = np.full((size[1], size[0], 3), i * STEP, np.uint8)
            pixels[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 10)
            output.mux(track.encode(frame))
        output.mux(track.encode())
    return stream.getvalue()


def animation(frames: int, fmt: str = "GIF") -> bytes:
    stream = io.BytesIO()
    pictures = [Image.new("L", (8, 8), i * STEP).convert("RGB") for i in range(frames)]
    options = {"lossless": True} if fmt == "WEBP" else {}
    pictures[0].save(stream, fmt, save_all=True, append_images=pictures[1:], **options)
    return stream.getvalue()


def order(frames: list[Image.Image]) -> list[int]:
    """The index each frame carries in its brightness."""
    assert all(frame.mode == "RGB" for frame in frames)
    return [round(np.asarray(f)[-4:, -4:].mean() / STEP) for f in frames]


# The rule


def test_indices_are_evenly_spaced_from_the_first_frame() -> None:
    assert frame_indices(20, 4) == [0, 5, 10, 15]
    assert frame_indices(10, 4) == [0, 2, 5, 7]
    assert frame_indices(4, 4) == [0, 1, 2, 3]
    assert frame_indices(100, 1) == [0]


def test_indices_of_a_short_clip_repeat_it_from_the_start() -> None:
    assert frame_indices(3, 8) == [0, 1, 2, 0, 1, 2, 0, 1]
    assert frame_indices(1, 3) == [0, 0, 0]


@given(st.integers(1, 10**6), st.integers(1, 300))
def test_indices_lie_in_the_clip_and_differ_in_step_by_one_at_most(total: int, number: int) -> None:
    indices = frame_indices(total, number)
    assert len(indices) == number
    assert indices[0] == 0
    assert max(indices) < total
    if number <= total:
        assert len({b - a for a, b in zip(indices, [*indices[1:], total], strict=True)}) <= 2


def test_no_frames_cannot_be_asked_for() -> None:
    for number in (0, -1):
        with pytest.raises(InputError, match="expected 1 or more"):
            load_frames(animation(3), number)


# Animations


@pytest.mark.parametrize("fmt", ["GIF", "WEBP", "PNG"])
def test_frames_of_an_animation_follow_the_rule(fmt: str) -> None:
    data = animation(10, fmt)
    assert order(load_frames(data, 4)) == [0, 2, 5, 7]
    assert order(load_frames(data, None)) == list(range(10))
    assert order(load_frames(animation(2, fmt), 5)) == [0, 1, 0, 1, 0]


def test_an_animation_opened_by_the_caller_keeps_its_place() -> None:
    with Image.open(io.BytesIO(animation(6))) as picture:
        picture.seek(2)
        assert order(load_frames(picture, 3)) == [0, 2, 4]
        assert picture.tell() == 2


def test_a_still_picture_is_a_clip_of_one_frame() -> None:
    still = np.full((4, 5, 3), 3 * STEP, np.uint8)
    assert order(load_frames(still, None)) == [3]
    assert order(load_frames(still, 3)) == [3, 3, 3]


def test_pages_of_a_tiff_are_not_frames() -> None:
    assert order(load_frames(animation(4, "TIFF"), None)) == [0]


def test_transparent_frames_are_laid_over_white() -> None:
    clear = [Image.new("RGBA", (8, 8), (i, 0, 0, 0)) for i in range(3)]
    stream = io.BytesIO()
    clear[0].save(stream, "PNG", save_all=True, append_images=clear[1:])
    assert {frame.getpixel((0, 0)) for frame in load_frames(stream, 2)} == {(255, 255, 255)}


# Films


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp4", "mpeg4"), ("matroska", "mpeg4"), ("avi", "mpeg4"), ("mpegts", "mpeg2video")],
)
def test_frames_of_a_film_follow_the_rule(container: str, codec: str, tmp_path: Path) -> None:
    """Matroska and MPEG-TS state no number of frames: those are counted first."""
    path = tmp_path / {"matroska": "a.mkv", "mpegts": "a.ts"}.get(container, f"a.{container}")
    path.write_bytes(film(20, container, codec))
    assert order(load_frames(path, 4)) == [0, 5, 10, 15]
    assert order(load_frames(path, 7)) == [0, 2, 5, 8, 11, 14, 17]
    assert order(load_frames(path, None)) == list(range(20))


def test_a_short_film_is_repeated() -> None:
    assert order(load_frames(film(3), 8)) == [0, 1, 2, 0, 1, 2, 0, 1]


def test_frames_are_counted_and_not_timed_where_the_rate_varies() -> None:
    times = [0, 1, 2, 3, 40, 41, 42, 43]
    assert order(load_frames(film(8, "matroska", times=times), 4)) == [0, 2, 4, 6]


def test_a_film_may_come_as_bytes_or_as_an_open_file() -> None:
    data = film(4)
    stream = io.BytesIO(data)
    assert order(load_frames(data, 2)) == order(load_frames(stream, 2)) == [0, 2]
    assert not stream.closed


@pytest.mark.parametrize(
    ("rotation", "size", "corner"),
    [(90, (48, 64), (4, 60)), (180, (64, 48), (60, 44)), (-90, (48, 64), (44, 4))],
)
def test_the_rotation_of_a_film_is_applied(
    rotation: int, size: tuple[int, int], corner: tuple[int, int]
) -> None:
    """The stored patch at the top left goes round against the clock."""
    (frame,) = load_frames(film(1, rotation=rotation), 1)
    assert frame.size == size
    assert min(frame.getpixel(corner)) > 240
    assert max(frame.getpixel((size[0] - corner[0], size[1] - corner[1]))) < 20


def test_a_film_that_states_too_many_frames_is_sampled_over_those_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video, "_stated_frames", lambda *_: 40)
    assert order(load_frames(film(20), 4)) == [0, 5, 10, 15]
    assert order(load_frames(film(20), None)) == list(range(20))


def test_a_stated_count_beyond_belief_is_replaced_by_counting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(video, "MAX_SCANNED", 50)
    data = bytearray(film(10, "avi"))
    at = data.index(b"strh") + 8 + 32  # dwLength, after the chunk's name and size
    assert data[at : at + 4] == (10).to_bytes(4, "little")
    data[at : at + 4] = (10**6).to_bytes(4, "little")
    assert order(load_frames(bytes(data), 4)) == [0, 2, 5, 7]


def test_frames_that_are_not_wanted_are_not_made_into_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Image.Image] = []
    for maker in ("_upright_frame", "upright_rgb"):
        real = getattr(video, maker)
        monkeypatch.setattr(
            video, maker, lambda *args, real=real: made.append(real(*args)) or made[-1]
        )
    for data in (film(20), film(20, "matroska"), animation(20)):
        made.clear()
        load_frames(data, 3)
        assert order(made) == [0, 6, 13]


# Limits and damage


def test_all_frames_of_a_long_clip_have_to_be_asked_for_by_number() -> None:
    for data in (animation(9), film(9)):
        assert len(load_frames(data, None, max_frames=9)) == 9
        with pytest.raises(InputError, match="has 9 frames, more than the 8"):
            load_frames(data, None, max_frames=8)


def test_clips_longer_than_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "MAX_SCANNED", 5)
    for data in (animation(6), film(6), film(6, "matroska")):
        with pytest.raises(InputError, match="has more than 5 frames"):
            load_frames(data, 2)


def test_frames_above_the_limit_of_pixels_are_refused() -> None:
    for data, size in ((animation(3), "8 x 8"), (film(3), "64 x 48")):
        with pytest.raises(InputError, match=f"is {size} pixels, more than the 63 allowed"):
            load_frames(data, 2, max_pixels=63)


def test_a_damaged_film_is_an_input_error_that_names_it(tmp_path: Path) -> None:
    for name, data in {
        "noise.mp4": b"\0\1\2\3" * 99,
        "empty.mov": b"",
        "half.mp4": film(9),
    }.items():
        path = tmp_path / name
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match=name):
            load_frames(path, 2)
    with pytest.raises(InputError, match="no such file"):
        load_frames(tmp_path / "none.mp4", 2)


def test_a_film_that_would_play_up_to_where_it_is_cut_is_refused(tmp_path: Path) -> None:
    """Its index comes first, so that nothing but the frames at the end is missing."""
    path = tmp_path / "a.mp4"
    film(20, path=path, movflags="faststart")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert order(load_frames(data, 2)) == [0, 10]
    assert order(load_frames(data + b"junk that some camera appends", 2)) == [0, 10]
    path.write_bytes(data[:-40])
    with pytest.raises(InputError, match=r"a\.mp4 is cut short"):
        load_frames(path, 2)


def test_a_play_list_in_the_place_of_a_film_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg by itself reads this list for what it is, and the file beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.ts").write_bytes(film(5, "mpegts", "mpeg2video"))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.ts\n")
    with pytest.raises(InputError, match=r"list\.mp4 is damaged"):
        load_frames(tmp_path / "list.mp4", 1)


def test_a_frame_that_is_decoded_in_part_is_refused() -> None:
    frame = SimpleNamespace(is_corrupt=True, time=1.5)
    with pytest.raises(InputError, match=r"a\.mp4 is damaged: a frame at 1\.5 s"):
        video._upright_frame(frame, "a.mp4")  # type: ignore[arg-type]


def test_a_later_frame_that_is_larger_than_the_first_is_measured_too() -> None:
    def gif(side: int) -> bytes:
        stream = io.BytesIO()
        Image.new("RGB", (side, side), "red").save(stream, "GIF")
        return stream.getvalue()

    large = gif(16)
    colours = 3 * 2 ** ((large[10] & 7) + 1)
    grown = gif(4)[:-1] + large[13 + colours :]  # past the header and the table of colours
    assert [f.size for f in load_frames(grown, 2)] == [(4, 4), (16, 16)]
    with pytest.raises(InputError, match="is 16 x 16 pixels"):
        load_frames(grown, 2, max_pixels=100)


def test_mutilated_films_and_animations_raise_input_errors_only() -> None:
    rng = random.Random(0)
    originals = [film(6), film(6, "matroska"), film(6, "avi"), animation(6), animation(6, "WEBP")]
    refused = 0
    for trial in range(100):
        data = bytearray(originals[trial % len(originals)])
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(16, len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(16, len(data)) :]
        try:
            assert len(load_frames(bytes(data), 3, max_pixels=10**6)) == 3
        except InputError:
            refused += 1
    assert 10 < refused < 100


def test_a_film_without_pyav_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'palikit\[video\]'"):
        load_frames(data, 1)
    assert order(load_frames(animation(2), 2)) == [0, 1]


def test_films_are_told_by_their_ending_or_by_their_beginning() -> None:
    for source in ("a.mp4", Path("b.MOV"), "https://a/b.webm?x=1", "data:video/mp4;base64,AA"):
        assert is_video(source)
    for source in ("a.gif", "mp4", "https://a/b.png?x=.mp4", Image.new("L", (1, 1)), np.zeros(3)):
        assert not is_video(source)
    for container in ("mp4", "mov", "matroska", "avi"):
        assert is_video(film(1, container))
    for fmt in ("AVIF", "WEBP", "GIF", "PNG"):
        assert not is_video(animation(2, fmt))
