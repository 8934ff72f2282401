"""CSV: what the header says the table holds."""

from pathlib import Path

import pytest

from palikit.data.csv_table import read_csv
from palikit.data.options import RenderOptions
from palikit.data.reading import read_source
from palikit.data.records import Question, Records
from palikit.data.rows import Rows, load_rows
from palikit.errors import InputError
from palikit.results import Box
from tests.data.broken import save_picture
from tests.data.sources import only_error


def table(folder: Path, text: str, name: str = "table.csv") -> Path:
    for picture in ("a.png", "b.png"):
        save_picture(folder / picture, 0)
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"image,text\na.png,x\na.png,{'x' * 200_000}\n", "line 3, cannot be read as a table"),
        ("image,text,split\na.png,x,../../elsewhere\n", "a split is a word"),
        ("image,label,x1,y1,x2,y2\na.png,cat,.1,.2,.5,1\n", "fractions of the sides"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_csv(table(tmp_path, text))


def test_a_cell_may_go_over_lines_which_are_counted(tmp_path: Path) -> None:
    text = 'image,prefix,suffix\na.png,ocr,"one\ntwo"\nb.png,ocr,three\n'
    found = read_csv(table(tmp_path, text))
    assert isinstance(found, Rows)
    assert [each.where for each in found.rows] == ["table.csv, line 2", "table.csv, line 4"]
    assert found.rows[0].suffixes == ("one\ntwo",)


def records(file: Path) -> Records:
    found = read_csv(file)
    assert isinstance(found, Records)
    return found


def test_prefix_and_suffix_are_rows(tmp_path: Path) -> None:
    found = read_csv(table(tmp_path, 'image,prefix,suffix\na.png,caption en,"one, two"\n'))
    assert isinstance(found, Rows)
    assert [(each.prefix, each.suffixes) for each in found.rows] == [("caption en", ("one, two",))]


@pytest.mark.parametrize(
    "header",
    ["image,label,x1,y1,x2,y2", "filename;class;xmin;ymin;xmax;ymax"],
)
def test_objects_of_one_picture_are_gathered(tmp_path: Path, header: str) -> None:
    separator = ";" if ";" in header else ","
    lines = [header, "a.png,cat,1,2,3,4", "b.png,,,,,", "a.png,dog,5,6,7.5,8"]
    found = records(table(tmp_path, "\n".join(lines).replace(",", separator)))
    a, b = found.records
    assert [(each.label, each.box) for each in a.objects or ()] == [
        ("cat", Box(1, 2, 3, 4)),
        ("dog", Box(5, 6, 7.5, 8)),
    ]
    assert b.objects == ()


def test_lines_of_one_picture_are_its_captions_and_answers(tmp_path: Path) -> None:
    file = table(tmp_path, "image,caption\na.png,one\na.png,two\n")
    assert records(file).records[0].captions == ("one", "two")
    file = table(tmp_path, "image,question,answer\na.png,q?,yes\na.png,r?,1\na.png,q?,yes\n")
    assert records(file).records[0].questions == (
        Question("q?", ("yes", "yes")),
        Question("r?", ("1",)),
    )


def test_a_column_or_the_file_s_name_says_the_split(tmp_path: Path) -> None:
    file = table(tmp_path, "image,text,split\na.png,X,validation\nb.png,Y,train\n")
    assert [each.split for each in records(file).records] == ["val", "train"]
    found = read_csv(file, "train")
    assert isinstance(found, Records)
    assert [each.text for each in found.records] == ["Y"]
    file = table(tmp_path, "image,text\na.png,X\n", "test.csv")
    assert [each.split for each in records(file).records] == ["test"]


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    file = table(tmp_path, "image,label,x1,y1,x2,y2\na.png,cat,1,2,3,x\n")
    assert "table.csv, line 2: the box of 'cat'" in only_error(read_csv(file).problems)
    file = table(tmp_path, "image,caption\nc.png,x\n")
    assert "table.csv, line 2: there is no picture c.png" in only_error(read_csv(file).problems)


def test_a_header_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has the columns 'a,b': expected one of image, prefix"):
        read_csv(table(tmp_path, "a,b\n1,2\n"))


HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax\n"


def test_the_folders_of_roboflow_s_export_are_splits(tmp_path: Path) -> None:
    for folder, label in (("train", "cat"), ("valid", "dog")):
        table(tmp_path / folder, f"{HEADER}a.png,64,48,{label},1,2,9,8\n", "_annotations.csv")
    found = read_source(tmp_path)
    assert isinstance(found, Records)
    assert [(each.split, each.where) for each in found.records] == [
        ("train", "train/_annotations.csv, line 2"),
        ("val", "valid/_annotations.csv, line 2"),
    ]
    assert found.records[1].images == (tmp_path / "valid" / "a.png",)
    assert found.classes == ("cat", "dog")


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    table(tmp_path, "").write_bytes("image,text\na.png,x\na.png,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"table.csv, line 3, is not UTF-8 text"):
        read_csv(tmp_path)


def test_a_table_without_lines_is_an_error(tmp_path: Path) -> None:
    found = read_csv(table(tmp_path, "image,text\n"))
    assert only_error(found.problems).startswith("table.csv: it has no line below its header")


def test_a_table_of_a_split_that_is_not_wanted_is_not_looked_at(tmp_path: Path) -> None:
    table(tmp_path, "image,text\na.png,x\n", "train.csv")
    table(tmp_path, "nothing,known\n", "test.csv")
    assert len(load_rows(tmp_path, ("train", "val"), RenderOptions(task="ocr")).rows) == 1
    with pytest.raises(InputError, match=r"test\.csv has the columns"):
        load_rows(tmp_path, None, RenderOptions(task="ocr"))
