"""The command line: what it refuses, what it prints, where, and with which exit code."""

import csv
import errno
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from palikit.cli import main
from palikit.cli.command import Program, in_options, names_of
from palikit.cli.finetune_options import SECTIONS
from palikit.cli.options import MAX_FRAMES, RunOptions
from palikit.cli.progress import Lines
from palikit.cli.saving import plan_saves
from palikit.config import size_name
from palikit.config_json import config_to_json
from palikit.engine import BATCH_SIZE, SMALL_BATCH_SIZE
from palikit.errors import CheckpointError, InputError
from palikit.model.mask_codec import MaskCodec, save_mask_codec
from palikit.options import GenerationOptions, LoadOptions
from palikit.prediction import Prediction
from palikit.published import BUILT_IN, BUILT_IN_FOLDER, BUILT_IN_LANGUAGES, PUBLISHED
from palikit.results import Caption
from palikit.train_options import LoraOptions, LossOptions, TrainOptions
from palikit.video import MAX_NUM_FRAMES
from tests import tiny
from tests.fake_predictor import FakePredictor, write_animation, write_picture
from tests.parity.oracle import save_tiny

VERBS = ("caption", "describe", "answer", "ocr", "detect", "segment", "generate")
COMMANDS = (
    *(*VERBS, "batch", "data", "finetune", "recipes", "evaluate", "benchmarks", "serve", "ui"),
    *("models", "inspect", "convert", "quantize", "merge", "env"),
)
SOURCES = Path(__file__).resolve().parents[1] / "src"


class Desk:
    """A person at a terminal: runs commands in a folder with a fake model behind them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.predictor = FakePredictor()
        self.loaded: list[tuple[str, LoadOptions]] = []

    def load(self, model: str, options: LoadOptions) -> FakePredictor:
        self.loaded.append((model, options))
        self.predictor.name = model
        return self.predictor

    def run(self, *arguments: str | Path, stdin: bytes | None = None) -> Result:
        words = [str(argument) for argument in arguments]
        return CliRunner().invoke(main, words, input=stdin, prog_name="palikit")

    def refused(self, *arguments: str | Path, stdin: bytes | None = None) -> str:
        """The one sentence a command is refused with, before a model is loaded."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert not self.loaded
        (line,) = result.stderr.splitlines()
        return line.removeprefix("palikit: error: ")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    monkeypatch.setattr("palikit.cli.asking.load_predictor", desk.load)
    monkeypatch.setenv("PALIKIT_MODEL", "fake")
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / name)
    return desk


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(SOURCES), **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env=env, check=False
    )


# Help


def test_no_arguments_show_five_worked_examples_and_no_options() -> None:
    result = CliRunner().invoke(main, [])
    examples = [line for line in result.output.splitlines() if line.startswith("  palikit ")]
    assert result.exit_code == 0
    assert len(examples) == 5
    assert "--max-new-tokens" not in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_ends_with_worked_examples_that_are_accepted(command: str) -> None:
    output = CliRunner().invoke(main, [command, "--help"]).output
    _, _, examples = output.partition("Examples:\n")
    lines = [line.strip() for line in examples.splitlines()]
    assert lines
    assert all(line.startswith(f"palikit {command}") for line in lines)


def test_the_first_example_names_no_model_and_asks_about_a_picture_of_the_repository() -> None:
    for output in (CliRunner().invoke(main, words).output for words in ([], ["--help"])):
        first = next(line for line in output.splitlines() if line.startswith("  palikit "))
        assert "examples/scene.png" in first
        assert "--model" not in first


def test_every_command_is_in_one_section_of_the_list_of_all() -> None:
    names = [name for _, section in main.sections for name in section]
    assert names == list(main.commands)


def test_every_option_of_training_has_its_place_in_the_help() -> None:
    placed = {name for _, names in SECTIONS for name in names}
    wanted = names_of(TrainOptions, LossOptions, LoraOptions)
    assert set(wanted) <= placed
    output = CliRunner().invoke(main, ["finetune", "--help"]).output
    for name in (*wanted, "task", "data", "classes", "device"):
        flag = re.compile(rf"^  (?:-m, )?--{name.replace('_', '-')}(?: |$)", re.MULTILINE)
        assert len(flag.findall(output)) == 1, name


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["detect", "--help"],
        ["inspect", "--help"],
        ["finetune", "--help"],
        ["models"],
    ],
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys; from palikit.cli import main; main(sys.argv[1:], standalone_mode=False);"
        "heavy = {'torch', 'transformers', 'PIL', 'rich', 'huggingface_hub'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    result = python("-c", program, *arguments)
    assert result.returncode == 0, result.stderr


def test_what_can_be_refused_without_a_model_does_not_import_torch(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom palikit.cli import main\n"
        "try: main(['caption', 'gone.png', '--model', 'm'])\n"
        "except SystemExit as end: code = end.code\n"
        "sys.exit(0 if code == 2 and 'torch' not in sys.modules else 1)"
    )
    assert python("-c", program).returncode == 0


OF_SOME_VERBS = {"grammar", "mask_codec", "mask_edges", "coordinates"}


def test_every_field_of_the_options_classes_is_an_option_of_the_verbs_it_means_something_to() -> (
    None
):
    every = {
        field.name for cls in (RunOptions, GenerationOptions, LoadOptions) for field in fields(cls)
    }
    offered = {
        verb: every & {str(parameter.name) for parameter in main.commands[verb].params}
        for verb in VERBS
    }
    assert offered["segment"] == every
    assert all(every - OF_SOME_VERBS <= names for names in offered.values())
    assert every - offered["detect"] == {"mask_codec", "mask_edges"}
    assert every - offered["caption"] == OF_SOME_VERBS - {"coordinates"}
    for verb in ("describe", "answer", "ocr", "generate"):
        assert every - offered[verb] == OF_SOME_VERBS


def test_the_bound_of_the_frames_is_that_of_videos() -> None:
    assert MAX_FRAMES == MAX_NUM_FRAMES


def test_the_default_batch_is_left_to_the_predictor_and_told_as_it_is() -> None:
    (option,) = [each for each in main.commands["caption"].params if each.name == "batch_size"]
    assert option.default is None
    assert f"by default {BATCH_SIZE}, {SMALL_BATCH_SIZE} with a small model" in option.help


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["capton"], "caption"),
        (["caption", "a.png", "--max-new-token", "3"], "--max-new-tokens"),
        (["detect", "a.png", "cat", "--temprature", "1"], "--temperature"),
    ],
)
def test_a_mistyped_name_is_refused_with_the_nearest_one(
    desk: Desk, arguments: list[str], suggestion: str
) -> None:
    result = desk.run(*arguments)
    assert result.exit_code == 2
    assert f"Did you mean '{suggestion}'?" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["capton"],
        ["caption", "a.png", "--modle", "x"],
        ["convert"],
        ["caption", "--dtype", "x"],
        ["quantize", "nano", "--output", "x"],
    ],
)
def test_every_refusal_is_one_line_of_one_form(desk: Desk, arguments: list[str]) -> None:
    desk.refused(*arguments)
    assert desk.run(*arguments).stderr.startswith("palikit: error: ")


@pytest.mark.parametrize("arguments", [["--modle", "x", "caption"], ["--model", "x", "caption"]])
def test_an_option_before_the_command_is_told_its_place(desk: Desk, arguments: list[str]) -> None:
    assert "options come after it, as in palikit caption photo.jpg --model" in desk.refused(
        *arguments
    )


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("train", "finetune"),
        ("Fine-Tune", "finetune"),
        ("eval", "evaluate"),
        ("predict", "caption, describe, answer"),
        ("run", "generate"),
        ("vqa", "answer"),
        ("info", "inspect"),
        ("check", "data check"),
    ],
)
def test_a_word_of_other_programs_is_answered_with_the_word_here(
    desk: Desk, word: str, command: str
) -> None:
    sentence = desk.refused(word, "a.png")
    assert sentence.startswith(f"no such command '{word}': ")
    assert command in sentence


def test_no_word_of_other_programs_is_one_here() -> None:
    assert not set(main.words_for) & set(main.commands)


def test_the_list_of_commands_cuts_no_sentence() -> None:
    text = CliRunner().invoke(main, ["--help"], terminal_width=60).output
    listed = " ".join(text.split("Options:")[1].split("Examples:")[0].split())
    for command in main.commands.values():
        sentence = " ".join(str(command.help).split("\n\n")[0].split())
        assert sentence.rstrip(".") in listed


@pytest.mark.parametrize("verb", ["is", "has"])
def test_a_sentence_about_a_field_names_its_option(verb: str) -> None:
    told = in_options(f"rate_multipliers {verb} 'vision_tower': expected such as vision_tower=0.1")
    assert told.startswith(f"--rate-multipliers {verb} 'vision_tower'")


def test_an_option_that_is_advised_is_named_as_it_is_typed() -> None:
    with pytest.raises(InputError) as told:
        TrainOptions(rate_multipliers="vision_tower=0")
    assert in_options(str(told.value)).endswith("; --freeze is what leaves weights as they are")


def test_help_is_a_word_too() -> None:
    def shown(*arguments: str) -> str:
        result = CliRunner().invoke(main, arguments, prog_name="palikit")
        assert result.exit_code == 0
        return result.stdout

    assert shown("help") == shown("--help") == shown("-h")
    assert shown("help", "detect") == shown("detect", "--help") == shown("detect", "-h")


# Arguments


@pytest.mark.parametrize(
    ("verb", "form"),
    [
        ("answer", 'palikit answer photo.jpg "what'),
        ("detect", 'palikit detect photo.jpg "cat ; dog"'),
        ("generate", 'palikit generate photo.jpg "caption en"'),
    ],
)
def test_a_missing_text_is_named_with_the_right_form(desk: Desk, verb: str, form: str) -> None:
    assert form in desk.refused(verb)
    for words in (["a.png"], ["a.png", "b.png"], ["nowhere.jpg"], ["-"], ["https://a/b.png"]):
        sentence = desk.refused(verb, *words)
        assert "is missing" in sentence
        assert form in sentence


@pytest.mark.parametrize("verb", ["answer", "detect", "segment"])
def test_an_empty_text_is_refused_with_the_right_form(desk: Desk, verb: str) -> None:
    assert "is empty: write for example: palikit" in desk.refused(verb, "a.png", "  ")


def test_a_text_without_a_picture_is_told_from_a_picture_without_a_text(desk: Desk) -> None:
    assert "no input before 'cat'" in desk.refused("detect", "cat")


def test_a_question_without_quotes_is_noticed(desk: Desk) -> None:
    assert "stands in quotes" in desk.refused("answer", "a.png", "what", "is", "this")


def test_a_very_long_question_is_a_question(desk: Desk) -> None:
    result = desk.run("answer", "a.png", "why " * 2000, "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["prompt"].startswith("answer en why why")


def test_a_folder_with_the_name_of_a_label_does_not_hide_the_label(desk: Desk) -> None:
    write_picture(desk.folder / "cat" / "1.png")
    assert desk.run("detect", "a.png", "cat").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "prompt"),
    [
        (["caption", "a.png"], "caption en"),
        (["caption", "a.png", "--language", "de"], "caption de"),
        (
            ["caption", "a.png", "--box", "0,0,16,12"],
            "caption <loc0000><loc0000><loc1023><loc1023>",
        ),
        (["describe", "a.png"], "describe en"),
        (["answer", "a.png", "who?", "--language", "fr"], "answer fr who?"),
        (["ocr", "a.png"], "ocr"),
        (["detect", "a.png", "cat;dog"], "detect cat ; dog"),
        (["segment", "a.png", "cat"], "segment cat"),
        (["segment", "a.png", "--refer", "the left one"], "the left one"),
        (["generate", "a.png", " any; thing "], " any; thing "),
        (["generate", "a.png", ""], ""),
    ],
)
def test_verbs_send_their_prompt(desk: Desk, arguments: list[str], prompt: str) -> None:
    result = desk.run(*arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["prompt"] == prompt


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["caption"], "no input"),
        (["caption", "gone.png"], "no such file or folder: gone.png"),
        (["caption", "*.jpg"], "matches *.jpg"),
        (["caption", "a.png", "--language", "x y"], "language"),
        (["caption", "a.png", "--box", "1,2,3"], "--box 1,2,3 is no region"),
        (["caption", "a.png", "--box", "5,5,1,1"], "x1 < x2 and y1 < y2"),
        (["caption", "a.png", "--box", "0,0,1,1", "--language", "de"], "do not go together"),
        (["caption", "a.png", "b.png", "--together", "--box", "0,0,1,1"], "do not go together"),
        (["detect", "a.png", "cat ;; dog"], "a label is empty"),
        (["detect", "a.png", "<loc0001>"], "holds a newline or a token"),
        (["caption", "a.png", "--max-new-tokens", "0"], "--max-new-tokens is 0"),
        (["caption", "a.png", "--batch-size", "0"], "--batch-size is 0"),
        (["caption", "a.png", "--frames", "-1"], "--frames is -1"),
        (["caption", "a.png", "--frames", "1000000"], "--frames is 1000000"),
        (["caption", "a.png", "--image-size", "1"], "--image-size is 1"),
        (["caption", "a.png", "--save", ""], "--save is ''"),
        (["caption", "a.png", "--save", "-"], "--save - is no file"),
        (["caption", "a.png", "--output", ""], "--output is ''"),
        (["caption", ""], "an input is empty"),
        (["caption", "a.png", "--output", "out.xml"], "no format ends in .xml"),
        (["caption", "a.png", "--output", "o.jsonl", "--format", "csv"], "change one of them"),
        (["detect", "a.png", "x", "--output", "o.json", "--format", "csv"], "change one of"),
        (["caption", "a.png", "--num-beams", "2", "--temperature", "1"], "does not sample"),
        (["answer", "a.png", "who?", "--format", "coco"], "COCO has no records for answer"),
        (["caption", "a.png", "--output", "b.png/x.json"], "cannot be written: "),
        (["caption", "a.png", "--save", "out.txt"], "does not end like a picture file"),
        (["caption", "a.png", "b.png", "--save", "out.png"], "name a folder"),
        (["caption", "a.png", "--save", "b.png"], "b.png exists"),
        (["caption", "a.png", "--output", "b.png", "--format", "csv"], "b.png exists"),
        (["caption", "a.png", "--save", "b.png/c.png"], "cannot write to b.png"),
        (["caption", "a.png", "--save", "a.png", "--overwrite"], "a.png is one of the inputs"),
        (["caption", "a.png", "b.png", "--save", "."], "a.png is one of the inputs"),
        (
            ["caption", "a.png", "--output", "./a.png", "--format", "csv", "--overwrite"],
            "a.png is one of the inputs",
        ),
        (["answer", "a.png", "what \udcff is"], "the question is not text"),
        (["generate", "a.png", "\ud800"], "the prompt is not text"),
        (["caption", "a.png", "--model", ""], "--model is empty"),
    ],
)
def test_what_can_be_known_is_refused_before_the_model_is_loaded(
    desk: Desk, arguments: list[str], words: str
) -> None:
    assert words in desk.refused(*arguments)


def test_a_refused_command_leaves_nothing_behind(desk: Desk) -> None:
    desk.refused("caption", "a.png", "--output", "out.json", "--save", "b.png")
    assert sorted(each.name for each in desk.folder.iterdir()) == ["a.png", "b.png", "c.png"]


def test_options_reach_the_model(desk: Desk) -> None:
    desk.run(
        *("detect", "a.png", "cat", "--model", "other", "--device", "cpu", "--dtype", "bfloat16"),
        *("--coordinates", "1024", "--max-new-tokens", "7", "--top-p", "0.5", "--no-grammar"),
    )
    assert desk.loaded == [
        ("other", LoadOptions(device="cpu", dtype="bfloat16", coordinates="1024"))
    ]
    assert desk.predictor.options == GenerationOptions(max_new_tokens=7, top_p=0.5, grammar=False)


def test_a_region_is_read_on_the_grid_of_the_coordinates(desk: Desk) -> None:
    result = desk.run(
        *("caption", "a.png", "--box", "0,0,8,6", "--coordinates", "1024", "--format", "json")
    )
    assert json.loads(result.stdout)["prompt"].endswith("<loc0512><loc0512>")


# Several questions


def test_several_questions_are_answered_in_their_order(desk: Desk) -> None:
    result = desk.run("answer", "a.png", "what is it?", "how many are there?", "color?")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "what is it?  picture of 16 x 12",
        "how many are there?  picture of 16 x 12",
        "color?  picture of 16 x 12",
    ]


def test_several_questions_about_several_pictures_go_picture_by_picture(desk: Desk) -> None:
    command = ("answer", ".", "what is it?", "where is it?", "--batch-size", "2")
    lines = desk.run(*command).stdout.splitlines()
    assert lines[:3] == [
        "./a.png: what is it?  picture of 16 x 12",
        "./a.png: where is it?  picture of 16 x 12",
        "./b.png: what is it?  picture of 16 x 12",
    ]
    assert len(lines) == 6
    records = json.loads(desk.run(*command, "--format", "json").stdout)
    assert [(each["input"], each["prompt"]) for each in records[:3]] == [
        ("./a.png", "answer en what is it?"),
        ("./a.png", "answer en where is it?"),
        ("./b.png", "answer en what is it?"),
    ]


def test_several_questions_are_a_list_and_one_is_none(desk: Desk) -> None:
    def asked(*questions: str) -> Any:
        return json.loads(desk.run("answer", "a.png", *questions, "--format", "json").stdout)

    assert isinstance(asked("what is it?", "who is it?"), list)
    assert isinstance(asked("what is it?"), dict)


def test_a_picture_that_cannot_be_read_fails_once_for_all_questions(desk: Desk) -> None:
    (desk.folder / "b.png").write_bytes(b"text")
    result = desk.run("answer", "a.png", "b.png", "c.png", "what is it?", "who is it?")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4
    assert result.stderr.splitlines()[0] == "palikit: 1 of 3 failed:"
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.png", "what is it?", "b.png"], "'what is it?' stands before b.png: inputs come first"),
        (["a.png", "what is it?", "gone.png"], "'what is it?' stands before gone.png"),
        (["what is it?", "who is it?"], "no input before 'what is it?'"),
        (["a.png", "what is it?", ""], "question is empty"),
        (["a.png", "what is it?", "\udcff x"], "the question is not text"),
        (["a.png", "what is it?", "who is it?", "--output", "o.json"], "--output o.json takes"),
        (["a.png", "what is it?", "who is it?", "--save", "o.png"], "--save draws the answer to"),
    ],
)
def test_questions_that_cannot_be_asked_are_refused(
    desk: Desk, arguments: list[str], words: str
) -> None:
    assert words in desk.refused("answer", *arguments)


def test_what_matches_files_is_no_question(desk: Desk) -> None:
    write_picture(desk.folder / "my photos" / "x1.png")
    for pattern in ("my photos", "my photos/*", "my photos/x?.*"):
        result = desk.run("answer", "a.png", pattern, "what is it?")
        assert "my photos/x1.png: picture of 16 x 12" in result.stdout


# Labels


@pytest.mark.parametrize("verb", ["detect", "segment"])
def test_a_list_with_commas_is_read_as_a_list(desk: Desk, verb: str) -> None:
    desk.predictor.mask_codec = object()
    result = desk.run(verb, "a.png", "circle, traffic light,star", "--format", "json")
    assert json.loads(result.stdout)["prompt"] == f"{verb} circle ; traffic light ; star"
    assert result.stderr == (
        'palikit: read as 3 labels: circle ; traffic light ; star; a text that ends in ";" is one\n'
    )


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("cat, big ; dog", "cat, big ; dog"),
        ("cat, big;", "cat, big"),
        ("cat;", "cat"),
        ("a man, who stands beside a tree", "a man, who stands beside a tree"),
        ("1,5 l bottle", "1,5 l bottle"),
    ],
)
def test_a_comma_that_divides_no_list_stays(desk: Desk, text: str, prompt: str) -> None:
    result = desk.run("detect", "a.png", text, "--format", "json")
    assert json.loads(result.stdout)["prompt"] == f"detect {prompt}"


def test_a_text_with_a_comma_that_is_one_label_is_remarked(desk: Desk) -> None:
    result = desk.run("detect", "a.png", "a man, who stands beside a tree", "--format", "json")
    assert 'is asked for as one label: write ";" between several' in result.stderr
    assert desk.run("detect", "a.png", "cat, dog", "--quiet").stderr == ""
    refer = desk.run("segment", "--refer", "a.png", "the cat, left", "--format", "json")
    assert json.loads(refer.stdout)["prompt"] == "the cat, left"


# Inputs


def test_a_picture_comes_from_standard_input(desk: Desk) -> None:
    picture = (desk.folder / "a.png").read_bytes()
    result = desk.run("caption", "-", "--format", "json", stdin=picture)
    assert json.loads(result.stdout)["input"] == "-"
    assert "standard input is empty" in desk.run("caption", "-", stdin=b"").stderr
    for frames in ((), ("--frames", "2")):
        told = desk.run("caption", "-", *frames, stdin=b"hi\n").stderr
        assert "standard input is not a picture" in told


def test_pictures_together_are_one_question(desk: Desk) -> None:
    result = desk.run("answer", "a.png", "b.png", "same?", "--together", "--format", "json")
    assert json.loads(result.stdout)["input"] == "a.png, b.png"
    assert desk.predictor.frames == [2]


def test_frames_are_taken_of_an_animation(desk: Desk) -> None:
    write_animation(desk.folder / "clip.gif", 5)
    desk.run("caption", "clip.gif", "a.png", "--frames", "3")
    desk.run("caption", "clip.gif", "a.png", "--frames", "0")
    assert desk.predictor.frames == [3, 1, 5, 1]


def test_a_question_may_begin_as_an_address_of_data_does(desk: Desk) -> None:
    result = desk.run("answer", "a.png", "data: sales, and costs?", "--format", "json")
    assert json.loads(result.stdout)["prompt"] == "answer en data: sales, and costs?"


def test_standard_input_is_read_up_to_a_limit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = (desk.folder / "a.png").read_bytes()
    monkeypatch.setattr("palikit.cli.asking.MAX_BYTES", len(picture))
    assert desk.run("caption", "-", stdin=picture).exit_code == 0
    desk.loaded.clear()
    sentence = desk.refused("caption", "-", stdin=picture + b"\0" * 10**6)
    assert sentence.startswith("standard input holds more than")


def test_one_damaged_input_is_an_error(desk: Desk) -> None:
    (desk.folder / "bad.png").write_bytes(b"text")
    result = desk.run("caption", "bad.png")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("palikit: error: bad.png is not a picture")


def test_one_damaged_input_of_several_leaves_the_others(desk: Desk) -> None:
    (desk.folder / "bad.png").write_bytes(b"text")
    result = desk.run("caption", "a.png", "bad.png", "gone.png", "b.png")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["a.png: picture of 16 x 12", "b.png: picture of 16 x 12"]
    first, *rest = result.stderr.splitlines()
    assert first == "palikit: 2 of 4 failed:"
    assert rest[0] == "  gone.png: no such file or folder: gone.png"
    assert rest[1].startswith("  bad.png is not a picture")


def test_no_model_is_loaded_where_no_input_exists(desk: Desk) -> None:
    result = desk.run("caption", "gone.png", "lost.png", "--format", "json")
    assert (result.exit_code, json.loads(result.stdout), desk.loaded) == (1, [], [])


def test_batches_have_the_size_asked_for(desk: Desk) -> None:
    desk.run("caption", "a.png", "b.png", "c.png", "--batch-size", "2")
    assert desk.predictor.calls == [["a.png", "b.png"], ["c.png"]]


# Answers


def test_text_of_one_input_is_the_bare_text(desk: Desk) -> None:
    result = desk.run("caption", "a.png")
    assert (result.stdout, result.stderr) == ("picture of 16 x 12\n", "")


def test_what_was_not_understood_goes_to_standard_error(desk: Desk) -> None:
    result = desk.run("detect", "a.png", "cat")
    assert result.stdout == "cat  0.25  0,0,5,4\n"
    assert result.stderr == "palikit: a.png: The box has 1 of 4 tokens.\n"
    assert desk.run("detect", "a.png", "cat", "--quiet").stderr == ""


def test_nothing_found_is_said(desk: Desk) -> None:
    desk.predictor.finds_nothing = True
    assert desk.run("detect", "a.png", "cat").stdout == "nothing found\n"


def test_a_text_that_was_cut_off_is_remarked(desk: Desk) -> None:
    desk.predictor.finish_reason = "length"
    limit = ("--max-new-tokens", "7")
    remark = "cut off at --max-new-tokens 7\n"
    assert desk.run("caption", "a.png", *limit).stderr == f"palikit: the answer was {remark}"
    assert desk.run("caption", ".", *limit).stderr == f"palikit: 3 answers were {remark}"
    (desk.folder / "b.png").write_bytes(b"")
    (desk.folder / "c.png").write_bytes(b"")
    assert f"palikit: 1 answer was {remark}" in desk.run("caption", ".", *limit).stderr


@pytest.mark.parametrize("fmt", ["json", "coco"])
def test_several_inputs_are_one_json_document(desk: Desk, fmt: str) -> None:
    document = json.loads(desk.run("detect", ".", "cat", "--format", fmt).stdout)
    inputs = (
        [each["input"] for each in document]
        if fmt == "json"
        else [each["file_name"] for each in document["images"]]
    )
    assert inputs == ["./a.png", "./b.png", "./c.png"]


def test_a_folder_of_one_picture_is_a_list_of_one(desk: Desk) -> None:
    write_picture(desk.folder / "one" / "x.png")
    assert len(json.loads(desk.run("caption", "one", "--format", "json").stdout)) == 1


def test_csv_goes_to_standard_output_with_one_head(desk: Desk) -> None:
    rows = list(csv.reader(io.StringIO(desk.run("caption", ".", "--format", "csv").stdout)))
    assert [row[0] for row in rows] == ["input", "./a.png", "./b.png", "./c.png"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("out.json", json.loads),
        ("out.jsonl", lambda text: [json.loads(line) for line in text.splitlines()]),
        ("out.csv", lambda text: list(csv.DictReader(io.StringIO(text)))),
        ("out.txt", str.splitlines),
    ],
)
def test_the_ending_of_the_output_names_its_format(
    desk: Desk, name: str, read: Callable[[str], list[object]]
) -> None:
    result = desk.run("caption", ".", "--output", name)
    assert result.stdout == ""
    assert result.stderr == f"palikit: 3 of 3 done, in {name}\n"
    assert len(read((desk.folder / name).read_text())) == 3


def test_a_dash_for_the_output_is_standard_output(desk: Desk) -> None:
    assert desk.run("caption", "a.png", "--output", "-").stdout == "picture of 16 x 12\n"


# Interruption


def test_an_interrupted_run_says_how_far_it_came_and_goes_on(desk: Desk) -> None:
    command = ("caption", ".", "--output", "out.json", "--batch-size", "1")
    desk.predictor = FakePredictor(interrupt_at=1)
    result = desk.run(*command)
    assert result.exit_code == 130
    assert result.stderr == (
        "palikit: interrupted: 1 of 3 done; to resume, run the same command again\n"
    )
    desk.predictor = FakePredictor()
    result = desk.run(*command)
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "palikit: resuming: 1 of 3 done",
        "palikit: 3 of 3 done, in out.json",
    ]
    assert desk.predictor.calls == [["./b.png"], ["./c.png"]]
    assert len(json.loads((desk.folder / "out.json").read_text())) == 3


@pytest.mark.parametrize("fmt", ["coco", "csv", "json", "jsonl", "text"])
def test_an_interrupted_run_ends_with_the_file_of_a_whole_one(desk: Desk, fmt: str) -> None:
    command = ("detect", ".", "cat ; dog", "--format", fmt, "--batch-size", "1", "--output")
    assert desk.run(*command, "whole").exit_code == 0
    desk.predictor = FakePredictor(interrupt_at=2)
    assert desk.run(*command, "resumed").exit_code == 130
    desk.predictor = FakePredictor()
    assert desk.run(*command, "resumed").exit_code == 0
    assert (desk.folder / "resumed").read_bytes() == (desk.folder / "whole").read_bytes()


def test_an_interrupted_run_prints_what_it_has(desk: Desk) -> None:
    desk.predictor = FakePredictor(interrupt_at=2)
    result = desk.run("caption", ".", "--format", "json", "--batch-size", "1")
    assert result.exit_code == 130
    assert result.stderr == (
        "palikit: interrupted: 2 of 3 done; with --output FILE, a run can be resumed\n"
    )
    assert [each["input"] for each in json.loads(result.stdout)] == ["./a.png", "./b.png"]


def test_ctrl_c_while_the_model_loads_is_quiet(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(model: str, options: LoadOptions) -> FakePredictor:
        raise KeyboardInterrupt

    monkeypatch.setattr("palikit.cli.asking.load_predictor", load)
    result = desk.run("caption", "a.png", "--output", "out.jsonl")
    assert (result.exit_code, result.stderr) == (130, "palikit: interrupted\n")
    assert not (desk.folder / "out.jsonl").exists()


def test_a_run_goes_on_with_the_options_it_was_begun_with(desk: Desk) -> None:
    command = ("detect", ".", "cat", "--batch-size", "1", "--output", "out.jsonl")
    desk.predictor = FakePredictor(interrupt_at=1)
    assert desk.run(*command).exit_code == 130
    before = (desk.folder / "out.jsonl").read_bytes()
    desk.loaded.clear()
    sentence = desk.refused(*command, "--coordinates", "1024", "--no-grammar", "--frames", "2")
    for difference in (
        "coordinates: 1023, now 1024",
        "grammar: True, now False",
        "frames: None, now 2",
    ):
        assert difference in sentence
    assert (desk.folder / "out.jsonl").read_bytes() == before
    desk.predictor = FakePredictor()
    assert desk.run(*command, "--device", "cpu").exit_code == 0


@pytest.mark.parametrize("name", ["out.json", "out.jsonl", "out.csv", "out.txt"])
def test_a_finished_command_has_nothing_left_to_do(desk: Desk, name: str) -> None:
    assert desk.run("caption", ".", "--output", name).exit_code == 0
    before = (desk.folder / name).stat()
    desk.loaded.clear()
    for inputs in (["."], [str(desk.folder)], ["a.png", "./b.png", "c.png"]):
        result = desk.run("caption", *inputs, "--output", name)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr == f"palikit: nothing left to do: {name} holds all 3 answers\n"
    assert (desk.folder / name).stat() == before
    assert desk.loaded == []
    assert desk.run("caption", ".", "--output", name, "--overwrite").exit_code == 0
    assert desk.loaded


@pytest.mark.parametrize("name", ["out.json", "out.csv"])
def test_a_finished_file_of_another_command_is_refused(desk: Desk, name: str) -> None:
    assert desk.run("caption", ".", "--output", name).exit_code == 0
    desk.loaded.clear()
    for other in (["--language", "de"], ["--seed", "1"], ["--box", "0,0,4,4"]):
        sentence = desk.refused("caption", ".", "--output", name, *other)
        assert "exists and was not made by this command" in sentence
    write_picture(desk.folder / "d.png")
    assert "about these inputs" in desk.refused("caption", ".", "--output", name)


def test_a_run_goes_on_however_its_inputs_are_written(desk: Desk) -> None:
    desk.predictor = FakePredictor(interrupt_at=1)
    run = ("--output", "out.jsonl", "--batch-size", "1")
    assert desk.run("caption", ".", *run).exit_code == 130
    desk.predictor = FakePredictor()
    assert desk.run("caption", desk.folder, *run).exit_code == 0
    assert len(desk.predictor.calls) == 2
    lines = (desk.folder / "out.jsonl").read_text().splitlines()
    assert [Path(json.loads(line)["input"]).name for line in lines] == ["a.png", "b.png", "c.png"]


def test_a_folder_that_grew_is_finished_in_json_lines(desk: Desk) -> None:
    desk.run("caption", ".", "--output", "out.jsonl")
    write_picture(desk.folder / "d.png")
    desk.predictor = FakePredictor()
    assert desk.run("caption", ".", "--output", "out.jsonl").exit_code == 0
    assert desk.predictor.calls == [["./d.png"]]


# Drawings


def test_one_input_is_drawn_to_a_file(desk: Desk) -> None:
    assert desk.run("detect", "a.png", "cat", "--save", "out.webp").exit_code == 0
    with Image.open(desk.folder / "out.webp") as drawing:
        assert drawing.size == (16, 12)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tiff", ".bmp"])
def test_every_ending_that_is_offered_can_be_written(desk: Desk, suffix: str) -> None:
    result = desk.run("detect", "a.png", "cat", "--save", f"out{suffix}")
    assert result.exit_code == 0, result.output
    assert (desk.folder / f"out{suffix}").stat().st_size > 0


def test_several_inputs_are_drawn_into_a_folder_under_names_of_their_own(desk: Desk) -> None:
    write_picture(desk.folder / "more" / "A.png")
    result = desk.run("detect", "a.png", "more/A.png", "b.png", "cat", "--save", "drawn")
    assert result.exit_code == 0
    files = sorted(each.name for each in (desk.folder / "drawn").iterdir())
    assert files == ["A-2.png", "a.png", "b.png"]


def test_existing_drawings_are_replaced_only_when_asked(desk: Desk) -> None:
    before = (desk.folder / "b.png").read_bytes()
    assert "b.png exists" in desk.refused("detect", "a.png", "cat", "--save", "b.png")
    assert (desk.folder / "b.png").read_bytes() == before
    assert desk.run("detect", "a.png", "cat", "--save", "b.png", "--overwrite").exit_code == 0
    assert (desk.folder / "b.png").read_bytes() != before


DRAWN = (
    *("detect", ".", "cat", "--output", "out.jsonl"),
    *("--save", "drawn", "--batch-size", "1"),
)
"""A run that draws."""


def test_drawings_of_an_interrupted_run_are_no_obstacle_and_no_inputs(desk: Desk) -> None:
    desk.predictor = FakePredictor(interrupt_at=1)
    assert desk.run(*DRAWN).exit_code == 130
    first = (desk.folder / "drawn" / "a.png").stat()
    desk.predictor = FakePredictor()
    assert desk.run(*DRAWN).exit_code == 0
    assert desk.predictor.calls == [["./b.png"], ["./c.png"]]
    assert (desk.folder / "drawn" / "a.png").stat() == first
    assert sorted(each.name for each in (desk.folder / "drawn").iterdir()) == [
        "a.png",
        "b.png",
        "c.png",
    ]


def test_a_resumed_run_replaces_no_picture_that_is_not_its_own(desk: Desk) -> None:
    desk.predictor = FakePredictor(interrupt_at=1)
    assert desk.run(*DRAWN).exit_code == 130
    foreign = write_picture(desk.folder / "drawn" / "b.png", 5, 5)
    before = foreign.read_bytes()
    desk.predictor = FakePredictor()
    desk.loaded.clear()
    assert "b.png exists" in desk.refused(*DRAWN)
    assert foreign.read_bytes() == before


def test_a_resumed_run_does_not_draw_over_its_inputs(desk: Desk) -> None:
    command = ("detect", "a.png", "b.png", "cat", "--output", "out.jsonl")
    before = {name: (desk.folder / name).read_bytes() for name in ("a.png", "b.png")}
    assert desk.run("detect", "a.png", "gone.png", *command[3:]).exit_code == 1
    desk.loaded.clear()
    for more in ((), ("--overwrite",)):
        assert "is one of the inputs" in desk.refused(*command, "--save", ".", *more)
    (desk.folder / "links").mkdir()
    (desk.folder / "links" / "b.png").symlink_to(desk.folder / "b.png")
    assert "is one of the inputs" in desk.refused(*command, "--save", "links", "--overwrite")
    assert {name: (desk.folder / name).read_bytes() for name in before} == before


def test_answers_that_were_not_drawn_are_drawn_when_the_run_goes_on(desk: Desk) -> None:
    whole = desk.folder / "whole"
    desk.run("detect", ".", "cat", "--save", str(whole))
    desk.predictor = FakePredictor(interrupt_at=2)
    assert desk.run("detect", "a.png", "b.png", "c.png", "cat", *DRAWN[3:5], "--batch-size", "1")
    desk.predictor = FakePredictor()
    result = desk.run("detect", "a.png", "b.png", "c.png", "cat", *DRAWN[3:])
    assert result.exit_code == 0, result.stderr
    assert desk.predictor.calls == [["c.png"]]
    for name in ("a.png", "b.png", "c.png"):
        assert (desk.folder / "drawn" / name).read_bytes() == (whole / name).read_bytes()


def test_a_finished_run_is_drawn_afterwards_without_the_model(desk: Desk) -> None:
    assert desk.run(*DRAWN[:5]).exit_code == 0
    (desk.folder / "c.png").write_bytes(b"damaged since")
    desk.loaded.clear()
    result = desk.run(*DRAWN)
    assert (result.exit_code, desk.loaded) == (1, [])
    assert "./c.png is not a picture" in result.stderr
    assert sorted(each.name for each in (desk.folder / "drawn").iterdir()) == ["a.png", "b.png"]


def test_names_of_addresses_become_names_of_files(desk: Desk) -> None:
    from palikit.batch import Source

    sources = [Source(name, (name,)) for name in ("https://h/x.jpg?size=a/b", "-", "data:,... (3)")]
    files = plan_saves("drawn", sources, many=True).values()
    assert [file.as_posix() for file in files] == [
        "drawn/x.png",
        "drawn/picture.png",
        "drawn/data.png",
    ]


# Masks, progress, errors


@pytest.mark.parametrize(
    "arguments", [["segment", "a.png", "cat"], ["segment", "a.png", "--refer", "x"]]
)
def test_segments_without_a_mask_codec_say_where_to_get_one(
    desk: Desk, arguments: list[str]
) -> None:
    assert "gs://big_vision/paligemma/vae-oid.npz" in desk.run(*arguments).stderr
    assert desk.run(*arguments, "--quiet").stderr == ""
    desk.predictor.mask_codec = object()
    assert desk.run(*arguments).stderr == ""


def test_progress_lines_are_rare(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr("palikit.cli.progress.time.monotonic", lambda: now[0])
    lines = Lines(100, 50)
    for _ in range(50):
        now[0] += 1
        lines.advance()
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [f"palikit: {n} of 100 done" for n in (60, 70, 80, 90, 100)]
    now[0] += 10
    endless = Lines(None, 0, "encoding outlines")
    now[0] += 10
    endless.advance()
    assert capsys.readouterr().err == "palikit: encoding outlines: 1 done\n"


def test_a_bar_on_a_terminal_stays_out_of_standard_output(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_standard_error)
    monkeypatch.setenv("TERM", "xterm")
    result = desk.run("caption", ".", "--format", "jsonl")
    assert [json.loads(line)["input"] for line in result.stdout.splitlines()] == [
        "./a.png",
        "./b.png",
        "./c.png",
    ]
    assert "3/3" in result.stderr


def is_standard_error(stream: io.TextIOWrapper) -> bool:
    return stream.name == "<stderr>"


def test_errors_made_on_purpose_are_one_sentence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(model: str, options: LoadOptions) -> FakePredictor:
        raise CheckpointError("x: no such file or folder")

    monkeypatch.setattr("palikit.cli.asking.load_predictor", load)
    result = desk.run("caption", "a.png", "--output", "out.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "palikit: error: x: no such file or folder\n"
    assert not (desk.folder / "out.jsonl").exists()


def test_a_bug_keeps_its_traceback_and_the_finished_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def outcomes(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(desk.predictor, "outcomes", outcomes)
    assert isinstance(desk.run("caption", "a.png").exception, ZeroDivisionError)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: "
            "you tried to allocate 12 bytes. Error code 12 (Cannot allocate memory)"
        ),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 12 bytes."),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
    ids=["python", "linux", "windows", "mmap"],
)
def test_too_little_memory_is_one_sentence(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def predict(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(desk.predictor, "predict", predict)
    result = desk.run("caption", "a.png")
    assert result.exit_code == 2
    assert "--batch-size" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_torch_without_memory_is_one_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    def predict(*_arguments: object, **_options: object) -> None:
        torch.empty(2**60, dtype=torch.uint8)

    monkeypatch.setattr(desk.predictor, "predict", predict)
    result = desk.run("caption", "a.png")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), result.exception


def test_another_error_of_torch_keeps_its_traceback(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(desk.predictor, "predict", predict)
    assert isinstance(desk.run("caption", "a.png").exception, RuntimeError)


def test_a_reader_that_leaves_ends_the_program_quietly() -> None:
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m palikit models --format json | head -n 1"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        check=False,
    )
    assert result.stdout == "[\n"
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["--version"], 0), (["nothing"], 2), (["caption", "gone.png", "-m", "x"], 2)],
)
def test_exit_codes_of_the_installed_program(arguments: list[str], code: int) -> None:
    result = python("-m", "palikit", *arguments)
    assert result.returncode == code
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize("arguments", ["models", "models --format json", "--help", "help detect"])
def test_an_output_without_room_is_one_sentence(arguments: str) -> None:
    result = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m palikit {arguments} > /dev/full"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        check=False,
    )
    assert result.returncode == 2
    assert result.stderr == (
        "palikit: error: cannot write to standard output: No space left on device\n"
    )


def test_an_output_without_room_ends_a_run_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told: list[str] = []
    monkeypatch.setattr("palikit.cli.output.click.echo", echo)
    monkeypatch.setattr("palikit.cli.command.remark", told.append)
    assert desk.run("caption", "a.png").exit_code == 2
    assert told == ["error: cannot write to standard output: No space left on device"]


def test_ctrl_c_while_the_program_is_imported_is_quiet() -> None:
    program = (
        "import sys\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "import palikit.cli"
    )
    result = python("-c", program)
    assert (result.returncode, result.stderr) == (130, "")


# Remarks


def test_an_input_named_twice_is_asked_once_with_a_remark(desk: Desk) -> None:
    result = desk.run("caption", "a.png", "./a.png", "b.png")
    assert result.stderr == (
        "palikit: 1 input was named more than once and asked about once: ./a.png\n"
    )
    assert len(result.stdout.splitlines()) == 2
    assert desk.run("caption", "a.png", "./a.png", "b.png", "--quiet").stderr == ""


def test_the_same_picture_twice_is_two_pictures_of_one_question(desk: Desk) -> None:
    result = desk.run("answer", "a.png", "a.png", "same?", "--together")
    assert (result.exit_code, result.stderr, desk.predictor.frames) == (0, "", [2])


def test_which_picture_is_drawn_is_said_where_there_are_several(desk: Desk) -> None:
    write_animation(desk.folder / "clip.gif", 3)
    remark = "palikit: of several pictures or frames, the first is drawn, and boxes are in its"
    for arguments in (["a.png", "b.png", "--together"], ["clip.gif", "--frames", "2"]):
        assert desk.run("caption", *arguments).stderr == ""
        result = desk.run("caption", *arguments, "--save", "drawn/out.png", "--overwrite")
        assert result.stderr.startswith(remark)
    assert desk.run("caption", "a.png", "--save", "one.png").stderr == ""


def test_a_region_that_reaches_out_of_the_picture_is_remarked(desk: Desk) -> None:
    result = desk.run("caption", "a.png", "--box", "8,6,40,40")
    assert result.stderr == (
        "palikit: a.png: --box reaches out of the picture of 16 x 12: only the part inside was "
        "asked about\n"
    )
    assert desk.run("caption", "a.png", "--box", "8,6,16,12").stderr == ""


def test_remarks_on_many_answers_are_counted_after_the_first(desk: Desk) -> None:
    for number in range(12):
        write_picture(desk.folder / "many" / f"{number:02}.png")
    lines = desk.run("detect", "many", "cat").stderr.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "palikit: and 2 more such remarks on answers"


def test_the_model_that_is_loaded_is_named_on_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", is_standard_error)
    assert desk.run("caption", "a.png").stderr == "palikit: loading fake\n"
    assert desk.run("caption", "a.png", "--quiet").stderr == ""


def test_the_built_in_model_is_told_where_it_was_not_chosen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert desk.run("caption", "a.png", "--model", BUILT_IN).stderr == ""
    monkeypatch.setenv("PALIKIT_MODEL", BUILT_IN)
    assert desk.run("caption", "a.png").stderr == ""
    monkeypatch.delenv("PALIKIT_MODEL")
    (line,) = desk.run("caption", "a.png").stderr.splitlines()
    assert line.startswith("palikit: using nano, built in")
    assert BUILT_IN_LANGUAGES in line
    assert "--model google/" in line
    assert len(line) < 150
    assert desk.run("caption", "a.png", "--quiet").stderr == ""


def test_control_characters_do_not_reach_a_terminal(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(*arguments: object, **options: object) -> list[Prediction[Any]]:
        (made,) = predict(*arguments, **options)  # type: ignore[arg-type]
        return [replace(made, result=Caption("\x1b[31mred\ttab \x9b1m"))]

    predict = desk.predictor.predict
    monkeypatch.setattr(desk.predictor, "predict", answer)
    assert desk.run("caption", "a.png").stdout == "\x1b[31mred\ttab \x9b1m\n"
    monkeypatch.setattr(
        "click.testing._NamedTextIOWrapper.isatty", lambda stream: stream.name == "<stdout>"
    )
    assert desk.run("caption", "a.png").stdout == "\\x1b[31mred\ttab \\x9b1m\n"


def test_characters_that_drawings_lack_are_remarked_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.drawing.undrawable", lambda _result: "\u4e00\u4e8c")
    errors = desk.run("caption", ".", "--save", "drawn").stderr
    assert errors.count("no font here draws \u4e00\u4e8c") == 1
    assert desk.run("caption", "a.png", "--save", "x.png", "--quiet").stderr == ""


def test_the_folder_of_a_file_is_made(desk: Desk) -> None:
    result = desk.run("caption", "a.png", "--output", "new/er/out.json", "--save", "new/out.png")
    assert result.exit_code == 0, result.stderr
    assert (desk.folder / "new" / "er" / "out.json").exists()


# Models and machines


@pytest.mark.parametrize("columns", [30, 60, 100, 200])
def test_names_of_models_are_whole_on_any_terminal(
    monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _stream: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    result = CliRunner().invoke(main, ["models"])
    head, *lines = result.stdout.splitlines()
    lines = [line for line in lines if not line.startswith(BUILT_IN)]
    assert [line.split()[0] for line in lines] == [each.name for each in PUBLISHED]
    assert max(map(len, lines)) <= max(columns, *(len(each.name) for each in PUBLISHED))
    left_out = [] if columns == 200 else ["revisions"]
    assert all(name not in head and name in result.stderr for name in left_out)


def test_a_table_in_a_pipe_is_whole_and_ends_without_blanks() -> None:
    lines = CliRunner().invoke(main, ["models"]).stdout.splitlines()
    assert lines[0].endswith("revisions")
    assert [line for line in lines if line != line.rstrip()] == []


def test_models_lists_the_published_names() -> None:
    result = CliRunner().invoke(main, ["models"])
    assert "google/paligemma2-28b-mix-448" in result.output
    assert "google/paligemma-3b-ft-widgetcap-448" in result.output


def test_the_model_in_the_package_is_listed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palikit.published.BUILT_IN_FOLDER", tmp_path)
    config = tiny.config("paligemma2")
    (tmp_path / "config.json").write_text(json.dumps(config_to_json(config, "float32")))
    _, first, *_ = CliRunner().invoke(main, ["models"]).stdout.splitlines()
    assert first.split()[:4] == ["nano", "PaliGemma", "2", size_name(config)]
    assert first.endswith("in the package")
    output = (
        CliRunner().invoke(main, ["models", "--family", "paligemma", "--format", "json"]).output
    )
    assert "nano" not in {each["name"] for each in json.loads(output)}


def test_models_of_one_family_as_json() -> None:
    output = (
        CliRunner().invoke(main, ["models", "--family", "paligemma2", "--format", "json"]).output
    )
    assert {each["family"] for each in json.loads(output)} == {"PaliGemma 2"}


def test_env_names_versions_and_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = CliRunner().invoke(main, ["env"])
    assert result.exit_code == 0
    lines = dict(line.split(None, 1) for line in result.output.splitlines())
    assert lines["torch"].split(",")[0]
    assert lines["HF_HUB_OFFLINE"] == "set"
    assert "hf_secret" not in result.output
    assert str(Path.home()) not in result.output


def test_inspect_of_nothing_is_one_sentence(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "gone")])
    assert result.exit_code == 2
    assert result.stderr.startswith("palikit: error: ")


def test_convert_refuses_what_exists_before_it_reads_anything(tmp_path: Path) -> None:
    (tmp_path / "there.npz").touch()
    result = CliRunner().invoke(main, ["convert", "gone", str(tmp_path / "there.npz")])
    assert result.exit_code == 2
    assert "exists" in result.stderr


def test_no_folder_is_named_like_a_file_of_weights(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["convert", "gone", str(tmp_path / "model.bin")])
    assert result.exit_code == 2
    assert "is a folder: give the name of one, or of an .npz file" in result.stderr


def test_a_built_in_model_is_converted_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_tiny(tmp_path / "weights", tiny.model())
    save_mask_codec(MaskCodec(), folder / "vae-oid.npz")
    monkeypatch.setattr("palikit.checkpoints.hub.BUILT_IN_FOLDER", folder)
    arguments = ["convert", BUILT_IN, str(tmp_path / "out")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"model.safetensors", "tokenizer_config.json", "vae-oid.npz"} <= names
    (tmp_path / "out" / "vae-oid.npz").write_bytes(b"of another")
    CliRunner().invoke(main, [*arguments, "--overwrite"])
    assert (tmp_path / "out" / "vae-oid.npz").read_bytes() == b"of another"


def test_a_tokenizer_that_does_not_fit_is_no_part_of_a_conversion(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "m", tiny.model())
    wrong = {
        "picture.png": (b"\x89PNG\r\n", "is not a tokenizer.json that can be read"),
        "other.json": ((BUILT_IN_FOLDER / "tokenizer.json").read_bytes(), "of another model than"),
    }
    for name, (content, told) in wrong.items():
        (tmp_path / name).write_bytes(content)
        arguments = ["convert", str(folder), str(tmp_path / "out")]
        result = CliRunner().invoke(main, [*arguments, "--tokenizer", str(tmp_path / name)])
        assert (result.exit_code, told in result.stderr) == (2, True)
    (folder / "tokenizer.json").write_bytes(b"\x89PNG\r\n")
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, "is not JSON" in result.stderr) == (2, True)
    assert not (tmp_path / "out").exists()


def test_a_size_that_a_recipe_is_not_for_is_told_before_anything_is_printed() -> None:
    for command in ([], ["--format", "json"]):
        arguments = ["recipes", "refcoco-seg", "--resolution", "3", *command]
        result = CliRunner().invoke(main, arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no setting for pictures of 3 pixels" in result.stderr


def test_the_program_is_one_group_of_commands() -> None:
    assert isinstance(main, Program)
    assert list(main.commands) == list(COMMANDS)
    assert all(isinstance(each, click.Command) for each in main.commands.values())
