"""Damaged pictures: all are named before the first step, and later ones cost no step."""

import json
from pathlib import Path

import numpy as np
import pytest

from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.processor import Query
from palikit.training import Mixture, RowExamples
from palikit.training.readable import check_readable
from palikit.training.run_folder import RunFolder
from tests import tiny
from tests.training.toy import OPTIONS, Toy, are_equal, cat_rows, train, trained, with_options


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return cat_rows(tmp_path, 8)


def damage(row: Row) -> None:
    content = row.images[0].read_bytes()
    row.images[0].write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("form", [list, lambda rows: Mixture(((RowExamples(rows), 1.0),))])
def test_all_damaged_pictures_are_named_before_a_run_begins(
    tmp_path: Path, rows: list[Row], form
) -> None:
    train(tmp_path / "run")
    for row in (rows[3], rows[5]):
        damage(row)
    for place in ("new", "run"):
        with pytest.raises(InputError) as told:
            train(tmp_path / place, examples=form(rows), overwrite=place == "run")
        sentence = str(told.value)
        assert sentence.startswith("row 3: ")
        assert "3.png" in sentence
        assert sentence.endswith(f"; nor can these be read: {rows[5].images[0]}")
    assert not (tmp_path / "new").exists()
    assert train(tmp_path / "run", resume=True).step == 6


def test_pictures_that_are_opened_in_another_way_are_not_looked_at(tmp_path: Path) -> None:
    row = Row((tmp_path / "nowhere.png",), "cat", ("dog",))
    examples = RowExamples([row], lambda path: tiny.picture(1))
    assert train(tmp_path / "run", with_options(steps=1), examples=examples).step == 1


def test_a_long_look_says_how_far_it_is(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palikit.training.readable._REMARK_S", -1.0)
    told: list[str] = []
    check_readable([*rows, *rows], told.append)
    assert told == [f"looked at {number} of 8 pictures" for number in range(1, 9)]


class Breaking(Toy):
    """The toy examples, of which those of one step cannot be made until they are mended."""

    is_mended = False
    error: Exception = InputError("photo.png is damaged")

    def query(self, index: int, random: np.random.Generator) -> Query:
        if not self.is_mended and index >= 4 * OPTIONS.batch_size:
            raise self.error
        return super().query(index, random)


@pytest.mark.parametrize("error", [InputError("photo.png is damaged"), KeyError("no such row")])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_example_that_cannot_be_made_costs_no_step(
    tmp_path: Path, num_workers: int, error: Exception
) -> None:
    examples = Breaking()
    examples.error = error
    options = with_options(num_workers=num_workers, checkpoint_every=100)
    for resume in (False, True):
        with pytest.raises(type(error), match=str(error)):
            train(tmp_path / "run", options, examples=examples, resume=resume)
        assert RunFolder(tmp_path / "run").read("latest")["step"] == 4
    examples.is_mended = True
    model = trained(tmp_path / "run", options, examples=examples, resume=True)
    assert are_equal(model, trained(tmp_path / "whole"))
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_one_of_the_first_step_leaves_no_checkpoint(tmp_path: Path) -> None:
    class Never(Toy):
        def query(self, index: int, random: np.random.Generator) -> Query:
            raise InputError("photo.png is damaged")

    with pytest.raises(InputError, match="is damaged"):
        train(tmp_path / "run", examples=Never())
    assert not (tmp_path / "run" / "latest.json").exists()
