"""`overwrite` costs no model, no data and no run that another does not take the place of."""

from pathlib import Path

import pytest

from palikit.data.rows import Row
from palikit.errors import InputError
from palikit.training import Origin, RowExamples, origin_of
from tests import tiny
from tests.parity.oracle import save_tiny
from tests.training.toy import cat_rows, train, with_options

KEPT = with_options(method="frozen_tower", cache_features=True)


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    return cat_rows(tmp_path, 4)


def test_a_model_is_not_removed_by_the_run_that_it_begins(tmp_path: Path) -> None:
    origin = origin_of(str(save_tiny(tmp_path / "model", tiny.model())))
    best = train(tmp_path / "run", origin=origin).best
    assert best is not None
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for folder in (tmp_path / "run", tmp_path / "link"):
        with pytest.raises(InputError, match=r"best is in .*, which --overwrite removes first"):
            train(folder, origin=origin_of(str(best)), overwrite=True)
    with pytest.raises(InputError, match=r"tokenizer.json is in .*give another folder as output"):
        train(
            tmp_path / "run",
            origin=Origin("google/tiny", best / "tokenizer.json"),
            overwrite=True,
        )
    assert train(tmp_path / "run", origin=origin, resume=True).step == 6
    assert train(tmp_path / "run", origin=origin, overwrite=True).step == 6
    assert train(tmp_path / "other", origin=origin_of(str(best)), overwrite=True).step == 6


def test_features_that_cannot_be_kept_cost_no_earlier_run(tmp_path: Path, rows: list[Row]) -> None:
    train(tmp_path / "run")
    with pytest.raises(InputError, match="cache_features needs rows"):
        train(tmp_path / "run", KEPT, overwrite=True)
    rows[2].images[0].write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"2\.png"):
        train(tmp_path / "run", KEPT, examples=RowExamples(rows), overwrite=True)
    assert train(tmp_path / "run", resume=True).step == 6


def test_features_of_a_run_that_did_not_begin_are_used_by_the_next(
    tmp_path: Path, rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = RowExamples(rows)
    good = rows[2].images[0].read_bytes()
    rows[2].images[0].write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"2\.png"):
        train(tmp_path / "run", KEPT, examples=examples)
    assert not (tmp_path / "run").exists()
    rows[2].images[0].write_bytes(good)
    with monkeypatch.context() as broken:
        broken.setattr("palikit.training.run_folder.RunFolder.begin", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", KEPT, examples=examples)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["features"]
    told: list[str] = []
    assert train(tmp_path / "run", KEPT, examples=examples, on_remark=told.append).step == 6
    assert not [line for line in told if "computing" in line]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt
