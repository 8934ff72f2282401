"""Many inputs: how they are found, answered one bad one aside, and written so that none is lost."""

import json
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from palikit import tasks
from palikit.batch import (
    Failure,
    Found,
    OutputFile,
    Question,
    Settings,
    Source,
    answer_each,
    discover,
    finished_inputs,
    open_source,
)
from palikit.batch.sources import count_source
from palikit.errors import InputError
from palikit.options import GenerationOptions, LoadOptions
from palikit.prediction import Prediction
from palikit.records import Layout, prediction_from_dict
from palikit.request import Pictures, Request, Video, open_pictures
from palikit.results import Box
from palikit.video import MAX_FRAMES
from tests.fake_predictor import FakePredictor, write_animation, write_picture

CAPTION = Question.of(tasks.caption())
SETTINGS = Settings(LoadOptions(), GenerationOptions())


def find(*words: str | Path, together: bool = False) -> Found:
    return discover([str(word) for word in words], together=together, read_stdin=lambda: b"bytes")


def write_film(file: Path, frames: int) -> Path:
    import av

    with av.open(str(file), "w") as container:
        track = container.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt = 32, 32, "yuv420p"
        for i in range(frames):
            pixels = np.full((32, 32, 3), 10 * i, np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(track.encode())
    return file


def names(found: Found) -> list[str]:
    return [source.name for source in found.sources]


def sources(*files: Path) -> list[Source]:
    return [Source(str(file), (str(file),)) for file in files]


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [write_picture(tmp_path / "in" / f"{i}.png", width=10 + i) for i in range(6)]


# Finding


def test_a_folder_is_searched_to_any_depth_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.png", "a/2.JPG", "a/1.webp", "c.mp4", "notes.txt", ".hidden.png", ".git/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find(tmp_path)
    assert [Path(name).relative_to(tmp_path).as_posix() for name in names(found)] == [
        "a/1.webp",
        "a/2.JPG",
        "b.png",
        "c.mp4",
    ]
    assert found.many


def test_the_folder_of_the_drawings_is_passed_over_unless_it_is_named(tmp_path: Path) -> None:
    for name in ("a.png", "drawn/a.png", "other/b.png"):
        write_picture(tmp_path / name)
    drawn = str(tmp_path / "drawn")

    def count(word: Path) -> int:
        return len(discover([str(word)], passed_over=drawn, read_stdin=bytes).sources)

    assert [count(tmp_path), count(tmp_path / "**" / "*.png"), count(tmp_path / "*")] == [2, 2, 2]
    assert count(tmp_path / "drawn") == 1


def test_a_glob_that_the_shell_left_is_expanded(pictures: list[Path]) -> None:
    found = find(pictures[0].parent / "[0-2].png")
    assert names(found) == [str(file) for file in pictures[:3]]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "photo[1].png")
    assert names(find(file)) == [str(file)]
    assert not find(file).many


def test_inputs_named_twice_are_asked_once(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures[0].parent)
    assert (
        names(find("0.png", "./0.png", pictures[0], ".", "https://a/b.png", "https://a/b.png"))[0]
        == "0.png"
    )
    assert len(find("0.png", "./0.png", pictures[0]).sources) == 1
    assert find("0.png", "./0.png", "1.png").repeated == ("./0.png",)
    assert len(find("https://a/b.png", "https://a/b.png").sources) == 1


def test_data_addresses_of_one_length_keep_their_own_names() -> None:
    found = find("data:image/png;base64,AAAA", "data:image/png;base64,BBBB")
    assert len(set(names(found))) == 2


def test_one_missing_input_is_an_error_and_one_of_several_is_a_failure(
    pictures: list[Path],
) -> None:
    with pytest.raises(InputError, match="no such file or folder: gone"):
        find("gone.png")
    found = find("gone.png", pictures[0])
    assert names(found) == [str(pictures[0])]
    assert [failure.name for failure in found.missing] == ["gone.png"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no input"),
        (("",), "an input is empty"),
        (("nothing/*.png",), "matches nothing/"),
        (("ftp://host/a.png",), "http or https"),
    ],
)
def test_what_stands_for_nothing_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        find(*words)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no picture or video"):
        find(tmp_path)


def test_empty_standard_input_is_refused() -> None:
    with pytest.raises(InputError, match="standard input is empty"):
        discover(["-"], read_stdin=bytes)


def test_inputs_together_are_one_input_of_all_pictures(pictures: list[Path]) -> None:
    found = find(*pictures[:2], together=True)
    (source,) = found.sources
    assert not found.many
    assert [picture.width for picture in open_source(source)] == [10, 11]
    assert source.name == f"{pictures[0]}, {pictures[1]}"


def test_the_same_picture_twice_together_is_two_pictures(pictures: list[Path]) -> None:
    (source,) = find(pictures[0], pictures[0], together=True).sources
    assert len(open_source(source)) == 2
    (source,) = find("-", "-", together=True).sources
    assert source.parts == (b"bytes", b"bytes")


@pytest.mark.parametrize(("frames", "taken"), [(None, 1), (3, 3), (1, 1), (7, 7), (0, 4)])
def test_frames_are_taken_of_animations(tmp_path: Path, frames: int | None, taken: int) -> None:
    file = write_animation(tmp_path / "clip.gif", 4)
    assert len(open_source(*sources(file), frames)) == taken


def test_a_still_picture_stays_one_picture_when_frames_are_asked_for(pictures: list[Path]) -> None:
    assert len(open_source(*sources(pictures[0]), 5)) == 1
    assert len(open_pictures(Video(pictures[0]))) == 1


@pytest.mark.parametrize("number", [0, -1, 513, 10**6])
def test_the_number_of_frames_is_bounded(number: int) -> None:
    with pytest.raises(InputError, match=f"num_frames is {number}: it must be 1 to 512"):
        Video("clip.mp4", number)


def test_a_list_given_as_one_of_the_pictures_is_refused_with_the_right_form() -> None:
    for value in (["a.png", "b.png"], Path().glob("*.png"), ("a.png",)):
        with pytest.raises(InputError, match=r"write Pictures\(\*list\)"):
            Pictures(value)  # type: ignore[arg-type]


def test_every_frame_is_taken_where_no_number_is_asked_for(tmp_path: Path) -> None:
    file = write_animation(tmp_path / "clip.gif", 4)
    assert len(open_pictures(Video(file, num_frames=None))) == 4
    assert len(open_pictures(Video(file))) == 16
    long = tmp_path / "long.gif"
    first, *rest = [Image.new("L", (8, 8), i) for i in range(65)]
    first.save(long, save_all=True, append_images=rest)
    with pytest.raises(InputError, match="has 65 frames, more than the 64"):
        open_pictures(Video(long, num_frames=None))


def test_a_video_among_several_pictures_is_its_frames(pictures: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = str(write_film(tmp_path / "clip.mp4", 20))
    still = str(pictures[0])
    (source,) = find(clip, still, together=True).sources
    assert len(open_source(source)) == 17
    assert len(open_pictures(Pictures(clip, still))) == 17
    assert len(open_source(source, 3)) == 4
    assert len(open_pictures(Pictures(Video(clip, 3), still))) == 4


# Answering


def answer(
    predictor: FakePredictor, files: list[Path], question: Question = CAPTION, batch_size: int = 2
) -> list[tuple[str, str]]:
    """Name and text, or name and error, of every input."""
    return [
        (each.name, str(each.error)) if isinstance(each, Failure) else (each.input, each.text)
        for each in answer_each(
            predictor,
            sources(*files),
            [question.task_for],
            GenerationOptions(),
            batch_size=batch_size,
        )
    ]


def test_inputs_are_answered_in_order_and_in_batches(pictures: list[Path]) -> None:
    predictor = FakePredictor()
    answers = answer(predictor, pictures[:5])
    assert [name for name, _ in answers] == [str(file) for file in pictures[:5]]
    assert [len(call) for call in predictor.calls] == [2, 2, 1]


def test_a_damaged_picture_fails_alone_and_in_its_place(pictures: list[Path]) -> None:
    pictures[1].write_bytes(b"no picture")
    answers = answer(FakePredictor(), pictures[:3])
    assert "is not a picture" in answers[1][1]
    assert [text for _, text in answers[::2]] == ["caption en at 10 x 12", "caption en at 12 x 12"]


def test_a_request_the_model_refuses_does_not_fail_its_batch(pictures: list[Path]) -> None:
    predictor = FakePredictor(refuses=frozenset({str(pictures[1])}))
    answers = answer(predictor, pictures[:3], batch_size=3)
    assert [text for _, text in answers] == [
        "caption en at 10 x 12",
        "the prompt is too long: shorten it",
        "caption en at 12 x 12",
    ]


def test_a_region_outside_a_small_picture_fails_there_only(tmp_path: Path) -> None:
    files = [write_picture(tmp_path / "s.png", 4, 4), write_picture(tmp_path / "l.png", 40, 40)]
    box = Box(10, 10, 30, 30)
    question = Question("caption", lambda w, h: tasks.grounded_caption(box, w, h))
    small, large = answer(FakePredictor(), files, question)
    assert "outside the picture of 4 x 4" in small[1]
    assert large[1].startswith("caption <loc")


def test_every_question_is_put_to_an_input_before_the_next_one(pictures: list[Path]) -> None:
    pictures[1].write_bytes(b"no picture")
    questions = [tasks.answer("what?"), tasks.answer("where?")]
    answers = answer_each(
        FakePredictor(),
        sources(*pictures[:3]),
        [Question.of(task).task_for for task in questions],
        GenerationOptions(),
        batch_size=4,
    )
    assert [each.name if isinstance(each, Failure) else each.prompt for each in answers] == [
        "answer en what?",
        "answer en where?",
        str(pictures[1]),
        str(pictures[1]),
        "answer en what?",
        "answer en where?",
    ]


# Writing down


def output_file(
    file: Path,
    fmt: str = "json",
    *,
    overwrite: bool = False,
    question: Question = CAPTION,
    settings: Settings = SETTINGS,
) -> OutputFile:
    layout = Layout(fmt, question.task, many=True)  # type: ignore[arg-type]
    return OutputFile(
        file,
        question,
        "fake",
        settings,
        layout=layout,
        overwrite=overwrite,
    )


def seen(folder: Path) -> list[str]:
    """What a person sees in a folder."""
    return sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))


def hidden(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name.startswith("."))


def one_answer(file: Path) -> Prediction[Any]:
    request = Request(open_source(*sources(file)), tasks.caption(), str(file))
    return prediction_from_dict(FakePredictor().predict([request])[0].to_dict())


def run(
    make: Callable[[], OutputFile], predictor: FakePredictor, files: list[Path]
) -> tuple[str, ...]:
    """A run as the command makes it; returns the inputs that were still to be asked."""
    with make() as output:
        todo = [source for source in sources(*files) if source.name not in output.earlier]
        failures = 0
        try:
            for each in answer_each(
                predictor, todo, [CAPTION.task_for], GenerationOptions(), batch_size=2
            ):
                if isinstance(each, Failure):
                    failures += 1
                else:
                    output.add(prediction_from_dict(each.to_dict()))
        except KeyboardInterrupt:
            output.end([str(file) for file in files], is_whole=False, has_failures=False)
        else:
            output.end([str(file) for file in files], is_whole=True, has_failures=failures > 0)
    return tuple(source.name for source in todo)


@pytest.mark.parametrize("fmt", ["json", "jsonl", "coco", "csv", "text"])
@pytest.mark.parametrize("interrupt_at", [0, 1, 2])
def test_an_interrupted_run_goes_on_to_the_same_file(
    tmp_path: Path, pictures: list[Path], fmt: str, interrupt_at: int
) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run(lambda: output_file(whole, fmt), FakePredictor(), pictures)
    run(lambda: output_file(resumed, fmt), FakePredictor(interrupt_at=interrupt_at), pictures)
    asked = run(lambda: output_file(resumed, fmt), FakePredictor(), pictures)
    assert asked == tuple(str(file) for file in pictures[2 * interrupt_at :])
    assert resumed.read_bytes() == whole.read_bytes()
    assert seen(tmp_path) == ["in", "resumed", "whole"]


def test_an_answer_is_on_disk_when_it_has_been_added(tmp_path: Path, pictures: list[Path]) -> None:
    with output_file(tmp_path / "out.json") as output:
        output.add(one_answer(pictures[0]))
        (line,) = (tmp_path / "out.json.partial.jsonl").read_text().splitlines()
    assert json.loads(line)["input"] == str(pictures[0])


def test_a_line_cut_off_by_a_kill_is_dropped_and_asked_again(
    tmp_path: Path, pictures: list[Path]
) -> None:
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor(), pictures)
    content = file.read_bytes()
    end_of_third = [i for i, byte in enumerate(content) if byte == ord("\n")][2] + 1
    for length in (end_of_third - 1, end_of_third + 1, end_of_third + 40, 5):
        file.write_bytes(content[:length])
        asked = run(lambda: output_file(file, "jsonl"), FakePredictor(), pictures)
        assert asked == tuple(map(str, pictures[content[:length].count(b"\n") :]))
        assert file.read_bytes() == content


def test_failed_inputs_are_tried_again_and_the_rest_is_not(
    tmp_path: Path, pictures: list[Path]
) -> None:
    good = pictures[1].read_bytes()
    pictures[1].write_bytes(b"")
    file = tmp_path / "out.json"
    run(lambda: output_file(file), FakePredictor(), pictures)
    assert len(json.loads(file.read_text())) == 5
    pictures[1].write_bytes(good)
    assert run(lambda: output_file(file), FakePredictor(), pictures) == (str(pictures[1]),)
    assert [each["input"] for each in json.loads(file.read_text())] == [str(f) for f in pictures]
    assert not Path(f"{file}.partial.jsonl").exists()


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_answers_to_another_question_are_not_mixed_in(
    tmp_path: Path, pictures: list[Path], fmt: str
) -> None:
    file = tmp_path / f"out.{fmt}"
    run(lambda: output_file(file, fmt), FakePredictor(interrupt_at=1), pictures)
    other = Question.of(tasks.caption("de"))
    with pytest.raises(InputError, match="another question"):
        output_file(file, fmt, question=other)
    with output_file(file, fmt, question=other, overwrite=True) as output:
        assert not output.earlier


def test_answers_of_another_model_are_not_mixed_in(tmp_path: Path, pictures: list[Path]) -> None:
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor("other", interrupt_at=1), pictures)
    with pytest.raises(InputError, match="answers of other"):
        output_file(file, "jsonl")


def test_a_finished_file_is_not_replaced_unless_asked(tmp_path: Path, pictures: list[Path]) -> None:
    file = tmp_path / "out.json"
    file.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        output_file(file)
    run(lambda: output_file(file, overwrite=True), FakePredictor(interrupt_at=0), pictures)
    assert file.read_text() == "mine"
    run(lambda: output_file(file, overwrite=True), FakePredictor(), pictures)
    assert len(json.loads(file.read_text())) == len(pictures)


@pytest.mark.parametrize("content", ['{"name": "not ours"}\n', '{"name": "not ours"}', "no line"])
def test_a_file_of_something_else_is_not_taken_for_a_journal(tmp_path: Path, content: str) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text(content)
    with pytest.raises(InputError, match=r"line 1|does not say"):
        output_file(file, "jsonl")
    assert file.read_text() == content


def test_overwriting_json_lines_keeps_the_old_ones_until_there_is_a_new_one(
    tmp_path: Path, pictures: list[Path]
) -> None:
    file = tmp_path / "out.jsonl"
    file.write_text("old\n")
    with output_file(file, "jsonl", overwrite=True):
        pass
    assert file.read_text() == "old\n"
    run(lambda: output_file(file, "jsonl", overwrite=True), FakePredictor(), pictures)
    assert len(file.read_text().splitlines()) == len(pictures)


def test_a_place_that_cannot_be_written_to_is_known_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written: "):
        output_file(tmp_path / "file" / "out.json")
    with pytest.raises(InputError, match="not a regular file"):
        output_file(tmp_path, "jsonl")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no names that are not text")
def test_a_name_that_is_not_text_is_written_and_known_again(tmp_path: Path) -> None:
    file = write_picture(tmp_path / os.fsdecode(b"caf\xe9.png"))
    output = tmp_path / "out.jsonl"
    run(lambda: output_file(output, "jsonl"), FakePredictor(), [file])
    assert json.loads(output.read_bytes())["input"] == str(file)
    assert run(lambda: output_file(output, "jsonl"), FakePredictor(), [file]) == ()


# Options of an earlier run


OTHERS = {
    "coordinates": Settings(LoadOptions(coordinates="1024"), GenerationOptions()),
    "revision": Settings(LoadOptions(revision="float16"), GenerationOptions()),
    "grammar": Settings(LoadOptions(), GenerationOptions(grammar=False)),
    "seed": Settings(LoadOptions(), GenerationOptions(seed=1)),
    "frames": Settings(LoadOptions(), GenerationOptions(), frames=3),
    "weights": Settings(LoadOptions(), GenerationOptions(), weights="of a later training"),
}


def test_every_option_but_the_device_is_a_setting() -> None:
    names = {field.name for cls in (LoadOptions, GenerationOptions) for field in fields(cls)}
    assert set(SETTINGS.to_dict()) == names - {"device"} | {"frames", "weights"}


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
@pytest.mark.parametrize("name", OTHERS)
def test_answers_made_with_other_options_are_not_mixed_in(
    tmp_path: Path, pictures: list[Path], fmt: str, name: str
) -> None:
    file = tmp_path / f"out.{fmt}"
    run(lambda: output_file(file, fmt), FakePredictor(interrupt_at=1), pictures)
    with pytest.raises(InputError, match=rf"other options \({name}: .*, now .*--overwrite"):
        output_file(file, fmt, settings=OTHERS[name])
    with output_file(file, fmt, settings=OTHERS[name], overwrite=True) as output:
        assert not output.earlier
        output.add(one_answer(pictures[0]))
    with pytest.raises(InputError, match=f"{name}: "):
        output_file(file, fmt)


def test_another_device_changes_no_answer(tmp_path: Path, pictures: list[Path]) -> None:
    file = tmp_path / "out.json"
    run(lambda: output_file(file), FakePredictor(interrupt_at=1), pictures)
    cuda = Settings(LoadOptions(device="cuda"), GenerationOptions())
    with output_file(file, settings=cuda) as output:
        assert len(output.earlier) == 2


@pytest.mark.parametrize("fmt", ["json", "jsonl"])
def test_a_record_that_does_not_say_which_weights_is_taken(
    tmp_path: Path, pictures: list[Path], fmt: str
) -> None:
    file = tmp_path / f"out.{fmt}"
    run(lambda: output_file(file, fmt), FakePredictor(), pictures)
    for record in (tmp_path / name for name in hidden(tmp_path)):
        known = json.loads(record.read_text())
        known.get("options", known).pop("weights")
        record.write_text(json.dumps(known))
    now = OTHERS["weights"]
    if fmt == "json":
        assert len(finished_inputs(file, CAPTION, "fake", now, fmt)) == len(pictures)
    else:
        with output_file(file, fmt, settings=now) as output:
            assert len(output.earlier) == len(pictures)


@pytest.mark.parametrize("fmt", ["json", "csv", "jsonl"])
def test_failures_alone_write_and_overwrite_nothing(tmp_path: Path, fmt: str) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    file, good = tmp_path / f"out.{fmt}", write_picture(tmp_path / "good.png")
    run(lambda: output_file(file, fmt), FakePredictor(), [tmp_path / "bad.png"])
    assert not file.exists()
    run(lambda: output_file(file, fmt), FakePredictor(), [good])
    before = file.read_bytes()
    again = lambda: output_file(file, fmt, overwrite=True)  # noqa: E731
    run(again, FakePredictor(), [tmp_path / "bad.png"])
    assert file.read_bytes() == before


def test_all_options_that_differ_are_named(tmp_path: Path, pictures: list[Path]) -> None:
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor(interrupt_at=1), pictures)
    other = Settings(
        LoadOptions(coordinates="1024", dtype="bfloat16"), GenerationOptions(grammar=False)
    )
    with pytest.raises(InputError) as caught:
        output_file(file, "jsonl", settings=other)
    assert "dtype: auto, now bfloat16" in str(caught.value)
    assert "coordinates: 1023, now 1024" in str(caught.value)
    assert "grammar: True, now False" in str(caught.value)


def test_json_lines_are_extended_with_the_same_options_only(
    tmp_path: Path, pictures: list[Path]
) -> None:
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor(), pictures[:3])
    with pytest.raises(InputError, match="seed: 0, now 1"):
        output_file(file, "jsonl", settings=OTHERS["seed"])
    assert run(lambda: output_file(file, "jsonl"), FakePredictor(), pictures) == tuple(
        map(str, pictures[3:])
    )


@pytest.mark.parametrize("content", [None, "", "[]", "{"])
def test_answers_whose_options_are_not_known_are_not_extended(
    tmp_path: Path, pictures: list[Path], content: str | None
) -> None:
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor(), pictures[:3])
    (options,) = (tmp_path / name for name in hidden(tmp_path))
    if content is None:
        options.unlink()
    else:
        options.write_text(content)
    with pytest.raises(InputError, match="with which options"):
        output_file(file, "jsonl")


def test_a_finished_file_leaves_one_hidden_record(tmp_path: Path, pictures: list[Path]) -> None:
    run(lambda: output_file(tmp_path / "out.json"), FakePredictor(), pictures)
    assert hidden(tmp_path) == [".out.json.finished.json"]
    run(lambda: output_file(tmp_path / "out.jsonl", "jsonl"), FakePredictor(), pictures)
    assert hidden(tmp_path) == [".out.json.finished.json", ".out.jsonl.options.json"]


def test_a_run_without_an_answer_leaves_nothing(tmp_path: Path, pictures: list[Path]) -> None:
    for fmt in ("json", "jsonl"):
        run(
            lambda fmt=fmt: output_file(tmp_path / "out", fmt),  # type: ignore[misc]
            FakePredictor(interrupt_at=0),
            pictures,
        )
        assert [each.name for each in tmp_path.iterdir()] == ["in"]


# A finished file


def finished(file: Path, question: Question = CAPTION, settings: Settings = SETTINGS) -> int:
    return len(finished_inputs(file, question, "fake", settings, "csv"))


def test_a_finished_file_is_known_by_the_command_that_made_it_only(
    tmp_path: Path, pictures: list[Path]
) -> None:
    file = tmp_path / "out.csv"
    assert finished(file) == 0
    run(lambda: output_file(file, "csv"), FakePredictor(), pictures)
    assert finished_inputs(file, CAPTION, "fake", SETTINGS, "csv") == set(map(str, pictures))
    assert finished(file, Question.of(tasks.caption("de"))) == 0
    assert finished(file, Question.about(Box(0, 0, 4, 4), "1023")) == 0
    assert all(finished(file, settings=other) == 0 for other in OTHERS.values())
    assert not finished_inputs(file, CAPTION, "other", SETTINGS, "csv")
    assert not finished_inputs(file, CAPTION, "fake", SETTINGS, "text")
    file.write_text("changed since")
    assert finished(file) == 0


def test_a_file_with_failures_is_not_finished(tmp_path: Path, pictures: list[Path]) -> None:
    pictures[1].write_bytes(b"")
    run(lambda: output_file(tmp_path / "out.csv", "csv"), FakePredictor(), pictures)
    assert finished(tmp_path / "out.csv") == 0


# Two at once


@pytest.mark.skipif(os.name == "nt", reason="Windows has no locks of this kind")
@pytest.mark.parametrize("fmt", ["json", "jsonl"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_another_run_is_writing_is_refused(
    tmp_path: Path, pictures: list[Path], fmt: str, overwrite: bool
) -> None:
    file = tmp_path / f"out.{fmt}"
    with output_file(file, fmt) as output:
        output.add(one_answer(pictures[0]))
        with pytest.raises(InputError, match=f"another run is writing {file}"):
            output_file(file, fmt, overwrite=overwrite)
        output.add(one_answer(pictures[1]))
    with output_file(file, fmt) as output:
        assert len(output.earlier) == 2


def test_answers_are_known_again_however_the_input_is_written(
    tmp_path: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures[0].parent)
    file = tmp_path / "out.jsonl"
    run(lambda: output_file(file, "jsonl"), FakePredictor(), [Path("0.png")])
    with output_file(file, "jsonl") as output:
        for word in ("0.png", "./0.png", "../in/0.png", pictures[0]):
            (source,) = find(word).sources
            assert source.key in output.earlier


def test_pictures_are_counted_before_any_is_opened() -> None:
    still, film = Source("a.png", ("a.png",)), Source("b.mp4", ("b.mp4",))
    both = Source("a.png, b.mp4", ("a.png", "b.mp4"))
    assert [count_source(each) for each in (still, film, both)] == [1, 16, 17]
    assert [count_source(film, frames) for frames in (3, 0)] == [3, MAX_FRAMES]
