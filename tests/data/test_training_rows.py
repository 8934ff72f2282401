"""The rows of `palikit finetune`: which are trained on, which are measured, and what is told."""

from pathlib import Path
from typing import Any

import pytest

from palikit.cli.data_model import DataModel, open_data_model
from palikit.cli.finetune_data import TrainingRows, training_rows
from palikit.data.options import DataTask, RenderOptions
from palikit.errors import InputError
from palikit.options import LoadOptions
from tests.data.broken import CAT, DOG, row, save_picture, write_rows
from tests.data.sources import voc_folder, voc_lists, voc_xml

MODEL = DataModel(None, 448, 1024, 512, None)


def rows_of(
    *data: str | Path, validation: str | None = None, task: DataTask | None = None
) -> TrainingRows:
    return training_rows(
        [str(each) for each in data], validation, task, RenderOptions(), MODEL, 512
    )


def caption(image: str) -> dict[str, Any]:
    return row(image, "caption en", "noise")


def pictures(folder: Path, first: int) -> list[str]:
    names = [f"{number}.png" for number in range(first, first + 6)]
    for number, name in enumerate(names, start=first):
        save_picture(folder / name, number)
    return names


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """4 rows to train on and 2 to measure on."""
    names = pictures(tmp_path / "boxes", 0)
    write_rows(tmp_path / "boxes" / "train.jsonl", [row(name) for name in names[:4]])
    write_rows(tmp_path / "boxes" / "val.jsonl", [row(name, suffix=DOG) for name in names[4:]])
    return tmp_path / "boxes"


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    """5 rows to train on and 1 to measure on."""
    names = pictures(tmp_path / "captions", 20)
    write_rows(tmp_path / "captions" / "train.jsonl", [caption(name) for name in names[:5]])
    write_rows(tmp_path / "captions" / "val.jsonl", [caption(names[5])])
    return tmp_path / "captions"


def test_weights_are_given_to_all_or_to_none(boxes: Path, captions: Path) -> None:
    with pytest.raises(InputError, match=r"boxes=0.3 has a weight and --data .*captions has none"):
        rows_of(f"{boxes}=0.3", captions)
    assert [weight for _, weight in rows_of(boxes, captions).train] == [4.0, 5.0]
    found = rows_of(f"{boxes}=0.3", f"{captions}=1")
    assert [weight for _, weight in found.train] == [0.3, 1.0]


def test_what_validation_leaves_out_of_a_mixture_is_told(
    boxes: Path, captions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows_of(boxes, captions)
    assert (found.task, len(found.validation)) == ("caption", 1)
    told = capsys.readouterr().err
    assert "validation measures caption alone, on 1 row, and not detect (2 rows)" in told
    assert "give --task detect, or such rows alone with --val" in told
    for chosen in (
        rows_of(boxes, captions, task="detect"),
        rows_of(boxes, captions, validation=str(boxes / "val.jsonl")),
    ):
        assert (chosen.task, len(chosen.validation)) == ("detect", 2)


def test_validation_is_of_a_task_that_its_rows_ask_for(boxes: Path, captions: Path) -> None:
    (captions / "val.jsonl").unlink()
    found = rows_of(boxes, captions)
    assert (found.task, len(found.validation)) == ("detect", 2)
    with pytest.raises(InputError, match="--task is caption and the validation rows ask for detec"):
        rows_of(boxes, captions, task="caption")


def test_the_example_of_a_mixture_asks_for_what_is_measured(boxes: Path, captions: Path) -> None:
    assert rows_of(boxes, captions).example.prefix == "caption en"
    assert rows_of(boxes, captions, task="detect").example.prefix.startswith("detect")


def test_errors_in_splits_that_are_not_used_do_not_stop_the_training(
    boxes: Path, captions: Path
) -> None:
    write_rows(boxes / "test.jsonl", [row("gone.png")])
    found = rows_of(boxes)
    assert (found.number, len(found.validation)) == (4, 2)
    write_rows(boxes / "val.jsonl", [row("gone.png")])
    with pytest.raises(InputError, match=r"there is no picture gone\.png"):
        rows_of(boxes)
    assert rows_of(boxes, validation="none").number == 4


def test_prompts_name_the_classes_of_training_and_validation_alike(tmp_path: Path) -> None:
    boxes = {"a": "cat", "b": "dog"}
    files = {name: voc_xml(name, [(label, 1, 1, 9, 9)]) for name, label in boxes.items()}
    voc_folder(tmp_path, files)
    voc_lists(tmp_path, train="a", val="b")
    found = rows_of(tmp_path)
    assert {each.prefix for each in found.validation} == {"detect cat ; dog"}
    assert found.example.prefix == "detect cat ; dog"


@pytest.mark.parametrize("prefix", ["detect all classes", "find the pets"])
def test_one_prompt_for_all_classes_may_be_trained_on(tmp_path: Path, prefix: str) -> None:
    names = {"a": "cat", "b": "dog", "c": "cat"}
    voc_folder(tmp_path, {name: voc_xml(name, [(names[name], 1, 1, 9, 9)]) for name in names})
    voc_lists(tmp_path, train="a b", val="c")
    render = RenderOptions(prefix=prefix)
    found = training_rows([str(tmp_path)], None, "detect", render, MODEL, 512)
    assert (found.task, found.number, len(found.validation)) == ("detect", 2, 1)
    assert found.example.prefix == prefix


def test_a_file_named_as_a_split_is_taken_whole_and_one_of_several_is_not(tmp_path: Path) -> None:
    names = pictures(tmp_path, 0)
    lines = [f"{name},ocr,{name},{'train' if i < 4 else 'val'}" for i, name in enumerate(names)]
    text = "image,prefix,suffix,split\n" + "\n".join(lines)
    (tmp_path / "rows.csv").write_text(text)
    found = rows_of(tmp_path / "rows.csv")
    assert (found.number, len(found.validation)) == (4, 2)
    write_rows(tmp_path / "test.jsonl", [row(name) for name in names])
    assert rows_of(tmp_path / "test.jsonl", validation="none").number == 6


def test_pictures_with_sides_in_their_labels_are_told(
    boxes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = rows_of(boxes)
    found.examples("mirror")
    assert capsys.readouterr().err == ""
    sided = CAT.replace("cat", "left cat")
    write_rows(boxes / "train.jsonl", [row("0.png", "detect left cat", sided), row("1.png")])
    rows_of(boxes).examples("mirror")
    told = capsys.readouterr().err
    assert "--augment mirror leaves the pictures of 1 row as they are" in told
    assert "train.jsonl, line 1, 'left cat'" in told


def test_outlines_are_not_measured_without_a_mask_codec(boxes: Path) -> None:
    outline = CAT.replace(" cat", "<seg001>" * 16 + " cat")
    for name, image in (("train", "0.png"), ("val", "4.png")):
        write_rows(boxes / f"{name}.jsonl", [row(image, "segment cat", outline)])
    with pytest.raises(InputError, match="has no mask codec: give one with --mask-codec"):
        rows_of(boxes)
    assert rows_of(boxes, validation="none").task == "segment"


def test_the_limit_of_text_is_what_the_model_was_trained_with(tmp_path: Path) -> None:
    assert open_data_model("nano", LoadOptions()).text_tokens == 256
    assert open_data_model(None, LoadOptions()).text_tokens == 512
    assert open_data_model(None, LoadOptions(image_size=224)).text_tokens == 128
